"""Pictures of results: bars of means by collection, a scatter of two systems by query, and quality against what it costs.

Drawn by matplotlib without a display, as PNG or SVG by the file's name. Colours are those of Okabe and Ito, which people
see apart with any kind of colour vision, and bars beyond eight systems are hatched as well. An SVG of the same results has
the same bytes.
"""

import math
from collections import Counter
from collections.abc import Collection, Iterable, Mapping, Sequence
from pathlib import Path

import matplotlib
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.ticker import LogLocator, NullLocator
from matplotlib.transforms import Bbox

from rader_ir.evaluation import Results, macro_interval
from rader_ir.files import replacing_bytes
from rader_ir.reports.averages import AVERAGE, EQUAL, collections_of, grouped, heading, mean, per_collection
from rader_ir.reports.costs import KINDS, Cost, pareto, shared_kind

COLOURS = ("#0072B2", "#E69F00", "#009E73", "#CC79A7", "#56B4E9", "#D55E00", "#F0E442", "#7F7F7F")
HATCHES = ("", "//", "..", "xx")
_STYLE = {"svg.hashsalt": "rader", "svg.fonttype": "none", "font.size": 10, "axes.spines.top": False}
_STYLE |= {"axes.spines.right": False, "hatch.linewidth": 0.6}
_SIDES = ((1, 1), (-1, 1), (1, -1), (-1, -1), (1, 0), (-1, 0), (0, 1), (0, -1))  # of a dot, where its name may stand
_FAR = (4, 11, 20, 31, 44, 59, 76)  # points from a dot to its name, the first that is free


def bars(
    results: Results,
    measure: str,
    path: str | Path,
    *,
    systems: Sequence[str] | None = None,
    average: str = "macro",
    confidence: float = 0.95,
    seed: int = 0,
) -> None:
    """Draws the mean of each system on each collection, and their average, with bootstrap intervals as whiskers.

    Args:
        results: {system: {collection: {measure: {query_id: value}}}}.
        measure: one of the measures.
        path: file to write, .png or .svg.
        systems: which to draw, in order; by default all.
        average: "macro" or "micro".
        confidence: of the intervals.
        seed: of the bootstrap.

    Raises:
        ValueError: an unknown system or measure, or another ending of the name.
    """
    chosen = {name: per_collection(results, name, measure) for name in systems or results}
    names = [name for name in collections_of(results) if any(name in found for found in chosen.values())]
    whole = [*names, AVERAGE] if len(names) > 1 else names
    size = min(14.0, max(5.0, 1.2 + len(whole) * max(0.66, 0.16 * len(chosen) + 0.25)))  # inches
    columns = _legend_columns(chosen, size)
    figure, axes = _figure(size, 3.6 + 0.22 * math.ceil(len(chosen) / columns))
    width = 0.84 / len(chosen)
    for number, (system, found) in enumerate(chosen.items()):
        groups = {name: [list(values.values())] for name, values in found.items()}
        if len(names) > 1 and len(groups) == len(names):  # an average of fewer collections is another figure
            groups[AVERAGE] = grouped([group for (group,) in groups.values()], average)
        places = [_place(whole, name) + (number + 0.5) * width - 0.42 for name in groups]
        _draw_bars(axes, places, list(groups.values()), width, number, system, confidence, seed)
    axes.set_xticks([_place(whole, name) for name in whole], [_shortened(heading(name)) for name in whole])
    if len(whole) > 1:
        axes.axvline(_place(whole, AVERAGE) - 0.65, color="0.7", linewidth=0.8)
    if max(map(len, map(heading, whole))) * 0.09 > 0.9 * (size - 1.2) / len(whole):  # inches of letters, and of room
        axes.tick_params(axis="x", rotation=35)
        for label in axes.get_xticklabels():
            label.set(ha="right", rotation_mode="anchor")
    axes.set_xlim(-0.6, _place(whole, whole[-1]) + 0.6)
    axes.set_ylim(bottom=0)
    axes.set_ylabel(f"{measure}, {confidence:.0%} interval")
    axes.grid(axis="y", color="0.9")
    figure.legend(loc="outside upper center", ncols=columns, frameon=False)
    _save(figure, path)


