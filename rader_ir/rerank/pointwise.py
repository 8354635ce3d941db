"""Pointwise reranking: what every system that scores one document at a time shares.

A document longer than a model reads is scored by its best passage (MaxP, Dai and Callan, arXiv:1905.09217). Passages are cut by
the model's own tokens and cover the document to its end.
"""

from collections.abc import Callable, Sequence

import numpy as np

from rader_ir.passages import windows

PADDING = ("none", "max_length")  # whether a score is taken at a text's end, or at that of the longest padding (DeAR)
Score = Callable[[Sequence[str], Sequence[Sequence[str]]], list[np.ndarray]]
Split = Callable[[Sequence[str]], list[list[str]]]


def max_over_passages(
    score: Score, split: Split, queries: Sequence[str], docs: Sequence[Sequence[str]]
) -> list[np.ndarray]:
    """Scores of whole documents: the highest score among a document's passages.

    Args:
        score: scores texts for queries.
        split: the passages of each text, at least one each.
        queries: n texts.
        docs: n lists of texts.
    """
    unique = list(dict.fromkeys(text for texts in docs for text in texts))
    passages = dict(zip(unique, split(unique), strict=True))
    scored = score(queries, [[piece for text in texts for piece in passages[text]] for texts in docs])
    results = []
    for texts, scores in zip(docs, scored, strict=True):
        starts = np.cumsum([0] + [len(passages[text]) for text in texts])[:-1]
        results.append(np.maximum.reduceat(scores, starts) if len(texts) else scores)
    return results


def check_passages(length: int | None, stride: int | None) -> None:
    """Raise ValueError unless passages of `length` tokens every `stride` tokens cover a text."""
    if length is None and stride is not None:
        raise ValueError(f"passage_stride {stride} was given without passage_length; give both, or neither")
    if length is not None:
        windows(0, length, length if stride is None else stride)
