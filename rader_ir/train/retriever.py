"""Training a retriever: InfoNCE over a positive, hard negatives and everything else in the batch (arXiv:2505.18405, section 4).

Trainer, losses and their cache (GradCache, arXiv:2101.06983) are sentence-transformers'. Its tokenisation is not: texts become
ids by the code that serves them, so a chat template or a lost end token cannot come between training and serving.
"""

import os
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

import torch
from sentence_transformers import SentenceTransformer, SentenceTransformerTrainer, SentenceTransformerTrainingArguments
from sentence_transformers.sentence_transformer.losses import (
    CachedMultipleNegativesRankingLoss,
    MultipleNegativesRankingLoss,
)
from torch import nn

from rader_ir.examples import Example
from rader_ir.packed.padded import pooled
from rader_ir.prompts import fill
from rader_ir.train import memory, sampling
from rader_ir.train.card import data_facts, docs_facts, run_facts
from rader_ir.train.dev import DevSet, encode_live, pad
from rader_ir.train.folder import RunFolder
from rader_ir.train.interpolation import interpolated, weakened
from rader_ir.train.models import ADAPTER_NAME, Base, autocasts, open_base, open_model
from rader_ir.train.runtime import ROWS, Promises, arguments, finish, fit, open_together, processes, weights_of
from rader_ir.train.saving import check_forms, write_model, write_modules
from rader_ir.train.settings import RetrieverOptions


class Reader(nn.Module):
    """The one module of the model that is trained: ids to unit vectors, pooled as serving pools.

    Args:
        model: of transformers, with an adapter or without.
        pooling: `last`, `mean` or `first`.
    """

    def __init__(self, model: nn.Module, pooling: str):
        super().__init__()
        self.model, self.pooling = model, pooling

    def forward(self, features: dict) -> dict:
        """Add `sentence_embedding`, float32 [n, d], to `input_ids` and `attention_mask`, [n, T]."""
        mask = features["attention_mask"]
        hidden = self.model(input_ids=features["input_ids"], attention_mask=mask).last_hidden_state
        features["sentence_embedding"] = nn.functional.normalize(pooled(hidden, mask, self.pooling).float(), dim=-1)
        return features


class Groups:
    """Rows to the texts of a batch: a query, its positive and its negatives of that epoch.

    Args:
        examples: rows are theirs, as `sampling.taken` reads them.
        base: whose text path writes and tokenises them.
        options: the number of negatives and the seed.
    """

    def __init__(self, examples: Sequence[Example], base: Base, options: RetrieverOptions):
        self.examples, self.tokens, self.options = examples, base.tokens, options

    def name(self, row: int) -> str:
        """The query_id of a row."""
        return sampling.row_name(self.examples, row)

    def read(self, rows: list[int]) -> dict[str, torch.Tensor]:
        """`input_ids` and `attention_mask` of the columns that the loss takes, [q, T] each, and `rows`.

        Columns are `query`, `positive` and each query's first, second, ... negative, which are read in one pass. Where pieces are
        read, all negatives are one column, [q * n, T], the longest first: the loss does not ask whose they are, and pieces of
        similar texts are padded little.
        """
        checkpoint, wanted = self.tokens.checkpoint, self.options.negatives
        queries, positives, negatives = [], [], []
        for row in rows:
            example, positive, others = sampling.taken(self.examples, row, seed=self.options.seed, negatives=wanted)
            queries.append(fill(checkpoint.query_form, instruction="", text=example.query))
            positives.append(fill(checkpoint.doc_form, text=positive.text))
            negatives += [fill(checkpoint.doc_form, text=passage.text) for passage in others]
        columns = {"query": self.tokens.texts(queries, checkpoint.max_query_length).rows}
        columns["positive"] = self.tokens.texts(positives, checkpoint.max_doc_length).rows
        if negatives:
            ids = self.tokens.texts(negatives, checkpoint.max_doc_length).rows
            if self.options.piece_size is None:
                columns |= {f"negative{i}": ids[i::wanted] for i in range(wanted)}
            else:
                columns["negative"] = sorted(ids, key=len)[::-1]
        batch = {ROWS: torch.tensor(rows)}
        for column, ids in columns.items():
            padded = pad(ids, self.tokens.tokenizer.pad_token_id)
            batch |= {f"{column}_{name}": tensor for name, tensor in padded.items()}
        return batch


