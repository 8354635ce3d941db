"""The report of an experiment: tables, tests and pictures of what its systems found, with the average that papers give.

Collections that papers report by the same measures share a report; where there are several such groups, as MS MARCO and BEIR
are, each has its own folder. Corrected judgements and plain ones never share one. Wins and losses are shown with the texts of
questions and documents.
"""

from dataclasses import dataclass
from pathlib import Path

from rader_ir import bright
from rader_ir.experiment import Outcome
from rader_ir.reports import write
from rader_ir.reports.averages import heading, mean
from rader_ir.reports.inputs import shown_documents, texts_of
from rader_ir.reports.layout import Table
from rader_ir.runs import cut, read_run

_PLACES = 100  # of a list, among which wins and losses tell the relevant ones


@dataclass(frozen=True)
class Report:
    """One report.

    Attributes:
        folder: where it is.
        collections: what it is of.
        tables: a table for each measure, or of one collection a single one.
        average: in words, what the averages are means of; "" with one collection.
        means: {system: {measure: average over the collections}}.
    """

    folder: Path
    collections: list[str]
    tables: list[Table]
    average: str
    means: dict[str, dict[str, float]]


def report(
    outcome: Outcome, out: str | Path, *, baseline: str | None = None, test: str = "t", correction: str = "holm"
) -> list[Report]:
    """Write the reports of an experiment to OUT/report, or to OUT/report-NAME for each group of collections.

    That of tasks by their corrected judgements is OUT/report-fixed.

    Args:
        outcome: of `Experiment.run`.
        out: the experiment's folder.
        baseline: the system that others are compared with; None compares none.
        test, correction: as in `rader_ir.reports.comparison.compare`.

    Raises:
        ValueError: an unknown baseline, test or correction.
        ImportError: matplotlib or scipy is not installed.
    """
    groups = _groups(outcome)
    written = []
    for (measures, judged), names in groups.items():
        folder = Path(out) / "-".join(["report", *([judged] if judged else names[:1] if len(groups) > 1 else [])])
        results = {system: {name: found[name] for name in names} for system, found in outcome.results.items()}
        means = {
            system: {measure: mean(list(values[measure].values()) for values in found.values()) for measure in measures}
            for system, found in results.items()
        }
        words = mean_of(names) + (", by corrected judgements" if judged else "") if len(names) > 1 else ""
        tables = write(
            results,
            folder,
            measures=measures,
            baseline=baseline,
            test=test,
            correction=correction,
            notes=[*_average(names, words), *_told(outcome, names), *_remarks(outcome, names)],
            measured=_measured(outcome, names),
            **(_texts(outcome, names) if baseline is not None else {}),
        )
        written.append(Report(folder, names, tables, words, means))
    return written


def mean_of(names: list[str]) -> str:
    """What a mean over collections is the mean of, in words.

    >>> mean_of(["pony", "aops"])
    'the mean of 2 of the 12 tasks of BRIGHT'
    """
    tasks = set(bright.TASKS)
    paged = {f"{task}-long" for task in tasks if bright.has_long(task)}
    if set(names) == tasks:
        return "the mean of the 12 tasks of BRIGHT"
    if set(names) <= tasks:
        return f"the mean of {len(names)} of the 12 tasks of BRIGHT"
    if set(names) <= paged:
        return f"the mean of {len(names)} of the {len(paged)} tasks of BRIGHT that have whole pages"
    return f"the mean of {len(names)} collections"


def _remarks(outcome: Outcome, names: list[str]) -> list[str]:
    return [
        f"{system}, {heading(name)}: {remark}."
        for system, remarks in outcome.remarks.items()
        for name in names
        for remark in remarks.get(name, ())
    ]


def _average(names: list[str], words: str) -> list[str]:
    """What the average is of; of one task, that there are others."""
    if words:
        return [f"average: {words}."]
    return [f"1 of the {len(bright.TASKS)} tasks of BRIGHT."] if names[0].removesuffix("-long") in bright.TASKS else []


def _told(outcome: Outcome, names: list[str]) -> list[str]:
    """What was measured, in sentences: the state of the data, of all collections or of those that share it, and the lists."""
    found: dict[str, list[str]] = {}
    for name in names:
        if name in outcome.collections:
            found.setdefault(outcome.collections[name].version, []).append(name)
    whole = len(found) == 1
    sentences = [
        f"Data{'' if whole else ' of ' + ', '.join(map(heading, those))}: {version}."
        for version, those in found.items()
    ]
    sentences += [_absent(outcome, name) for name in names if name in outcome.absent]
    sentences += _without_instruction(outcome, names) if found else []
    if any(system.kind != "run" for system in outcome.systems):
        sentences.append(f"Lists of {outcome.settings['depth']} documents at most.")
    given = [one.label for system in outcome.systems for one in system.within() if one.kind == "run"]
    sentences += [f"{label}: runs from files, by whatever queries their maker chose." for label in dict.fromkeys(given)]
    for system in outcome.systems:
        if system.kind == "rerank":
            first = f"the first {outcome.settings['rerank_depth']} of {system.parts[0].label}"
            read = "the questions themselves" if outcome.settings["rerankers_read"] == "questions" else "the queries"
            sentences.append(f"{system.label}: {first} reranked, by {read}.")
    return sentences


def _absent(outcome: Outcome, name: str) -> str:
    count = len(outcome.collections[name].relevant())
    return f"{heading(name)}: {outcome.absent[name]} of {count} relevant documents are not in the documents."


def _without_instruction(outcome: Outcome, names: list[str]) -> list[str]:
    models = any(one.kind == "dense" for system in outcome.systems for one in system.within())
    bare = all(one.name.startswith("bright/") and not one.instruction for one in map(outcome.collections.get, names))
    return ["Queries without their tasks' instructions."] if models and bare else []


def _measured(outcome: Outcome, names: list[str]) -> dict:
    """The same for `json.dump`, whole."""
    collections = {
        name: {
            "name": one.name,
            "version": one.version,
            "content": one.key(),
            "queries": len(one.qrels),
            "instruction": one.instruction,
        }
        for name in names
        if (one := outcome.collections.get(name)) is not None
    }
    systems = {system.label: system.told() for system in outcome.systems}
    return {"collections": collections, "systems": systems, **outcome.settings}


def _groups(outcome: Outcome) -> dict[tuple[tuple[str, ...], str], list[str]]:
    """{(measures, state of the judgements): collections that were measured so}, in order."""
    found: dict[tuple[tuple[str, ...], str], list[str]] = {}
    for name, values in next(iter(outcome.results.values())).items():
        judged = outcome.collections[name].judged if name in outcome.collections else ""
        found.setdefault((tuple(values), judged), []).append(name)
    return found


def _texts(outcome: Outcome, names: list[str]) -> dict:
    """What wins and losses are shown with; each corpus is read once, and the texts kept are those that may be shown."""
    runs = {
        system: {name: cut(read_run(paths[name]), _PLACES) for name in names} for system, paths in outcome.runs.items()
    }
    collections = {name: outcome.collections[name] for name in names}
    return {
        "queries": {name: collection.queries for name, collection in collections.items()},
        "qrels": {name: collection.qrels for name, collection in collections.items()},
        "documents": {
            name: texts_of(
                shown_documents(collection.qrels, [by_name[name] for by_name in runs.values()]), collection.documents()
            )
            for name, collection in collections.items()
            if collection.documents is not None
        },
        "runs": runs,
    }
