"""Zero-shot baselines: RankGPT's listwise windows (arXiv:2304.09542) and setwise choices (arXiv:2310.09497), without thinking.

Any instruct model can be asked so. Windows cost 9 calls for 100 documents and write an order of 20 each; the heap costs up to 25
calls and writes one label each. Checkpoints that were trained for a listwise chain of labels (RankZephyr and its like) are asked
by "listwise" with their own wording as `prompt`.
"""

import os
from functools import partial
from typing import Any

from rader_ir.orderings import all_pairs, setwise_heap, single_window, sliding_window, tournament
from rader_ir.prompts import load_prompts
from rader_ir.rerank.comparison import Comparison
from rader_ir.rerank.judge import Judge

METHODS = ("listwise", "whole", "setwise", "tournament", "pairs")


class RankGPT(Comparison):
    """Documents in order by an instruct model as it is.

    Args:
        lm: an address or a back-end, see `Judge`.
        method: "listwise" (windows from the end to the front), "whole" (one window over all), "setwise" (a heap of choices),
            "tournament" (matches of choices) or "pairs" (every two in both orders, n * (n - 1) calls).
        prompt: a TOML file of your own wording, laid out as `prompts/rankgpt.toml`, with the section [order] for the first two
            methods and [choose] for the others; None takes ours.
        window, stride: of "listwise"; `window` is also the number of passages in one choice.
        top: documents that choices put in order.
        first, shuffle, streaming: as `Comparison`.
        options: as `Judge`.

    Raises:
        ValueError: an unknown method, or a setting out of range.
    """

    def __init__(
        self,
        lm: Any,
        *,
        method: str = "listwise",
        prompt: str | os.PathLike | None = None,
        window: int = 20,
        stride: int = 10,
        top: int = 10,
        first: int | None = None,
        shuffle: bool = False,
        streaming: bool = True,
        **options,
    ):
        orderings = {
            "listwise": partial(sliding_window, size=window, stride=stride),
            "whole": single_window,
            "setwise": partial(setwise_heap, children=window - 1, top=top),
            "tournament": partial(tournament, size=window, top=top),
            "pairs": all_pairs,
        }
        if method not in METHODS:
            raise ValueError(f"method {method!r} is unknown; choose {', '.join(map(repr, METHODS))}")
        self.prompt, self.method, self.window, self.stride, self.top = prompt, method, window, stride, top
        kind = "order" if method in ("listwise", "whole") else "choose"
        super().__init__(
            Judge(lm, load_prompts(prompt, name="rankgpt", sections=(kind,))[kind], **options),
            kind=kind,
            ordering=orderings[method],
            first=first,
            shuffle=shuffle,
            streaming=streaming,
            settings=f"{method} {window} {stride} {top}",
        )
