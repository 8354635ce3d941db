"""From problems to examples: trees are grown, then examples are made of them, and a report tells what came of it.

Everything lies in one folder, and the same call on it goes on after a kill and ends with equal files: trees are kept after each
rollout, replies in a cache, and nothing depends on time or on what happened to be done first. What a call used, which is not so,
is appended to `usage.jsonl`.
"""

import asyncio
import json
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from rader_ir.equivalence import TOLERANCE, Equivalence
from rader_ir.files import replacing
from rader_ir.lm import Sampling
from rader_ir.lm.steady import Budget, Spent, Steady, within
from rader_ir.mcts import Rules
from rader_ir.problems import Problem
from rader_ir.prompts import load_prompts
from rader_ir.synth import report
from rader_ir.synth.actions import Actions
from rader_ir.synth.asking import PAPER
from rader_ir.synth.build import Recipe, build_examples
from rader_ir.synth.exports import write_built
from rader_ir.synth.grow import Standing, grow_all, vote
from rader_ir.synth.grown import Grown
from rader_ir.synth.library import Library
from rader_ir.synth.page import page
from rader_ir.synth.progress import shown
from rader_ir.synth.retrieval import Search
from rader_ir.synth.store import REPORT, SUMMARIES, Store

USAGE, FIGURE, TABLE = "usage.jsonl", "report.png", "report.md"


@dataclass(frozen=True)
class Plan:
    """How a synthesis goes.

    Attributes:
        rules: of the search.
        recipe: of the examples; its seed is that of the plan.
        seed: of all that chance decides.
        prompts: a TOML file of the user's own wording; None takes ours.
        sampling: of thoughts, solutions and queries; what a prompt says itself goes before it.
        judge: whether the model is asked about answers that comparison finds unequal.
        tolerance: of answers that are rounded numbers, relative.
        under_way: problems at a time.
        budget: of one call; when it is reached, growth ends, or the writing of queries, and examples wait for a later call.
        search, examples: whether trees are grown, and whether examples are made of those that are there.
    """

    rules: Rules = field(default_factory=Rules)
    recipe: Recipe = field(default_factory=Recipe)
    seed: int = 0
    prompts: str | Path | None = None
    sampling: Sampling = PAPER
    judge: bool = False
    tolerance: float = TOLERANCE
    under_way: int = 64
    budget: Budget = field(default_factory=Budget)
    search: bool = True
    examples: bool = True

    def __post_init__(self):
        if self.under_way < 1:
            raise ValueError(f"under_way is {self.under_way}; give 1 problem at a time or more")
        if not self.search and not self.examples:
            raise ValueError("neither search nor examples is asked for; leave one of them on")


async def synthesize(
    problems: Sequence[Problem],
    documents: Mapping[str, str],
    search: Search,
    lm,
    out: str | Path,
    *,
    plan: Plan | None = None,
    left: Sequence[str] = (),
    verbose: bool = False,
) -> dict[str, Any]:
    """Grow the problems' trees and make examples of them, in the folder `out`; the same call goes on with what is there.

    Args:
        problems: of `read_problems`.
        documents: text by doc_id.
        search: over them, as `rader_ir.synth.retrieval` has it.
        lm: a language model as `open_lm` gives it, not entered yet; put a cache before it, so that nothing is asked twice.
        out: the folder.
        plan: None takes the defaults.
        left: about problems that were left out, for the report.
        verbose: whether to show progress on stderr.

    Returns:
        What `report.json` holds, and `used`: this call's calls, tokens, cost, seconds, failures and what stopped it.

    Raises:
        ConnectionError: the language model is not there, or gone; what was done is kept.
        ValueError: the folder is of another run; a wrong model name; a document, prompt or tree that is broken; gold documents
            that are not there.

    """
    plan = plan or Plan()
    if plan.rules.gold_documents:
        _check_gold(problems, documents)
    prompts = load_prompts(plan.prompts)
    async with lm:
        kept = {
            "summaries": Path(out).expanduser() / SUMMARIES,
            "prompt": prompts["summary"],
            "sampling": plan.sampling,
        }
        library = Library(documents, search, **kept)
        with Equivalence(tolerance=plan.tolerance) as answers:
            watched = within(Steady(lm), plan.budget, width=plan.under_way)
            given = {"prompts": prompts, "judge": plan.judge, "sampling": plan.sampling}
            actions = Actions(watched, library, answers=answers, **given)
            with Store(out, plan.rules, plan.seed, actions.about).open() as store:
                work = _Work(problems, store, actions, plan, verbose)
                try:
                    told = await work.run(documents, left)
                finally:  # what was paid for is noted, however the call ends
                    used = work.used(lm)
                return {**told, "used": used}


