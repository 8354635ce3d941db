"""Texts laid one behind another, without padding, as one sequence that a model reads in one pass.

Texts of equal length lie side by side, so that attention, the only step where texts must not meet, takes each such run as one
dense batch. A text may continue a prefix whose keys and values are known; its positions then count on from the prefix's end.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import chain, pairwise

import numpy as np
import torch


@dataclass(frozen=True)
class Run:
    """`count` texts of `length` tokens each; the first begins at token `start`. All continue one prefix, or none (-1)."""

    start: int
    count: int
    length: int
    prefix: int

    @property
    def stop(self) -> int:
        """The token behind the last one."""
        return self.start + self.count * self.length


class Pack:
    """Some texts as one sequence of N tokens.

    Attributes:
        rows: number of texts that were given; where the sequence was filled up, one more lies in it.
        order: which row is the i-th text of the sequence, int [n].
        ids, positions: int64 [N].
        types: token types, int64 [N], or None where all are 0.
        runs: `Run`s that cover the sequence.
        first, last: each text's first and last token, int64 [n].
    """

    def __init__(
        self,
        rows: Sequence[Sequence[int]],
        device: torch.device,
        *,
        types: Sequence[Sequence[int]] | None = None,
        prefixes: np.ndarray | None = None,
        offsets: np.ndarray | None = None,
        fill: bool = False,
    ):
        """Lay out rows of token ids, none of them empty.

        Args:
            rows: token ids of each text.
            device: where the tensors go.
            types: token types of each text.
            prefixes: which prefix each text continues, int [n]; None where there are none.
            offsets: how many tokens that prefix has, int [n].
            fill: whether one more text, whose states nobody is given, fills the sequence up to one of few lengths (`lacking`).
        """
        self.rows = len(rows)
        if fill and (more := lacking(sum(map(len, rows)))):
            rows = [*rows, rows[0][:1] * more]
            types = None if types is None else [*types, types[0][:1] * more]
            prefixes = None if prefixes is None else np.append(prefixes, -1)
            offsets = None if offsets is None else np.append(offsets, 0)
        lengths = np.fromiter(map(len, rows), dtype=np.int64, count=len(rows))
        belongs = np.full(len(rows), -1) if prefixes is None else np.asarray(prefixes)
        self.order = np.lexsort((-lengths, belongs))
        lengths, belongs = lengths[self.order], belongs[self.order]
        ends = np.cumsum(lengths)
        starts = ends - lengths
        shift = starts if offsets is None else starts - np.asarray(offsets)[self.order]
        self.ids = _laid_out(rows, self.order, int(ends[-1])).to(device)
        self.types = None if types is None else _laid_out(types, self.order, int(ends[-1])).to(device)
        self.positions = torch.from_numpy(np.arange(ends[-1]) - np.repeat(shift, lengths)).to(device)
        self.first, self.last = torch.from_numpy(starts).to(device), torch.from_numpy(ends - 1).to(device)
        changes = np.flatnonzero((np.diff(lengths) != 0) | (np.diff(belongs) != 0)) + 1
        edges = [0, *changes.tolist(), len(lengths)]
        self.runs = [Run(int(starts[i]), j - i, int(lengths[i]), int(belongs[i])) for i, j in pairwise(edges)]

    def __len__(self) -> int:
        return len(self.order)

    def in_order(self, states: torch.Tensor) -> torch.Tensor:
        """States of the texts, [n, ...], from the order of the sequence to that of the rows."""
        back = np.empty(len(self.order), dtype=np.int64)
        back[self.order] = np.arange(len(self.order))
        return states[torch.from_numpy(back[: self.rows]).to(states.device)]

    def by_text(self, states: torch.Tensor) -> list[torch.Tensor]:
        """Each text's part of `states` [N, ...], in the order of the rows; copies, which keep nothing else alive."""
        parts: list[torch.Tensor | None] = [None] * len(self)
        for row, first, last in zip(self.order.tolist(), self.first.tolist(), self.last.tolist(), strict=True):
            parts[row] = states[first : last + 1].clone()
        return parts[: self.rows]

    def pooled(self, hidden: torch.Tensor, pooling: str) -> torch.Tensor:
        """One state per text, in the order of the rows. hidden: [N, D] -> [n, D]; pooling: "last", "first" or "mean".

        Means are taken in float32.
        """
        if pooling != "mean":
            return self.in_order(hidden[self.last if pooling == "last" else self.first])
        parts = [hidden[run.start : run.stop].view(run.count, run.length, -1) for run in self.runs]
        return self.in_order(torch.cat([part.float().mean(dim=1) for part in parts]))


def _laid_out(rows: Sequence[Sequence[int]], order: np.ndarray, size: int) -> torch.Tensor:
    return torch.from_numpy(np.fromiter(chain.from_iterable(rows[i] for i in order), dtype=np.int64, count=size))


def lacking(size: int) -> int:
    """Tokens from `size` up to a length that is taken, one of 32 between a power of two and the next.

    oneDNN, which multiplies on CPUs, makes and keeps code for every number of rows that it meets.

    >>> [size + lacking(size) for size in (7, 63, 65, 1025, 2047)]
    [7, 63, 66, 1056, 2048]
    """
    return -size % max(1, (1 << size.bit_length() - 1) // 32)
