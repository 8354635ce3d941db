"""Vectors that know which encoder made them.

A `query_vec` or `doc_vec` travels through frames and iterators far from its encoder; searching an index with the vectors of
another checkpoint, prompt or pooling gives plausible nonsense. So each vector carries its encoder's description
(NumPy's own mechanism for subclasses hands it on to views), and whoever meets two kinds of vectors can refuse.
"""

from collections.abc import Iterable, Sequence

import numpy as np


class Described(np.ndarray):
    """A float32 array whose rows carry `made_by`, the `describe()` of their encoder."""

    made_by: dict | None = None

    def __array_finalize__(self, source):
        self.made_by = getattr(source, "made_by", None)


def described(vectors: np.ndarray, made_by: dict | None) -> list[np.ndarray]:
    """The rows of `vectors` [n, d] as float32 [d] each, carrying `made_by`."""
    marked = np.asarray(vectors, dtype=np.float32).view(Described)
    marked.made_by = made_by
    return list(marked)


def stacked(vectors: Sequence[np.ndarray]) -> tuple[np.ndarray, np.ndarray, dict | None]:
    """Distinct vectors, which of them each row is, and who made them: float32 [u, d], int [n], a description or None.

    Raises:
        ValueError: a row has no vector, lengths differ, or the encoders do.
    """
    unique = {id(vector): vector for vector in vectors}  # a query's vector is one object on all its rows
    shapes = sorted({np.shape(vector) for vector in unique.values()})
    if len(shapes) != 1 or len(shapes[0]) != 1:
        raise ValueError(
            f"a column of vectors has entries of shapes {shapes}; give every row one vector, all of one length"
        )
    place = {key: i for i, key in enumerate(unique)}
    rows = np.array([place[id(vector)] for vector in vectors])
    matrix = np.array([np.asarray(vector) for vector in unique.values()], dtype=np.float32)
    return matrix, rows, maker(unique.values())


def maker(vectors: Iterable[np.ndarray]) -> dict | None:
    """The description of the encoder that made all of `vectors`, or None if none of them has one.

    Raises:
        ValueError: they come from encoders that differ.
    """
    known: dict | None = None
    for vector in vectors:
        other = getattr(vector, "made_by", None)
        if known is None:
            known = other
        elif other is not None and other is not known:
            check_same(known, other, "one column holds vectors of two encoders")
    return known


def check_same(first: dict, second: dict, what: str) -> None:
    """Refuse two descriptions that promise different vectors, naming each setting that differs with both its values."""
    from rader_ir.index_folder import vector_difference

    if differing := vector_difference(first, second):
        raise ValueError(f"{what}: {differing}. Encode queries and documents by the same checkpoint and settings")
