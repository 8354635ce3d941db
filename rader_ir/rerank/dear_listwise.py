"""DeAR's second stage: a listwise order with its reasons, by a language model (arXiv:2508.16998, section 3).

It takes the best 30 in windows of 20, step 10: 2 calls per query, each of up to 20 passages of 300 words with up to 1,024 tokens
written. The model writes the needs behind the query, which passages meet them, and then a chain of labels; only that is read.
"""

import os
from functools import partial
from typing import Any

from rader_ir.orderings import sliding_window
from rader_ir.prompts import load_prompts
from rader_ir.rerank.comparison import Comparison
from rader_ir.rerank.judge import Judge

# Checkpoints that were released, with what they were used with (they draw at temperature .5, so no two of
# their runs are equal; ours is 0). The second is an adapter of Llama-3.1-8B.
LISTWISE = {
    name: dict(window=20, stride=10, first=30, passage_words=300, max_tokens=1024)
    for name in ("abdoelsayed/dear-8b-reranker-listwise-v1", "abdoelsayed/dear-8b-reranker-listwise-lora-v1")
}


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
