"""Systems against a baseline: differences with intervals, corrected paired tests, and how many queries changed.

All comparisons of one call are one family for the correction, the averages included. The bootstrap resamples queries,
within their collections for a macro average; so does the test (see `rader_ir.significance`).
"""

from collections import Counter
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace

from rader_ir.evaluation import SAMPLES as BOOTSTRAP
from rader_ir.evaluation import Results, macro_interval
from rader_ir.reports.averages import AVERAGE, EQUAL, grouped, heading, mean, per_collection
from rader_ir.reports.layout import Cell, Table, label_of, p_text
from rader_ir.significance import CORRECTIONS, SAMPLES, TESTS, corrected, paired_groups

LEVEL = 0.05  # p-values below it are called significant


@dataclass(frozen=True)
class Comparison:
    """One system against the baseline on one collection, or on their average.

    Attributes:
        system, collection: names; the collection is `AVERAGE` for all together.
        difference: of the means, system - baseline; above 0 the system is better.
        low, high: bootstrap interval of the difference.
        p, corrected: of the paired test that there is no difference, before and after the correction.
        wins, ties, losses: queries on which the system is above, equal to, below the baseline.
    """

    system: str
    collection: str
    difference: float
    low: float
    high: float
    p: float
    corrected: float
    wins: int
    ties: int
    losses: int

    def significant(self) -> bool:
        """Whether the corrected p-value is below `LEVEL`."""
        return self.corrected < LEVEL


def compare(
    results: Results,
    baseline: str,
    measure: str,
    *,
    average: str = "macro",
    test: str = "t",
    correction: str = "holm",
    confidence: float = 0.95,
    seed: int = 0,
) -> list[Comparison]:
    """Every other system against the baseline on each collection that both have, and on the average of these if several.

    Args:
        results: {system: {collection: {measure: {query_id: value}}}}.
        baseline: one of the systems.
        measure: one of the measures.
        average: "macro" or "micro".
        test: "t", "randomisation" or "wilcoxon".
        correction: "holm", "bonferroni", "bh" or "none".
        confidence: of the intervals.
        seed: of bootstrap and randomisation.

    Raises:
        ValueError: an unknown name; systems measured on other queries of one collection; a collection of one query.
        ImportError: t or wilcoxon without scipy.
    """
    before = per_collection(results, baseline, measure)
    found = []
    for system in results:
        if system == baseline:
            continue
        after = per_collection(results, system, measure)
        differences = {name: _differences(before[name], after[name], system, name) for name in after if name in before}
        cells = {name: [values] for name, values in differences.items()}
        if len(differences) > 1:
            cells[AVERAGE] = grouped(differences, average)
        for collection, groups in cells.items():
            found.append(_compared(system, collection, groups, test, confidence, seed))
    adjusted = corrected([one.p for one in found], method=correction)
    return [replace(one, corrected=p) for one, p in zip(found, adjusted, strict=True)]


def comparison_table(
    comparisons: Sequence[Comparison],
    baseline: str,
    measure: str,
    *,
    test: str = "t",
    correction: str = "holm",
    confidence: float = 0.95,
    seed: int = 0,
) -> Table:
    """The comparisons as a table, a row each; the options are what they were made with, for the notes."""
    counts = Counter(one.system for one in comparisons if one.collection != AVERAGE)
    rows = tuple(
        (
            one.system,
            _average_of(counts, one.system) if one.collection == AVERAGE else heading(one.collection),
            Cell(one.difference, one.low, one.high),
            p_text(one.p),
            p_text(one.corrected),
            *(str(count) for count in (one.wins, one.ties, one.losses)),
        )
        for one in comparisons
    )
    columns = ("system", "collection", "difference", "p", "corrected p", "wins", "ties", "losses")
    words = test_words(test, seed)
    notes = (
        interval_words(confidence, seed, "of the difference, over queries"),
        f"{words[0].upper()}{words[1:]}; {family(correction, len(comparisons))}.",
    )
    title = f"{measure}: differences from {baseline}"
    return Table(title, columns, rows, notes, label=label_of(f"{measure} differences"))


def test_words(test: str, seed: int) -> str:
    """What a test is called, and what else it takes to make it again."""
    return TESTS[test] + (
        f" ({SAMPLES:,} sign vectors, seed {seed}; all of them where they are fewer)" if test == "randomisation" else ""
    )


def interval_words(confidence: float, seed: int, of: str = "over queries") -> str:
    """What the bounds in a table are."""
    return f"[low, high]: {100 * confidence:.4g}% bootstrap interval {of} ({BOOTSTRAP:,} samples, seed {seed})."


def _average_of(counts: Counter, system: str) -> str:
    """The heading of an average; over fewer collections than others have, with their number."""
    return AVERAGE if counts[system] == max(counts.values()) else f"{AVERAGE} of {counts[system]}"


def as_json(comparisons: Sequence[Comparison]) -> list[dict]:
    """The comparisons for `json.dump`, a dictionary each."""
    return [asdict(one) for one in comparisons]


def family(correction: str, count: int) -> str:
    """How p-values were corrected, in words."""
    if correction == "none":
        return "p-values are not corrected for the number of comparisons"
    return f"p-values corrected after {CORRECTIONS[correction]} over {count} comparison{'s' if count != 1 else ''}"


def _differences(before: dict, after: dict, system: str, collection: str) -> list[float]:
    if before.keys() != after.keys():
        odd = sorted(before.keys() ^ after.keys())
        raise ValueError(
            f"{system!r} and the baseline have other queries of {collection!r}: {len(odd)} differ, {odd[0]!r} first; "
            "measure both with the same judgements"
        )
    differences = [after[query_id] - before[query_id] for query_id in before]
    return [0.0 if abs(difference) <= EQUAL else difference for difference in differences]


def _compared(system: str, collection: str, groups: list[list[float]], test: str, confidence: float, seed: int):
    low, high = macro_interval(groups, confidence=confidence, seed=seed)
    p = paired_groups(groups, test=test, seed=seed)
    signs = [(value > 0) - (value < 0) for group in groups for value in group]
    counts = (signs.count(1), signs.count(0), signs.count(-1))
    return Comparison(system, collection, mean(groups), low, high, p, p, *counts)
