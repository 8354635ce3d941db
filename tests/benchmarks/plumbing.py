"""What a reranker costs outside its model: 200 queries x 100 rows through PyTerrier and a model that costs nothing.

    python -m tests.benchmarks.plumbing [--rounds 9]

The peers score the same frame: PyTerrier's `pt.apply.by_query`, and `pt.apply.doc_score` in batches. All validation is on; the
ways take turns, A B C A B C, and CPU seconds of one process count.
"""

import argparse
import statistics
import time

import numpy as np
import pandas as pd
import pyterrier as pt

from pyterrier_rader import RaDeRReranker

QUERIES, DEPTH = 200, 100


class Free:
    """A model that costs nothing."""

    def score(self, queries: list[str], docs: list[list[str]]) -> list[np.ndarray]:
        """Scores that fall with the position."""
        return [np.arange(len(texts), 0, -1, dtype=np.float32) for texts in docs]


def results() -> pd.DataFrame:
    """A result frame of QUERIES x DEPTH rows with texts."""
    random, rows = np.random.default_rng(0), QUERIES * DEPTH
    return pd.DataFrame(
        {
            "qid": np.repeat([f"q{i}" for i in range(QUERIES)], DEPTH),
            "query": np.repeat([f"what is {i}?" for i in range(QUERIES)], DEPTH),
            "docno": [f"doc{i}" for i in random.integers(0, 10**6, rows)],
            "text": [f"document {i} " + "with words " * 40 for i in range(rows)],
            "score": random.random(rows),
            "rank": np.tile(np.arange(DEPTH), QUERIES),
        }
    )


def by_query(frame: pd.DataFrame) -> pd.DataFrame:
    """Scores of one query's rows."""
    return frame.assign(score=np.arange(len(frame), 0, -1, dtype=np.float64))


def main() -> None:
    """Print median milliseconds, microseconds per row, and ratios to ours."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=9)
    rounds = parser.parse_args().rounds
    ways = {
        "RaDeRReranker": RaDeRReranker(Free()),
        "pt.apply.by_query": pt.apply.by_query(by_query, add_ranks=True),
        "pt.apply.doc_score, batches": pt.apply.doc_score(lambda part: np.arange(len(part), 0, -1.0), batch_size=100),
    }
    frame, seconds = results(), {name: [] for name in ways}
    for turn in range(rounds + 1):
        for name, way in ways.items():
            start = time.process_time()
            way(frame)
            if turn:
                seconds[name].append(time.process_time() - start)
    middle = {name: statistics.median(values) for name, values in seconds.items()}
    print("| way | ms | microseconds per row | ours is sooner by |\n|---|---|---|---|")
    for name, value in middle.items():
        ratio = value / middle["RaDeRReranker"]
        print(f"| {name} | {1e3 * value:.0f} | {1e6 * value / len(frame):.2f} | {ratio:.1f}x |")


if __name__ == "__main__":
    main()
