"""What both trainers share: their arguments, the order of their data, and the promises that a run keeps.

A run measures its development set, stops early, saves whole states only, goes on after a kill with the same weights as if it had
not been killed, and stops at the first loss or gradient that is no number, naming the examples it came from. `Promises` is put
before a trainer of transformers or sentence-transformers; everything else is left to these and to accelerate.
"""

import json
import logging
import math
import os
import shutil
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import torch
from accelerate import PartialState
from accelerate.utils import broadcast_object_list, gather_object, parse_flag_from_env
from safetensors.torch import load_file, save_file
from torch import nn
from torch.utils.data import DataLoader
from transformers import Trainer, TrainingArguments, set_seed
from transformers.trainer import TRAINER_STATE_NAME
from transformers.trainer_callback import PrinterCallback

from rader_ir.checkpoint_folders import read_json
from rader_ir.files import replacing
from rader_ir.train.callbacks import CURVE, LOG, Log, Schedule, best_step, gives_up, read_log
from rader_ir.train.card import CARD, run_card
from rader_ir.train.curve import draw
from rader_ir.train.folder import NotSaved, RunFolder, cannot_write, open_run
from rader_ir.train.model_card import README, readme
from rader_ir.train.models import Base, adapted_layers, autocasts
from rader_ir.train.remarks import after, before
from rader_ir.train.settings import Options

logger = logging.getLogger(__name__)

WEIGHTS = "trained.safetensors"  # in a state: the weights that are trained
BUFFERS = "buffers.safetensors"  # in a state: what a loss remembers
ROWS = "rows"  # in a batch: the examples that it was made of


class Diverged(RuntimeError):
    """A loss or a gradient is no number; the message names the examples."""


def processes() -> PartialState:
    """The processes of this run, as `accelerate launch` or torchrun started them; joins them at the first call."""
    return PartialState(cpu=_on_cpu())


def _on_cpu() -> bool:
    return parse_flag_from_env("ACCELERATE_USE_CPU") or not torch.accelerator.is_available()


def open_together(out: str | os.PathLike, facts: Mapping) -> RunFolder:
    """`open_run` on the first process; all others get the folder, or the same error."""
    told: list = [None, None]
    if processes().is_main_process:
        try:
            told[0] = open_run(out, facts)
        except (OSError, ValueError) as error:
            told[1] = error
    broadcast_object_list(told)
    if told[1] is not None:
        raise told[1]
    return told[0]


def steps_of(options: Options, batches: int) -> int:
    """Optimizer steps of a run of so many batches per device."""
    steps = math.ceil(batches / options.accumulation)
    return min(steps, options.max_steps or steps)


def arguments(
    options: Options, run: RunFolder, batches: int, kind: type[TrainingArguments] = TrainingArguments, **more
) -> TrainingArguments:
    """transformers' arguments for `options`.

    Args:
        options: of the run.
        run: where states go.
        batches: that one device reads in the whole run.
        kind: the class of the arguments that the trainer wants.
        more: for that class.
    """
    cuda = torch.cuda.is_available()
    return kind(
        output_dir=str(run.states),
        max_steps=steps_of(options, batches),
        gradient_accumulation_steps=options.accumulation,
        learning_rate=options.learning_rate,
        lr_scheduler_type=options.schedule,
        warmup_steps=options.warmup_steps,
        weight_decay=options.weight_decay,
        max_grad_norm=options.max_grad_norm or math.inf,  # of 0 transformers would not look at the gradients at all
        bf16=autocasts(options),
        use_cpu=_on_cpu(),
        logging_steps=options.log_steps,
        logging_first_step=True,
        logging_nan_inf_filter=False,  # we stop instead
        save_strategy="no",  # `Schedule` tells when
        eval_strategy="no",
        seed=options.seed,
        dataloader_num_workers=options.workers,
        dataloader_pin_memory=cuda,
        remove_unused_columns=False,
        report_to=[],  # `Promises` keeps logs
        disable_tqdm=True,
        **more,
    )


