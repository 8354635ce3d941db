"""When a run measures, saves and stops, and what it writes down on the way.

All of it follows from the step and from the log that a state carries with it, so that a resumed run decides as the unbroken one.
"""

import json
import sys
import time
from collections.abc import Mapping, Sequence
from importlib.util import find_spec

from transformers import TrainerCallback

from rader_ir.files import replacing
from rader_ir.train.curve import draw
from rader_ir.train.folder import RunFolder
from rader_ir.train.settings import Options

DEV = "dev_"  # before a measure's name in logs
LOG, CURVE = "log.jsonl", "curve.png"
LEAST = 5  # steps between measurements where nobody says how many


def measured(history: Sequence[Mapping], measure: str) -> list[tuple[int, float]]:
    """(step, value) of each measurement in a log, in order; a step that was measured twice counts once."""
    return list({line["step"]: line[DEV + measure] for line in history if DEV + measure in line}.items())


def best_step(history: Sequence[Mapping], measure: str) -> int | None:
    """The step after which the measure was highest, the first of equals; None where nothing was measured after a step.

    >>> best_step([{"step": 0, "dev_RR": 0.9}, {"step": 5, "dev_RR": 0.4}, {"step": 9, "dev_RR": 0.4}], "RR")
    5
    """
    trained = [(step, value) for step, value in measured(history, measure) if step > 0]
    return max(trained, key=lambda each: (each[1], -each[0]))[0] if trained else None


def gives_up(history: Sequence[Mapping], options: Options) -> bool:
    """Whether none of the last `patience` measurements was better than all before them."""
    values = [value for _, value in measured(history, options.measure)]
    patience = options.patience
    return patience is not None and len(values) > patience and max(values[-patience:]) <= max(values[:-patience])


class Schedule(TrainerCallback):
    """Tells the trainer after which steps to measure, to save and to stop early."""

    def __init__(self, options: Options, steps: int, *, measured: bool):
        self.measured = measured
        self.eval_steps = options.eval_steps or max(LEAST, -(-steps // 10))
        self.save_steps = options.save_steps or self.eval_steps
        self.options = options

    def on_step_end(self, args, state, control, **kwargs):
        """After an optimizer step."""
        step, last = state.global_step, state.global_step >= state.max_steps
        control.should_log |= last
        control.should_evaluate = self.measured and (last or step % self.eval_steps == 0)
        control.should_save = last or control.should_evaluate or step % self.save_steps == 0
        return control

    def on_evaluate(self, args, state, control, **kwargs):
        """After a measurement, which is in the log by now."""
        if gives_up(state.log_history, self.options):
            control.should_training_stop = True
        return control


class Log(TrainerCallback):
    """Writes each figure as a line of JSON, and to TensorBoard where that is installed; draws the curve at every saved state.

    A resumed run goes on behind the lines that its state knows of.

    Args:
        run, options: of the run.
        steps: in all, for lines on stderr; None prints none.
    """

    def __init__(self, run: RunFolder, options: Options, steps: int | None = None):
        self.run, self.options, self.steps = run, options, steps
        self.path = run.training / LOG
        self.start = time.monotonic()
        self.board = None

    def on_train_begin(self, args, state, control, **kwargs):
        """Drop lines of steps that are done again; the clock goes on behind the others."""
        if not state.is_world_process_zero:
            return
        kept = [line for line in read_log(self.path) if line["step"] <= state.global_step and state.global_step]
        with replacing(self.path) as file:
            file.write("".join(map(_line, kept)))
        self.start -= kept[-1]["seconds"] if kept else 0.0
        if self.steps is not None:
            several = f"{args.world_size} processes" if args.world_size > 1 else "one process"
            behind = f", going on behind step {state.global_step}" if state.global_step else ""
            print(f"rader train: {self.steps} steps in {several} on {args.device}{behind}", file=sys.stderr, flush=True)
        if find_spec("tensorboard"):
            from torch.utils.tensorboard import SummaryWriter

            self.board = SummaryWriter(str(self.run.training / "tensorboard"), purge_step=state.global_step + 1)

    def on_log(self, args, state, control, logs=None, **kwargs):
        """Append what was logged."""
        if not state.is_world_process_zero or not logs or "train_runtime" in logs:
            return
        told = {"step": state.global_step, **logs, "seconds": round(time.monotonic() - self.start, 3)}
        told["epoch"] = round((state.epoch or 0) * self.options.epochs, 4)
        with self.path.open("a", encoding="utf-8") as file:
            file.write(_line(told))
        if self.steps is not None:
            figures = ", ".join(
                f"{name.removeprefix(DEV)} {value:.4g}" for name, value in logs.items() if name != "epoch"
            )
            print(f"rader train: step {state.global_step} of {self.steps}: {figures}", file=sys.stderr, flush=True)
        if self.board is not None:
            for name, value in logs.items():
                self.board.add_scalar(name, value, state.global_step)

    def on_save(self, args, state, control, **kwargs):
        """Draw the curve so far."""
        if state.is_world_process_zero:
            draw(read_log(self.path), self.options.measure, self.run.training / CURVE)

    def on_train_end(self, args, state, control, **kwargs):
        """Let go of TensorBoard's files."""
        if self.board is not None:
            self.board.close()


def _line(told: Mapping) -> str:
    return json.dumps(told, ensure_ascii=False) + "\n"


def read_log(path) -> list[dict]:
    """The lines of a log, if there is one; a line that a kill cut short is left out."""
    lines = []
    if not path.exists():
        return lines
    for line in path.read_text(encoding="utf-8").splitlines():
        try:
            lines.append(json.loads(line))
        except json.JSONDecodeError:
            break
    return lines
