"""Judgements, runs and texts from files or from folders with a file for each collection, and the figures of it all.

A folder of judgements such as `qrels/pony.tsv`, `qrels/aops.tsv` goes with folders of runs such as `runs/pony.trec.gz`:
what stands before the first known ending is the collection's name.
"""

from collections.abc import Collection, Iterable, Mapping
from pathlib import Path

from rader_ir.evaluation import Results, per_query, remarks
from rader_ir.reports.averages import heading, in_order
from rader_ir.runs import RUN_ENDINGS, Qrels, Run, ranked, read_qrels, read_run, some, without

_SHOWN, _LETTERS = 10, 2000  # documents of a list whose texts are kept, and how much of each
ENDINGS = (*RUN_ENDINGS, ".jsonl", ".tsv", ".qrels")  # .gz may follow


def name_of(path: str | Path) -> str:
    """A file's name without folder and known endings.

    >>> name_of("qrels/pony.tsv.gz")
    'pony'
    """
    name = Path(path).name.removesuffix(".gz")
    return next((name.removesuffix(ending) for ending in ENDINGS if name.endswith(ending)), name)


def files_of(path: str | Path) -> dict[str, Path]:
    """{collection: file} of a folder, sorted by name, hidden files and those of other endings left out; of a file itself.

    Raises:
        ValueError: two files of one collection, or a folder with none.
        FileNotFoundError: no such file or folder.
    """
    path = Path(path)
    if not path.is_dir():
        if not path.exists():
            raise FileNotFoundError(f"{path}: no such file or folder")
        return {name_of(path): path}
    found: dict[str, Path] = {}
    for file in sorted(path.iterdir()):
        if file.name.startswith(".") or not file.name.removesuffix(".gz").endswith(ENDINGS):
            continue
        if name_of(file) in found:
            raise ValueError(f"{file} and {found[name_of(file)]} are of one collection; keep one of them")
        found[name_of(file)] = file
    if not found:
        raise ValueError(f"folder {path} holds no file ending in {', '.join(ENDINGS)} (or .gz behind)")
    return found


def read_collections(path: str | Path) -> dict[str, Qrels]:
    """{collection: judgements} of a file or folder of them, BRIGHT's in its order; raises as `files_of`, `read_qrels`."""
    files = files_of(path)
    return {name: read_qrels(files[name]) for name in in_order(files)}


def read_runs(path: str | Path, qrels: Mapping[str, Qrels]) -> dict[str, Run]:
    """{collection: run} of a run, or of a folder with a run for each collection of `qrels`, or for some of them.

    Raises:
        ValueError: a file with a folder of judgements or the other way round; a folder without a run for any collection.
        FileNotFoundError: no such file or folder.
    """
    if not Path(path).is_dir():
        if len(qrels) != 1:
            raise ValueError(f"{path} is no folder, as the judgements are; give a folder with a run for each of them")
        return {name: read_run(path) for name in qrels}
    found = {name: file for name, file in files_of(path).items() if name in qrels}
    if not found:
        raise ValueError(f"folder {path} has no run named as the judgements are ({', '.join(list(qrels)[:3])}, ...)")
    return {name: read_run(found[name]) for name in qrels if name in found}


def unjudged(path: str | Path, qrels: Mapping[str, Qrels]) -> list[str]:
    """What to say of the files in a folder of runs that are named like none of the judgements, and so are not measured."""
    lacking = [name for name in files_of(path) if name not in qrels] if Path(path).is_dir() else []
    if not lacking:
        return []
    told = ", ".join(lacking[:3]) + (", ..." if len(lacking) > 3 else "")
    return [f"{len(lacking)} file{'s' if len(lacking) > 1 else ''} without judgements, left out ({told})"]


def without_runs(runs: Mapping[str, Mapping[str, Run]], qrels: Mapping[str, Qrels]) -> list[str]:
    """What to say of judged collections that no system has a run for, and that no figure counts therefore."""
    absent = [heading(name) for name in qrels if not any(name in found for found in runs.values())]
    if not absent:
        return []
    return [f"{len(absent)} of {len(qrels)} judged collections have no run and are left out ({', '.join(absent)})"]


def lacking(needed: Collection[str], there: Collection[str], source: str | Path, what: str) -> list[str]:
    """What to say of texts of which some are not where they should be; nothing where all are.

    >>> lacking(["q1", "q2"], {"q1": "Why?"}, "queries.tsv", "judged queries")
    ['1 of 2 judged queries are in queries.tsv']

    Raises:
        ValueError: none is.
    """
    found = sum(name in there for name in needed)
    if needed and not found:
        other = f", but {some(there)}" if there else ""
        raise ValueError(
            f"{source} has none of the {len(needed)} {what} ({some(needed)}){other}; give what belongs to these judgements"
        )
    return [] if found == len(needed) else [f"{found} of {len(needed)} {what} are in {source}"]


def shown_documents(qrels: Qrels, runs: Iterable[Run]) -> set[str]:
    """The documents whose texts wins and losses may show: the relevant ones, and the first of each judged query's lists."""
    shown = {doc_id for judged in qrels.values() for doc_id, grade in judged.items() if grade > 0}
    for run in runs:
        shown.update(doc_id for query_id in qrels for doc_id, _ in ranked(run.get(query_id, {}), _SHOWN))
    return shown


def texts_of(wanted: Collection[str], documents: Iterable[tuple[str, str]]) -> dict[str, str]:
    """{doc_id: text} of the documents that are wanted, each cut to what wins and losses show."""
    return {doc_id: text[:_LETTERS] for doc_id, text in documents if doc_id in wanted}


def measured(
    runs: Mapping[str, Mapping[str, Run]],
    qrels: Mapping[str, Qrels],
    measures,
    *,
    excluded: Mapping[str, Mapping[str, frozenset[str]]] | None = None,
) -> tuple[Results, list[str]]:
    """The results of runs, and what to say below a table about how they meet the judgements.

    Args:
        runs: {system: {collection: run}}.
        qrels: {collection: judgements}.
        measures: as in `per_query`.
        excluded: {collection: {query_id: doc_ids}} that leave the lists before they are measured.

    Raises:
        ValueError: as `per_query`, with system and collection before the complaint.
    """
    results: Results = {}
    notes = []
    for system, by_collection in runs.items():
        results[system] = {}
        for name, run in by_collection.items():
            where = f"{system}, {heading(name)}" if len(qrels) > 1 else system
            kept = without(run, (excluded or {}).get(name, {}))
            said = remarks(kept, qrels[name])
            if dropped := sum(map(len, run.values())) - sum(map(len, kept.values())):
                said.append(f"{dropped} excluded document{'s' if dropped > 1 else ''} taken out of the lists")
            try:
                results[system][name] = per_query(kept, qrels[name], measures)
            except ValueError as error:
                raise ValueError(f"{where}: {error}") from error
            notes += [f"{where}: {remark}{'' if remark.endswith('?') else '.'}" for remark in said]
    return results, notes
