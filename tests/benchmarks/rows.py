"""What the side-by-side benchmarks share: ways that take turns, rows that state a ratio and its goal, Markdown and JSON.

Every figure is a median over turns in one process, each turn in a new order, so that a noisy machine slows all ways alike.
A ratio is larger where ours is better: the peer's cost over ours.
"""

import argparse
import gc
import json
import random
import statistics
import sys
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

from tests.benchmarks import machine


@dataclass(frozen=True)
class Row:
    """One comparison.

    Attributes:
        row: what was done, with its shapes.
        ours, peer: median cost of each, in the unit that `row` names (seconds if none).
        peer_name: whom we stand beside.
        ratio: plain number, larger is better.
        goal: what `ratio` should reach, or None.
        exactness: how far our results are from the peer's, in words with figures.
        ceiling_fraction: share of the machine's ceiling that ours reaches, measured in the same run, or None.
        threads: CPU threads given to every way.
    """

    row: str
    ours: float
    peer: float
    peer_name: str
    ratio: float
    goal: float | None
    exactness: str
    ceiling_fraction: float | None
    threads: int


def arguments(doc: str, *, rounds: int) -> argparse.ArgumentParser:
    """A parser with what every benchmark takes: --rounds, --quick, --json FILE."""
    parser = argparse.ArgumentParser(description=doc.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=rounds, help="turns of every way, one more not counted")
    parser.add_argument("--quick", action="store_true", help="smaller shapes, the same goals, at most 10 minutes")
    parser.add_argument("--json", type=Path, metavar="FILE", help="where to write the rows")
    return parser


def clock(threads: int) -> Callable[[], float]:
    """What to time with: for one thread CPU seconds, which other processes hardly lengthen; for several, wall time."""
    return time.process_time if threads == 1 else time.perf_counter


def take_turns(
    ways: Mapping[str, Callable[[], object]],
    rounds: int,
    clock: Callable[[], float] = time.perf_counter,
    *,
    warm: int = 1,
    twice: bool = False,
) -> dict[str, float]:
    """Median seconds of each way by `clock`, over `rounds` turns after `warm` that are not counted.

    twice: in each turn a way runs two times, and the second counts; for short ones, which would else share the processors with
    threads of the way before that still wait, busily, for more of its work.
    """
    seconds: dict[str, list[float]] = {name: [] for name in ways}
    gc.collect()
    gc.freeze()  # what lives already need not be looked through at every turn
    try:
        for turn in range(warm + rounds):
            for name in random.Random(turn).sample(list(ways), len(ways)):  # none always follows the same one
                gc.collect()
                if twice:
                    ways[name]()
                start = clock()
                ways[name]()
                if turn >= warm:
                    seconds[name].append(clock() - start)
    finally:
        gc.unfreeze()
    return {name: statistics.median(values) for name, values in seconds.items()}


def report(rows: Iterable[Row], file: Path | None) -> None:
    """Print a Markdown table; write `file`, if one is given, as {"rows": [...], "machine": ..., "versions": {...}}.

    Each row is told on stderr, and the file written anew, as it comes: a call that is cut short leaves what it measured.
    """
    told = []
    for row in rows:
        told.append(row)
        print(f"{row.row}: {row.ratio:.2f}x of {row.peer_name}{_missed(row)}", file=sys.stderr, flush=True)
        if file is not None:
            save(told, file)
    print(
        "| row | threads | ours | peer | ratio | goal | exactness | of the ceiling |\n|---|---|---|---|---|---|---|---|"
    )
    for row in told:
        goal = "-" if row.goal is None else f"{row.goal:g}{_missed(row)}"
        share = "-" if row.ceiling_fraction is None else f"{100 * row.ceiling_fraction:.0f} %"
        print(
            f"| {row.row} | {row.threads} | {row.ours:.4g} | {row.peer_name} {row.peer:.4g} | {row.ratio:.2f} | {goal} "
            f"| {row.exactness} | {share} |"
        )


def _missed(row: Row) -> str:
    return "" if row.goal is None or row.ratio >= row.goal else ", missed"


def save(rows: Sequence[Row], file: Path) -> None:
    """Write `rows` with the machine and the versions that they were measured with."""
    told = {"rows": [asdict(row) for row in rows], "machine": machine.description(), "versions": machine.versions()}
    file.write_text(json.dumps(told, indent=1, allow_nan=False) + "\n", encoding="utf-8")
