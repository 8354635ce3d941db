"""The picture of a run: loss and development measure over optimizer steps, drawn from its log."""

from collections.abc import Mapping, Sequence
from pathlib import Path

from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

FEW = 50  # points up to which each is marked


def draw(log: Sequence[Mapping], measure: str, path: Path) -> None:
    """Write `picture` of a log as a PNG to `path`."""
    FigureCanvasAgg(picture(log, measure)).print_png(path)


def picture(log: Sequence[Mapping], measure: str) -> Figure:
    """The loss on the left axis, the measure, where there is one, on the right.

    Args:
        log: lines with `step` and `loss`, or `dev_<measure>`.
        measure: by its name in ir-measures.
    """
    figure = Figure(figsize=(7, 4), layout="constrained")
    left = figure.add_subplot()
    losses = [(line["step"], line["loss"]) for line in log if "loss" in line]
    values = [(line["step"], line[f"dev_{measure}"]) for line in log if f"dev_{measure}" in line]
    _line(left, losses, "loss", color="C0", marker="." if len(losses) <= FEW else None)
    left.set_xlabel("optimizer steps")
    left.xaxis.set_major_locator(MaxNLocator(integer=True))
    left.set_ylim(bottom=0)
    if values:
        right = left.twinx()
        _line(right, values, f"{measure}, development set", color="C1", marker="o")
    return figure


def _line(axes, points: Sequence[tuple[int, float]], name: str, **style) -> None:
    axes.plot(*zip(*points, strict=True) if points else ([], []), **style)
    axes.set_ylabel(name, color=style["color"])
