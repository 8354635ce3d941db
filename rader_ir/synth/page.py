"""`report.md`: what became of the problems, what went wrong in their trees, and what the examples are like.

It is written at the end of every call, also of one that made no examples, and then says so. Where examples were wanted and none
came out it says why that is likely, from the same numbers that `report.json` holds.
"""

from collections.abc import Iterator, Mapping
from typing import Any

from rader_ir.synth.grown import VERDICTS
from rader_ir.synth.report import TOTAL, counted, markdown

AGAIN = "the same call goes on with what there is"
_PROBLEMS = {  # name of a number: what it counts
    "given": "whose answers can be compared",
    "left out": "the others, listed in report.json",
    "finished": "with all rollouts of their tree",
    "solved": "with a rollout that ended at a right answer",
    "right by majority": "whose tree's most frequent answer is right",
    "rollouts": "of all trees together",
}
_VERDICTS = (
    "*Kept*: reflection found that it helps; *rejected*: reflection turned it down; *used*: the path held it already, so nobody "
    "asked; *failed*: no judgement could be had or read. Only what was kept becomes part of a tree."
)
_BAD = (
    "unreadable",
    "failed",
    "dropped",
    "not found again",
    "names the theorem",
    "without answer",
    "for no theorem",
)  # in names of events
_SHOWN = 5  # events to look at


def page(told: Mapping[str, Any], *, stopped: str = "") -> str:
    """The report as Markdown.

    Args:
        told: what `report.json` holds: `problems`, and `examples` where this call made them, if only none.
        stopped: the limit of a budget that ended the call before the examples; "" for none.
    """
    lines = ["# Data synthesis", "", "## Problems", "", *_problems(told["problems"]), "", "## Examples", ""]
    if "examples" not in told:
        return "\n".join([*lines, *_not_made(stopped)]) + "\n"
    if not made(told):
        lines += [*_none(told), ""]
    return "\n".join(lines) + "\n" + markdown(told["examples"])


def made(told: Mapping[str, Any]) -> int:
    """How many examples there are in what `report.json` holds; 0 also where none were made."""
    return told["examples"]["kinds"][TOTAL]["examples"] if "examples" in told else 0


def _problems(problems: Mapping[str, Any]) -> Iterator[str]:
    numbers = {name: problems.get(name, 0) for name in _PROBLEMS} | {"left out": len(problems["left_out"])}
    yield from ("| problems | number | |", "|---|---:|---|")
    yield from (f"| {name} | {numbers[name]:,} | {meaning} |" for name, meaning in _PROBLEMS.items())
    if problems.get("answers hidden"):
        yield from ("", "Answers were hidden from these searches, so none counts as solved or as right by majority.")
    verdicts = ", ".join(f"{name} {problems['verdicts'].get(name, 0):,}" for name in VERDICTS)
    yield from ("", f"Verdicts of lookups: {verdicts}. {_VERDICTS}", "")
    if problems["events"]:
        yield from counted("event of the trees", problems["events"])
    else:
        yield "No reply failed or could not be read in the trees."


def _not_made(stopped: str) -> Iterator[str]:
    if stopped:
        yield f"The budget of {stopped} ended this call before examples were made; {AGAIN}."
    yield (
        "Examples were not made by this call. `examples.jsonl`, if there is one, is of an earlier state of the trees, and so are "
        "`train.jsonl`, `dev.jsonl`, `tevatron/` and `report.png`."
    )


def _none(told: Mapping[str, Any]) -> Iterator[str]:
    """Why no example came out, as far as the numbers tell."""
    problems, events = told["problems"], told["examples"]["events"]
    if events.get("theorems on right paths"):
        why = "theorems stood on ways to right answers, but every query for them was dropped or no kind fits them"
    else:
        why = "no theorem was kept on a way to a right answer"
        if not problems.get("solved"):
            why += "; no problem was solved"
        elif not problems["verdicts"].get("kept"):
            why += "; reflection kept nothing that the lookups found"
    yield f"**No example came out.** This is likely because {why}."
    bad = {
        name: times for name, times in {**problems["events"], **events}.items() if any(word in name for word in _BAD)
    }
    most = sorted((name for name in bad if bad[name]), key=lambda name: (-bad[name], name))[:_SHOWN]
    if most:
        yield f"Look at these events first: {', '.join(f'`{name}` ({bad[name]:,})' for name in most)}."
    yield "`rader tree` on this folder shows each tree, and why each document was kept or turned down."