class Promises:
    """Put before a trainer's class: `class Mine(Promises, Trainer)`.

    Args:
        run: the folder that states are written to.
        options: of the run.
        batches: each device's rows, batch after batch and epoch after epoch; with n devices the first takes every n-th of
            them. A row is any whole number.
        read: a batch's rows to the tensors that the loss takes, plus `rows`.
        name: a row's example, for messages.
        measure: makes {measure: value} of the development set with the model as it is now; None measures nothing. It is
            called on every process, and gives the same everywhere.
        verbose: whether to print the log's lines on stderr.
        arguments: for the trainer's own class.
    """

    def __init__(
        self,
        *,
        run: RunFolder,
        options: Options,
        batches: Sequence[list[int]],
        read: Callable[[list[int]], Mapping],
        name: Callable[[int], str],
        measure: Callable[[], Mapping[str, float]] | None,
        verbose: bool = False,
        **arguments,
    ):
        self.run, self.options, self.batches, self.name, self.measure = run, options, batches, name, measure
        self._seen: list[int] = []  # rows of the optimizer step that is under way
        self._stopping = False  # whether a loss was no number, so that no older state may go
        rows = range(1 + max(max(batch) for batch in batches))
        super().__init__(data_collator=read, train_dataset=rows, **arguments)
        self.remove_callback(PrinterCallback)
        steps = self.args.max_steps
        self.add_callback(Schedule(options, steps, measured=measure is not None))
        self.add_callback(Log(run, options, steps if verbose else None))

    def get_train_dataloader(self) -> DataLoader:
        """Batches in the order of the plan; each process takes its own."""
        self.accelerator.even_batches = False
        loader = DataLoader(
            self.train_dataset,
            batch_sampler=_Planned(self.batches),
            collate_fn=self.data_collator,
            num_workers=self.args.dataloader_num_workers,
            pin_memory=self.args.dataloader_pin_memory,
        )
        return self.accelerator.prepare(loader)

    def compute_loss(self, model, inputs, return_outputs=False, num_items_in_batch=None):
        """The loss of the trainer's own class, if it is a number on every device."""
        rows = inputs.pop(ROWS).tolist()
        self._seen += rows
        result = super().compute_loss(model, inputs, return_outputs, num_items_in_batch)
        loss = result[0] if return_outputs else result
        self._check(bool(torch.isfinite(loss)), rows, f"the loss is {loss.item()}")
        return result

    def _clip_grad_norm(self, model):
        norm = super()._clip_grad_norm(model)
        if norm is not None:
            self._check(math.isfinite(norm), self._seen, f"the gradient's norm is {float(norm)}")
        self._seen = []
        return norm

    def _check(self, fine: bool, rows: list[int], what: str) -> None:
        """Stop on all processes if one of them found no number; keep the weights that were before this step."""
        bad = torch.tensor(0.0 if fine else 1.0, device=self.args.device)
        if not float(self.accelerator.reduce(bad, "sum")):
            return
        named = gather_object([] if fine else [self.name(row) for row in dict.fromkeys(rows)])
        step = self.state.global_step
        if step and step not in self.run.steps() and self._weights_are_numbers():
            self._stopping = True
            self._save_checkpoint(self.model, None)
        kept = "no state was kept before"
        if steps := self.run.steps():
            kept = f"the weights after step {steps[-1]} are kept in {self.run.state(steps[-1])}"
        if len(steps) > 1:
            kept += f", older ones beside it (step {', '.join(map(str, steps[:-1]))}): delete what is spoilt already"
        examples = ", ".join(named[:16]) + (f" and {len(named) - 16} more" if len(named) > 16 else "")
        raise Diverged(
            f"step {step + 1}: {what}, with the examples {examples}; {kept}. Lower learning_rate, which is "
            f"{self.options.learning_rate:g}, or look at these examples; other options or examples begin anew, so delete "
            f"{self.run.work} first, or train into another folder"
        )

    def _weights_are_numbers(self) -> bool:
        trained = (weight for weight in self.model.parameters() if weight.requires_grad)
        bad = torch.tensor(float(any(not torch.isfinite(weight).all() for weight in trained)), device=self.args.device)
        return not float(self.accelerator.reduce(bad, "sum"))

    def evaluate(self, *unused, **also_unused) -> dict[str, float]:
        """Measure the development set, log it as `dev_<measure>`."""
        was_training = self.model.training
        self.model.eval()
        try:
            with torch.no_grad(), self.compute_loss_context_manager():
                figures = {f"dev_{measure}": float(value) for measure, value in self.measure().items()}
        finally:
            self.model.train(was_training)
        self.log(figures)
        self.control = self.callback_handler.on_evaluate(self.args, self.state, self.control, figures)
        return figures

    def _get_output_dir(self, trial=None) -> str:
        return str(self.run.staging)

    def _save_checkpoint(self, model, trial) -> None:
        """Write a state beside the others and rename it; older ones go only then."""
        step = self.state.global_step
        try:
            super()._save_checkpoint(model, trial)
        except Exception as error:
            if not cannot_write(error):
                raise
            shutil.rmtree(self.run.staging, ignore_errors=True)
            last = f"the last whole one is {self.run.last()}" if self.run.last() else "there is none yet"
            raise NotSaved(
                f"the state after step {step} could not be written ({error}); {last}. Make room, then run the same again"
            ) from error
        self.accelerator.wait_for_everyone()
        if self.is_world_process_zero():
            best = best_step(self.state.log_history, self.options.measure)
            self.run.place(step, keep={*self.run.steps()} if self._stopping else {best} if best else set())
        self.accelerator.wait_for_everyone()

    def _save(self, output_dir: str | None = None, state_dict: dict | None = None) -> None:
        if not self.args.should_save:
            return
        Path(output_dir).mkdir(parents=True, exist_ok=True)
        trained = {name for name, weight in self.model.named_parameters() if weight.requires_grad}
        every = self.model.state_dict() if state_dict is None else state_dict
        weights = {name: tensor.contiguous() for name, tensor in every.items() if name in trained}
        save_file(weights, f"{output_dir}/{WEIGHTS}")
        if remembered := self._remembered():
            save_file(remembered, f"{output_dir}/{BUFFERS}")

    def _remembered(self) -> dict[str, torch.Tensor]:
        """Buffers of the loss itself, where it is a module that has some."""
        loss = getattr(self, "loss", None)
        return dict(loss.named_buffers(recurse=False)) if isinstance(loss, nn.Module) else {}

    def _load_from_checkpoint(self, resume_from_checkpoint: str, model=None) -> None:
        if self.is_fsdp_enabled or self.is_deepspeed_enabled:
            Trainer._load_from_checkpoint(self, resume_from_checkpoint, model)
            return
        for name, tensor in self._remembered().items():
            tensor.copy_(load_file(f"{resume_from_checkpoint}/{BUFFERS}")[name])
        weights = load_file(f"{resume_from_checkpoint}/{WEIGHTS}")
        report = self.model.load_state_dict(weights, strict=False)
        if report.unexpected_keys:
            raise ValueError(
                f"{resume_from_checkpoint} holds weights that the model lacks: {report.unexpected_keys[:3]}; delete "
                f"{self.run.work} and start again"
            )


