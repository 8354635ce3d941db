"""Which answers agree, and which most agree on: clusters of equivalent answers and the vote among them (RaDeR, section 3.1).

Clusters are what a chain of equal pairs holds together (union-find), so they do not depend on the order of the answers. Every
key, such as a terminal node of a search tree, has one vote; what has no answer has none and agrees with nothing.
"""

from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from itertools import combinations
from typing import TypeVar

Key = TypeVar("Key", int, str)


@dataclass(frozen=True)
class Vote:
    """The outcome of a vote.

    Attributes:
        answer: how most of the winning cluster write it; of equally many, how its smallest key does.
        keys: the keys of the winning cluster, ascending.
        weight: of the winning cluster.
        total: of all that voted, those without an answer included.
    """

    answer: str
    keys: tuple
    weight: float
    total: float

    @property
    def share(self) -> float:
        """The winner's part of all votes, those without an answer included."""
        return self.weight / self.total if self.total else 0.0


def clusters(answers: Mapping[Key, str | None], equal: Callable[[str, str], object]) -> list[tuple[Key, ...]]:
    """The keys in clusters of equivalent answers, each ascending, ordered by smallest key; keys without an answer are left out.

    Args:
        answers: the answer of each key, None where there is none.
        equal: whether two answers are one, symmetric, such as `Equivalence.compare`; asked once per pair of distinct texts
            that no chain of equal pairs joins already.

    >>> clusters({1: "0.5", 2: None, 3: "2", 4: "0.50"}, lambda a, b: float(a) == float(b))
    [(1, 4), (3,)]
    """
    texts = sorted({answer for answer in answers.values() if answer is not None})
    parent = {text: text for text in texts}

    def root(text: str) -> str:
        while parent[text] != text:
            parent[text] = text = parent[parent[text]]
        return text

    for a, b in combinations(texts, 2):
        if root(a) != root(b) and equal(a, b):
            parent[root(b)] = root(a)
    found: dict[str, list[Key]] = {}
    for key in sorted(key for key, answer in answers.items() if answer is not None):
        found.setdefault(root(answers[key]), []).append(key)
    return [tuple(keys) for keys in found.values()]


def majority(
    answers: Mapping[Key, str | None],
    equal: Callable[[str, str], object],
    *,
    weights: Mapping[Key, float] | None = None,
) -> Vote | None:
    """The cluster with the most votes; of equal ones that with the smallest key. None where nobody has an answer.

    Args:
        answers, equal: as for `clusters`. One key is one vote: give each terminal node once, however often it was visited.
        weights: votes of each key, such as its reward; one each if not given.

    Raises:
        ValueError: weights that lack a key, or a negative one.

    >>> majority({1: "3", 2: "2", 3: "3.0", 4: None}, lambda a, b: float(a) == float(b))
    Vote(answer='3', keys=(1, 3), weight=2.0, total=4.0)
    """
    weights = dict.fromkeys(answers, 1.0) if weights is None else weights
    unfit = [key for key in answers if weights.get(key, -1.0) < 0]
    if unfit:
        raise ValueError(f"{unfit[0]!r} has weight {weights.get(unfit[0])}; give each answer a weight of 0 or more")
    weighed = [(sum(weights[key] for key in keys), keys) for keys in clusters(answers, equal)]
    if not weighed:
        return None
    weight, keys = max(weighed, key=lambda one: one[0])  # max keeps the first, which has the smallest key
    written = Counter(answers[key] for key in keys)
    return Vote(written.most_common(1)[0][0], keys, float(weight), float(sum(weights[key] for key in answers)))
