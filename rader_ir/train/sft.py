"""Training a language model on answers that are given: listwise orders with reasons (DeAR), labels alone (Rank-R1's twin).

DeAR's listwise stage learns from orders that a larger model wrote with its reasons (arXiv:2508.16998, section 3); Rank-R1 is
compared with a model that learns labels alone (arXiv:2503.06034, section 3). The loss is of the answer's tokens; nothing is cut:
what is too long is left out and told. The trainer is trl's, with its options set.
"""

import hashlib
import json
import logging
import os
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import torch
from datasets import Dataset
from trl import SFTConfig, SFTTrainer

from rader_ir import loading
from rader_ir.answers import permutation
from rader_ir.examples import Example
from rader_ir.files import numbered_lines
from rader_ir.neutral import neutral, shortened
from rader_ir.prompts import load_prompts
from rader_ir.prompts.passages import conversation
from rader_ir.train.card import data_facts
from rader_ir.train.folder import RunFolder
from rader_ir.train.language_models import WholeStates, language_model, rendered, trained
from rader_ir.train.models import Base, lora_config
from rader_ir.train.rank_r1 import choices
from rader_ir.train.recipe_settings import SFTOptions
from rader_ir.train.runtime import open_together

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class Lesson:
    """A prompt as the text that the model reads, and the answer that it is to give."""

    prompt: str
    completion: str


@dataclass(frozen=True)
class Order:
    """What a larger model wrote about some passages: reasons, and a chain of labels."""

    query: str
    passages: tuple[str, ...]
    answer: str


def read_orders(path: str | os.PathLike) -> list[Order]:
    """Orders from JSONL, each line `{"query": …, "passages": […], "answer": …}`; an answer's last line has every label.

    Raises:
        ValueError: a line that is no such record, or an answer whose last line leaves passages out; names file and line.
    """
    made = []
    for number, line in numbered_lines(path):
        try:
            record = json.loads(line)
            order = Order(record["query"], tuple(record["passages"]), record["answer"])
        except (ValueError, KeyError, TypeError) as error:
            raise ValueError(f"{path}:{number}: no record with query, passages and answer ({error})") from error
        if not _is_whole(order):
            raise ValueError(
                f"{path}:{number}: the answer's last line is to name each of {len(order.passages)} passages, as in [2] > [1]"
            )
        made.append(order)
    return made


def _is_whole(order: Order) -> bool:
    """Whether the answer's last line names every passage, so that the reader of replies fills in none."""
    n, last = len(order.passages), order.answer.strip().splitlines()[-1:]
    return permutation(order.answer, n) is not None and all(f"[{i}]" in last[0] for i in range(1, n + 1))


def order_lessons(orders: Sequence[Order], base: Base, options: SFTOptions) -> list[Lesson]:
    """Prompts as `DeARListwise` asks, and the answers."""
    prompt = load_prompts(options.prompt, name="dear")["order"]
    special, made = base.tokenizer.all_special_tokens, []
    for order in orders:
        texts = [shortened(neutral(text, special=special), options.passage_words) for text in order.passages]
        query = shortened(neutral(order.query, special=special), options.query_words)
        made.append(Lesson(rendered(conversation(prompt, query, texts), base.tokenizer), order.answer.strip()))
    return made


def label_lessons(examples: Sequence[Example], base: Base, options: SFTOptions) -> list[Lesson]:
    """Prompts as `RankGPT(method="setwise")` asks, and the label of the positive: one for each example and epoch of data."""
    made = choices(
        examples,
        load_prompts(options.prompt, name="rankgpt", sections=("choose",))["choose"],
        count=len(examples),
        negatives=options.negatives,
        passage_words=options.passage_words,
        query_words=options.query_words,
        special=base.tokenizer.all_special_tokens,
        seed=options.seed,
    )
    return [Lesson(rendered(choice.messages, base.tokenizer), choice.label) for choice in made]


