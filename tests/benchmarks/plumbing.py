"""What a reranker costs outside its model: 200 queries x 100 rows through PyTerrier and a model that costs nothing.

    python -m tests.benchmarks.plumbing [--rounds 9] [--quick] [--json FILE]

The peers score the same frames with the same free model: PyTerrier's `pt.apply.by_query`, in its leanest form and in the one
that wrappers of rerankers are published in, `pt.apply.doc_score` in batches, and pyterrier_dr's `text_scorer`. CPU
milliseconds of one process with one thread; all validation of ours is on, and no result is kept between turns.
"""

import os

os.environ.update(OMP_NUM_THREADS="1")

import time
from collections.abc import Callable

import numpy as np
import pandas as pd
import pyterrier as pt
from pyterrier_dr.biencoder import BiEncoder

from pyterrier_rader import RaDeRReranker, TextLoader
from tests.benchmarks import plumbing_steps, rows
from tests.benchmarks.rows import Row

QUERIES, DEPTH = 200, 100
DOCUMENTS = 5183  # as many as scifact has
BOUND = 5.0  # microseconds per row
SCORES = (
    np.random.default_rng(1).permutation(DEPTH).astype(np.float32)
)  # no two alike; of a query's documents by position


class Free:
    """A reranker that costs nothing."""

    def score(self, queries: list[str], docs: list[list[str]]) -> list[np.ndarray]:
        """Every query's documents get the same scores, by position."""
        return [SCORES[: len(texts)] for texts in docs]


class FreeVectors(BiEncoder):
    """A bi-encoder of pyterrier_dr that costs nothing: vectors of one component, whose products are SCORES."""

    def encode_queries(self, texts, batch_size=None) -> np.ndarray:
        """float32 [n, 1]."""
        return np.ones((len(texts), 1), dtype=np.float32)

    def encode_docs(self, texts, batch_size=None) -> np.ndarray:
        """float32 [n, 1]."""
        return np.resize(SCORES, (len(texts), 1))


def results(documents: int) -> pd.DataFrame:
    """A result frame of QUERIES x DEPTH rows with texts, out of a collection of so many documents."""
    random = np.random.default_rng(0)
    if documents == QUERIES * DEPTH:
        found = random.permutation(documents)
    else:
        found = np.concatenate([random.choice(documents, DEPTH, replace=False) for _ in range(QUERIES)])
    return pd.DataFrame(
        {
            "qid": np.repeat([f"q{i}" for i in range(QUERIES)], DEPTH),
            "query": np.repeat([f"what is {i}?" for i in range(QUERIES)], DEPTH),
            "docno": [f"doc{i}" for i in found],
            "text": [f"document {i} " + "with words " * 40 for i in found],
            "score": -np.tile(np.arange(DEPTH, dtype=np.float64), QUERIES),
            "rank": np.tile(np.arange(DEPTH), QUERIES),
        }
    )


def loaded(frame: pd.DataFrame) -> pd.DataFrame:
    """The frame with its texts as `TextLoader` attaches them: Python's strings, one for every document."""
    return TextLoader(dict(zip(frame["docno"], frame["text"], strict=True)))(frame.drop(columns="text"))


def lean(found: pd.DataFrame) -> pd.DataFrame:
    """One query's rows with scores; `by_query` adds the ranks."""
    scores = Free().score([found["query"].iloc[0]], [found["text"].tolist()])[0]
    return found.assign(score=scores)


def published(found: pd.DataFrame) -> pd.DataFrame:
    """The same in the form of AnswerDotAI's `rerankers`: rows sorted by score and ranked, then ranked by `by_query` too."""
    return pt.model.add_ranks(lean(found).sort_values("score", ascending=False))


def peers() -> dict[str, tuple[pt.Transformer, float | None]]:
    """Each way beside ours, and how many times as long it should take."""
    batches = pt.apply.doc_score(lambda found: SCORES[: len(found)], batch_size=DEPTH)
    return {
        "pt.apply.by_query, lean": (pt.apply.by_query(lean), 10.0),
        "pt.apply.by_query, sorted and ranked": (pt.apply.by_query(published), 10.0),
        "pyterrier_dr text_scorer": (FreeVectors().text_scorer(), 4.0),
        "pt.apply.doc_score, batches": (batches, None),
    }


def rerank(name: str, frame: pd.DataFrame, rounds: int) -> list[Row]:
    """A row for each peer, in milliseconds, and one for the bound on a row's cost."""
    ours = RaDeRReranker(Free())
    ways = {"ours": ours} | {peer: way for peer, (way, _) in peers().items()}
    taken = rows.take_turns({peer: _call(way, frame) for peer, way in ways.items()}, rounds, time.process_time)
    mine, ranked = 1e3 * taken["ours"], ours(frame)
    table = [
        Row(name, mine, theirs := 1e3 * taken[peer], peer, theirs / mine, goal, agreement(ranked, way(frame)), None, 1)
        for peer, (way, goal) in peers().items()
    ]
    return [*table, bounded(name, taken["ours"], len(frame))]


def bounded(name: str, seconds: float, count: int) -> Row:
    """A row that holds microseconds per row of a frame to BOUND."""
    each = 1e6 * seconds / count
    exact = "compared with nothing"
    return Row(f"{name}, microseconds per row", each, BOUND, "the bound", BOUND / each, 1.0, exact, None, 1)


def agreement(one: pd.DataFrame, other: pd.DataFrame) -> str:
    """How many rows two result frames share in qid, docno and rank, whatever their order."""
    columns = ["qid", "docno", "rank"]
    left, right = (set(frame[columns].itertuples(index=False, name=None)) for frame in (one, other))
    return f"{len(left & right)} of {len(one)} rows equal in qid, docno, rank"


def _call(way: pt.Transformer, frame: pd.DataFrame) -> Callable[[], pd.DataFrame]:
    return lambda: way(frame)


def main() -> None:
    """Print the table, and write it where it is asked for."""
    options = rows.arguments(__doc__, rounds=9).parse_args()
    rounds = min(options.rounds, 5) if options.quick else options.rounds
    shape, table = f"{QUERIES} x {DEPTH} rows", []
    for documents in (QUERIES * DEPTH, DOCUMENTS):
        frame = results(documents)
        for kind, held in {
            f"texts of dtype {frame['text'].dtype}": frame,
            "texts by TextLoader": loaded(frame),
        }.items():
            table += rerank(f"rerank {shape}, {documents} documents, {kind}, ms", held, rounds)
    for name, (way, frame) in plumbing_steps.steps(results(DOCUMENTS)).items():
        seconds = rows.take_turns({name: _call(way, frame)}, rounds, time.process_time)[name]
        table.append(bounded(name, seconds, len(way(frame))))
    rows.report(table, options.json)


if __name__ == "__main__":
    main()