def scatter(results: Results, measure: str, system: str, baseline: str, path: str | Path) -> None:
    """Draws a dot for each query, its value by the baseline to the right and by the system upwards.

    Dots above the diagonal are queries that the system won. Queries with the same two values share a dot, whose area grows
    with their number.

    Args:
        results: {system: {collection: {measure: {query_id: value}}}}; the collections that both have are drawn.
        measure: one of the measures.
        system, baseline: two of the systems.
        path: file to write, .png or .svg.

    Raises:
        ValueError: an unknown system or measure, no common query, or another ending of the name.
    """
    before, after = (per_collection(results, name, measure) for name in (baseline, system))
    pairs = [
        (round(before[name][query_id], 9), round(value, 9))
        for name in after
        for query_id, value in after[name].items()
        if query_id in before.get(name, {})
    ]
    if not pairs:
        raise ValueError(f"{system!r} and {baseline!r} have no query of {measure!r} in common; nothing to draw")
    figure, axes = _figure(5.0, 5.2)
    highest = max(1.0, *(value for pair in pairs for value in pair))
    axes.plot([0, highest], [0, highest], color="0.6", linewidth=0.8, zorder=1)
    sides = {"won": [], "tied": [], "lost": []}
    for pair in pairs:
        difference = pair[1] - pair[0]
        sides["won" if difference > EQUAL else "lost" if difference < -EQUAL else "tied"].append(pair)
    for (side, dots), colour, marker in zip(sides.items(), ("#0072B2", "0.45", "#D55E00"), "^os", strict=True):
        counts = sorted(Counter(dots).items())
        horizontal, vertical = ([dot[axis] for dot, _ in counts] for axis in (0, 1))
        areas = [min(16.0 * count, 600.0) for _, count in counts]
        style = {"color": colour, "marker": marker, "alpha": 0.6, "linewidths": 0.4, "edgecolors": "white"}
        axes.scatter(horizontal, vertical, areas, **style, zorder=2, clip_on=False)
        axes.scatter([], [], 36, **style, label=f"{side}: {len(dots)}")
    room = (-0.04 * highest, 1.04 * highest)  # for the dots at the corners, often the most numerous
    axes.set(xlim=room, ylim=room, aspect="equal")
    axes.set_xlabel(f"{measure} of {_shortened(baseline)}")
    axes.set_ylabel(f"{measure} of {_shortened(system)}")
    shared = len(set(pairs)) < len(pairs)
    title = f"queries, {_shortened(system)}" + ("\narea: how many share a dot" if shared else "")
    figure.legend(loc="outside upper center", ncols=3, frameon=False, title=title)
    _save(figure, path)


