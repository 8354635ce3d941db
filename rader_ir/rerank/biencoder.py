"""Reranking by a bi-encoder: the inner product of a query's and a document's vectors.

Each text is encoded once however many pairs it is in, so this costs far less than a cross-encoder; the scores are those that
a dense retriever would give these documents, without an index.
"""

import os
from collections.abc import Sequence

import numpy as np

from rader_ir.checkpoints import DEFAULT_RETRIEVER, Checkpoint
from rader_ir.encoder import Encoder
from rader_ir.rerank.pointwise import check_passages, max_over_passages


class BiEncoder:
    """Scores by inner products of vectors.

    Args:
        checkpoint: an encoder's, or a ready object with `encode_queries` and `encode_docs`.
        passage_length, passage_stride: tokens of a document per passage and between two beginnings; a document's score is its
            best passage's. None reads each document as one text, cut at the maximum length.
        options: as `Encoder`: device, dtype, batch_tokens, max_query_length, max_doc_length, instruction and so on.
    """

    def __init__(
        self,
        checkpoint: str | os.PathLike | Checkpoint | Encoder = DEFAULT_RETRIEVER,
        *,
        passage_length: int | None = None,
        passage_stride: int | None = None,
        **options,
    ):
        check_passages(passage_length, passage_stride)
        self.passage_length, self.passage_stride = passage_length, passage_stride
        self.model = checkpoint if hasattr(checkpoint, "encode_docs") else Encoder(checkpoint, **options)

    @property
    def truncated(self) -> int:
        """Texts cut so far."""
        return self.model.truncated

    @property
    def work(self) -> tuple[int, int]:
        """Texts read so far, and the tokens in them."""
        return self.model.work

    def score(
        self,
        queries: Sequence[str],
        docs: Sequence[Sequence[str]],
        instructions: Sequence[str] | None = None,
    ) -> list[np.ndarray]:
        """One float32 array [len(docs[i])] per query, in the order given; higher is better.

        Args:
            queries: n texts.
            docs: n lists of texts.
            instructions: one per query, in place of the encoder's own.
        """
        if len(queries) != len(docs):
            raise ValueError(
                f"{len(queries)} queries were given with {len(docs)} lists of documents; give one list for each"
            )
        if not any(len(texts) for texts in docs):
            return [np.empty(0, dtype=np.float32) for _ in docs]
        query_vectors = self.model.encode_queries(queries, instructions)

        def inner_products(_, passages):
            return self._inner_products(query_vectors, passages)

        if self.passage_length is None:
            return inner_products(queries, docs)
        return max_over_passages(inner_products, self._split, queries, docs)

    def _inner_products(self, query_vectors: np.ndarray, docs: Sequence[Sequence[str]]) -> list[np.ndarray]:
        place = {text: i for i, text in enumerate(dict.fromkeys(text for texts in docs for text in texts))}
        vectors = self.model.encode_docs(list(place))
        return [
            vectors[[place[text] for text in texts]] @ query_vectors[i] if len(texts) else np.empty(0, dtype=np.float32)
            for i, texts in enumerate(docs)
        ]

    def _split(self, texts: Sequence[str]) -> list[list[str]]:
        return self.model.passages(texts, self.passage_length, self.passage_stride)

    def fingerprint(self) -> str:
        """Changes with whatever changes scores."""
        return f"{self.model.fingerprint()}-{self.passage_length}-{self.passage_stride}"

    def unload(self) -> None:
        """Free the model."""
        self.model.unload()
