"""Training DeAR's pointwise stage: a large teacher's scores distilled into a small reranker (arXiv:2508.16998, section 3).

It is `train_reranker` with DeAR's text path and loss. The teacher's scores are made once, by `rader teach`, and stored with the
examples, so that student and teacher see the same negatives, which they do not in the released code.
"""

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from rader_ir import loading
from rader_ir.examples import Example
from rader_ir.rerank.dear import PAIRS, pair_form
from rader_ir.train.losses import MAIN
from rader_ir.train.models import Base, open_base
from rader_ir.train.reranker import train_reranker
from rader_ir.train.settings import LOSSES, RerankerOptions, check_choice, check_share


@dataclass(frozen=True)
class DeAROptions(RerankerOptions):
    """Options of `train_dear`: those of a reranker, with the released run's values as defaults.

    It trained Llama-3.1-8B on 4 devices in steps of 16 queries, each with one negative, and gave a tenth of its steps to the
    warm-up; `k_proj` is not adapted. `max_doc_length` is a pair's: 32 tokens of query, 193 of document, 3 others.

    Attributes:
        loss: `distilled`, DeAR's own (`rader_ir.train.losses`), or one of a reranker's.
        temperature: of `distilled` and `kl`: both the teacher's scores and the model's are divided by it.
        main: of `distilled`: the part beside the soft labels: `softmax`, `ranknet` or `hybrid`.
        alpha: of `distilled`: the weight of the soft labels.
    """

    epochs: int = 2
    batch_size: int = 4
    accumulation: int = 4
    negatives: int = 1
    lora_rank: int = 32
    lora_targets: tuple[str, ...] = ("q_proj", "v_proj", "o_proj", "down_proj", "up_proj", "gate_proj")
    loss: str = "distilled"
    temperature: float = 2.0
    main: str = "softmax"
    alpha: float = 0.1

    allowed = (*LOSSES, "distilled")

    def __post_init__(self):
        super().__post_init__()
        check_choice("main", self.main, MAIN)
        check_share("alpha", self.alpha)


def dear_base(options: DeAROptions) -> Base:
    """What training starts from, with DeAR's text path; a checkpoint of its own text path as options say keeps its lengths.

    Raises:
        ValueError, FileNotFoundError: as `open_base`.
    """
    base = open_base(options, "score")
    form = options.pair_form or pair_form(loading.beginning(base.tokenizer))
    length = options.max_doc_length or min(PAIRS["max_doc_length"], base.checkpoint.max_doc_length)
    lengths = {**PAIRS, "max_query_length": length, "max_doc_length": length}
    return replace(base, files=replace(base.files, checkpoint=replace(base.checkpoint, pair_form=form, **lengths)))


def train_dear(
    options: DeAROptions,
    *,
    examples: Sequence[Example],
    out: str | os.PathLike,
    dev: Sequence[Example] = (),
    about: Mapping[str, object] | None = None,
    verbose: bool = False,
) -> Path:
    """Train the pointwise stage; the folder opens as `rader rerank --system dear-pointwise --checkpoint OUT`.

    Args, returns and errors: as `train_reranker`.
    """
    base = dear_base(options)
    return train_reranker(options, examples=examples, out=out, dev=dev, base=base, about=about, verbose=verbose)
