"""Chance of the simulated solver: draws that follow from a key, such as a seed and a prompt, and from nothing else.

They rest on `random.random`, whose numbers Python promises to keep, so a simulation is the same on every machine.
"""

import random
from collections.abc import Sequence
from typing import TypeVar

Item = TypeVar("Item")


class Chance:
    """A row of draws that `key` gives.

    >>> Chance(7, "q1").number(1, 6), Chance(7, "q1").number(1, 6), Chance(8, "q1").number(1, 6)
    (2, 2, 1)
    """

    def __init__(self, *key: int | str):
        self._next = random.Random(repr(key)).random

    def uniform(self) -> float:
        """A number from 0 to 1, 1 left out."""
        return self._next()

    def happens(self, probability: float) -> bool:
        """True with this probability; 0 never happens, 1 always does."""
        return self._next() < probability

    def number(self, low: int, high: int) -> int:
        """An integer from low to high, both included."""
        return low + int(self._next() * (high - low + 1))

    def choice(self, items: Sequence[Item]) -> Item:
        """One of the items."""
        return items[self.number(0, len(items) - 1)]
