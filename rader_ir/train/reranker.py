"""Training a reranker: softmax cross-entropy over each query's own candidates (arXiv:2505.18405, section 3.2).

A group is a query with one of its positives and its negatives of that epoch; every pair of it gets a score from a head of one
label, and the loss is taken group by group (`rader_ir.train.losses`), so that batch and accumulation change nothing but memory.
Trainer and adapters are transformers' and peft's; pairs are written, cut and read by the code that serves them.
"""

import os
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path

import numpy as np
import torch
from accelerate.utils import gather_object
from torch import nn
from transformers import Trainer

from rader_ir.examples import Example
from rader_ir.train import losses
from rader_ir.train.card import data_facts, run_facts
from rader_ir.train.folder import RunFolder
from rader_ir.train.groups import ORDER, PIECES, TEACHER, Candidates, Groups, check_examples, plan
from rader_ir.train.models import ADAPTER_NAME, Base, open_base, open_model
from rader_ir.train.pairs import pair_ids, score_ids
from rader_ir.train.runtime import ROWS, Promises, arguments, finish, fit, open_together, processes, weights_of
from rader_ir.train.saving import write_cross_encoder, write_model
from rader_ir.train.settings import RerankerOptions

_PLAIN = {"softmax": losses.group_softmax, "preference": losses.preference, "bce": losses.binary_cross_entropy}
Loss = Callable[[torch.Tensor, torch.Tensor | None], torch.Tensor]


class GroupTrainer(Trainer):
    """A trainer whose loss is taken over groups of scores; accumulated batches count by their queries.

    Args:
        loss: scores [q, n] and a teacher's, or None, to the mean over the queries.
        group: n.
        arguments: the trainer's own.
    """

    def __init__(self, *, loss: Loss, group: int, **arguments):
        super().__init__(**arguments)
        self.loss, self.group = loss, group
        self.model_accepts_loss_kwargs = True  # "a batch's loss is its share of the step's": it is not divided again

    def get_batch_samples(self, epoch_iterator, num_batches, device):
        """The batches of the next step, and the number of its queries on all devices."""
        batches, _ = super().get_batch_samples(epoch_iterator, num_batches, device)
        queries = torch.tensor(sum(len(batch[ROWS]) for batch in batches), device=device)
        return batches, self.accelerator.reduce(queries, "sum")

    def compute_loss(self, model, inputs, return_outputs=False, num_items_in_batch=None):
        """This batch's share of the mean over the step's queries; devices' gradients are averaged, hence their number."""
        scores = torch.cat([model(**piece).logits[:, 0].float() for piece in inputs[PIECES]])
        groups = scores[inputs[ORDER]].view(-1, self.group)
        share = len(groups) * self.accelerator.num_processes / num_items_in_batch
        return self.loss(groups, inputs.get(TEACHER)) * share

    def floating_point_ops(self, inputs) -> int:
        """Not counted: a batch's form is ours."""
        return 0


class RerankerTrainer(Promises, GroupTrainer):
    """`GroupTrainer` with the promises of a run."""


def train_reranker(
    options: RerankerOptions,
    *,
    examples: Sequence[Example],
    out: str | os.PathLike,
    dev: Sequence[Example] = (),
    base: Base | None = None,
    about: Mapping[str, object] | None = None,
    verbose: bool = False,
) -> Path:
    """Train a reranker and write its checkpoint folder, which every door opens.

    Run it under `accelerate launch` for several devices: each then calls this with the same arguments. A run that was killed
    goes on where it stopped when it is called again.

    Args:
        options: of the training.
        examples: to learn from, each with a negative at least.
        out: the folder to make; while training it is `out`.unfinished.
        dev: examples to measure on; the state that ranks their passages best is what the folder holds. None: the last state.
        base: what training starts from, with the text path that the folder will have; None opens the options' checkpoint.
        about: what else the card is to tell (`rader_ir.train.card.run_facts`).
        verbose: whether to print the log's lines on stderr.

    Returns:
        The folder.

    Raises:
        ValueError: examples without negatives or without the scores that the loss learns from, options that do not fit the
            checkpoint.
        FileExistsError: `out` exists, or an unfinished run of other options or data.
        Diverged: a loss is no number; the message names the examples.
        NotSaved: the disk is full; an OSError.
    """
    check_examples(examples, options)
    base = base or open_base(options, "score")
    candidates = Candidates(dev) if dev else None
    batches = plan(examples, options, processes().num_processes)
    data = {"train": data_facts(examples), "dev": data_facts(dev)}
    facts = run_facts("reranker", options, base, data, about)
    run = open_together(out, facts)
    trainer = _trainer(run, options, base, Groups(examples, base.tokens, options), batches, candidates, verbose)
    step = fit(trainer, run)
    write = partial(_write, base=base, options=options, model=trainer.model, run=run, step=step)
    return finish(run, trainer, base, facts, step, write)


def _write(folder: Path, *, base: Base, options: RerankerOptions, model: nn.Module, run: RunFolder, step: int) -> None:
    adapter = model.peft_config[ADAPTER_NAME] if options.lora else None
    write_model(folder, base, weights_of(run, step), adapter, merged=options.merged)
    write_cross_encoder(folder, base.checkpoint)


def _trainer(
    run: RunFolder,
    options: RerankerOptions,
    base: Base,
    groups: Groups,
    batches: list[list[int]],
    dev: Candidates | None,
    verbose: bool,
) -> RerankerTrainer:
    torch.manual_seed(options.seed)  # new heads and adapters
    model = open_model(base, options)
    trainer = RerankerTrainer(
        model=model,
        args=arguments(
            options,
            run,
            len(batches) // processes().num_processes,
            ddp_find_unused_parameters=False,
            ddp_broadcast_buffers=False,
        ),
        loss=loss_of(options),
        group=1 + options.negatives,
        run=run,
        options=options,
        batches=batches,
        read=groups.read,
        name=groups.name,
        verbose=verbose,
        measure=None if dev is None else lambda: dev.measure(scores(), options.measure),
    )
    ids = pair_ids(groups.tokens, *dev.texts()) if dev is not None else None

    def scores() -> np.ndarray:
        def forward(inputs):
            return trainer.model_wrapped(**inputs).logits

        pad_id, device, places = groups.tokens.tokenizer.pad_token_id, trainer.args.device, range(len(ids.rows))
        if trainer.is_fsdp_enabled or trainer.is_deepspeed_enabled:  # these must all read the same
            return score_ids(forward, ids, places, pad_id, device=device)
        processes = trainer.args.world_size
        share = score_ids(forward, ids, places[trainer.args.process_index :: processes], pad_id, device=device)
        made = np.empty(len(places), dtype=np.float32)
        for start, part in enumerate(gather_object([share])):
            made[start::processes] = part
        return made

    return trainer


def loss_of(options: RerankerOptions) -> Loss:
    """The loss that the options name: scores [q, n] and the teacher's, or None, to a scalar."""
    if options.loss == "distilled":
        return partial(losses.distilled, main=options.main, alpha=options.alpha, temperature=options.temperature)
    if options.loss in _PLAIN:
        return lambda scores, _: _PLAIN[options.loss](scores)
    if options.loss == "kl":
        return partial(losses.kl_to_teacher, temperature=options.temperature, label_weight=options.label_weight)
    return {"margin_mse": losses.margin_mse, "ranknet": losses.ranknet}[options.loss]
