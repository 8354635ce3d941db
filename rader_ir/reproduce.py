"""Runs against the figures that they should give: which differ, and by how much.

A table of expected figures is JSON, {collection: {measure: figure}}; the collection's run and judgements are the files of
that name in two folders. A figure agrees when it rounds to what the table prints, so a table decides by its digits how
close is close enough. `released.py` checks the score files that RaDeR's authors published, which come in a form of their own.
"""

import json
from collections.abc import Iterable, Mapping, Sequence
from decimal import Decimal
from pathlib import Path
from typing import NamedTuple

from rader_ir.corpus import read_queries
from rader_ir.evaluation import evaluate
from rader_ir.files import find_file, read_text
from rader_ir.runs import RUN_ENDINGS, Qrels, read_qrels, read_run, some, without

MEAN = "mean"  # of a table: figures of the plain mean over its collections
QRELS = (".tsv", ".qrels", ".txt")
QUERIES = (".jsonl", ".tsv")
SHOWN = 20  # figures that differ, in a report


class Check(NamedTuple):
    """One figure.

    Attributes:
        group: what was measured, in words.
        measure: as ir_measures names it.
        expected: the figure to reach.
        found: what came out; None where there is no run to measure.
        tolerance: largest difference that still agrees.
        query_id: where the figure is that of one query.
    """

    group: str
    measure: str
    expected: float
    found: float | None
    tolerance: float
    query_id: str = ""

    @property
    def agrees(self) -> bool:
        """Whether the figure was found."""
        return self.found is not None and abs(self.found - self.expected) <= self.tolerance


def compare(
    group: str, expected: Mapping[str, float], found: Mapping[str, float] | None, tolerance: float, query_id: str = ""
) -> list[Check]:
    """A check for each measure of `expected`; `found` is None where there is no run.

    Raises:
        ValueError: a measure that was not taken.
    """
    if found is not None and (unknown := expected.keys() - found.keys()):
        raise ValueError(f"{group}: figures of {', '.join(sorted(unknown))} are expected; known are {', '.join(found)}")
    return [
        Check(group, measure, figure, None if found is None else found[measure], tolerance, query_id)
        for measure, figure in expected.items()
    ]


def check_table(
    table: Mapping[str, Mapping[str, float]],
    runs: str | Path,
    qrels: str | Path,
    *,
    decimals: int,
    queries: str | Path | None = None,
) -> list[Check]:
    """Measure the runs of a folder against a table.

    Args:
        table: {collection: {measure: figure}}; under "mean" stand figures of the mean over the other collections.
        runs: folder of COLLECTION.trec, .run or .txt in TREC's form, or .json; each may be packed as .gz.
        qrels: folder of COLLECTION.tsv, .qrels or .txt, likewise.
        decimals: digits that the figures are rounded to.
        queries: folder of COLLECTION.jsonl or .tsv, whose `excluded_ids` leave the lists first; None excludes nothing.

    Returns:
        Checks in the table's order; a collection without a run has no figures found, and then the mean has none either.

    Raises:
        ValueError: a mean of a measure that a collection lacks, an unknown measure, a broken file, two of one name, a run and
            judgements that do not meet, queries of which none is judged.
        FileNotFoundError: no run of the table is there, or one is there without its judgements or queries.
    """
    collections = {name: figures for name, figures in table.items() if name != MEAN}
    paths = {name: find_file(runs, name, RUN_ENDINGS) for name in collections}
    if not any(paths.values()):
        raise FileNotFoundError(
            f"{runs}: none of the runs {', '.join(collections)} is there, as NAME.trec or NAME.json"
        )
    found = {
        name: None if path is None else _found(path, judgements(qrels, name), collections[name], queries, name)
        for name, path in paths.items()
    }
    tolerance = rounding(decimals)
    checks = [
        check for name, figures in collections.items() for check in compare(name, figures, found[name], tolerance)
    ]
    group = f"{MEAN} of {len(collections)}"
    return checks + compare(group, table.get(MEAN, {}), _means(table.get(MEAN, {}), found), tolerance)


def rounding(decimals: int) -> float:
    """Half a unit of the last digit, and a little for what binary fractions lose."""
    return 0.5 * 10**-decimals + 1e-9


