"""How sure a count of right answers is: Wilson's interval, and McNemar's exact test of two systems on the same questions."""

from collections.abc import Sequence
from dataclasses import dataclass
from math import comb, sqrt
from statistics import NormalDist


def wilson(right: int, n: int, *, confidence: float = 0.95) -> tuple[float, float]:
    """Wilson's score interval of a share (Wilson, 1927): the shares p from which right / n is not too far by p's own deviation.

    Unlike the share plus and minus its deviation it stays within [0, 1], and has a width where all or none are right.

    Args:
        right: how many, of `n`.
        confidence: of the interval.

    Raises:
        ValueError: n below 1, a count outside 0 to n, a confidence outside (0, 1).

    >>> [round(bound, 3) for bound in wilson(54, 76)]
    [0.6, 0.8]
    """
    if n < 1 or not 0 <= right <= n:
        raise ValueError(f"{right} right of {n}; give a count from 0 to n, and n from 1")
    if not 0 < confidence < 1:
        raise ValueError(f"confidence {confidence} is outside (0, 1); 0.95 is customary")
    z = NormalDist().inv_cdf((1 + confidence) / 2)
    share, scale = right / n, 1 + z * z / n
    middle = (share + z * z / (2 * n)) / scale
    half = z / scale * sqrt(share * (1 - share) / n + z * z / (4 * n * n))
    return (0.0 if right == 0 else middle - half), (1.0 if right == n else middle + half)


@dataclass(frozen=True)
class Paired:
    """Two systems on the same questions.

    Attributes:
        won, lost: questions that the first alone, and the second alone, has right.
        p: of McNemar's exact test, two-sided.
    """

    won: int
    lost: int
    p: float


def mcnemar(first: Sequence[bool], second: Sequence[bool]) -> Paired:
    """McNemar's exact test: were the two equally good, each question that one alone has right would be a fair coin's throw.

    Args:
        first, second: whether each system is right, question by question in one order.

    Raises:
        ValueError: lists of different lengths.

    >>> mcnemar([True] * 4 + [False], [False] * 4 + [True])
    Paired(won=4, lost=1, p=0.375)
    """
    if len(first) != len(second):
        raise ValueError(f"{len(first)} and {len(second)} verdicts; give both systems the same questions")
    won = sum(a and not b for a, b in zip(first, second, strict=True))
    lost = sum(b and not a for a, b in zip(first, second, strict=True))
    thrown = won + lost
    tail = sum(comb(thrown, heads) for heads in range(min(won, lost) + 1))
    return Paired(won, lost, min(1.0, 2 * tail / 2**thrown))
