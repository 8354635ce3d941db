"""What came of each system: right answers, their share with Wilson's interval, the difference to a baseline, what went wrong."""

from collections.abc import Mapping, Sequence
from typing import Any

from rader_ir.rag.accuracy import mcnemar, wilson
from rader_ir.rag.marking import Marked, events
from rader_ir.reports.layout import Cell, Table, p_text
from rader_ir.significance import corrected

_NOTES = (
    "[low, high]: Wilson's 95 % interval. Won, lost: questions that this system alone, and the baseline alone, has right; "
    "p: McNemar's exact test, two-sided, corrected by Holm for the number of systems. A question without an answer is wrong."
)


def summary(
    marked: Mapping[str, Sequence[Marked]],
    *,
    baseline: str | None = None,
    notes: Mapping[str, Sequence[str]] | None = None,
) -> dict[str, dict[str, Any]]:
    """Figures by label, as plain values.

    Args:
        marked: by label, the same questions in the same order.
        baseline: the label that others are compared with; None takes the first.
        notes: by label, of a system.

    Raises:
        ValueError: a baseline that is not there, or systems with other questions.
    """
    baseline = next(iter(marked)) if baseline is None else baseline
    if baseline not in marked:
        raise ValueError(f"baseline {baseline!r} is none of the systems {', '.join(marked)}")
    asked = {label: [each.asked.problem.problem_id for each in rows] for label, rows in marked.items()}
    if odd := [label for label in asked if asked[label] != asked[baseline]]:
        raise ValueError(f"{odd[0]} has other questions than {baseline}; ask both the same")
    told = {label: {**_figures(rows), "notes": list((notes or {}).get(label, ()))} for label, rows in marked.items()}
    others = [label for label in marked if label != baseline]
    pairs = [mcnemar(_right(marked[label]), _right(marked[baseline])) for label in others]
    adjusted = corrected([pair.p for pair in pairs], method="holm")
    for label, pair, p in zip(others, pairs, adjusted, strict=True):
        told[label]["against"] = {"baseline": baseline, **vars(pair), "p_corrected": p}
    return told


def table(told: Mapping[str, Mapping[str, Any]], *, about: Sequence[str] = ()) -> Table:
    """The report as a table, a row for each system.

    Args:
        told: what `summary` gave.
        about: sentences on the whole, put before what there is to say of the systems.
    """
    best = max((each["right"] for each in told.values()), default=0)
    columns = ("system", "votes", "documents", "right", "accuracy", "won", "lost", "p")
    rows = tuple(_row(label, each, best if len(told) > 1 else None) for label, each in told.items())
    notes = [*about, _NOTES, *(f"{label}: {' '.join(said)}" for label, each in told.items() if (said := _said(each)))]
    return Table("Answers with and without retrieval", columns, rows, tuple(notes), digits=3)


def _figures(rows: Sequence[Marked]) -> dict[str, Any]:
    right, n = sum(_right(rows)), len(rows)
    low, high = wilson(right, n)
    samples = [verdict for each in rows for verdict in each.right_samples]
    shown = sum(bool(each.asked.documents) for each in rows)
    lacking = {"question without documents": n - shown} if 0 < shown < n else {}
    return {
        "questions": n,
        "right": right,
        "accuracy": right / n,
        "low": low,
        "high": high,
        "votes": max(len(each.asked.samples) for each in rows),
        "right_samples": sum(samples) / len(samples) if samples else 0.0,
        "documents": sum(len(each.asked.documents) for each in rows),
        "events": {**lacking, **events(rows)},
    }


def _right(rows: Sequence[Marked]) -> list[bool]:
    return [each.right for each in rows]


def _row(label: str, each: Mapping[str, Any], best: int | None) -> tuple[Cell | str | None, ...]:
    pair = each.get("against")
    mean = each["documents"] / each["questions"]
    return (
        label,
        f"{each['votes']:,}",
        f"{mean:.1f}" if mean else "-",
        f"{each['right']:,} / {each['questions']:,}",
        Cell(each["accuracy"], each["low"], each["high"], best=each["right"] == best),
        *((str(pair["won"]), str(pair["lost"]), p_text(pair["p_corrected"])) if pair else (None, None, None)),
    )


def _said(each: Mapping[str, Any]) -> list[str]:
    """What is to be said of a system: its own notes, and what went wrong how often."""
    counts = [f"{name}: {times:,}" for name, times in each["events"].items()]
    return [*each["notes"], *([f"{'; '.join(counts)}."] if counts else [])]
