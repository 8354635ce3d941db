"""Training Rank-R1: a model learns to think before it names the best of a few passages (arXiv:2503.06034, section 3).

By rewards (GRPO): 1 where a thought is followed by the right label, else 0. Or, the paper's other way, from the label alone
(`rader_ir.train.sft`), which needs five times the examples there. Prompts are those that `RankR1` asks with, passages made
harmless the same way.
"""

import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from rader_ir.examples import Example
from rader_ir.neutral import neutral, shortened
from rader_ir.prompts import Prompt, load_prompts
from rader_ir.prompts.passages import conversation
from rader_ir.seeded import shuffled
from rader_ir.train.card import data_facts
from rader_ir.train.grpo import Task, train_grpo
from rader_ir.train.language_models import language_model, rendered
from rader_ir.train.recipe_settings import RankR1Options
from rader_ir.train.rewards import rank_r1_reward
from rader_ir.train.sampling import check_negatives

_THINK = "<think>"  # which the chat templates of some models write before the reply


@dataclass(frozen=True)
class Choice:
    """One prompt of `RankR1` as a conversation, and the label of the positive among its passages."""

    messages: list[dict[str, str]]
    label: str


def choices(
    examples: Sequence[Example],
    prompt: Prompt,
    *,
    count: int,
    negatives: int,
    passage_words: int,
    query_words: int,
    special: Sequence[str] = (),
    seed: int = 0,
) -> list[Choice]:
    """So many prompts: passages in an order by the seed, other negatives and places in each pass over the examples.

    Args:
        examples: each with a negative at least.
        prompt: with the holes {query} and {passages}.
        count: of prompts.
        negatives, passage_words, query_words: as `RankR1Options`.
        special: the tokenizer's special tokens, which texts lose.
        seed: of all orders.

    Raises:
        ValueError: no examples, or one without negatives.
    """
    if not examples:
        raise ValueError("there are no examples to train on")
    check_negatives(examples, negatives)
    made, epoch = [], 0
    while len(made) < count:
        for example in shuffled(examples, seed, "rank-r1", epoch)[: count - len(made)]:
            key = (seed, "rank-r1", epoch, example.query_id)
            positive = example.positives[epoch % len(example.positives)]
            shown = shuffled([positive, *shuffled(example.negatives, *key)[:negatives]], *key, "places")
            texts = [shortened(neutral(passage.text, special=special), passage_words) for passage in shown]
            query = shortened(neutral(example.query, special=special), query_words)
            label = f"[{next(i for i, passage in enumerate(shown, start=1) if passage is positive)}]"
            made.append(Choice(conversation(prompt, query, texts), label))
        epoch += 1
    return made


def train_rank_r1(
    options: RankR1Options,
    *,
    examples: Sequence[Example],
    out: str | os.PathLike,
    rollout: Callable | None = None,
) -> Path:
    """Train by rewards; the folder is a plain language model, asked by `RankR1("local:OUT")`.

    Args:
        options: of the training.
        examples: each with a negative at least.
        out: the folder to make.
        rollout: as `rader_ir.train.grpo.train_grpo`.

    Raises:
        ValueError: examples without negatives, or a prompt longer than `max_length`.
        FileExistsError: as `train_grpo`.
    """
    base = language_model(options.checkpoint, options.revision)
    prompt = load_prompts(options.prompt, name="rank_r1")["choose"]
    made = choices(
        examples,
        prompt,
        count=options.asked,
        negatives=options.negatives,
        passage_words=options.passage_words,
        query_words=options.query_words,
        special=base.tokenizer.all_special_tokens,
        seed=options.seed,
    )
    tasks = [Task(rendered(choice.messages, base.tokenizer), choice.label) for choice in made]
    longest = max(len(base.tokenizer(task.prompt)["input_ids"]) for task in tasks)
    if longest > options.max_length:
        raise ValueError(
            f"the longest prompt has {longest} tokens, max_length is {options.max_length}; lower passage_words or negatives"
        )
    facts = {"data": data_facts(examples), "prompt": repr(prompt)}
    reward = partial(rank_r1_reward, begun=_THINK if tasks[0].prompt.rstrip().endswith(_THINK) else "")
    return train_grpo(options, base=base, tasks=tasks, reward=reward, out=out, facts=facts, rollout=rollout)
