"""Training DeAR's pointwise stage: a large teacher's scores distilled into a small reranker (arXiv:2508.16998, section 3).

It is `train_reranker` with DeAR's text path and loss. The teacher's scores are made once, by `rader teach`, and stored with the
examples, so that student and teacher see the same negatives, which they do not in the released code.
"""

import os
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

from rader_ir import loading
from rader_ir.examples import Example
from rader_ir.rerank.dear import PAIRS, pair_form
from rader_ir.train.models import Base, open_base
from rader_ir.train.recipe_settings import DeAROptions
from rader_ir.train.reranker import train_reranker


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
