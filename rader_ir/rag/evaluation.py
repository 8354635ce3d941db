"""From questions and systems to a table: asked, answers found, compared, counted, written into a folder.

Replies lie in a cache, so the same call goes on after a kill and ends with equal files; a system's answers are written when all
of them are there. What a call used is appended to `usage.jsonl`, which alone tells of one call.
"""

import asyncio
import json
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from rader_ir.equivalence import TOLERANCE
from rader_ir.files import replacing
from rader_ir.lm import Sampling
from rader_ir.lm.steady import Budget, Spent, Steady, within
from rader_ir.problems import Problem
from rader_ir.prompts import Prompt, load_prompts
from rader_ir.rag.asking import Asked, ask, given
from rader_ir.rag.marking import Marked, Marker
from rader_ir.rag.report import summary, table
from rader_ir.rag.systems import Given, System
from rader_ir.reports.folder import write_tables

ANSWERS, REPORT, LATEX, REPLIES, USAGE = "answers", "report.txt", "report.tex", "replies.sqlite", "usage.jsonl"


@dataclass(frozen=True)
class Plan:
    """How systems are asked and marked.

    Attributes:
        seed: of all replies.
        prompts: a TOML file of the user's own wording; None takes ours.
        sampling: top_p and top_k of replies; temperatures are the systems'.
        characters: of a document that are shown; None shows it whole.
        tolerance: of numbers in the verdict, relative.
        processes: formulas compared at a time.
        under_way: calls at a time.
        budget: of one call of `measure`; when it is reached, the systems that are done are reported.
        baseline: the label that others are compared with; None takes the first.
    """

    seed: int = 0
    prompts: str | Path | None = None
    sampling: Sampling = field(default_factory=Sampling)
    characters: int | None = None
    tolerance: float = TOLERANCE
    processes: int = 1
    under_way: int = 64
    budget: Budget = field(default_factory=Budget)
    baseline: str | None = None

    def __post_init__(self):
        least = {"under_way": self.under_way, "processes": self.processes, "characters": self.characters or 1}
        if low := [name for name, value in least.items() if value < 1]:
            raise ValueError(f"{low[0]} is {least[low[0]]}; give 1 or more")


async def measure(
    problems: Sequence[Problem],
    systems: Sequence[System | Given],
    out: str | Path,
    *,
    lm=None,
    texts: Mapping[str, str] | None = None,
    plan: Plan | None = None,
    left: Sequence[str] = (),
    verbose: bool = False,
) -> dict[str, Any]:
    """Ask, mark and report, in the folder `out`: `answers/LABEL.jsonl`, and `report` as .txt, .md, .tex and .json.

    Args:
        problems: of `read_problems`, with answers.
        systems: in the order of the report.
        out: the folder, made where it is not there.
        lm: a language model as `open_lm` gives it, not entered yet; put a cache before it. None where all answers are given.
        texts: by doc_id, of all documents that systems show; `systems.texts_of` collects them.
        plan: None takes the defaults.
        left: about problems that were left out, for the report.
        verbose: whether to show progress on stderr.

    Returns:
        What `report.json` holds, and `used`: this call's calls, tokens, cost and what stopped it.

    Raises:
        ConnectionError: the language model is not there, or gone; what was answered is kept in its cache.
        ValueError: two systems of one label, an unknown baseline, no model where one is asked, no problem, one without an answer.
    """
    plan = plan or Plan()
    _check(problems, systems, lm, plan)
    work = _Work(problems, Path(out).expanduser(), texts or {}, plan, verbose)
    if lm is None:
        return {**await work.run(systems, None, left), "used": {"stopped": ""}}
    async with lm:
        watched = within(Steady(lm), plan.budget, width=plan.under_way)
        try:
            told = await work.run(systems, watched, left)
        finally:  # what was paid for is noted, however the call ends
            used = work.used(lm)
    return {**told, "used": used}


def _check(problems, systems, lm, plan: Plan) -> None:
    labels = [system.label for system in systems]
    if not problems or not systems:
        raise ValueError(f"{len(problems)} problems and {len(systems)} systems; give at least one of each")
    if unknown := [problem.problem_id for problem in problems if problem.answer is None]:  # before anything is paid for
        raise ValueError(f"the answer of {unknown[0]!r} is not known; leave out what cannot be marked")
    if twice := [label for label in labels if labels.count(label) > 1]:
        raise ValueError(f"two systems have the label {twice[0]!r}; give each its own")
    if plan.baseline is not None and plan.baseline not in labels:
        raise ValueError(f"baseline {plan.baseline!r} is none of the systems {', '.join(labels)}")
    asking = [system.label for system in systems if isinstance(system, System)]
    if lm is None and asking:
        raise ValueError(f"{asking[0]} asks a language model, and none is given; name one")


