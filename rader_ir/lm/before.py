"""What stands before a back-end and speaks for it: a cache, a watch, a budget."""

from functools import cached_property
from typing import Any

from rader_ir.lm.meter import Meter


class Before:
    """Base of such classes, which bring `generate`. Replies are those of the back-end, so its identity and its meter are theirs.

    Args:
        lm: the back-end, or what stands before it in turn.
    """

    def __init__(self, lm):
        self.lm = lm

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self.lm!r})"

    @cached_property
    def backend(self) -> Any:
        """The back-end itself, past all that stands before it."""
        return self.lm.backend if isinstance(self.lm, Before) else self.lm

    @property
    def identity(self) -> str:
        """The back-end's."""
        return self.lm.identity

    @property
    def meter(self) -> Meter:
        """The back-end's: what came from a cache is not in it."""
        return self.lm.meter