def train_listwise(options: SFTOptions, *, orders: Sequence[Order], out: str | os.PathLike) -> Path:
    """Train DeAR's listwise stage; the folder is a plain language model, asked by `DeARListwise("local:OUT")`.

    Raises:
        ValueError, FileExistsError: as `train_sft`.
    """
    base = language_model(options.checkpoint, options.revision)
    return train_sft(
        options, base=base, lessons=order_lessons(orders, base, options), out=out, facts={"kind": "listwise"}
    )


def train_labels(options: SFTOptions, *, examples: Sequence[Example], out: str | os.PathLike) -> Path:
    """Train Rank-R1's twin that does not reason; the folder is asked by `RankGPT("local:OUT", method="setwise")`.

    Raises:
        ValueError, FileExistsError: as `train_sft`.
    """
    base = language_model(options.checkpoint, options.revision)
    facts = {"kind": "labels", "data": data_facts(examples)}
    return train_sft(options, base=base, lessons=label_lessons(examples, base, options), out=out, facts=facts)


def train_sft(
    options: SFTOptions, *, base: Base, lessons: Sequence[Lesson], out: str | os.PathLike, facts: Mapping[str, object]
) -> Path:
    """Train a language model on given answers and write it as a plain one, an adapter merged; a killed run goes on.

    Args:
        options: of the training.
        base: what it starts from.
        lessons: prompts and answers.
        out: the folder to make; while training it is `out`.unfinished.
        facts: what the run is known by beside its options.

    Raises:
        ValueError: no lesson is short enough.
        FileExistsError: `out` exists, or an unfinished run of other options or data.
    """
    kept = list(_short(lessons, base, options.max_length))
    if not kept:
        raise ValueError(f"none of {len(lessons)} prompts with their answers has {options.max_length} tokens at most")
    if len(kept) < len(lessons):
        logger.warning("%d of %d prompts are left out: too long", len(lessons) - len(kept), len(lessons))
    told = {**asdict(options), "lora_targets": list(options.lora_targets), "lessons": len(kept)}
    digest = hashlib.sha256(json.dumps([[lesson.prompt, lesson.completion] for lesson in kept]).encode()).hexdigest()
    run = open_together(out, {"options": told, "weights": base.files.weights_id, "sha256": digest, **facts})
    torch.manual_seed(options.seed)
    model = loading.read_model(base.files, base.tokenizer, torch.float32)
    trainer = _Trainer(
        run=run,
        model=model,
        args=_arguments(options, run, len(kept)),
        train_dataset=Dataset.from_list([asdict(lesson) for lesson in kept]),
        processing_class=base.tokenizer,
        peft_config=lora_config(model, base, options) if options.lora else None,
    )
    return trained(trainer, run, base, merged=options.lora)


class _Trainer(WholeStates, SFTTrainer):
    """trl's, with states that appear whole."""


def _short(lessons: Sequence[Lesson], base: Base, longest: int) -> Iterable[Lesson]:
    for lesson in lessons:
        if len(base.tokenizer(lesson.prompt + lesson.completion)["input_ids"]) < longest:  # the end token comes too
            yield lesson


def _arguments(options: SFTOptions, run: RunFolder, lessons: int) -> SFTConfig:
    cuda = torch.cuda.is_available()
    per_epoch = -(-lessons // (options.batch_size * options.accumulation))
    steps = min(options.epochs * per_epoch, options.max_steps or 10**9)
    return SFTConfig(
        output_dir=str(run.states),
        max_steps=steps,
        per_device_train_batch_size=options.batch_size,
        gradient_accumulation_steps=options.accumulation,
        learning_rate=options.learning_rate,
        lr_scheduler_type=options.schedule,
        warmup_steps=options.warmup_steps,
        weight_decay=options.weight_decay,
        max_grad_norm=options.max_grad_norm,
        max_length=None,  # what is too long was left out
        packing=False,
        padding_free=False,
        completion_only_loss=True,
        assistant_only_loss=False,
        loss_type="nll",
        gradient_checkpointing=options.gradient_checkpointing,
        bf16=cuda and torch.cuda.is_bf16_supported(),
        use_cpu=not torch.accelerator.is_available(),
        seed=options.seed,
        save_steps=options.save_steps or max(1, steps // 10),
        logging_steps=1,
        report_to=[],
        disable_tqdm=True,
    )
