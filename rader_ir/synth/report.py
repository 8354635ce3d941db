"""What a set of examples is like: counts by kind as in RaDeR's Table 9 (arXiv:2505.18405), and what the table does not show.

Beside the counts stand the lengths of queries, the negatives per query, and the overlap of queries with their positives, which
tells whether a retriever could learn from them to match words alone. As numbers, as a table and as histograms.
"""

from collections.abc import Mapping, Sequence
from pathlib import Path
from statistics import fmean, median
from typing import Any

import numpy as np
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from rader_ir.examples import Example
from rader_ir.synth.wording import Overlap, overlap

TOTAL = "total"
KIND_NAMES = {  # in the order of the paper's table
    "llm": "llm: written by the model",
    "cot": "cot: question and reasoning",
    "question": "question: alone",
    "lexical": "lexical: written from the theorem",
    "": "without a kind",
}
BINS = {  # edges; the last bin has both of its own, and takes what is longer
    **{name: [round(0.1 * edge, 1) for edge in range(11)] for name in ("overlap", "taken")},
    "words": [1, 2, 3, 4, 6, 8, 11, 16, 23, 32, 45, 64, 91, 128, 181, 256, 362, 512, 724, 1024],
}
_COLUMNS = {  # of the table: heading, and the path to it in a kind's numbers
    "examples": ("examples",),
    "questions": ("questions",),
    "theorems": ("theorems",),
    "positives": ("positives", "mean"),
    "negatives": ("negatives", "mean"),
    "without": ("without_negatives",),
    "words": ("words", "median"),
    "overlap": ("overlap", "mean"),
    "taken": ("taken", "mean"),
    "run": ("run", "mean"),
}
_LEGEND = (
    "Per example: mean numbers of positives and negatives, and *without* any negative, how many; the median of the words of its "
    "query; *overlap*, the mean share of the theorem's different words that the query holds; *taken*, that of the query's "
    "different words that the theorem holds; *run*, the mean of the most words in a row that both hold."
)
_Measured = tuple[Example, Overlap]


def report(examples: Sequence[Example], counts: Mapping[str, int]) -> dict[str, Any]:
    """The numbers, as JSON keeps them.

    Args:
        examples: of any kinds, as `build_examples` makes them; those without a kind are counted under "".
        counts: events, as they came with the examples.

    Returns:
        `kinds`: by kind and in `total` `examples`, `questions` and `theorems` (different ones), `without_negatives`; mean,
        median, least and most of `positives`, `negatives`, `words` (of the query), `overlap`, `taken` and `run` (of
        `wording.Overlap`, whose `share` is the first); and `histograms` of `overlap`, `taken` and `words`, examples per bin.
        `bins`: their edges. `splits`: examples and questions of each split. `events`: the counts.
    """
    measured = [(example, overlap(example.query, example.positives[0].text)) for example in examples]
    of_kind = {kind: [pair for pair in measured if pair[0].kind == kind] for kind in KIND_NAMES}
    kinds = {kind: _numbers(pairs) for kind, pairs in of_kind.items() if pairs}
    splits: dict[str, list[Example]] = {}
    for example in examples:
        splits.setdefault(str(example.provenance.get("split", "")), []).append(example)
    return {
        "kinds": kinds | {TOTAL: _numbers(measured)},
        "bins": BINS,
        "splits": {
            name: {"examples": len(splits[name]), "questions": _questions(splits[name])} for name in sorted(splits)
        },
        "events": dict(sorted(counts.items())),
    }


def markdown(numbers: Mapping[str, Any]) -> str:
    """The numbers of `report` as Markdown: a row for each kind, then the splits and the events."""
    lines = ["| queries | " + " | ".join(_COLUMNS) + " |", "|---|" + "---:|" * len(_COLUMNS)]
    for kind, row in numbers["kinds"].items():
        cells = (_cell(row, path) for path in _COLUMNS.values())
        lines.append(f"| {KIND_NAMES.get(kind, kind)} | " + " | ".join(cells) + " |")
    lines += ["", _LEGEND]
    sides = [
        f"{name or 'none'} {one['examples']:,} of {one['questions']:,} questions"
        for name, one in numbers["splits"].items()
    ]
    if sides:
        lines += ["", f"Examples by split: {'; '.join(sides)}."]
    if numbers["events"]:
        lines += ["", *counted("event", numbers["events"])]
    return "\n".join(lines) + "\n"