def tradeoff(
    results: Results,
    costs: Mapping[str, Cost],
    measure: str,
    path: str | Path,
    *,
    by: str = "seconds",
    baseline: str | None = None,
    simulated: Collection[str] = (),
    average: str = "macro",
    confidence: float = 0.95,
    seed: int = 0,
) -> None:
    """Draws a named dot for each system, its cost to the right on a logarithmic scale and its mean upwards with its interval.

    A line joins the systems that nothing as cheap is as good as, the baseline included, which costs nothing here and is drawn
    as a level. Systems whose cost is not known are left out, and counted below.

    Args:
        results: {system: {collection: {measure: {query_id: value}}}}.
        costs: of the systems.
        measure: one of the measures.
        path: file to write, .png or .svg.
        by: "seconds", "calls", "tokens" or "tokens_in"; "tokens" are those read alone where a system's written ones are unknown.
        baseline: the first stage that all others rerank, or None.
        simulated: systems whose model is simulated: their dots are hollow, and they have no part in the line.
        average: "macro" or "micro".
        confidence: of the intervals.
        seed: of the bootstrap.

    Raises:
        ValueError: an unknown kind of cost, system or measure, no system with a cost, or another ending of the name.
    """
    if by not in KINDS:
        raise ValueError(f"cost {by!r} is unknown; choose {', '.join(map(repr, KINDS))}")
    groups = {name: grouped(_values(results, name, measure), average) for name in results}
    by = shared_kind(by, (costs[name] for name in results if name in costs and name != baseline))
    known = {name: costs[name].per_query(by) for name in results if name in costs and name != baseline}
    dots = {name: (cost, mean(groups[name])) for name, cost in known.items() if cost}
    if not dots:
        raise ValueError(f"no system but the baseline has a cost in {by}; nothing to draw")
    figure, axes = _figure(7.5, 5.0)
    _scale(axes, [cost for cost, _ in dots.values()])
    for name, (cost, quality) in dots.items():
        _draw_dot(
            axes, cost, quality, macro_interval(groups[name], confidence=confidence, seed=seed), name in simulated
        )
    axes.margins(y=0.1)
    level = None
    if baseline is not None:
        level = mean(groups[baseline])
        axes.axhline(level, color="0.4", linewidth=0.9, linestyle="--", zorder=1, label=_shortened(baseline))
    _draw_front(axes, {name: dot for name, dot in dots.items() if name not in simulated}, level)
    if any(name in simulated for name in dots):
        axes.plot([], [], "o", markerfacecolor="white", markeredgecolor=COLOURS[0], label="simulated model")
    left_out = len(results) - len(dots) - (baseline in results)
    axes.set_xlabel(KINDS[by] + (f" ({left_out} more of unknown cost)" if left_out else ""))
    axes.set_ylabel(f"{measure}, {confidence:.0%} interval")
    axes.grid(color="0.93")
    if axes.get_legend_handles_labels()[1]:
        figure.legend(loc="outside upper center", ncols=3, frameon=False)
    _name_dots(figure, axes, dots)
    _save(figure, path)


def _values(results: Results, system: str, measure: str) -> list[list[float]]:
    """A system's values of a measure, a list for each collection."""
    return [list(values.values()) for values in per_collection(results, system, measure).values()]


def _scale(axes, costs: Sequence[float]) -> None:
    """A logarithmic scale from left to right, with plain numbers at its ticks."""
    axes.set_xscale("log")
    ratio = max(costs) / min(costs)
    room = max(ratio, 2.0) ** 0.15
    axes.set_xlim(min(costs) / room, max(costs) * room)
    axes.xaxis.set_major_locator(LogLocator(subs=(1.0, 2.0, 5.0) if ratio < 300 else (1.0,)))
    axes.xaxis.set_minor_locator(NullLocator())
    axes.xaxis.set_major_formatter(lambda value, _: f"{value:,.10g}")


def _draw_dot(axes, cost: float, quality: float, bounds: tuple[float, float], hollow: bool) -> None:
    whiskers = [[max(0.0, quality - bounds[0])], [max(0.0, bounds[1] - quality)]]
    axes.errorbar([cost], [quality], yerr=whiskers, fmt="none", ecolor="0.7", elinewidth=0.8, capsize=2, zorder=2)
    look = {"color": "white" if hollow else COLOURS[0], "edgecolors": COLOURS[0]}
    axes.scatter([cost], [quality], 36, linewidths=1.2, zorder=4, **look)


def _draw_front(axes, dots: Mapping[str, tuple[float, float]], level: float | None) -> None:
    """Steps from the baseline's level, which costs nothing, over the dots that are worth their cost."""
    left, right = axes.get_xlim()
    start = {} if level is None else {"": (left, level)}
    names = pareto({**start, **dots})
    if not any(names):
        return
    places = [{**start, **dots}[name] for name in names]
    places.append((right, places[-1][1]))
    look = {"color": COLOURS[5], "linewidth": 1.2, "drawstyle": "steps-post", "zorder": 3}
    axes.plot(*zip(*places, strict=True), **look, label="best for its cost")


