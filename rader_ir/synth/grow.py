"""Growing many trees at once: problems side by side, each rollout kept when it ends, until all are done or the budget is.

A search is a generator of requests (`rader_ir.mcts`), so a tree waits only for its own replies while the others go on. What a
tree becomes depends on its problem, the rules, the seed and the replies, and on nothing that the others do.
"""

import asyncio
import time
from collections.abc import Awaitable, Callable, Iterable, Sequence
from dataclasses import dataclass, field

from rader_ir.equivalence import Equivalence, Vote, majority
from rader_ir.lm.steady import Spent
from rader_ir.mcts import Child, Expand, rollout
from rader_ir.problems import Problem
from rader_ir.synth.grown import Grown
from rader_ir.synth.store import Store

Children = Callable[[Grown, Expand], Awaitable[Sequence[Child]]]


@dataclass
class Standing:
    """How far the work is, while it goes on and at its end.

    Attributes:
        problems, rollouts: in all.
        problems_done, rollouts_done: finished, those of earlier calls included.
        kept: rollouts of them that earlier calls had made.
        solved: finished problems of which a rollout found the right answer.
        under_way: problems.
        stopped: the limit of the budget that ended the growth; "" where all is done.
    """

    problems: int = 0
    rollouts: int = 0
    problems_done: int = 0
    rollouts_done: int = 0
    kept: int = 0
    solved: int = 0
    under_way: int = 0
    stopped: str = ""
    started: float = field(default_factory=time.monotonic)

    @property
    def seconds(self) -> float:
        """Since the work began."""
        return time.monotonic() - self.started


async def grow(grown: Grown, children: Children) -> None:
    """One more rollout of a tree."""
    steps = rollout(grown.tree, grown.rules, f"{grown.seed} {grown.problem.problem_id}")
    sent = None
    while True:
        try:
            request = steps.send(sent)
        except StopIteration:
            return
        sent = await children(grown, request)


async def grow_all(
    problems: Iterable[Problem],
    store: Store,
    children: Children,
    standing: Standing,
    *,
    under_way: int = 64,
) -> None:
    """Grow every problem's tree to its end, each kept after each rollout, or until `children` raises `Spent`.

    Args:
        problems: in the order in which they are taken up.
        store: open.
        children: answers a search's requests, `Actions.children`.
        standing: is kept up to date; `stopped` tells the limit where growth ended by one.
        under_way: problems at a time.

    Raises:
        ConnectionError: the language model's server is gone; what was grown before is kept.
    """
    waiting = iter(problems)

    async def work() -> None:
        for problem in waiting:  # one iterator for all workers: each takes what is next
            await _finish(problem, store, children, standing)
            if standing.stopped:
                return

    try:
        async with asyncio.TaskGroup() as group:
            for _ in range(under_way):
                group.create_task(work())
    except BaseExceptionGroup as errors:
        raise _first(errors) from None


async def _finish(problem: Problem, store: Store, children: Children, standing: Standing) -> None:
    grown = store.load(problem)
    standing.kept += len(grown.tree.rollouts)
    standing.rollouts_done += len(grown.tree.rollouts)
    standing.under_way += 1
    try:
        while not grown.finished:
            if standing.stopped:
                return
            await grow(grown, children)
            await store.keep(grown)
            standing.rollouts_done += 1
        standing.problems_done += 1
        standing.solved += grown.solved
    except Spent as spent:  # the rollout is not kept; its replies are in the cache
        standing.stopped = standing.stopped or str(spent)
    finally:
        standing.under_way -= 1


def _first(errors: BaseExceptionGroup) -> BaseException:
    """The first error of a group, groups within it opened."""
    error = errors.exceptions[0]
    return _first(error) if isinstance(error, BaseExceptionGroup) else error


def vote(grown: Grown, answers: Equivalence, *, weighted: bool = False) -> Vote | None:
    """What most answers of a tree say, each node that holds one counted once, however often it was reached (section 3.1).

    Args:
        grown: the tree.
        answers: compares.
        weighted: count rewards in place of nodes.
    """
    nodes = grown.tree.answers()
    given = {node.id: node.content.get("answer") for node in nodes}
    weights = {node.id: node.reward for node in nodes} if weighted else None
    return majority(given, lambda a, b: answers.compare(a, b).equal, weights=weights)
