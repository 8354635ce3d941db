"""Rank-R1: setwise reranking by a reasoning language model (arXiv:2503.06034).

The model reads a few passages, thinks, and names the best one; a heap makes a ranking of such choices. Against listwise windows
(`dear`, `rankgpt`) an answer is one label, so it can hardly be malformed, but more calls are needed: 25 at most for the best 10
of 100, each over 20 passages with up to 2,048 tokens written.
"""

import os
from functools import partial
from typing import Any

from rader_ir.orderings import setwise_heap
from rader_ir.prompts import load_prompts
from rader_ir.rerank.comparison import Comparison
from rader_ir.rerank.judge import Judge

# Checkpoints that were released, and what each was trained with, which is taken where a model is called so and nothing else is
# asked for. They are served by whoever runs the model, v0.1 as adapters of Qwen2.5-Instruct. Their own long wording goes in by
# `prompt`.
PROTOCOLS = {
    "ielabgroup/Rank-R1-3B-v0.1": dict(children=19, passage_words=400, max_tokens=2048),
    "ielabgroup/Rank-R1-7B-v0.1": dict(children=19, passage_words=400, max_tokens=2048),
    "ielabgroup/Rank-R1-14B-v0.1": dict(children=19, passage_words=400, max_tokens=2048),
    "ielabgroup/Rank-R1-32B-v0.2": dict(children=9, passage_words=400, max_tokens=8000),
}


class RankR1(Comparison):
    """The best `top` in order, by a heap of choices; the rest as they were.

    Args:
        lm: an address, such as `http://127.0.0.1:8000/v1` or `local:FOLDER`, or a back-end, see `Judge`.
        prompt: a TOML file of your own wording, laid out as `prompts/rank_r1.toml`; None takes ours.
        children: of a node; a comparison holds one passage more. None takes the protocol's, 19 for other models.
        top: documents that are wanted in order.
        first, streaming: as `Comparison`.
        shuffle: whether passages are shown in an order that chance decides, as when the checkpoints were trained.
        options: as `Judge`: lm_model, asks, passage_words, context, temperature, max_tokens, seed and so on. Of released
            checkpoints, by their names (`lm_model="ielabgroup/Rank-R1-7B-v0.1"`, `local:ielabgroup/…`), passage_words and
            max_tokens are those of `PROTOCOLS` where they are None; 512 tokens of a passage are about 400 words.
    """

    def __init__(
        self,
        lm: Any,
        *,
        prompt: str | os.PathLike | None = None,
        children: int | None = None,
        top: int = 10,
        first: int | None = None,
        shuffle: bool = False,
        streaming: bool = True,
        **options,
    ):
        protocol = PROTOCOLS.get(_called(lm, options.get("lm_model")), {"children": 19})
        own = {"children": children, **options}
        own |= {name: value for name, value in protocol.items() if own.get(name) is None}
        children = own.pop("children")
        self.prompt, self.children, self.top = prompt, children, top
        super().__init__(
            Judge(lm, load_prompts(prompt, name="rank_r1")["choose"], **own),
            kind="choose",
            ordering=partial(setwise_heap, children=children, top=top),
            first=first,
            shuffle=shuffle,
            streaming=streaming,
            settings=f"heap {children} {top}",
        )


def _called(lm: Any, lm_model: str | None) -> str:
    """The name of a model: a server's, or that behind `local:` and `vllm:`."""
    return lm_model or (lm.partition(":")[2] if isinstance(lm, str) else "")