def read_expected(path: str | Path) -> tuple[dict, int]:
    """A JSON file of expected figures, and the digits after the point of the longest of them.

    Raises:
        ValueError: not JSON, or no object.
    """
    numbers: list[str] = []

    def number(text: str) -> float:
        numbers.append(text)
        return float(text)

    try:
        content = json.loads(read_text(path), parse_float=number)
    except json.JSONDecodeError as error:
        raise ValueError(f"{path}:{error.lineno}: broken JSON ({error.msg})") from error
    if not isinstance(content, dict):
        raise ValueError(f"{path}: not a table; expected one object {{collection: {{measure: figure}}}}")
    return content, max((-Decimal(text).as_tuple().exponent for text in numbers), default=0)


def checked_table(content: Mapping, path: str | Path) -> dict[str, dict[str, float]]:
    """The content of `read_expected` as a table for `check_table`.

    Raises:
        ValueError: no collection, or one whose figures are not {measure: number}.
    """
    for name, figures in content.items():
        plain = isinstance(figures, dict) and figures
        if not plain or any(isinstance(one, bool) or not isinstance(one, int | float) for one in figures.values()):
            raise ValueError(
                f'{path}: {name!r} has {str(figures)[:60]}; expected {{measure: figure}}, as {{"nDCG@10": 0.5}}'
            )
    if not content.keys() - {MEAN}:
        raise ValueError(f"{path}: no collection to measure; expected {{collection: {{measure: figure}}}}")
    return dict(content)


def judgements(folder: str | Path, name: str) -> Qrels:
    """The judgements of a collection from a folder.

    Raises:
        FileNotFoundError: none are there.
    """
    path = find_file(folder, name, QRELS)
    if path is None:
        raise FileNotFoundError(f"{folder}: no judgements of {name}; expected {name}.tsv, .qrels or .txt (.gz too)")
    return read_qrels(path)


def report(checks: Iterable[Check]) -> str:
    """Lines for a terminal: how many figures of each group agree, then those that differ, farthest first, with the difference."""
    checks = list(checks)
    groups = {check.group: [] for check in checks}
    for check in checks:
        groups[check.group].append(check)
    width = max(map(len, groups), default=0)
    lines = [_summary(group.ljust(width), each) for group, each in groups.items()]
    differing = sorted((one for one in checks if one.found is not None and not one.agrees), key=_distance, reverse=True)
    lines += [_difference(check) for check in differing[:SHOWN]]
    if len(differing) > SHOWN:
        lines.append(f"... and {len(differing) - SHOWN} more that differ by less")
    if any(check.expected > 1 >= check.found for check in differing):
        lines.append(
            "Figures above 1 are expected of measures that end at 1: are they percentages? Divide those by 100"
        )
    return "\n".join(lines)


def _found(
    path: Path, qrels: Qrels, figures: Mapping[str, float], queries: str | Path | None, name: str
) -> dict[str, float]:
    run = without(read_run(path), {} if queries is None else _excluded(queries, name, qrels))
    try:
        return {
            measure: sum(evaluate(run, qrels, [measure]).values()) for measure in figures
        }  # of one, under its name here
    except ValueError as error:
        raise ValueError(f"{path}: {error}") from error


def _excluded(folder: str | Path, name: str, qrels: Qrels) -> dict[str, frozenset[str]]:
    """{query_id: doc_ids} that a collection's queries exclude."""
    path = find_file(folder, name, QUERIES)
    if path is None:
        raise FileNotFoundError(f"{folder}: no queries of {name}; expected {name}.jsonl or .tsv (.gz too)")
    texts, excluded = read_queries(path)
    if texts.keys().isdisjoint(qrels):
        raise ValueError(f"{path}: none of its queries is judged: {some(texts)} in it, {some(qrels)} in the judgements")
    return excluded


def _means(wanted: Mapping[str, float], found: Mapping[str, dict[str, float] | None]) -> dict[str, float] | None:
    if any(figures is None for figures in found.values()):
        return None
    for measure in wanted:
        if lacking := [name for name, figures in found.items() if measure not in figures]:
            raise ValueError(f"the table has a mean of {measure}, but {lacking[0]} has no figure of it; add one")
    return {measure: sum(figures[measure] for figures in found.values()) / len(found) for measure in wanted}


def _summary(group: str, checks: Sequence[Check]) -> str:
    if all(check.found is None for check in checks):
        return f"{group}  no run"
    return f"{group}  {sum(check.agrees for check in checks)} of {len(checks)} figures agree"


def _distance(check: Check) -> float:
    return abs(check.found - check.expected)


def _difference(check: Check) -> str:
    where = f"{check.group}, query {check.query_id}" if check.query_id else check.group
    apart = check.found - check.expected
    return f"{where}: {check.measure} is {check.found:.6g}, expected {check.expected:.6g}, by {apart:+.2g}"
