"""A teacher without training: how well documents fit a query by words and by vectors, of the query and of what solves it.

A view is one such measure, taken to a mean of 0 and a deviation of 1 over all documents for each query, so that views can be
averaged. Who has seen the proof ranks the results that it uses far better than who has seen the statement alone, and the
two kinds of measure err in different places; what a student learns of both is in no label.
"""

from collections.abc import Mapping, Sequence

import numpy as np

from rader_ir.bm25 import BM25
from rader_ir.encoder import Encoder
from rader_ir.fusion import zscore

DENSE, WORDS = "dense", "words"


class Vectors:
    """An encoder's vectors of texts as documents, each text read once in the life of this object."""

    def __init__(self, encoder: Encoder):
        self.encoder = encoder
        self._known: dict[str, np.ndarray] = {}

    def __call__(self, texts: Sequence[str]) -> np.ndarray:
        """Float32 [n, d], in the order of `texts`."""
        new = [text for text in dict.fromkeys(texts) if text not in self._known]
        self._known.update(zip(new, self.encoder.encode_docs(new), strict=True))
        return np.stack([self._known[text] for text in texts])


def view(kind: str, vectors: Vectors, queries: Sequence[str], docs: Mapping[str, str]) -> np.ndarray:
    """Standardised scores, float32 [queries, docs].

    Args:
        kind: `dense`, cosines of documents with documents, since a solution is as long as one; or `words`, BM25, 0 where no
            word is shared.
        vectors: of `dense`.
        queries: texts.
        docs: {doc_id: text}.

    Raises:
        ValueError: another kind.
    """
    if kind == DENSE:
        return standardised(vectors(queries) @ vectors(list(docs.values())).T)
    if kind != WORDS:
        raise ValueError(f"a view of kind {kind!r} is unknown; choose {DENSE!r} or {WORDS!r}")
    places = {doc_id: place for place, doc_id in enumerate(docs)}
    found = np.zeros((len(queries), len(docs)), dtype=np.float32)
    run = BM25.build(docs.items()).retrieve({str(i): text for i, text in enumerate(queries)}, depth=len(docs))
    for query_id, scores in run.items():
        found[int(query_id), [places[doc_id] for doc_id in scores]] = list(scores.values())
    return standardised(found)


def standardised(scores: np.ndarray) -> np.ndarray:
    """Rows with a mean of 0 and a standard deviation of 1, float32; of equal scores, 0 throughout."""
    return np.stack([zscore(row) for row in scores]).astype(np.float32)
