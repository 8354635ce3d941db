"""DeAR: reranking in two stages, the second a listwise order with its reasons (arXiv:2508.16998).

The pointwise stage reads a query's first 32 tokens and a document's first 193 in one short pass and takes a head's raw score; it
was distilled from a teacher of 13 billion parameters (`rader train dear`). The listwise stage (`dear_listwise`) has a language
model order the best 30.
"""

import os
from collections.abc import Sequence
from functools import partial
from typing import Any

import numpy as np

from rader_ir.checkpoints import Checkpoint, find_checkpoint
from rader_ir.rerank.comparison import check_lists
from rader_ir.rerank.dear_padding import padded_scores
from rader_ir.rerank.pointwise import PADDING, max_over_passages
from rader_ir.rerank.rader import RaDeR
from rader_ir.rerank.ranking import Ranking

# Lengths of a pair: 1 + 32 + 1 + 193 tokens and one to spare; of these "query: " and "document: " are two each
PAIRS = dict(eos="tokenizer", pair_query_tokens=30, pair_doc_tokens=191, max_query_length=228, max_doc_length=228)


def pair_form(beginning: str) -> str:
    """How the pointwise stage writes a pair: each text has the beginning token before it, which a tokenizer puts first itself.

    Args:
        beginning: the token as text, "" for a tokenizer that adds none.
    """
    return f"query: {{query}}{beginning or ' '}document: {{document}}"


def _released(size: str, loss: str, parameters: float) -> Checkpoint:
    name = f"abdoelsayed/dear-{size}-reranker-{loss}-v1"
    form = pair_form("<|begin_of_text|>")
    return Checkpoint(name, name, head="score", pair_form=form, parameters=parameters, **PAIRS)


# The pointwise checkpoints that were released. Where their configuration names no padding token, they learned at the last place
# of a text padded to 228 tokens instead of at its end, and want `padding="max_length"`.
POINTWISE = {
    checkpoint.name: checkpoint
    for size, parameters in (("8b", 8.0e9), ("3b", 3.2e9))
    for checkpoint in (_released(size, "ce", parameters), _released(size, "ranknet", parameters))
}
DEFAULT = "abdoelsayed/dear-8b-reranker-ce-v1"


class DeARPointwise(RaDeR):
    """The pointwise stage: a raw score for each pair, negative ones included.

    Args:
        checkpoint: a name of `POINTWISE`, or what `rader train dear` made; any other reranker is read as its own files say.
        padding: "none" scores at a text's end; "max_length" as the released code does where a configuration names no padding
            token (see `rader_ir.rerank.dear_padding`), which no other checkpoint should be read with.
        options: as `RaDeR`.

    Raises:
        ValueError: an unknown padding (now), or one that the model cannot be read with (at the first pair).
    """

    def __init__(self, checkpoint: str | os.PathLike | Checkpoint = DEFAULT, *, padding: str = PADDING[0], **options):
        if padding not in PADDING:
            raise ValueError(f"padding {padding!r} is unknown; choose {' or '.join(map(repr, PADDING))}")
        found = find_checkpoint(checkpoint)
        super().__init__(POINTWISE.get(found.name, found), **options)
        self.padding = padding

    def score(self, queries: Sequence[str], docs: Sequence[Sequence[str]]) -> list[np.ndarray]:
        """One float32 array [len(docs[i])] per query, in the order given; higher is better."""
        if self.padding == PADDING[0]:
            return super().score(queries, docs)
        check_lists(queries, docs)
        scored = partial(padded_scores, self.model)
        if self.passage_length is None:
            return scored(queries, docs)
        return max_over_passages(scored, self._split, queries, docs)

    def fingerprint(self) -> str:
        """Changes with whatever changes scores."""
        told = super().fingerprint()
        return told if self.padding == PADDING[0] else f"{told}-{self.padding}"


class DeAR:
    """Both stages: all documents by the pointwise one, then the best of them by the listwise one.

    Args:
        pointwise: what scores first; has `score`.
        listwise: what orders then; has `rank` and takes documents in the order of a ranking.
    """

    def __init__(self, pointwise: Any, listwise: Any):
        self.pointwise, self.listwise = pointwise, listwise

    @property
    def truncated(self) -> int:
        """Texts cut so far, by both stages."""
        return self.pointwise.truncated + self.listwise.truncated

    @property
    def statistics(self) -> list:
        """What the last call's questions to the language model cost, one for each query."""
        return self.listwise.statistics

    def score(self, queries: Sequence[str], docs: Sequence[Sequence[str]]) -> list[np.ndarray]:
        """One float32 array [len(docs[i])] per query, in the order given: n for the best, n - 1, ..., 1.

        Raises:
            ValueError, ConnectionError, RuntimeError: as the stages.
        """
        return [ranking.scores for ranking in self.rank(queries, docs)]

    def rank(self, queries: Sequence[str], docs: Sequence[Sequence[str]]) -> list[Ranking]:
        """As `score`, with the order, the model's reasons and what it cost; equal scores stay in the order given."""
        check_lists(queries, docs)
        orders = [np.argsort(-scores, kind="stable") for scores in self.pointwise.score(queries, docs)]
        sorted_docs = [[texts[i] for i in order] for order, texts in zip(orders, docs, strict=True)]
        return [_back(one, order) for one, order in zip(self.listwise.rank(queries, sorted_docs), orders, strict=True)]

    def fingerprint(self) -> str:
        """Changes with whatever changes scores."""
        return f"{self.pointwise.fingerprint()} {self.listwise.fingerprint()}"

    def unload(self) -> None:
        """Free both models."""
        self.pointwise.unload()
        self.listwise.unload()


def _back(ranking: Ranking, order: np.ndarray) -> Ranking:
    """A ranking of documents that were put in `order` first, as one of the documents as they were given."""
    places = np.argsort(order)
    return Ranking(
        [int(order[i]) for i in ranking.order],
        ranking.scores[places],
        [ranking.reasoning[i] for i in places],
        ranking.statistics,
    )