def counted(heading: str, counts: Mapping[str, int]) -> list[str]:
    """The lines of a Markdown table of counts by name, in the order of the mapping."""
    return [f"| {heading} | times |", "|---|---:|", *(f"| {name} | {times:,} |" for name, times in counts.items())]


def draw(numbers: Mapping[str, Any], path: str | Path) -> None:
    """Write a PNG of the numbers of `report`: by kind, how much of their wording is the theorem's and how long they are."""
    figure = Figure(figsize=(9, 4), layout="constrained")
    canvas = FigureCanvasAgg(figure)
    left, right = figure.subplots(1, 2)
    _histograms(left, numbers, "taken", "share of the query's words that the theorem holds")
    _histograms(right, numbers, "words", "words of the query")
    left.set_ylabel("share of the examples of a kind")
    right.set_xscale("log", base=2)
    right.xaxis.set_major_formatter("{x:.0f}")
    if left.patches:
        figure.legend(loc="outside upper center", ncols=len(KIND_NAMES), frameon=False)
    with open(path, "wb") as file:
        canvas.print_png(file)


def _histograms(axes, numbers: Mapping[str, Any], measure: str, name: str) -> None:
    """A line of steps for each kind, in shares of its examples, so that kinds of different size compare."""
    for color, (kind, shown) in enumerate(KIND_NAMES.items()):
        if kind not in numbers["kinds"]:
            continue
        one = numbers["kinds"][kind]
        shares = np.array(one["histograms"][measure]) / one["examples"]
        label = f"{shown} ({one['examples']:,})" if measure == "taken" else None  # one legend for both
        axes.stairs(shares, numbers["bins"][measure], color=f"C{color}", label=label, linewidth=1.5)
    axes.set_xlabel(name)
    axes.set_ylim(bottom=0)


def _numbers(pairs: Sequence[_Measured]) -> dict[str, Any]:
    examples = [example for example, _ in pairs]
    measures = {
        "positives": [len(example.positives) for example in examples],
        "negatives": [len(example.negatives) for example in examples],
        "words": [len(example.query.split()) for example in examples],
        "overlap": [found.share for _, found in pairs],
        "taken": [found.taken for _, found in pairs],
        "run": [found.run for _, found in pairs],
    }
    return {
        "examples": len(examples),
        "questions": _questions(examples),
        "theorems": len({passage.doc_id for example in examples for passage in example.positives}),
        "without_negatives": sum(not example.negatives for example in examples),
        **{name: _summary(values) for name, values in measures.items()},
        "histograms": {name: _histogram(measures[name], edges) for name, edges in BINS.items()},
    }


def _summary(values: Sequence[float]) -> dict[str, float] | None:
    """None of no values, since none of these numbers would be true."""
    if not values:
        return None
    numbers = {"mean": fmean(values), "median": median(values), "least": min(values), "most": max(values)}
    return {name: round(float(number), 4) for name, number in numbers.items()}


def _histogram(values: Sequence[float], edges: Sequence[float]) -> list[int]:
    return np.histogram(np.clip(values, edges[0], edges[-1]), edges)[0].tolist()


def _questions(examples: Sequence[Example]) -> int:
    return len({example.provenance.get("question_id", example.query_id) for example in examples})


def _cell(row: Mapping[str, Any], path: Sequence[str]) -> str:
    value: Any = row
    for name in path:
        value = None if value is None else value[name]
    if value is None:
        return "–"
    return f"{value:,}" if isinstance(value, int) else f"{value:.2f}".removesuffix(".00")
