"""What trainings of language models share: how one is opened, states that appear whole, and the finished folder.

The trainers are trl's (`rader_ir.train.grpo`, `rader_ir.train.sft`); the run's folder is `rader_ir.train.folder`'s.
"""

import json
from collections.abc import Mapping
from dataclasses import replace
from functools import partial
from pathlib import Path

from transformers.trainer_callback import PrinterCallback

from rader_ir import loading
from rader_ir.checkpoints import find_checkpoint, write_config
from rader_ir.files import replacing
from rader_ir.train.folder import RunFolder
from rader_ir.train.models import Base
from rader_ir.train.runtime import processes
from rader_ir.weights import fetch

LOG = "log.jsonl"


def language_model(checkpoint: str, revision: str | None = None) -> Base:
    """A language model as training opens it, whatever it is trained for.

    Raises:
        ValueError, FileNotFoundError: no such model, or no chat template.
    """
    files = fetch(find_checkpoint(checkpoint, revision=revision))
    tokenizer = loading.read_tokenizer(files)
    if not tokenizer.chat_template:
        raise ValueError(f"checkpoint {checkpoint!r} has no chat template; start from an instruct model")
    form = {"pair_form": "{query} {document}", "eos": "tokenizer"} if files.checkpoint.head != "choice" else {}
    return Base(replace(files, checkpoint=replace(files.checkpoint, head="choice", **form)), tokenizer)


def rendered(messages: list[dict[str, str]], tokenizer) -> str:
    """A conversation as the text that a model goes on from, without the beginning token that its tokenizer adds itself."""
    text = tokenizer.apply_chat_template(messages, tokenize=False, add_generation_prompt=True)
    return text.removeprefix(loading.beginning(tokenizer))


class WholeStates:
    """Put before a trainer of trl: states are written beside the older ones and renamed.

    Args:
        run: the folder that states are written to.
        arguments: for the trainer's own class.
    """

    def __init__(self, *, run: RunFolder, **arguments):
        self.run = run
        super().__init__(**arguments)
        self.remove_callback(PrinterCallback)

    def _get_output_dir(self, trial=None) -> str:
        return str(self.run.staging)

    def _save_checkpoint(self, model, trial) -> None:
        with loading.progress_hidden():
            super()._save_checkpoint(model, trial)
        self.accelerator.wait_for_everyone()
        if self.is_world_process_zero():
            self.run.place(self.state.global_step, keep=set())
        self.accelerator.wait_for_everyone()


def trained(trainer, run: RunFolder, base: Base, *, merged: bool, judge: bool = False) -> Path:
    """Train from the last whole state to the end and write the finished folder: a plain language model, and the log.

    Args:
        trainer: of trl, with `WholeStates`.
        run: its folder.
        base: what training started from.
        merged: whether the model has an adapter, which is merged.
        judge: whether `rader_config.json` says how the model scores pairs.

    Returns:
        The folder; each line of `training/log.jsonl` in it is one of the trainer's.
    """
    last = run.last()
    trainer.train(resume_from_checkpoint=None if last is None else str(last))
    if processes().is_main_process:
        with replacing(run.training / LOG) as file:
            file.writelines(json.dumps(line) + "\n" for line in trainer.state.log_history)
        run.finish(partial(_write, trainer=trainer, base=base, merged=merged, judge=judge))
    processes().wait_for_everyone()
    return run.out


def _write(folder: Path, *, trainer, base: Base, merged: bool, judge: bool) -> None:
    model = trainer.accelerator.unwrap_model(trainer.model)
    model = model.merge_and_unload() if merged else model
    model.config.use_cache = True
    with loading.progress_hidden():
        model.save_pretrained(folder)
    loading.read_tokenizer(base.files).save_pretrained(folder)
    if judge:
        write_config(folder, replace(base.checkpoint, base=None, base_revision=None))


def read_log(folder: Path, key: str) -> list[float]:
    """The values of `key`, such as `reward` or `loss`, in a finished folder's log, step by step."""
    lines: list[Mapping] = [json.loads(line) for line in (folder / "training" / LOG).read_text("utf-8").splitlines()]
    return [line[key] for line in lines if key in line]
