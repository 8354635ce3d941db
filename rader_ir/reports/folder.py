"""A whole report in a folder: tables in four forms, values by query, wins and losses, pictures.

| file | holds |
|---|---|
| report.txt, .md, .tex, .json | a table for each measure (of one collection a single table), and the comparisons |
| per_query.csv | each value of each measure |
| bars.png, .svg | the leading measure by collection |
| scatter_SYSTEM.png, .svg | the leading measure by query, against the baseline |
| wins_losses.md | the queries with the greatest differences from the baseline |

report.json names the report's files, so that the next one in the folder takes away what would be left of it.
"""

import json
import re
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

from rader_ir.evaluation import Results
from rader_ir.files import replacing
from rader_ir.reports.averages import collections_of
from rader_ir.reports.comparison import as_json, compare, comparison_table, interval_words
from rader_ir.reports.layout import Table
from rader_ir.reports.per_query import Texts, wins_and_losses, write_csv
from rader_ir.reports.tables import measures_table, results_table
from rader_ir.runs import Qrels, Run

_TABLES = ("report.txt", "report.md", "report.tex", "report.json")
_OWN = re.compile(r"(report|per_query|bars|wins_losses|scatter_[\w.~-]+)\.(txt|md|tex|json|csv|png|svg)", re.ASCII)


def write(
    results: Results,
    folder: str | Path,
    *,
    measures: Sequence[str] | None = None,
    baseline: str | None = None,
    queries: Mapping[str, Mapping[str, str]] | None = None,
    documents: Mapping[str, Texts] | None = None,
    runs: Mapping[str, Mapping[str, Run]] | None = None,
    qrels: Mapping[str, Qrels] | None = None,
    average: str = "macro",
    test: str = "t",
    correction: str = "holm",
    confidence: float = 0.95,
    seed: int = 0,
    count: int = 10,
    notes: Iterable[str] = (),
    measured: Mapping | None = None,
) -> list[Table]:
    """Writes the report; files of an earlier one are replaced one by one, each whole, and those that it alone had go.

    Args:
        results: {system: {collection: {measure: {query_id: value}}}}.
        folder: made where it does not exist.
        measures: those to report, the leading one first; by default all.
        baseline: the system that the others are compared with, or None for no comparisons.
        queries, documents, runs, qrels, count: for wins and losses, as in `per_query.wins_and_losses`.
        average, test, correction, confidence, seed: as in `tables.results_table`.
        notes: sentences to put below the tables.
        measured: what else a reader should know of systems and collections, for report.json.

    Returns:
        The tables of the report.

    Raises:
        ValueError: as `comparison.compare`; no system, or one without a measure.
        ImportError: matplotlib is not installed, or with a baseline and the test t or wilcoxon scipy.
    """
    from rader_ir.reports import plots  # noqa: F401 - before any work: it needs the extra `eval`

    measures = list(measures or dict.fromkeys(name for each in results.values() for v in each.values() for name in v))
    if not results or not measures:
        raise ValueError("a report needs results of one system or more; got none")
    options = {"average": average, "test": test, "correction": correction, "confidence": confidence, "seed": seed}
    tables = main_tables(results, measures, baseline=baseline, notes=notes, **options)
    compared = {name: compare(results, baseline, name, **options) for name in measures} if baseline is not None else {}
    made = {name: options[name] for name in ("test", "correction", "confidence", "seed")}
    others = [comparison_table(each, baseline, name, **made) for name, each in compared.items() if each]
    folder = Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    told = {"measured": measured or {}, "baseline": baseline, **options, "tables": [each.to_json() for each in tables]}
    told["comparisons"] = {name: as_json(each) for name, each in compared.items()}
    rivals = [name for name in results if name != baseline] if baseline is not None else []
    pictures = ["bars", *(f"scatter_{name}" for name in _file_names(rivals))]
    own = _own_files(pictures, compared=bool(rivals))
    earlier = _files_of(folder)
    write_tables(folder, [*tables, *others], told | {"files": sorted({*own, *earlier})}, pictures=pictures)
    write_csv(results, folder / "per_query.csv")
    kept = {"average": average, "confidence": confidence, "seed": seed}
    _draw(results, measures[0], baseline, folder, dict(zip(rivals, pictures[1:], strict=True)), kept)
    if rivals:
        given = {"queries": queries or {}, "documents": documents, "runs": runs, "qrels": qrels, "count": count}
        parts = [wins_and_losses(results, baseline, system, measures[0], **given) for system in rivals]
        _write(folder / "wins_losses.md", "\n".join(parts))
    for name in sorted(earlier - {*own}):
        (folder / name).unlink(missing_ok=True)
    _write_json(folder, told | {"files": own})  # last, so that after a kill nothing is forgotten
    return tables