class _Work:
    """One call's way through a folder."""

    def __init__(self, problems: Sequence[Problem], store: Store, actions: Actions, plan: Plan, verbose: bool):
        self.problems, self.store, self.actions, self.plan, self.verbose = problems, store, actions, plan, verbose
        self.standing = Standing(problems=len(problems), rollouts=len(problems) * plan.rules.rollouts)

    async def run(self, documents: Mapping[str, str], left: Sequence[str]) -> dict[str, Any]:
        """All of it; what the report holds."""
        try:
            if self.plan.search:
                await self.grow()
            elif next(self.grown(), None) is None:
                raise ValueError(
                    f"{self.store.folder} holds no tree of these {len(self.problems)} problems; grow some first"
                )
            told = {"problems": self.trees(left)}
            if self.plan.examples and not self.standing.stopped:
                told |= await self.build(documents)
            write_json(self.store.folder / REPORT, told)
            with replacing(self.store.folder / TABLE) as file:
                file.write(page(told, stopped=self.standing.stopped))
            return told
        except BaseException as error:  # Ctrl-C comes as a cancellation
            ended = isinstance(error, asyncio.CancelledError | KeyboardInterrupt)
            self.standing.stopped = "interrupted" if ended else type(error).__name__
            raise

    async def grow(self) -> None:
        """All trees, as far as the budget goes."""
        meter, plan = self.actions.lm.meter, self.plan
        async with self.actions.library, shown(self.standing, meter, verbose=self.verbose):
            await grow_all(self.problems, self.store, self.actions.children, self.standing, under_way=plan.under_way)

    def grown(self) -> Iterator[tuple[str, Grown]]:
        """(file name, tree) of the problems that have one, in their order, one in memory at a time."""
        for problem in self.problems:
            if (path := self.store.path(problem.problem_id)).is_file():
                yield path.name, self.store.load(problem)

    def trees(self, left: Sequence[str]) -> dict[str, Any]:
        """What the trees say of the problems."""
        answers = self.actions.answers
        counts, events, verdicts, nodes = Counter(), Counter(), Counter(), Counter()
        for _, grown in self.grown():
            most = vote(grown, answers)
            counts["with a tree"] += 1
            counts["finished"] += grown.finished
            if grown.problem.answer is None:
                counts["answers hidden"] += 1
            counts["solved"] += grown.solved
            counts["right by majority"] += most is not None and answers.compare(most.answer, grown.problem.answer).equal
            counts["rollouts"] += len(grown.tree.rollouts)
            events.update(grown.counts)
            verdicts.update(each.verdict for found in grown.found.values() for each in found)
            nodes.update(node.kind for node in grown.tree.nodes)
        parts = {"events": events, "verdicts": verdicts, "nodes": nodes}
        sorted_parts = {name: dict(sorted(part.items())) for name, part in parts.items()}
        return {"given": len(self.problems), **counts, "left_out": list(left), **sorted_parts}

    async def build(self, documents: Mapping[str, str]) -> dict[str, Any]:
        """The examples of the trees, written; what they are like. Nothing of it, if the budget is reached before the end."""
        recipe = replace(self.plan.recipe, seed=self.plan.seed)
        given = {"prompts": self.actions.prompts, "recipe": recipe}
        try:
            built = await build_examples(self.grown(), self.actions.lm, documents, **given)
        except Spent as spent:
            self.standing.stopped = str(spent)
            return {}
        write_built(built, self.store.folder)
        told = report.report(built.examples, built.counts)
        if built.examples:
            report.draw(told, self.store.folder / FIGURE)
        else:
            (self.store.folder / FIGURE).unlink(missing_ok=True)
        return {"examples": told}

    def used(self, lm) -> dict[str, Any]:
        """What this call used, also appended to the folder's file of such lines."""
        told = {
            **lm.meter.totals(),
            "wall_seconds": round(self.standing.seconds, 3),
            "stopped": self.standing.stopped,
        }
        told |= {"rollouts": self.standing.rollouts_done - self.standing.kept}
        told |= {name: getattr(lm, name) for name in ("hits", "misses", "joined") if hasattr(lm, name)}
        with open(self.store.folder / USAGE, "a", encoding="utf-8") as file:
            file.write(json.dumps(told) + "\n")
        return told


def _check_gold(problems: Sequence[Problem], documents: Mapping[str, str]) -> None:
    """Raise ValueError unless problems name their theorems, all of which are in the corpus."""
    if not any(problem.gold_documents for problem in problems):
        raise ValueError(
            "no problem names gold_documents, which gold_documents=True searches by; add them, or leave it out"
        )
    for problem in problems:
        if lost := [doc_id for doc_id in problem.gold_documents if doc_id not in documents]:
            raise ValueError(
                f"problem {problem.problem_id!r} names the gold document {lost[0]!r}, which the corpus has not"
            )


def write_json(path: Path, told: Mapping[str, Any]) -> None:
    """An object as JSON, whole or not at all."""
    with replacing(path) as file:
        file.write(json.dumps(told, ensure_ascii=False, indent=1) + "\n")
