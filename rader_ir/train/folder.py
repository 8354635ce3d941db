"""The folder of a run: `OUT.unfinished` while it trains, renamed to `OUT` when everything in it is whole.

States to resume from are written beside the older ones and renamed, so that a kill or a full disk at any moment leaves the last
whole one. A run is known by its options and its data: the same ones go on where it stopped, others are refused.
"""

import errno
import json
import os
import shutil
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

from rader_ir.checkpoint_folders import read_json
from rader_ir.files import replacing

RECORD = "run.json"
STATE = "checkpoint-"  # the name that transformers gives to a state


class NotSaved(OSError):
    """A state could not be written; the older ones are untouched."""


@dataclass(frozen=True)
class RunFolder:
    """Where a run lives. `out`: the folder that it makes."""

    out: Path

    @property
    def work(self) -> Path:
        """Where everything is until the run is finished."""
        return self.out.with_name(self.out.name + ".unfinished")

    @property
    def states(self) -> Path:
        """The folder of states to resume from."""
        return self.work / "states"

    @property
    def training(self) -> Path:
        """Log, curve and card; stays in the finished folder."""
        return self.work / "training"

    def state(self, step: int) -> Path:
        """The state after `step` optimizer steps."""
        return self.states / f"{STATE}{step}"

    def steps(self) -> list[int]:
        """Steps of which there are whole states, in order."""
        found = (entry.name.removeprefix(STATE) for entry in self.states.glob(f"{STATE}*"))
        return sorted(int(step) for step in found if step.isdecimal())

    def last(self) -> Path | None:
        """The newest whole state."""
        steps = self.steps()
        return self.state(steps[-1]) if steps else None

    @property
    def staging(self) -> Path:
        """Where a state is written before it takes its place."""
        return self.states / ".part"

    def place(self, step: int, keep: set[int]) -> None:
        """Move the staged state of `step` to its place, and drop older ones but those of the steps `keep`."""
        shutil.rmtree(self.state(step), ignore_errors=True)
        os.replace(self.staging / f"{STATE}{step}", self.state(step))
        for old in set(self.steps()) - keep - {step}:
            shutil.rmtree(self.state(old), ignore_errors=True)

    def finish(self, write: Callable[[Path], None]) -> Path:
        """Let `write` put the finished checkpoint into a folder, add what the run has told, and rename that to `out`.

        Raises:
            NotSaved: the disk is full; the run's last state stays, and the same command tries again.
        """
        made = self.work / "finished"
        shutil.rmtree(made, ignore_errors=True)
        try:
            made.mkdir(parents=True)
            write(made)
            shutil.copytree(self.training, made / "training", dirs_exist_ok=True)
        except Exception as error:
            shutil.rmtree(made, ignore_errors=True)
            if not cannot_write(error):
                raise
            raise NotSaved(f"{self.out} could not be written ({error}); make room, then run the same again") from error
        os.replace(made, self.out)  # over an empty folder at most, which was there before
        shutil.rmtree(self.work, ignore_errors=True)
        return self.out


def open_run(out: str | os.PathLike, facts: Mapping) -> RunFolder:
    """The run that makes `out`: a new one, or the unfinished one with the same facts.

    Args:
        out: the folder to make; it must not exist, or be empty.
        facts: options and hashes of the data, as plain values.

    Raises:
        FileExistsError: `out` exists, or an unfinished run with other facts that has states, or a folder of something else.
    """
    run = RunFolder(Path(out).expanduser().absolute())
    if run.out.exists() and not (run.out.is_dir() and not any(run.out.iterdir())):
        raise FileExistsError(f"{run.out} exists; move it away, or give another folder to train into")
    record, facts = run.work / RECORD, json.loads(json.dumps(facts))
    if run.work.exists() and not record.is_file():
        raise FileExistsError(f"{run.work} exists and is no unfinished run; move it away, or train into another folder")
    if not run.steps():  # nothing is lost
        shutil.rmtree(run.work, ignore_errors=True)
        _begin(run, facts)
    elif read_json(record) != facts:
        raise FileExistsError(
            f"{run.work} is an unfinished run with other options or data ({_difference(read_json(record), facts)}); "
            "give the same ones to go on with it, or delete it, or train into another folder"
        )
    shutil.rmtree(run.staging, ignore_errors=True)  # half-written when the run was killed
    return run


def _begin(run: RunFolder, facts: Mapping) -> None:
    made = run.work.with_name(f"{run.work.name}.{os.getpid()}")
    for folder in ("states", "training"):
        (made / folder).mkdir(parents=True)
    with replacing(made / RECORD) as file:
        file.write(json.dumps(facts, indent=2) + "\n")
    os.replace(made, run.work)


def _difference(old: Mapping, new: Mapping, prefix: str = "") -> str:
    """The first fact that differs, as `name: old, not new`."""
    for key in {**old, **new}:
        before, after = old.get(key), new.get(key)
        if before != after:
            if isinstance(before, dict) and isinstance(after, dict):
                return _difference(before, after, f"{prefix}{key}.")
            return f"{prefix}{key}: {before!r}, not {after!r}"
    return "nothing"


def cannot_write(error: BaseException) -> bool:
    """Whether `error` tells that there is no room for a file; torch and safetensors have their own errors for it."""
    if isinstance(error, OSError) and error.errno is not None:
        return error.errno in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EIO)
    words = (
        "No space left",
        "File too large",
        "I/O error",
        "file write failed",
        "failed writing file",
        "unexpected pos",
    )
    return any(word in str(error) for word in words)