def main_tables(
    results: Results,
    measures: Sequence[str],
    *,
    baseline: str | None = None,
    average: str = "macro",
    test: str = "t",
    correction: str = "holm",
    confidence: float = 0.95,
    seed: int = 0,
    notes: Iterable[str] = (),
) -> list[Table]:
    """The tables that a paper would have: of one collection all measures in one, of several a table for each measure."""
    options = {"baseline": baseline, "test": test, "correction": correction, "confidence": confidence, "seed": seed}
    names = collections_of(results)
    if len(names) > 1:
        return [results_table(results, name, average=average, notes=notes, **options) for name in measures]
    values = {
        system: {name: found[names[0]][name] for name in measures if name in found[names[0]]}
        for system, found in results.items()
    }
    notes = [interval_words(confidence, seed), *notes]
    return [measures_table(values, title=names[0], notes=notes, **options)]


def write_tables(folder: Path, tables: Sequence[Table], told: Mapping, *, pictures: Sequence[str] = ()) -> None:
    """Writes tables as report.txt, .md and .tex, and what they tell as report.json.

    Args:
        folder: that exists.
        tables: in their order.
        told: figures for `json.dump`.
        pictures: names, without ending, of pictures as SVG in the folder, which stand below the tables in Markdown.
    """
    _write(folder / "report.txt", "\n\n\n".join(table.text() for table in tables) + "\n")
    shown = [f"![{name}]({name}.svg)" for name in pictures]
    _write(folder / "report.md", "\n\n".join([*(table.markdown() for table in tables), *shown]) + "\n")
    _write(folder / "report.tex", "\n\n".join(table.latex() for table in tables) + "\n")
    _write_json(folder, told)


def _draw(
    results: Results, measure: str, baseline: str | None, folder: Path, rivals: dict[str, str], options: dict
) -> None:
    """Draws the bars with `options`, and the scatter of each rival, {system: name of its file}."""
    from rader_ir.reports import plots

    for ending in ("png", "svg"):
        plots.bars(results, measure, folder / f"bars.{ending}", **options)
        for system, name in rivals.items():
            plots.scatter(results, measure, system, baseline, folder / f"{name}.{ending}")


def _write_json(folder: Path, told: Mapping) -> None:
    _write(folder / "report.json", json.dumps(told, indent=2, ensure_ascii=False) + "\n")


def _own_files(pictures: Sequence[str], *, compared: bool) -> list[str]:
    drawn = [f"{name}.{ending}" for name in pictures for ending in ("png", "svg")]
    return [*_TABLES, "per_query.csv", *drawn, *(["wins_losses.md"] if compared else [])]


def _files_of(folder: Path) -> set[str]:
    """The files that an earlier report in the folder says are its own; of a broken one none."""
    try:
        named = json.loads((folder / "report.json").read_text(encoding="utf-8"))["files"]
        return {name for name in named if isinstance(name, str) and _OWN.fullmatch(name)}
    except (FileNotFoundError, ValueError, KeyError, TypeError):
        return set()


def _write(path: Path, text: str) -> None:
    with replacing(path) as file:
        file.write(text)


def _file_names(systems: Iterable[str]) -> list[str]:
    """A name for the files of each system, of letters that every file system takes; equal ones are numbered."""
    names: list[str] = []
    for system in systems:
        plain = re.sub(r"[^\w.-]+", "_", system, flags=re.ASCII).strip("._")[-80:] or "system"
        taken = sum(name == plain or name.startswith(f"{plain}~") for name in names)
        names.append(f"{plain}~{taken + 1}" if taken else plain)
    return names
