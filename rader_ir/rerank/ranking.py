"""What a system that asks a language model tells of one query: the order, its scores, the reasons, and what it cost."""

from collections.abc import Sequence
from dataclasses import dataclass, fields

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
    """

    calls: int = 0
    further: int = 0
    malformed: int = 0
    failed: int = 0
    shortened: int = 0
    tokens_in: int = 0
    tokens_out: int = 0
    seconds: float = 0.0

    def __add__(self, other: "Statistics") -> "Statistics":
        return Statistics(*(getattr(self, each.name) + getattr(other, each.name) for each in fields(self)))


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


def falling(order: Sequence[int]) -> np.ndarray:
    """Scores n, n - 1, ..., 1 along an order, float32 [n] by position.

    >>> falling([2, 0, 1]).tolist()
    [2.0, 1.0, 3.0]
    """
    scores = np.empty(len(order), dtype=np.float32)
    scores[list(order)] = np.arange(len(order), 0, -1)
    return scores
