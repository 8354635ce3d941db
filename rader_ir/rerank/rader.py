"""RaDeR's pointwise reranker (arXiv:2505.18405, section 3.2).

A decoder reads query and document as one text and a linear head scores its end; it was trained by softmax cross-entropy over each
query's positives and reasoning hard negatives. Called with nothing it means the published 7B checkpoint, a LoRA adapter that is
merged at loading.
"""

import os
from collections.abc import Sequence

import numpy as np

from rader_ir.checkpoints import DEFAULT_RERANKER, Checkpoint
from rader_ir.cross_encoder import CrossEncoder
from rader_ir.rerank.pointwise import check_passages, max_over_passages


class RaDeR:
    """Scores by a cross-encoder, over whole documents or over their passages.

    Args:
        checkpoint: with a head of one label.
        passage_length, passage_stride: tokens of a document per passage and between two beginnings; a document's score is its
            best passage's. None reads each document as one text, cut at the maximum length.
        options: as `CrossEncoder`: device, dtype, batch_tokens, max_length, instruction, forms, revision, verbose.
    """

    def __init__(
        self,
        checkpoint: str | os.PathLike | Checkpoint = DEFAULT_RERANKER,
        *,
        passage_length: int | None = None,
        passage_stride: int | None = None,
        **options,
    ):
        check_passages(passage_length, passage_stride)
        self.passage_length, self.passage_stride = passage_length, passage_stride
        self.model = CrossEncoder(checkpoint, **options)

    @property
    def truncated(self) -> int:
        """Documents cut so far."""
        return self.model.truncated

    @property
    def work(self) -> tuple[int, int]:
        """Pairs read so far, of which each passage makes one, and the tokens in them."""
        return self.model.work

    def score(self, queries: Sequence[str], docs: Sequence[Sequence[str]]) -> list[np.ndarray]:
        """One float32 array [len(docs[i])] per query, in the order given; higher is better."""
        if self.passage_length is None:
            return self.model.score(queries, docs)
        return max_over_passages(self.model.score, self._split, queries, docs)

    def _split(self, texts: Sequence[str]) -> list[list[str]]:
        return self.model.passages(texts, self.passage_length, self.passage_stride)

    def fingerprint(self) -> str:
        """Changes with whatever changes scores."""
        return f"{self.model.fingerprint()}-{self.passage_length}-{self.passage_stride}"

    def unload(self) -> None:
        """Free the model."""
        self.model.unload()