class _Planned:
    """A batch sampler that gives the same batches at every reading."""

    drop_last = False

    def __init__(self, batches: Sequence[list[int]]):
        self.batches = batches
        self.batch_size = len(batches[0])

    def __len__(self) -> int:
        return len(self.batches)

    def __iter__(self):
        return iter(self.batches)


def fit(trainer: Trainer, run: RunFolder) -> int:
    """Train to the end, from the last whole state if there is one.

    Returns:
        The step whose state is the best by the development set, or the last.

    Raises:
        Diverged: a loss or a gradient is no number.
        NotSaved: the disk is full.
    """
    last, options = run.last(), trainer.options
    if last is not None:
        state = read_json(last / TRAINER_STATE_NAME)
        history, step = state["log_history"], state["global_step"]
        if step >= trainer.args.max_steps or gives_up(
            history, options
        ):  # killed between its end and the finished folder
            return best_step(history, options.measure) or step
    say(before(options, trainer.args.max_steps))
    trainer.args.eval_on_start = trainer.measure is not None and last is None
    set_seed(options.seed)
    trainer.train(resume_from_checkpoint=None if last is None else str(last))
    return best_step(trainer.state.log_history, options.measure) or trainer.state.global_step


def say(remarks: Sequence[str]) -> None:
    """Warn of each, once for all processes."""
    if processes().is_main_process:
        for remark in remarks:
            logger.warning("rader train: %s", remark)


def finish(
    run: RunFolder, trainer: Trainer, base: Base, facts: Mapping, chosen: int, write: Callable[[Path], None]
) -> Path:
    """Turn the run into the finished folder, on the first process; the others wait.

    Args:
        run: of which `fit` has returned.
        trainer: that `fit` has trained.
        base, facts: for the card.
        chosen: the step that `fit` returned.
        write: puts the checkpoint into a folder.
    """
    state, options = processes(), trainer.options
    if state.is_main_process:
        log, layers = read_log(run.training / LOG), adapted_layers(trainer.model)
        card = run_card(facts, base, log, run.steps()[-1], chosen, options.measure, state.num_processes, layers)
        say(after(card))
        with replacing(run.training / CARD) as file:
            file.write(json.dumps(card, indent=2, ensure_ascii=False) + "\n")
        draw(log, options.measure, run.training / CURVE)

        def whole(folder: Path) -> None:
            write(folder)
            (folder / README).write_text(readme(card), encoding="utf-8")

        run.finish(whole)
    state.wait_for_everyone()
    return run.out


def weights_of(run: RunFolder, step: int) -> dict[str, torch.Tensor]:
    """The trained weights in the state after `step`, by the names of the trainer's model."""
    return load_file(run.state(step) / WEIGHTS)