def _name_dots(figure: Figure, axes, dots: Mapping[str, tuple[float, float]]) -> None:
    """Writes each name beside its dot: of some places the first where it covers no dot and no other name."""
    figure.draw_without_rendering()  # only then it is known where dots lie
    at = {name: axes.transData.transform(dot) for name, dot in dots.items()}
    taken = [Bbox.from_extents(x - 5, y - 5, x + 5, y + 5) for x, y in at.values()]
    inside = axes.get_window_extent()
    line = {"arrowstyle": "-", "color": "0.6", "linewidth": 0.5, "shrinkA": 0, "shrinkB": 3}
    for name in sorted(dots, key=lambda name: (-dots[name][1], name)):
        text = axes.annotate(_shortened(name), dots[name], (0, 0), textcoords="offset points", fontsize=8, zorder=5)
        text.set_in_layout(False)
        for far, (right, up) in ((far, side) for far in _FAR for side in _SIDES):
            text.set(ha={1: "left", -1: "right", 0: "center"}[right], va={1: "bottom", -1: "top", 0: "center"}[up])
            text.xyann = (far * right, far * up)
            box = text.get_window_extent()
            if inside.contains(*box.min) and inside.contains(*box.max) and not box.count_overlaps(taken):
                break
        taken.append(box.padded(3))  # fonts are a little wider in some kinds of file
        if far > _FAR[0]:
            axes.annotate("", dots[name], text.xyann, textcoords="offset points", arrowprops=line).set_in_layout(False)


def _place(names: Sequence[str], name: str) -> float:
    """Where a group of bars stands; the average a little apart."""
    return names.index(name) + (0.3 if name == AVERAGE else 0.0)


def _draw_bars(
    axes, places: list[float], groups: list, width: float, number: int, system: str, confidence, seed
) -> None:
    means = [mean(group) for group in groups]
    bounds = [macro_interval(group, confidence=confidence, seed=seed) for group in groups]
    whiskers = [
        [max(0.0, middle - low) for middle, (low, _) in zip(means, bounds, strict=True)],
        [max(0.0, high - middle) for middle, (_, high) in zip(means, bounds, strict=True)],
    ]
    look = {"color": COLOURS[number % len(COLOURS)], "hatch": HATCHES[number // len(COLOURS) % len(HATCHES)]}
    axes.bar(places, means, width * 0.92, edgecolor="white", linewidth=0.4, label=_shortened(system), **look, zorder=2)
    dark = {"ecolor": "0.25", "elinewidth": 0.9, "capsize": min(2.5, 12 * width)}
    axes.errorbar(places, means, yerr=whiskers, fmt="none", **dark, zorder=3)


def _figure(width: float, height: float):
    with matplotlib.rc_context(_STYLE):
        figure = Figure(figsize=(width, height), layout="constrained")
        FigureCanvasAgg(figure)
        return figure, figure.add_subplot()


def _legend_columns(systems: Iterable[str], width: float) -> int:
    """As many columns as the figure's width has room for, at about 12 letters an inch."""
    names = [_shortened(name) for name in systems]
    return max(1, min(len(names), int(12 * width / (max(map(len, names)) + 6))))


def _shortened(name: str) -> str:
    """A system's name as a label: not too long, $ no mathematics, and no _ at its start, which would hide it."""
    name = (name if len(name) <= 40 else f"…{name[-39:]}").replace("$", "\\$")
    return f" {name}" if name.startswith("_") else name


def _save(figure: Figure, path: str | Path) -> None:
    ending = Path(path).suffix.lower().removeprefix(".")
    if ending not in ("png", "svg"):
        raise ValueError(f"picture {path} is of no known kind; end its name in .png or .svg")
    told = {"Date": None, "Creator": None} if ending == "svg" else {"Software": None}
    with matplotlib.rc_context(_STYLE), replacing_bytes(path) as file:
        figure.savefig(file, format=ending, dpi=150, metadata=told)
