"""Chance that can be had again: orders and seeds that follow from a seed and a name and from nothing else.

They are the same on every machine, in every process and in whatever order they are asked for. They rest on `random.random`,
the one generator whose numbers Python promises to keep from version to version, and on SHA-256.
"""

import hashlib
import random
from collections.abc import Sequence
from typing import TypeVar

Item = TypeVar("Item")


def shuffled(items: Sequence[Item], *key: int | str) -> list[Item]:
    """The items in the order that `key` gives them, such as a seed, an epoch and an id.

    >>> shuffled("abcd", 7, "q1"), shuffled("abcd", 7, "q1"), shuffled("abcd", 7, "q2")
    (['b', 'a', 'c', 'd'], ['b', 'a', 'c', 'd'], ['a', 'd', 'b', 'c'])
    """
    number = random.Random(repr(key)).random
    drawn = [number() for _ in items]
    return [items[i] for i in sorted(range(len(items)), key=drawn.__getitem__)]


def seed_of(*key: int | str) -> int:
    """A seed in [0, 2**31) for what `key` names, such as a run's seed, a problem, a node and a number.

    >>> seed_of(7, "q1"), seed_of(7, "q2")
    (42516633, 1661123781)
    """
    return int.from_bytes(hashlib.sha256(repr(key).encode()).digest()[:4], "big") & 0x7FFFFFFF
