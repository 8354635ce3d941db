"""What systems cost beside how well they do: calls, tokens and seconds in one table with the measure.

A call is a request to a language model, or a forward pass of a model that scores a text or a pair. What nobody can tell is None,
never 0, and stays empty in tables; `plots.tradeoff` draws quality against one kind of cost.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, fields, replace

from rader_ir.evaluation import Values
from rader_ir.reports.layout import Table
from rader_ir.reports.tables import measures_table

KINDS = {
    "seconds": "seconds per query",
    "calls": "calls per query",
    "tokens": "tokens per query, read and written",
    "tokens_in": "tokens per query, read",
}
_COLUMNS = ("calls", "tokens in", "tokens out", "malformed", "seconds")


@dataclass(frozen=True)
class Cost:
    """What a system took for some queries; None where nothing tells.

    Attributes:
        queries: how many.
        calls: requests to a language model, repeated ones included, or forward passes.
        malformed: calls of a language model without an answer that could be read.
        tokens_in, tokens_out: read and written.
        seconds: on the clock, from the first query to the last answer.
    """

    queries: int
    calls: int | None = None
    malformed: int | None = None
    tokens_in: int | None = None
    tokens_out: int | None = None
    seconds: float | None = None

    def __add__(self, other: "Cost") -> "Cost":
        pairs = ((getattr(self, each.name), getattr(other, each.name)) for each in fields(self))
        return Cost(*(None if None in pair else sum(pair) for pair in pairs))

    def per_query(self, kind: str) -> float | None:
        """The mean of "calls", "tokens" (read and written), "tokens_in", "tokens_out" or "seconds"; None if unknown."""
        parts = ("tokens_in", "tokens_out") if kind == "tokens" else (kind,)
        values = [getattr(self, name) for name in parts]
        return None if None in values or not self.queries else sum(values) / self.queries


def shared_kind(kind: str, costs: Iterable[Cost]) -> str:
    """The kind of cost by which systems compare: of "tokens" those read alone, where one's are known and those it wrote are not.

    >>> shared_kind("tokens", [Cost(1, tokens_in=9, tokens_out=1), Cost(1, tokens_in=5)])
    'tokens_in'
    """
    half = kind == "tokens" and any(each.tokens_in is not None and each.tokens_out is None for each in costs)
    return "tokens_in" if half else kind


def cost_table(
    values: Mapping[str, Values],
    costs: Mapping[str, Cost],
    measure: str,
    *,
    baseline: str | None = None,
    test: str = "t",
    correction: str = "holm",
    confidence: float = 0.95,
    seed: int = 0,
    title: str = "",
    notes: Iterable[str] = (),
) -> Table:
    """A row for each system: the measure with its interval, then means of calls, tokens and seconds per query.

    Args:
        values: what `per_query` gave for each system, by its name.
        costs: of the systems; one without has empty entries.
        measure: one of the measures.
        baseline, test, correction, confidence, seed, title, notes: as in `tables.measures_table`.

    Raises:
        ValueError, ImportError: as `tables.measures_table`.
    """
    said = (
        "Calls, tokens and seconds are means per query; malformed: calls in all without an answer that could be read."
    )
    table = measures_table(
        {system: {measure: found[measure]} for system, found in values.items()},
        baseline=baseline,
        test=test,
        correction=correction,
        confidence=confidence,
        seed=seed,
        title=title,
        notes=(said, *notes),
    )
    rows = tuple((*row, *_entries(costs.get(row[0]))) for row in table.rows)
    return replace(table, columns=(*table.columns, *_COLUMNS), rows=rows)


def pareto(points: Mapping[str, tuple[float, float]]) -> list[str]:
    """Of (cost, quality) by name those that nothing as cheap or cheaper is as good as, from the cheapest to the best.

    >>> pareto({"a": (1, 0.5), "b": (2, 0.4), "c": (3, 0.6)})
    ['a', 'c']
    """
    found: list[str] = []
    for name in sorted(points, key=lambda name: (points[name][0], -points[name][1])):
        if not found or points[name][1] > points[found[-1]][1]:
            found.append(name)
    return found


def _entries(cost: Cost | None) -> list[str | None]:
    """The cells of `_COLUMNS`."""
    if cost is None:
        return [None] * len(_COLUMNS)
    shown = [("calls", "{:,.1f}"), ("tokens_in", "{:,.0f}"), ("tokens_out", "{:,.0f}"), ("seconds", "{:,.4f}")]
    calls, read, written, seconds = (
        None if (value := cost.per_query(kind)) is None else form.format(value) for kind, form in shown
    )
    return [calls, read, written, None if cost.malformed is None else f"{cost.malformed:,}", seconds]
