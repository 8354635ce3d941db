"""Reranking by a language model: all queries side by side against query by query, and what malformed answers cost.

    python -m tests.benchmarks.reranking_calls [--rounds 5] [--quick] [--json FILE]

The model is a loopback server in a process of its own, which judges rightly and takes 20 ms for each reply; 8 queries with 100
documents each. All ways make the same calls and get the same rankings, which is checked; figures are seconds of wall time, since
waiting is what they are about. The shares of the best 10 that are found are means over 160 rankings.
"""

import os

os.environ.update(OMP_NUM_THREADS="1")

import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager

from rader_ir.evaluation import bootstrap_interval
from rader_ir.rerank import open_reranker
from tests.benchmarks import rows
from tests.benchmarks.memory import ROOT
from tests.benchmarks.rows import Row, take_turns
from tests.judging import best, order, passages, sometimes, worths
from tests.lm_server import MODEL, LMServer

LATENCY, QUERIES, DOCUMENTS, MALFORMED = 0.02, 8, 100, 0.2
SYSTEMS = {  # by what it is called: system, options, answer
    "windows of 20, step 10": ("rankgpt", {}, order),
    "heap with 19 children": ("rank-r1", {}, best),
}
# Which ratio against query by query: windows have a call under way per query either way
GOALS = {
    ("windows of 20, step 10", "in step"): 7.0,
    ("windows of 20, step 10", "streaming"): 7.0,
    ("heap with 19 children", "in step"): 3.0,
    ("heap with 19 children", "streaming"): 5.0,
}
FOUND = {  # by system and asks in all, the share of the best 10 that should be found
    ("windows of 20, step 10", 2): 0.80,
    ("heap with 19 children", 2): 0.90,
    ("windows of 20, step 10", 3): 0.95,
    ("heap with 19 children", 3): 0.95,
}


def answer(body: dict) -> str:
    """Of either kind of prompt."""
    return best(body) if "<answer>" in body["messages"][-1]["content"] else order(body)


@contextmanager
def served() -> Iterator[str]:
    """The URL of a server in a process of its own, with the latency."""
    command = [sys.executable, "-c", "from tests.benchmarks.reranking_calls import serve; serve()"]
    with subprocess.Popen(command, cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        try:
            yield process.stdout.readline().strip()
        finally:
            process.stdin.close()


def serve() -> None:
    """Print the URL, and answer until standard input ends."""
    with LMServer(answer=answer, latency=LATENCY) as server:
        print(server.url, flush=True)
        sys.stdin.read()


def collection(queries: int, seed: int = 0) -> tuple[list[str], list[list[str]], list[list[int]]]:
    """Queries, documents and these documents' worths."""
    values = [worths(DOCUMENTS, 1000 * seed + query) for query in range(queries)]
    return [f"query {seed} {query}" for query in range(queries)], [passages(each) for each in values], values


class Way:
    """One way to rank all queries: `rank()` keeps `orders` and `calls`."""

    def __init__(self, url: str, system: str, *, alone: bool = False, **options):
        self.reranker = open_reranker(system, lm=url, lm_model=MODEL, **options)
        self.alone = alone
        self.queries, self.docs, _ = collection(QUERIES)

    def rank(self) -> None:
        """Side by side, or each query by itself."""
        if self.alone:
            pairs = zip(self.queries, self.docs, strict=True)
            rankings = [self.reranker.rank([query], [docs])[0] for query, docs in pairs]
        else:
            rankings = self.reranker.rank(self.queries, self.docs)
        self.orders = [ranking.order for ranking in rankings]
        self.calls = sum(ranking.statistics.calls for ranking in rankings)


def beside(url: str, rounds: int) -> Iterator[Row]:
    """Against query by query, which has the calls of one query that do not depend on each other under way together."""
    for name, (system, options, _) in SYSTEMS.items():
        ways = {
            "in step": Way(url, system, streaming=False, **options),
            "streaming": Way(url, system, **options),
            "query by query": Way(url, system, alone=True, **options),
            "call by call": Way(url, system, alone=True, concurrency=1, **options),
        }
        seconds = take_turns({way: each.rank for way, each in ways.items()}, rounds)
        calls, orders = {each.calls for each in ways.values()}, [each.orders for each in ways.values()]
        assert len(calls) == 1 and all(each == orders[0] for each in orders), "the ways differ"
        told = f"{calls.pop()} calls and equal rankings in all ways"
        for way in ("in step", "streaming"):
            for peer, goal in (("query by query", GOALS[name, way]), ("call by call", None)):
                ratio = seconds[peer] / seconds[way]
                yield Row(f"{name}, {way}, seconds", seconds[way], seconds[peer], peer, ratio, goal, told, None, 1)
        for way in ways.values():
            way.reranker.unload()


def malformed(collections: int) -> Iterator[Row]:
    """How much of the best 10 is found where a fifth of all replies says nothing, by how often is asked."""
    for name, (system, options, judge) in SYSTEMS.items():
        with LMServer(answer=sometimes(judge, MALFORMED)) as server:
            for asks in (1, 2, 3):
                reranker = open_reranker(system, lm=server.url, lm_model=MODEL, asks=asks, **options)
                shares, kept = [], 0
                for seed in range(collections):
                    queries, docs, values = collection(QUERIES, seed)
                    rankings = reranker.rank(queries, docs)
                    shares += [found(ranking.order, each) for ranking, each in zip(rankings, values, strict=True)]
                    kept += sum(ranking.statistics.malformed for ranking in rankings)
                reranker.unload()
                share, goal = sum(shares) / len(shares), FOUND.get((name, asks))
                low, high = bootstrap_interval(shares)
                told = (
                    f"95 % [{low:.3f}, {high:.3f}], {kept} of the calls unanswered, all {len(shares)} are permutations"
                )
                row = f"{name}, 20 % malformed, {asks} asks at most, share of the best 10"
                yield Row(row, share, 1.0, "the oracle", share, goal, told, None, 1)


def found(order: list[int], values: list[int]) -> float:
    """The share of the best 10 among the first 10 of a permutation."""
    assert sorted(order) == list(range(len(values)))
    return sum(values[position] >= len(values) - 10 for position in order[:10]) / 10


def main() -> None:
    """Print the table, and write it where it is asked for."""
    options = rows.arguments(__doc__, rounds=5).parse_args()
    rows.report(_rows(3 if options.quick else options.rounds, 1 if options.quick else 20), options.json)


def _rows(rounds: int, collections: int) -> Iterator[Row]:
    with served() as url:
        yield from beside(url, rounds)
    yield from malformed(collections)


if __name__ == "__main__":
    main()
