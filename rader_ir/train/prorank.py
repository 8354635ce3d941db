"""Training ProRank: a small language model that learns to answer 1 or 0, then to score by these two logits (arXiv:2506.03487).

Stage 1 (GRPO) rewards what it writes: a digit earns something for its form and more for being right. Stage 2 goes on
with the same model and takes a loss over a query's candidates on the logit of "1" minus that of "0". Which loss is
not told; softmax cross-entropy is the default here, and all of `train_reranker`'s can be had. No weight is added.
"""

import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path

from rader_ir import loading
from rader_ir.checkpoints import find_checkpoint
from rader_ir.choice import NO, YES, as_judge, check_room
from rader_ir.examples import Example
from rader_ir.prompts import load_prompts
from rader_ir.seeded import shuffled
from rader_ir.train.card import data_facts
from rader_ir.train.grpo import Task, train_grpo
from rader_ir.train.models import Base
from rader_ir.train.pairs import set_padding
from rader_ir.train.recipe_settings import ProRankOptions, WarmupOptions
from rader_ir.train.reranker import train_reranker
from rader_ir.train.rewards import prorank_reward
from rader_ir.train.sampling import check_negatives
from rader_ir.weights import fetch

_LENGTH = 1024


def judge_base(options: ProRankOptions) -> Base:
    """The language model that training starts from, with the text path of a judge.

    Raises:
        ValueError, FileNotFoundError: no language model, no chat template, or as `rader_ir.choice.as_judge`.
    """
    found = find_checkpoint(options.checkpoint, revision=options.revision)
    is_judge = fetch(found).checkpoint.head == "choice"
    prompt = None if is_judge and options.prompt is None else load_prompts(options.prompt, name="prorank")["judge"]
    judge = as_judge(found, prompt, max_length=options.max_doc_length or _LENGTH)
    if options.max_doc_length is not None:
        judge = replace(judge, max_query_length=options.max_doc_length, max_doc_length=options.max_doc_length)
    if options.pair_form is not None:
        judge = replace(judge, pair_form=options.pair_form)
    files = replace(fetch(found), checkpoint=judge)
    tokenizer = loading.read_tokenizer(files)
    check_room(judge, tokenizer, judge.max_doc_length)
    set_padding(tokenizer)
    return Base(files, tokenizer)


def train_prorank(
    options: ProRankOptions,
    *,
    examples: Sequence[Example],
    out: str | os.PathLike,
    dev: Sequence[Example] = (),
    about: Mapping[str, object] | None = None,
    verbose: bool = False,
) -> Path:
    """Stage 2: train the score; the folder opens as `rader rerank --system prorank --checkpoint OUT`.

    Args, returns and errors: as `train_reranker`.
    """
    base = judge_base(options)
    return train_reranker(options, examples=examples, out=out, dev=dev, base=base, about=about, verbose=verbose)


def judgement_tasks(examples: Sequence[Example], base: Base, options: WarmupOptions) -> list[Task]:
    """As many prompts as the run asks, by turns a positive ("1") and a negative ("0") of one example, in an order by the seed.

    A model that always says 0 therefore earns no more than one that always says 1. Each pass over the examples takes the next
    negative of each.

    Raises:
        ValueError: an example without negatives.
    """
    if not examples:
        raise ValueError("there are no examples to train on")
    check_negatives(examples, 1)
    pairs, wanted, epoch = [], options.asked, 0
    while len(pairs) < wanted:
        for example in shuffled(examples, options.seed, "prorank", epoch):
            positive = example.positives[epoch % len(example.positives)]
            negative = example.negatives[epoch % len(example.negatives)]
            pairs += [(example.query, positive.text, YES), (example.query, negative.text, NO)]
        epoch += 1
    queries, docs, labels = zip(*pairs[:wanted], strict=True)
    tokens = base.tokens
    rows = tokens.pairs(queries, docs, "", base.checkpoint.max_doc_length).rows
    texts = tokens.tokenizer.batch_decode([row[len(tokens.head) :] for row in rows])
    return [Task(text, label) for text, label in zip(texts, labels, strict=True)]


def warm_up_prorank(
    options: WarmupOptions,
    *,
    examples: Sequence[Example],
    out: str | os.PathLike,
    rollout: Callable | None = None,
) -> Path:
    """Stage 1: the model learns to write 1 or 0, and the right one; the folder is what stage 2 starts from, and a reranker.

    Args:
        options: of the training.
        examples: each with a negative at least.
        out: the folder to make.
        rollout: as `rader_ir.train.grpo.train_grpo`.

    Raises:
        ValueError, FileExistsError: as `judge_base` and `train_grpo`.
    """
    given = ProRankOptions(
        options.checkpoint, revision=options.revision, prompt=options.prompt, max_doc_length=options.max_length
    )
    base = judge_base(given)
    reward = partial(prorank_reward, format_weight=options.format_weight, relevance_weight=options.relevance_weight)
    return train_grpo(
        options,
        base=base,
        tasks=judgement_tasks(examples, base, options),
        reward=reward,
        out=out,
        facts={"data": data_facts(examples), "pair_form": base.checkpoint.pair_form},
        rollout=rollout,
        judge=True,
    )
