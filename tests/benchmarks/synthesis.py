"""Data synthesis against what a language-model server allows, and against the order of calls of RaDeR's code.

    python -m tests.benchmarks.synthesis [--rounds 3] [--quick] [--json FILE]

The model is the simulated solver in a process of its own: 50 ms for each reply, 64 of them at a time. Both ways grow the same
trees with the same client, so what differs is what is asked, and when. All figures are seconds of wall time, since waiting is
what they are about; the machine should be idle.
"""

import os

os.environ.update(OMP_NUM_THREADS="1")

import asyncio
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from pathlib import Path

from rader_ir.bm25 import BM25
from rader_ir.equivalence import Equivalence
from rader_ir.lm import open_lm
from rader_ir.lm.loops import run
from rader_ir.lm.server import Server
from rader_ir.lm.steady import Steady
from rader_ir.mcts import SOLUTION, Rules
from rader_ir.problems import Problem
from rader_ir.synth.actions import Actions
from rader_ir.synth.grow import Standing, grow_all
from rader_ir.synth.grown import Grown
from rader_ir.synth.library import Library
from rader_ir.synth.retrieval import SparseSearch
from rader_ir.synth.simulated import MODEL, demo_corpus, demo_problems, serve_in_process
from rader_ir.synth.store import REPLIES, SUMMARIES, Store
from tests.benchmarks import rows
from tests.benchmarks.memory import ROOT, highest
from tests.benchmarks.official_order import OfficialOrder
from tests.benchmarks.rows import Row

LATENCY, SLOTS, UNDER_WAY = 0.05, 64, 64
IDEAL = SLOTS / LATENCY  # calls a second
COMPARED, MANY = 64, 1000  # problems
BOUND = 1000.0  # MB
WARM = 1.0  # seconds before which nothing is steady
_PEAK = "from tests.benchmarks.synthesis import many; many({problems}, {rollouts})"


class Run:
    """Trees grown as `rader synthesize` grows them, in a new folder: with a cache of replies, each tree kept after each rollout.

    Attributes:
        seconds: from the first call to the last.
        calls: that reached the model.
        steady: calls a second while all slots could be taken.
        trees: as they were kept, by problem.
    """

    def __init__(
        self, url: str, problems: Sequence[Problem], *, under_way: int = UNDER_WAY, rules: Rules | None = None
    ):
        self.problems, self.under_way, self.rules = problems, under_way, rules or Rules()
        self.documents = demo_corpus()
        self.search = SparseSearch(BM25.build(self.documents.items()))
        self._seen: list[tuple[float, int, int]] = []  # seconds, calls, problems under way
        with tempfile.TemporaryDirectory() as folder:
            run(self._grown(url, Path(folder)))

    @property
    def steady(self) -> float:
        seen = [each for each in self._seen if each[0] > WARM and each[2] == self.under_way]
        (began, before, _), (ended, after, _) = seen[0], seen[-1]
        return (after - before) / (ended - began)

    async def _grown(self, url: str, folder: Path) -> None:
        lm = open_lm(url, model=MODEL, concurrency=SLOTS, cache=folder / REPLIES)
        library = Library(self.documents, self.search, summaries=folder / SUMMARIES)
        standing = Standing()
        with Equivalence() as answers:
            async with lm, library:
                actions = Actions(Steady(lm), library, answers=answers)
                with Store(folder, self.rules, 0, actions.about).open() as store:
                    watching = asyncio.create_task(self._watch(standing, lm.meter))
                    began = time.perf_counter()
                    await grow_all(self.problems, store, actions.children, standing, under_way=self.under_way)
                    self.seconds, self.calls = time.perf_counter() - began, lm.meter.calls
                    watching.cancel()
                    self.trees = {problem.problem_id: bare(store.load(problem)) for problem in self.problems}

    async def _watch(self, standing: Standing, meter) -> None:
        began = time.perf_counter()
        while True:
            self._seen.append((time.perf_counter() - began, meter.calls, standing.under_way))
            await asyncio.sleep(0.1)