class _Work:
    """One call's way through the systems."""

    def __init__(self, problems: Sequence[Problem], out: Path, texts: Mapping[str, str], plan: Plan, verbose: bool):
        self.problems, self.out, self.texts, self.plan, self.verbose = problems, out, texts, plan, verbose
        self.prompts: dict[str, Prompt] = load_prompts(plan.prompts, name="rag")
        self.stopped, self.started = "", time.monotonic()

    async def run(self, systems: Sequence[System | Given], lm, left: Sequence[str]) -> dict[str, Any]:
        """All systems in their order, or as far as the budget goes; what the report holds."""
        (self.out / ANSWERS).mkdir(parents=True, exist_ok=True)
        marked: dict[str, list[Marked]] = {}
        try:
            with Marker(tolerance=self.plan.tolerance, processes=self.plan.processes) as marker:
                for system in systems:
                    asked = await self._asked(system, lm)
                    marked[system.label] = await asyncio.to_thread(marker.mark, asked)
                    self._keep(system.label, marked[system.label])
        except Spent as spent:
            self.stopped = str(spent)
        except BaseException as error:  # Ctrl-C comes as a cancellation
            ended = isinstance(error, asyncio.CancelledError | KeyboardInterrupt)
            self.stopped = "interrupted" if ended else type(error).__name__
            raise
        return self._report(systems, marked, left)

    async def _asked(self, system: System | Given, lm) -> list[Asked]:
        if isinstance(system, Given):
            return given(system, self.problems)
        plan = self.plan
        how = {"seed": plan.seed, "characters": plan.characters, "under_way": plan.under_way}
        with self._shown(system) as done:
            return await ask(
                system, self.problems, self.texts, lm, self.prompts, sampling=plan.sampling, **how, done=done
            )

    @contextmanager
    def _shown(self, system: System) -> Iterator:
        from tqdm import tqdm

        total = len(self.problems) * system.samples
        with tqdm(total=total, desc=system.label, unit="reply", disable=not self.verbose) as bar:
            yield bar.update

    def _keep(self, label: str, rows: Sequence[Marked]) -> None:
        with replacing(self.out / ANSWERS / f"{label}.jsonl") as file:
            file.writelines(json.dumps(row.record(), ensure_ascii=False) + "\n" for row in rows)

    def _report(self, systems, marked: Mapping[str, Sequence[Marked]], left: Sequence[str]) -> dict[str, Any]:
        notes = {system.label: system.notes for system in systems if isinstance(system, Given)}
        baseline = self.plan.baseline if self.plan.baseline in marked else None
        told = {
            "questions": len(self.problems),
            "left_out": list(left),
            "tolerance": self.plan.tolerance,
            "systems": summary(marked, baseline=baseline, notes=notes) if marked else {},
        }
        write_tables(self.out, [table(told["systems"], about=[*self._about(systems, marked, left)])], told)
        return told

    def _about(self, systems, marked, left: Sequence[str]) -> Iterator[str]:
        yield f"{len(self.problems):,} questions; numbers count as equal within {self.plan.tolerance:.2%} where they are rounded."
        if left:
            yield f"Left out: {len(left):,} more, for want of an answer that can be compared; report.json lists them."
        if waiting := [system.label for system in systems if system.label not in marked]:
            ended = f"The budget of {self.stopped} ended this call before {', '.join(waiting)}"
            yield f"{ended}; the same call goes on with what there is."

    def used(self, lm) -> dict[str, Any]:
        """What this call used, also appended to the folder's file of such lines."""
        seconds = round(time.monotonic() - self.started, 3)
        told = {**lm.meter.totals(), "wall_seconds": seconds, "stopped": self.stopped}
        told |= {name: getattr(lm, name) for name in ("hits", "misses", "joined") if hasattr(lm, name)}
        self.out.mkdir(parents=True, exist_ok=True)
        with open(self.out / USAGE, "a", encoding="utf-8") as file:
            file.write(json.dumps(told) + "\n")
        return told
