"""What a system that asks a language model tells of one query: the order, its scores, the reasons, and what it cost."""

from collections.abc import Sequence
from dataclasses import dataclass, fields
from itertools import pairwise

import numpy as np


@dataclass
class Statistics:
    """Counts of one query, or of several when summed.

    Attributes:
        calls: comparisons, or documents judged, that were put to the model.
        further: asks beyond the first of a call: forced answers, repeated asks and asks with shorter passages.
        malformed: calls without an answer that could be read after all asks; the earlier order decided.
        failed: calls without any reply, likewise.
        shortened: passages cut to fit.
        tokens_in, tokens_out: as far as the back-end tells them; what equal calls share is counted once.
        seconds: from the first call to the last reply; of several queries their sum, though they went side by side.
        trouble: what a call that failed was told, in words; of several the first.
    """

    calls: int = 0
    further: int = 0
    malformed: int = 0
    failed: int = 0
    shortened: int = 0
    tokens_in: int = 0
    tokens_out: int = 0
    seconds: float = 0.0
    trouble: str = ""

    def __add__(self, other: "Statistics") -> "Statistics":
        counts = {
            each.name: getattr(self, each.name) + getattr(other, each.name)
            for each in fields(self)
            if each.type is not str
        }
        return Statistics(**counts, trouble=self.trouble or other.trouble)


@dataclass(frozen=True)
class Ranking:
    """One query's documents in order.

    Attributes:
        order: positions of the documents as they were given, best first.
        scores: float32 [documents], in the order given; higher is better.
        reasoning: for each document, in the order given, what the model wrote when it last placed it; "" where it never did.
        statistics: what this query cost.
    """

    order: list[int]
    scores: np.ndarray
    reasoning: list[str]
    statistics: Statistics


def untied(scores: Sequence[float | None]) -> tuple[list[int], np.ndarray]:
    """The order of scores, of equal ones that in which they stand, and scores, float32, which say the same to whoever sorts them.

    Of equal ones each has a last digit less than the one before it (1.2e-7 for scores within 1): evaluation and files break ties
    by document ids, which is chance, and ratings tie often. None, of what could not be judged, comes last in the same way, close
    to the rest, since fusion looks at the spread of scores.

    >>> order, made = untied([0.4, 0.8, 0.4])
    >>> order, made.round(6).tolist(), bool(made[0] > made[2])
    ([1, 0, 2], [0.4000000059604645, 0.800000011920929, 0.4000000059604645], True)
    """
    least = min((score for score in scores if score is not None), default=0.0)
    made = np.array([least if score is None else score for score in scores], dtype=np.float32)
    order = sorted(range(len(made)), key=lambda position: (-made[position], scores[position] is None))
    for before, position in pairwise(order):
        if made[position] >= made[before]:
            made[position] = made[before] - np.spacing(max(abs(made[before]), np.float32(1)))
    return order, made


def falling(order: Sequence[int]) -> np.ndarray:
    """Scores n, n - 1, ..., 1 along an order, float32 [n] by position.

    >>> falling([2, 0, 1]).tolist()
    [2.0, 1.0, 3.0]
    """
    scores = np.empty(len(order), dtype=np.float32)
    scores[list(order)] = np.arange(len(order), 0, -1)
    return scores
