"""What came of each system: right answers, their share with Wilson's interval, the difference to a baseline, what went wrong."""

from collections.abc import Mapping, Sequence
from typing import Any

from rader_ir.rag.accuracy import holm, mcnemar, wilson
from rader_ir.rag.marking import Marked, events

_NOTES = (
    "Interval: Wilson, 95 %. Won, lost: questions that this system alone, and the baseline alone, has right; p: McNemar's exact "
    "test, two-sided, corrected by Holm for the number of systems. A question without an answer is wrong."
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
    corrected = holm([pair.p for pair in pairs])
    for label, pair, p in zip(others, pairs, corrected, strict=True):
        told[label]["against"] = {"baseline": baseline, **vars(pair), "p_corrected": p}
    return told


def page(told: Mapping[str, Mapping[str, Any]], *, about: Sequence[str] = ()) -> str:
    """The report as Markdown.

    Args:
        told: what `summary` gave.
        about: sentences on the whole, put first.
    """
    columns = ("system", "votes", "documents", "right", "accuracy", "95 % interval", "won", "lost", "p")
    rows = [columns, ("---", *["---:"] * (len(columns) - 1)), *(_row(label, each) for label, each in told.items())]
    table = [f"| {' | '.join(row)} |" for row in rows]
    lines = ["# Answers with and without retrieval", "", *(f"{line}\n" for line in about), *table, "", _NOTES]
    for label, each in told.items():
        counts = [f"{name}: {times:,}" for name, times in each["events"].items()]
        if said := [*each["notes"], *([f"{'; '.join(counts)}."] if counts else [])]:
            lines += ["", f"**{label}**: {' '.join(said)}"]
    return "\n".join(lines) + "\n"


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


def _row(label: str, each: Mapping[str, Any]) -> tuple[str, ...]:
    pair = each.get("against")
    mean = each["documents"] / each["questions"]
    return (
        label.replace("|", r"\|"),
        f"{each['votes']:,}",
        f"{mean:.1f}" if mean else "-",
        f"{each['right']:,} / {each['questions']:,}",
        f"{each['accuracy']:.1%}",
        f"{each['low']:.1%} to {each['high']:.1%}",
        *((str(pair["won"]), str(pair["lost"]), _p(pair["p_corrected"])) if pair else ("", "", "")),
    )


def _p(p: float) -> str:
    return "< 0.001" if p < 0.001 else f"{p:.3f}"
