"""Faults of the simulated solver's server, at programmable rates: what each looks like over HTTP.

They are named by the failure that a client counts (`rader_ir.lm.Failure`). Which call meets which fault at which attempt follows
from the seed and the call, so a run with faults is the same every time.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field

from rader_ir.lm.replies import Failure
from rader_ir.synth.simulated.chance import Chance

KINDS = (
    Failure.RATE_LIMIT,  # 429, with Retry-After: 0
    Failure.SERVER_ERROR,  # 500
    Failure.TIMEOUT,  # never answers; its slot is free again when the client gives up
    Failure.CONNECTION,  # closes the connection without a word
    Failure.BROKEN,  # cut-off JSON, as a whole body
    Failure.ENDLESS,  # a body that never ends
    Failure.EMPTY,  # a good body that says nothing
    Failure.CUT_OFF,  # half of the text, which ran into max_tokens
    Failure.FILTERED,  # withheld
)


@dataclass(frozen=True)
class Faults:
    """How often what goes wrong.

    Attributes:
        rates: by kind of failure, the share of the attempts that meet it.
        most: attempts of one call that may; those after them are answered well. None: no bound.
        seed: of the draws.

    Raises:
        ValueError: an unknown kind, rates that are no shares or exceed 1 in all.

    >>> Faults({"rate_limit": 1.0}).met("a call", 0)
    <Failure.RATE_LIMIT: 'rate_limit'>
    """

    rates: Mapping[str, float] = field(default_factory=dict)
    most: int | None = None
    seed: int = 0

    def __post_init__(self):
        unknown = [kind for kind in self.rates if kind not in KINDS]
        if unknown:
            raise ValueError(f"fault {unknown[0]!r} is unknown; choose of {', '.join(KINDS)}")
        if any(rate < 0 for rate in self.rates.values()) or sum(self.rates.values()) > 1:
            raise ValueError(f"rates of faults are {dict(self.rates)}; give shares from 0 on that make 1 at most")

    def met(self, call: str, attempt: int) -> Failure | None:
        """The fault that a call meets at an attempt, counted from 0; None for a good answer."""
        if not self.rates or (self.most is not None and attempt >= self.most):
            return None
        draw, reached = Chance(self.seed, call, attempt).uniform(), 0.0
        for kind, rate in sorted(self.rates.items()):
            reached += rate
            if draw < reached:
                return Failure(kind)
        return None
