"""A language model that is watched: a failed step is a value, but a server that is gone, or a budget that is spent, is the end.

When a call fails for reasons that are not the model's, after all its retries, the server is asked whether it is still there. If
not, or if it answers no call any more, the run stops before the rollouts under way are kept, so that no tree holds dead ends
which an outage made.
"""

import asyncio
import math
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial

from rader_ir.lm.before import Before
from rader_ir.lm.meter import Meter
from rader_ir.lm.replies import Failure, Generates, Message, Outcome, Reply, Sampling, TokenScores

_AWAY = frozenset({Failure.CONNECTION, Failure.TIMEOUT, Failure.SERVER_ERROR, Failure.RATE_LIMIT, Failure.REFUSED})

KEPT = "What was done is kept: make the same call again, and it goes on"
IN_A_ROW = 64  # calls that fail with none between them that does not, and the server counts as gone


class Steady(Before):
    """A back-end, or a cache before one, that is entered and left by whoever made it.

    Args:
        lm: keeps `Generates`, `ScoresTokens` or both.
        told: what an error says at its end.
    """

    def __init__(self, lm, *, told: str = KEPT):
        super().__init__(lm)
        self.told = told
        self._check = getattr(self.backend, "check", None)  # of a server; what runs in this process has none
        self._checking: asyncio.Task | None = None
        self._failed = 0  # in a row

    async def generate(self, messages: str | Sequence[Message], *, sampling: Sampling, seed: int) -> Reply:
        """One reply, or a failure of this call alone.

        Raises:
            ConnectionError: the server is gone; says that what was done is kept.
            ValueError: it has the model no longer, or refuses the key.
        """
        return await self._watched(await self.lm.generate(messages, sampling=sampling, seed=seed))

    async def score_tokens(self, messages: str | Sequence[Message], *, tokens: Sequence[str]) -> TokenScores:
        """Scores, or a failure of this call alone; raises as `generate`."""
        return await self._watched(await self.lm.score_tokens(messages, tokens=tokens))

    async def _watched(self, outcome: Outcome) -> Outcome:
        if outcome.failure not in _AWAY:
            self._failed = 0
        elif self._check is not None:
            self._failed += 1
            await self._look(outcome)
        return outcome

    async def _look(self, reply: Outcome) -> None:
        """One look for all who ask at the same time."""
        if self._failed >= IN_A_ROW:
            raise ConnectionError(
                f"{self._failed} calls in a row failed, the last by {reply.failure}: {reply.detail[:200]}. {self.told}"
            )
        if self._checking is None or self._checking.done():
            self._checking = asyncio.ensure_future(self._check())
        try:
            await asyncio.shield(self._checking)
        except ConnectionError as error:
            raise ConnectionError(f"{error}. {self.told}") from error


@dataclass(frozen=True)
class Budget:
    """What one call of the program may use; None is no limit.

    There are never more calls under way than it leaves; what goes beyond it are calls that were tried again, and of tokens and
    hours whatever is under way.

    Attributes:
        calls: attempts that reached the language model; replies from the cache cost nothing.
        tokens: read and written.
        hours: of wall time.
    """

    calls: int | None = None
    tokens: int | None = None
    hours: float | None = None

    def __post_init__(self):
        for name in ("calls", "tokens", "hours"):
            given = getattr(self, name)
            if given is not None and not 0 < given < math.inf:
                raise ValueError(
                    f"the budget of {name} is {given!r}; give a number above 0, or leave it out for no limit"
                )

    def reached(self, meter: Meter, seconds: float) -> str:
        """Which limit is reached, in words; "" for none."""
        used = {"calls": meter.attempts, "tokens": meter.tokens_in + meter.tokens_out, "hours": seconds / 3600}
        given = ((name, getattr(self, name)) for name in used)
        return next((f"{limit} {name}" for name, limit in given if limit is not None and used[name] >= limit), "")

    def left(self, meter: Meter) -> float:
        """How many calls there may still be."""
        return math.inf if self.calls is None else self.calls - meter.attempts


class Spent(Exception):
    """A budget is reached; says which limit."""


class Limited(Before):
    """A language model that is asked no more once a budget is reached.

    Args:
        lm: keeps `Generates`.
        reached: tells which limit is reached, in words; "" for none.
        width: calls at a time.
        left: tells how many calls there may still be. So many are under way at most, hits of a cache among them, which
            cost nothing: whoever waits goes on when one ends.
    """

    def __init__(self, lm: Generates, reached: Callable[[], str], *, width: int, left: Callable[[], float]):
        super().__init__(lm)
        self.reached, self.left = reached, left
        self._free, self._ended = asyncio.Semaphore(width), asyncio.Event()
        self._under_way = 0

    async def generate(self, messages: str | Sequence[Message], *, sampling: Sampling, seed: int) -> Reply:
        """One reply, or its failure.

        Raises:
            Spent: the budget is reached.
        """
        async with self._free:
            await self._admitted()
            try:
                return await self.lm.generate(messages, sampling=sampling, seed=seed)
            finally:
                self._under_way -= 1
                self._ended.set()

    async def _admitted(self) -> None:
        while True:
            if limit := self.reached():
                raise Spent(limit)
            if self._under_way < self.left():
                break
            self._ended.clear()
            await self._ended.wait()
        self._under_way += 1


def within(lm: Steady, budget: Budget, *, width: int) -> Steady | Limited:
    """The model, asked no more once this call's budget is reached; the hours count from now.

    Args:
        lm: watched.
        budget: an empty one leaves the model as it is.
        width: calls at a time, at least; the back-end's own concurrency where that is more.
    """
    if budget == Budget():
        return lm
    started = time.monotonic()
    width = max(width, getattr(lm.backend, "concurrency", 1))
    reached = partial(_reached, budget, lm.meter, started)
    return Limited(lm, reached, width=width, left=partial(budget.left, lm.meter))


def _reached(budget: Budget, meter: Meter, started: float) -> str:
    return budget.reached(meter, time.monotonic() - started)
