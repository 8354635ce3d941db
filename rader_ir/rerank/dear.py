"""DeAR: reranking in two stages, the second a listwise order with its reasons (arXiv:2508.16998).

The pointwise stage reads a query's first 32 tokens and a document's first 193 in one short pass and takes a head's raw score; it
was distilled from a teacher of 13 billion parameters (`rader train dear`). The listwise stage takes the best 30 in windows of 20,
step 10: 2 calls per query, each of up to 20 passages of 300 words with up to 1,024 tokens written. The model writes the needs
behind the query, which passages meet them, and then a chain of labels, of which only the chain is read.
"""

import os
from collections.abc import Sequence
from functools import partial
from typing import Any

import numpy as np

from rader_ir.checkpoints import Checkpoint, find_checkpoint
from rader_ir.orderings import sliding_window
from rader_ir.prompts import load_prompts
from rader_ir.rerank.comparison import Comparison, check_lists
from rader_ir.rerank.judge import Judge
from rader_ir.rerank.rader import RaDeR
from rader_ir.rerank.ranking import Ranking

# Checkpoints of the listwise stage that were released, with what they were used with (they draw at temperature .5, so no two of
# their runs are equal; ours is 0). The second is an adapter of Llama-3.1-8B.
LISTWISE = {
    name: dict(window=20, stride=10, first=30, passage_words=300, max_tokens=1024)
    for name in ("abdoelsayed/dear-8b-reranker-listwise-v1", "abdoelsayed/dear-8b-reranker-listwise-lora-v1")
}

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


# The pointwise checkpoints that were released. Where their configuration names no padding token, the official code read the last
# padding place of a text padded to 228 tokens instead of its end; here the end is read whatever stands behind it.
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
        options: as `RaDeR`.
    """

    def __init__(self, checkpoint: str | os.PathLike | Checkpoint = DEFAULT, **options):
        found = find_checkpoint(checkpoint)
        super().__init__(POINTWISE.get(found.name, found), **options)


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


class DeARListwise(Comparison):
    """The listwise stage: the first `first` documents in order, by windows; the rest as they were.

    Args:
        lm: an address or a back-end, see `Judge`.
        prompt: a TOML file of your own wording, laid out as `prompts/dear.toml`; None takes ours.
        window, stride: passages in one call, and how far the next begins before it.
        first, shuffle, streaming: as `Comparison`.
        passage_words: as `Judge`.
        options: as `Judge`.
    """

    def __init__(
        self,
        lm: Any,
        *,
        prompt: str | os.PathLike | None = None,
        window: int = 20,
        stride: int = 10,
        first: int | None = 30,
        shuffle: bool = False,
        streaming: bool = True,
        passage_words: int | None = 300,
        **options,
    ):
        self.prompt, self.window, self.stride = prompt, window, stride
        super().__init__(
            Judge(lm, load_prompts(prompt, name="dear")["order"], passage_words=passage_words, **options),
            kind="order",
            ordering=partial(sliding_window, size=window, stride=stride),
            first=first,
            shuffle=shuffle,
            streaming=streaming,
            settings=f"window {window} {stride}",
        )
