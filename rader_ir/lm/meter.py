"""Counting what a language model was asked, what it wrote, how it failed and what it cost.

Every back-end has one meter. Attempts are counted one by one, so tokens of replies that were thrown away are counted too;
failures are counted twice over: `retried` those that were tried again, `failed` those that a caller was told of.
"""

import math
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

from rader_ir.lm.replies import Outcome


@dataclass
class Meter:
    """Running totals.

    Attributes:
        prices: of a million tokens read and of a million written.
        calls: that were answered, by a reply or by a failure.
        attempts: requests that were sent for them.
        tokens_in, tokens_out: of all attempts.
        seconds: of all attempts, summed, so more than the time that passed where some went side by side.
        in_flight, peak_in_flight: attempts under way, now and at most.
        retried, failed: number of failures by kind.

    Raises:
        ValueError: a price below 0.
    """

    prices: tuple[float, float] = (0.0, 0.0)
    calls: int = 0
    attempts: int = 0
    tokens_in: int = 0
    tokens_out: int = 0
    seconds: float = 0.0
    in_flight: int = 0
    peak_in_flight: int = 0
    retried: Counter = field(default_factory=Counter)
    failed: Counter = field(default_factory=Counter)

    def __post_init__(self):
        if not all(0 <= price < math.inf for price in self.prices):
            raise ValueError(
                f"prices are {' and '.join(map(str, self.prices))}; give what a million tokens cost that are read, and that are "
                "written, 0 or more"
            )

    @property
    def cost(self) -> float:
        """Of all tokens, in the currency of `prices`."""
        return (self.tokens_in * self.prices[0] + self.tokens_out * self.prices[1]) / 1e6

    @contextmanager
    def under_way(self) -> Iterator[None]:
        """Around one attempt."""
        self.in_flight += 1
        self.peak_in_flight = max(self.peak_in_flight, self.in_flight)
        try:
            yield
        finally:
            self.in_flight -= 1

    def attempted(self, outcome: Outcome) -> None:
        """Count one attempt."""
        self.attempts += 1
        self.tokens_in += outcome.tokens_in
        self.tokens_out += outcome.tokens_out
        self.seconds += outcome.seconds

    def answered(self, outcome: Outcome) -> None:
        """Count one call, when its caller is answered."""
        self.calls += 1
        if outcome.failure is not None:
            self.failed[str(outcome.failure)] += 1

    def totals(self) -> dict[str, Any]:
        """All counts as plain numbers, for a report; kinds of failures in alphabetical order."""
        names = ("calls", "attempts", "tokens_in", "tokens_out", "peak_in_flight")
        return {
            **{name: getattr(self, name) for name in names},
            "seconds": round(self.seconds, 3),
            "cost": round(self.cost, 6),
            "retried": dict(sorted(self.retried.items())),
            "failed": dict(sorted(self.failed.items())),
        }
