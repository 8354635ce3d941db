"""The kinds of search that may miss documents beside the flat one: what share of the nearest they find, and how soon.

Quantised rows are smaller, yet faiss unpacks them for one query after the other; a graph visits few documents, in no order
that memory likes. So which is soonest depends on the number of queries: it is measured for one and for 32.
"""

from collections.abc import Iterator
from pathlib import Path

import numpy as np

from rader_ir.index import Index
from tests.benchmarks.rows import Row, clock, take_turns

KINDS = ("fp16", "sq8", "hnsw")
QUERIES = (1, 32)
DEPTH, SHALLOW = 100, 10
_ASKED = 200  # queries that recall is measured on


def kind_rows(folder: Path, threads: int, rounds: int) -> Iterator[Row]:
    """For each kind and number of queries one row against the flat search; builds in `folder` what is missing."""
    index = Index(folder)
    queries = real_queries(index) if index.meta["made_by"] else random_queries(index)
    source = "SciFact by MiniLM" if index.meta["made_by"] else "random"
    for kind in KINDS:
        if kind not in index.meta["kinds"]:
            index.add_hnsw() if kind == "hnsw" else index.add_quantised(kind)
        told = f"recall@{SHALLOW} {recall(index, queries, kind, SHALLOW):.4f}, @{DEPTH} {recall(index, queries, kind, DEPTH):.4f}"
        for size in QUERIES:
            ways = {
                name: lambda name=name, size=size: index.search(queries[:size], depth=DEPTH, kind=name)
                for name in ("flat", kind)
            }
            seconds = take_turns(ways, rounds, clock(threads))
            ratio = seconds["flat"] / seconds[kind]
            title = f"{kind}, {size} quer{'y' if size == 1 else 'ies'}, {len(index)} x {index.dimension} {source}"
            yield Row(title, seconds[kind], seconds["flat"], "our flat", ratio, None, told, None, threads)


def recall(index: Index, queries: np.ndarray, kind: str, depth: int) -> float:
    """Share of the documents of the flat search that another kind finds."""
    found, exact = (index.search(queries, depth=depth, kind=name) for name in (kind, "flat"))
    return float(np.mean([np.isin(right[0], left[0]).mean() for left, right in zip(found, exact, strict=True)]))


def random_queries(index: Index) -> np.ndarray:
    """Random directions."""
    return np.random.default_rng(1).standard_normal((_ASKED, index.dimension), np.float32)


def real_queries(index: Index) -> np.ndarray:
    """SciFact's test queries, encoded by the checkpoint that made the index."""
    from rader_ir.encoder import Encoder
    from tests.benchmarks.collections import SETTINGS, load

    queries = list(load(SETTINGS[0]).queries.values())
    return Encoder(index.meta["made_by"]["checkpoint"], device="cpu").encode_queries(queries[:_ASKED])
