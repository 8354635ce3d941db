"""The two tables of a paper: systems by collections for one measure, and systems by measures for one collection.

Beside a figure stands its bootstrap interval, and against a baseline a mark where a paired test, corrected for all
figures of the table, finds a difference. The best figure of each column is bold where the format knows bold.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace

from rader_ir.evaluation import Results, Values, macro_interval
from rader_ir.reports.averages import AVERAGE, collections_of, grouped, heading, mean
from rader_ir.reports.comparison import LEVEL, compare, family, interval_words, test_words
from rader_ir.reports.layout import ABOVE, BELOW, Cell, Table, label_of
from rader_ir.significance import CORRECTIONS, TESTS

__all__ = ["Cell", "Table", "measures_table", "results_table"]


def results_table(
    results: Results,
    measure: str,
    *,
    columns: Sequence[str] | Mapping[str, str] | None = None,
    average: str = "macro",
    confidence: float = 0.95,
    baseline: str | None = None,
    test: str = "t",
    correction: str = "holm",
    seed: int = 0,
    notes: Iterable[str] = (),
) -> Table:
    """One measure, a row for each system and a column for each collection, with their average if there are several.

    Intervals are shown in the last column only, for want of room; JSON has them all.

    Args:
        results: {system: {collection: {measure: {query_id: value}}}}; a system may lack collections.
        measure: one of the measures.
        columns: the collections to show, in order, or {collection: heading}; by default all, by their short names.
        average: "macro", the mean of the collections' means, or "micro", the mean over all queries.
        confidence: of the intervals.
        baseline: the system that others are compared with, or None for no marks.
        test, correction: as in `comparison.compare`.
        seed: of bootstrap and randomisation.
        notes: sentences to put below.

    Raises:
        ValueError: as `comparison.compare`; columns that no system has.
        ImportError: a baseline and the test t or wilcoxon without scipy.
    """
    names = list(columns) if columns is not None else collections_of(results)
    if not names or not set(names) <= set(collections_of(results)):
        raise ValueError(f"columns {names} are none or not all among the results' {collections_of(results)}")
    shown = {system: {name: found[name] for name in names if name in found} for system, found in results.items()}
    cells = {system: _row(found, measure, names, average, confidence, seed) for system, found in shown.items()}
    marks = []
    if baseline is not None:
        options = {"average": average, "test": test, "correction": correction, "seed": seed}
        marks = _mark(cells, shown, baseline, measure, **options)
    headings = [columns[name] if isinstance(columns, Mapping) else heading(name) for name in names]
    whole = [*names, AVERAGE] if len(names) > 1 else names
    rows = [(system, *(row.get(name) for name in whole)) for system, row in cells.items()]
    title = measure + (f", {average} average over {len(names)} collections" if len(names) > 1 else f" on {headings[0]}")
    heads = ("system", *headings, *([AVERAGE] if len(names) > 1 else []))
    caption = f"{title}, {_queries(shown, [measure]):,} queries{_against(marks, baseline, test, correction)}"
    best = _with_best(rows, average=len(names) > 1)
    all_notes = (interval_words(confidence, seed), *_partial(cells, names), *marks, *notes)
    return Table(title, heads, best, all_notes, caption=caption, label=label_of(measure))


def measures_table(
    values: Mapping[str, Values],
    *,
    confidence: float = 0.95,
    baseline: str | None = None,
    test: str = "t",
    correction: str = "holm",
    seed: int = 0,
    title: str = "",
    notes: Iterable[str] = (),
) -> Table:
    """Several measures on one collection, a row for each system and a column for each measure, each with its interval.

    Args:
        values: what `per_query` gave for each system, by its name.
        title: of the table.
        confidence, baseline, test, correction, seed, notes: as in `results_table`; each measure is a family of its own.

    Raises:
        ValueError, ImportError: as `results_table`.
    """
    measures = list(dict.fromkeys(measure for each in values.values() for measure in each))
    cells = {
        system: {name: _cell([list(each[name].values())], confidence, seed) for name in measures if name in each}
        for system, each in values.items()
    }
    marks = []
    if baseline is not None:
        options = {"test": test, "correction": correction, "seed": seed}
        for measure in measures:
            column = {system: {measure: row[measure]} for system, row in cells.items() if measure in row}
            results = {system: {measure: values[system]} for system in column}
            marks = _mark(column, results, baseline, measure, **options) or marks
            for system, row in column.items():
                cells[system] |= row
    if len(measures) > 1:
        marks = [f"{mark.removesuffix('.')} for each measure." for mark in marks]
    rows = [(system, *(row.get(name) for name in measures)) for system, row in cells.items()]
    queries = _queries({system: {"": each} for system, each in values.items()}, measures)
    against = _against(marks, baseline, test, correction)
    caption = f"{title}{title and ': '}{', '.join(measures)}, {queries:,} queries{against}"
    named = {"caption": caption, "label": label_of(title or " ".join(measures))}
    return Table(title, ("system", *measures), _with_best(rows, average=False), (*notes, *marks), **named)


def _queries(results: Results, measures: Sequence[str]) -> int:
    """How many queries a table is of: in each collection those of any system."""
    counts: dict[str, int] = {}
    for found in results.values():
        for name, values in found.items():
            sizes = (len(values[measure]) for measure in measures if measure in values)
            counts[name] = max(counts.get(name, 0), *sizes, 0)
    return sum(counts.values())


def _against(marks: Sequence[str], baseline: str | None, test: str, correction: str) -> str:
    """What a caption says of the marks, if there are any."""
    if not marks:
        return ""
    after = f", corrected after {CORRECTIONS[correction]}" if CORRECTIONS[correction] else ", not corrected"
    return f"; {ABOVE} above, {BELOW} below {baseline} by a {TESTS[test]}{after}"


def _row(found: dict[str, Values], measure: str, names: list[str], average: str, confidence: float, seed: int) -> dict:
    """{collection or AVERAGE: Cell} of one system."""
    values = {name: list(found[name][measure].values()) for name in names if measure in found.get(name, {})}
    brief = len(names) > 1
    row = {name: _cell([group], confidence, seed, brief=brief) for name, group in values.items()}
    if brief and len(values) == len(names):  # an average of fewer is another figure
        row[AVERAGE] = _cell(grouped(values, average), confidence, seed)
    return row


def _cell(groups: list[list[float]], confidence: float, seed: int, *, brief: bool = False) -> Cell:
    low, high = macro_interval(groups, confidence=confidence, seed=seed)
    return Cell(mean(groups), low, high, brief=brief)


def _partial(cells: dict[str, dict[str, Cell]], names: list[str]) -> list[str]:
    notes = []
    for system, row in cells.items():
        if lacking := [heading(name) for name in names if name not in row]:
            had = len(names) - len(lacking)
            notes.append(f"{system}: {had} of {len(names)} collections (not {', '.join(lacking)}), so no average.")
    return notes


def _mark(cells: dict[str, dict[str, Cell]], results: Results, baseline: str, measure: str, **options) -> list[str]:
    """Marks the cells that differ from the baseline's; returns the sentence that explains the marks, if any could be."""
    comparisons = compare(results, baseline, measure, **options)
    if not comparisons:
        return []
    for one in comparisons:
        row = cells[one.system]
        comparable = one.collection != AVERAGE or (AVERAGE in row and AVERAGE in cells[baseline])
        if one.significant() and comparable:
            row[one.collection] = replace(row[one.collection], mark=ABOVE if one.difference > 0 else BELOW)
    corrected = family(options["correction"], len(comparisons))
    words = test_words(options["test"], options["seed"])
    return [f"{ABOVE} above, {BELOW} below {baseline} by a {words}, p < {LEVEL}; {corrected}."]


def _with_best(rows: list[tuple], *, average: bool) -> tuple[tuple, ...]:
    """The rows with the highest figure of each column as the best; a row with gaps has no part in an average."""
    if len(rows) < 2:
        return tuple(rows)
    for at in range(1, len(rows[0])):
        last = average and at == len(rows[0]) - 1
        able = [row for row in rows if row[at] is not None and not (last and None in row)]
        highest = max((row[at].value for row in able), default=None)
        rows = [
            (*row[:at], replace(row[at], best=True), *row[at + 1 :])
            if row in able and row[at].value == highest
            else row
            for row in rows
        ]
    return tuple(rows)