class RetrieverTrainer(Promises, SentenceTransformerTrainer):
    """sentence-transformers' trainer, which keeps our promises and writes no card of its own."""

    def add_model_card_callback(self, default_args_dict) -> None:
        """None: `rader_ir.train.model_card` writes it."""

    def preprocess_dataset(self, dataset=None, dataset_name=None):
        """Rows need nothing."""
        return dataset


def train_retriever(
    options: RetrieverOptions,
    *,
    examples: Sequence[Example],
    out: str | os.PathLike,
    dev: Sequence[Example] = (),
    dev_docs: Iterable[tuple[str, str]] = (),
    about: Mapping[str, object] | None = None,
    verbose: bool = False,
) -> Path:
    """Train a retriever and write its checkpoint folder, which every door opens.

    Run it under `accelerate launch` for several devices: each then calls this with the same arguments. A run that was killed
    goes on where it stopped when it is called again.

    Args:
        options: of the training.
        examples: to learn from.
        out: the folder to make; while training it is `out`.unfinished.
        dev: examples to measure on; the state that does best on them is what the folder holds. None: the last state.
        dev_docs: further documents to search the development queries among.
        about: what else the card is to tell (`rader_ir.train.card.run_facts`).
        verbose: whether to print the log's lines on stderr.

    Returns:
        The folder.

    Raises:
        ValueError: examples without negatives, options that do not fit the checkpoint, an adapter of another base.
        FileExistsError: `out` exists, or an unfinished run of other options or data.
        Diverged: a loss is no number; the message names the examples.
        NotSaved: the disk is full; an OSError.
    """
    base = open_base(options, "vector")
    check_forms(base.checkpoint)
    if options.interpolation < 1 and base.is_adapter:
        raise ValueError(
            f"{options.checkpoint!r} is an adapter, of which interpolation {options.interpolation} would take a part as well; "
            "merge it first, or leave interpolation at 1"
        )
    if not examples:
        raise ValueError("there are no examples to train on; give some")
    batches = plan(examples, options, processes().num_processes)
    dev_docs = list(dev_docs)
    data = {"train": data_facts(examples), "dev": data_facts(dev), "dev_docs": docs_facts(dev_docs)}
    facts = run_facts("retriever", options, base, data, about)
    run = open_together(out, facts)
    trainer = open_trainer(run, options, base, examples, batches, DevSet(dev, dev_docs) if dev else None, verbose)
    step = fit(trainer, run)
    model = trainer.model[0].model
    return finish(run, trainer, base, facts, step, lambda folder: _write(folder, base, options, model, run, step))


def _write(folder: Path, base: Base, options: RetrieverOptions, model: nn.Module, run: RunFolder, step: int) -> None:
    weights = {name.removeprefix("0.model."): tensor for name, tensor in weights_of(run, step).items()}
    adapter = weakened(model.peft_config[ADAPTER_NAME], options.interpolation) if options.lora else None
    write_model(folder, base, weights, adapter, merged=options.merged)
    write_modules(folder, base.checkpoint, model.config.hidden_size)


