"""Searches that a library can use: a BM25 index, and a dense index with the encoder of its queries.

A search is any function of texts and a number of documents that gives, for each text, (doc_id, score) pairs, best first. Its
`name`, or else the function's own, goes into the trees, since it decides what they hold.
"""

import hashlib
import json
from collections.abc import Callable, Sequence

import numpy as np

from rader_ir.bm25 import BM25
from rader_ir.index import Index, require_same_encoder

Hits = list[tuple[str, float]]
Search = Callable[[Sequence[str], int], Sequence[Hits]]


class SparseSearch:
    """Searches a BM25 index."""

    def __init__(self, index: BM25):
        self.index = index

    def __repr__(self) -> str:
        return f"SparseSearch({self.index!r})"

    @property
    def name(self) -> str:
        """The weighting and its settings."""
        return " ".join(["bm25", *(f"{key}={value}" for key, value in self.index.settings.items())])

    def __call__(self, texts: Sequence[str], k: int) -> list[Hits]:
        """The k documents for each text; fewer where fewer share a term with it."""
        found = self.index.retrieve({str(place): text for place, text in enumerate(texts)}, depth=k)
        return [list(found[str(place)].items()) for place in range(len(texts))]


class DenseSearch:
    """Searches a folder of vectors.

    Args:
        index: the folder, opened.
        encoder: makes the vectors of queries; must be that of the index.
        kind: of search, as `Index.search` has it.
        together: encode all texts of a batch at once: sooner on a GPU, but an encoder's last digits may depend on what is encoded
            together, so that two runs of a synthesis may differ there. One by one they do not.

    Raises:
        ValueError: the index was made by another encoder.
    """

    def __init__(self, index: Index, encoder, *, kind: str = "flat", together: bool = False):
        require_same_encoder(index.folder, index.meta, encoder)
        self.index, self.encoder, self.kind, self.together = index, encoder, kind, together

    def __repr__(self) -> str:
        return f"DenseSearch({self.index!r}, {self.encoder!r}, kind={self.kind!r}, together={self.together})"

    @property
    def name(self) -> str:
        """The checkpoint, a digest of all that makes its vectors what they are, and the kind of search."""
        described = self.encoder.describe()
        digest = hashlib.sha256(json.dumps(described, sort_keys=True).encode()).hexdigest()[:12]
        return f"dense {described.get('checkpoint', 'encoder')} {digest} {self.kind}"

    def __call__(self, texts: Sequence[str], k: int) -> list[Hits]:
        """The k nearest documents for each text."""
        if self.together:
            vectors = self.encoder.encode_queries(list(texts))
        else:
            vectors = np.concatenate([self.encoder.encode_queries([text]) for text in texts])
        ranked = self.index.search(vectors, depth=k, kind=self.kind)
        return [
            list(zip(self.index.doc_ids[places].tolist(), scores.tolist(), strict=True)) for places, scores in ranked
        ]