class OfficialRun:
    """The same trees by the official order of calls: `seconds`, `calls`, `waits`, `trees`."""

    def __init__(self, url: str, problems: Sequence[Problem]):
        documents = demo_corpus()
        self._search = SparseSearch(BM25.build(documents.items()))
        run(self._grown(url, problems, documents))

    async def _grown(self, url: str, problems: Sequence[Problem], documents: dict[str, str]) -> None:
        with Equivalence() as answers:
            async with Server(url, MODEL) as lm:
                order = OfficialOrder(lm, documents, self._search, answers)
                trees = [Grown(problem, Rules(), 0) for problem in problems]
                began = time.perf_counter()
                for grown in trees:
                    await order.grow(grown)
                self.seconds, self.calls, self.waits = time.perf_counter() - began, lm.meter.calls, order.waits
        self.trees = {grown.problem.problem_id: bare(grown) for grown in trees}


def bare(grown: Grown) -> dict:
    """The tree as JSON, without the rewards of samples that were not kept: of these the official order draws all."""
    tree = grown.tree.to_json()
    for node in tree["nodes"]:
        if node["kind"] == SOLUTION:
            node["content"] = {name: value for name, value in node["content"].items() if name != "rewards"}
    return tree


def throughput(url: str, count: int, rounds: int) -> Iterator[Row]:
    """Calls a second over the steady part."""
    rates = [Run(url, demo_problems(count, seed)).steady for seed in range(rounds)]
    rate, name = statistics.median(rates), f"calls a second, {UNDER_WAY} of {count} problems under way"
    each = "each round " + ", ".join(f"{one:.0f}" for one in rates)
    yield Row(name, rate, IDEAL, "slots / latency", rate / IDEAL, 0.8, each, rate / IDEAL, 1)


def beside(url: str, quick_url: str, rounds: int, singles: int) -> Iterator[Row]:
    """Against the official order of calls.

    All its calls are made once without latency, which gives their number, the trees and how often it waits; what a wait takes is
    measured on single problems.
    """
    problems = demo_problems(COMPARED, 0)
    whole = OfficialRun(quick_url, problems)
    alone = [(Run(url, [problem], under_way=1), OfficialRun(url, [problem])) for problem in problems[:singles]]
    wait = sum(official.seconds for _, official in alone) / sum(official.waits for _, official in alone)
    runs = [Run(url, problems) for _ in range(rounds)]
    ours, theirs, peer = statistics.median(each.seconds for each in runs), wait * whole.waits, "the official order"
    equal = f"{sum(runs[0].trees[name] == tree for name, tree in whole.trees.items())} of {COMPARED} trees equal"
    part = f"{equal}; the peer's time is that of its {whole.waits} waits, measured on {singles} problems"
    yield Row(f"{COMPARED} problems, seconds", ours, theirs, peer, theirs / ours, 8.0, part, None, 1)
    one, other = (statistics.median(each.seconds for each in way) for way in zip(*alone, strict=True))
    ratio = statistics.median(official.seconds / mine.seconds for mine, official in alone)
    yield Row(f"a single problem, seconds, median of {singles}", one, other, peer, ratio, 2.0, equal, None, 1)
    calls = runs[0].calls
    yield Row(f"{COMPARED} problems, calls", calls, whole.calls, peer, whole.calls / calls, 1 / 0.6, equal, None, 1)


def memory(count: int, rollouts: int) -> Iterator[Row]:
    """Peak memory of a fresh process with so many problems under way, up to their last rollout."""
    program = _PEAK.format(problems=count, rollouts=rollouts)
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, cwd=ROOT, check=True)
    peak, name = float(done.stdout.split()[-1]), f"{count} problems under way, {rollouts} rollouts each, peak MB"
    yield Row(name, peak, BOUND, "the bound", BOUND / peak, 1.0, "compared with nothing", None, 1)


def many(problems: int, rollouts: int) -> None:
    """Grow that many trees side by side and print the megabytes that this process held at most."""
    with serve_in_process(slots=SLOTS) as solver:
        Run(solver.url, demo_problems(problems, 0), under_way=problems, rules=Rules(rollouts=rollouts))
    print(highest())


def main() -> None:
    """Print the table, and write it where it is asked for."""
    options = rows.arguments(__doc__, rounds=3).parse_args()
    rows.report(_rows(1 if options.quick else options.rounds, options.quick), options.json)


def _rows(rounds: int, quick: bool) -> Iterator[Row]:
    with serve_in_process(latency=LATENCY, slots=SLOTS) as slow, serve_in_process(slots=SLOTS) as instant:
        yield from throughput(slow.url, 128 if quick else 256, rounds)
        yield from beside(slow.url, instant.url, rounds, 2 if quick else 6)
    yield from memory(MANY, 4 if quick else 16)


if __name__ == "__main__":
    main()