def open_trainer(
    run: RunFolder,
    options: RetrieverOptions,
    base: Base,
    examples: Sequence[Example],
    batches: list[list[int]],
    dev: DevSet | None,
    verbose: bool = False,
) -> RetrieverTrainer:
    """The trainer of a run, its model opened: what `train_retriever` lets train.

    Args:
        run: of `open_together`.
        options, examples, dev, verbose: as `train_retriever` takes them.
        base: of `open_base`.
        batches: of `plan`.
    """
    torch.manual_seed(options.seed)  # new adapters
    model = SentenceTransformer(modules=[Reader(open_model(base, options), base.checkpoint.pooling)])
    groups = (memory.MemoryGroups if options.memory else Groups)(examples, base, options)
    trainer = RetrieverTrainer(
        model=model,
        args=arguments(
            options,
            run,
            len(batches) // processes().num_processes,
            SentenceTransformerTrainingArguments,
            ddp_find_unused_parameters=False,
            ddp_broadcast_buffers=False,
        ),
        loss=loss_of(model, options, groups),
        run=run,
        options=options,
        batches=batches,
        read=groups.read,
        name=groups.name,
        verbose=verbose,
        measure=None if dev is None else lambda: _measured(model, options, dev, encode),
    )

    def encode(texts, kind):
        def forward(features):
            return trainer.model_wrapped(features)["sentence_embedding"]

        split = not (trainer.is_fsdp_enabled or trainer.is_deepspeed_enabled)  # these must all read the same
        place = {"process": trainer.args.process_index, "processes": trainer.args.world_size} if split else {}
        return encode_live(forward, groups.tokens, texts, kind, device=trainer.args.device, **place)

    if options.memory and run.last() is None:
        # before training begins, nothing else sets the arithmetic
        with torch.no_grad(), torch.autocast(trainer.args.device.type, torch.bfloat16, enabled=autocasts(options)):
            memory.remember(trainer.loss, groups.documents, encode)
    return trainer


def _measured(model: nn.Module, options: RetrieverOptions, dev: DevSet, encode) -> dict[str, float]:
    """The development set's measure by the weights that a folder would hold now."""
    with interpolated(model, options.interpolation):
        return dev.measure(encode, options.measure)


def loss_of(model: SentenceTransformer, options: RetrieverOptions, groups: Groups | memory.MemoryGroups) -> nn.Module:
    """The loss that `options` ask for, of a model and the groups that it will read."""
    if not options.memory:
        return info_nce(model, options)
    width = model[0].model.config.hidden_size
    return memory.Memory(model, len(groups.documents.texts), width, options.temperature)


def info_nce(model: SentenceTransformer, options: RetrieverOptions) -> nn.Module:
    """sentence-transformers' loss for `options`, cached or not, over the candidates of all devices."""
    shared = dict(
        scale=1 / options.temperature,
        similarity_fct=inner_products,
        gather_across_devices=processes().num_processes > 1,
    )
    if options.piece_size is None:
        return MultipleNegativesRankingLoss(model, **shared)
    return CachedMultipleNegativesRankingLoss(model, mini_batch_size=options.piece_size, **shared)


def inner_products(queries: torch.Tensor, documents: torch.Tensor) -> torch.Tensor:
    """[q, d], [n, d] -> [q, n] in float32 whatever the arithmetic is: divided by 0.01, bfloat16's steps would be of 0.4."""
    with torch.autocast(queries.device.type, enabled=False):
        return queries.float() @ documents.float().T


def plan(examples: Sequence[Example], options: RetrieverOptions, processes: int) -> list[list[int]]:
    """Rows of each device's batches, epoch after epoch: of n devices the first reads the first of every n batches.

    Where a batch does not split evenly among the devices, the rest of its division is left out: all must bring as many texts.

    Raises:
        ValueError: a batch_size that no device gets a part of, examples without negatives where some are wanted, or several
            devices where there is a memory.
    """
    if options.memory:
        return memory.plan(examples, options, processes)
    if options.batch_size % processes:
        raise ValueError(f"batch_size {options.batch_size} does not split among {processes} devices; give a multiple")
    made = []
    for epoch in range(options.epochs):
        for batch in sampling.batches(
            examples,
            seed=options.seed,
            epoch=epoch,
            batch_size=options.batch_size,
            negatives=options.negatives,
            shares=options.shares,
        ):
            share = len(batch) // processes
            rows = [epoch * len(examples) + place for place in batch]
            made += [rows[i * share : (i + 1) * share] for i in range(processes) if share]
    sampling.check_planned(made, options.shares, options.epochs)
    return made
