"""Exact search beside faiss Flat, Pyserini's FaissSearcher and pyterrier_dr's FlexIndex, and our other kinds beside it.

    python -m tests.benchmarks.search [--quick] [--json FILE]

All search the same folder of random unit vectors for the same queries, 100 documents deep, as their own users would: faiss
and Pyserini load it into memory, FlexIndex (its numpy and its torch retriever) and we map it. Each number of threads has
a process of its own, since BLAS libraries read it once; one thread is timed in CPU seconds, two in wall time. The ceiling is the
longer of two times measured in the same turns: reading all vectors once, by the fastest of three reductions on all threads, and
the products' operations at the rate of a large square matrix product of oneDNN's.
"""

import json
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict
from functools import partial
from pathlib import Path

import numpy as np
import pandas as pd

from rader_ir.index import Index
from rader_ir.index_ids import DocIds
from rader_ir.index_writer import write_index
from rader_ir.linear import matrix_product
from tests.benchmarks.rows import Row, arguments, clock, report, take_turns
from tests.benchmarks.search_kinds import kind_rows
from tests.benchmarks.search_memory import memory_rows

DEPTH = 100
QUERIES = (1, 32, 1000)
GOALS = {1: 1.0, 32: 4.0, 1000: 1.0}
SHAPES = ((200_000, 384), (50_000, 3584))
QUICK_SHAPES = ((50_000, 384), (12_500, 3584))
_SQUARE = 2048  # rows of the matrices whose product gives the ceiling
Search = Callable[[np.ndarray], object]


def unit_vectors(count: int, dimension: int, seed: int) -> np.ndarray:
    """Random directions, float32 [count, dimension]."""
    vectors = np.random.default_rng(seed).standard_normal((count, dimension), np.float32)
    return vectors / np.linalg.norm(vectors, axis=1, keepdims=True)


def make_index(folder: Path, count: int, dimension: int) -> Path:
    """An index of random vectors in a new folder, in both formats."""
    path = folder / f"{count}x{dimension}"
    rows = ((f"doc{7 * number}", vector) for number, vector in enumerate(unit_vectors(count, dimension, seed=0)))
    write_index(path, rows, dimension=dimension, made_by={}, formats=["pyserini", "flex"])
    return path


def open_ours(folder: Path) -> dict[str, Search]:
    """What `Index` offers: ranks, ranks by doc id, and PyTerrier's frame."""
    import pyterrier_rader

    index = Index(folder)

    def by_doc_id(queries: np.ndarray) -> dict:
        found = index.search(queries, depth=DEPTH)
        return {
            n: dict(zip(index.doc_ids[rows].tolist(), s.tolist(), strict=True)) for n, (rows, s) in enumerate(found)
        }

    retriever = pyterrier_rader.RaDeRRetriever(folder, num_results=DEPTH)
    return {
        "ranks": lambda queries: index.search(queries, depth=DEPTH),
        "by doc id": by_doc_id,
        "frame": lambda queries: retriever(frame_of(queries)),
    }


def frame_of(queries: np.ndarray):
    """PyTerrier's frame of encoded queries."""
    names = [str(number) for number in range(len(queries))]
    return pd.DataFrame({"qid": names, "query": names, "query_vec": list(queries)})


def open_peers(folder: Path, threads: int) -> dict[str, tuple[str, Search]]:
    """Each peer by name: which of ours it stands beside, and how it is called. A peer that cannot run here is left out."""
    import faiss
    from pyterrier_dr import FlexIndex

    from rader_ir.pyserini import PyseriniUnavailable, prepare

    loaded, flex = faiss.read_index(str(folder / "index")), FlexIndex(str(folder))
    by_numpy, by_torch = flex.np_retriever(num_results=DEPTH), flex.torch_retriever(num_results=DEPTH, device="cpu")
    peers = {
        "faiss Flat": ("ranks", lambda queries: loaded.search(queries, DEPTH)),
        "FlexIndex, torch": ("frame", lambda queries: by_torch(frame_of(queries))),
        "FlexIndex, numpy": ("frame", lambda queries: by_numpy(frame_of(queries))),
    }
    try:
        prepare()
        from pyserini.search.faiss import FaissSearcher
    except (ImportError, PyseriniUnavailable) as error:
        print(f"pyserini is left out: {error}", file=sys.stderr)
        return peers
    searcher = FaissSearcher(str(folder), lambda text: None)

    def by_pyserini(queries: np.ndarray) -> dict:
        return searcher.batch_search(queries, [str(n) for n in range(len(queries))], k=DEPTH, threads=threads)

    return peers | {"pyserini FaissSearcher": ("by doc id", by_pyserini)}


def ceilings(vectors: np.ndarray, threads: int) -> dict[str, Callable[[], object]]:
    """Reading all of `vectors` in three ways, and a matrix product of _SQUARE."""
    import faiss

    square, pool = np.ones((_SQUARE, _SQUARE), np.float32), ThreadPoolExecutor(threads)
    parts = np.array_split(np.asarray(vectors), threads)
    made = np.empty(max(map(len, parts)), np.float32)

    def norms(part: np.ndarray) -> None:
        faiss.fvec_norms_L2sqr(faiss.swig_ptr(made), faiss.swig_ptr(part), part.shape[1], len(part))

    return {
        "read, max": lambda: list(pool.map(np.max, parts)),
        "read, min": lambda: list(pool.map(np.min, parts)),
        "read, norms": lambda: list(pool.map(norms, parts)),
        "multiply": lambda: matrix_product(square, square),
    }


def lists_of(answer: object, doc_ids: DocIds) -> list[dict[str, float]]:
    """{doc_id: score} for each query, in order, of what one of the ways answers."""
    if isinstance(answer, pd.DataFrame):
        by_query = {qid: rows for qid, rows in answer.groupby("qid")}
        return [
            dict(zip(by_query[qid]["docno"], by_query[qid]["score"], strict=True)) for qid in sorted(by_query, key=int)
        ]
    if isinstance(answer, dict):
        hits = [answer[key] for key in sorted(answer, key=int)]
        return [found if isinstance(found, dict) else {hit.docid: hit.score for hit in found} for found in hits]
    pairs = answer if isinstance(answer, list) else zip(answer[1], answer[0], strict=True)
    return [dict(zip(doc_ids[rows].tolist(), scores.tolist(), strict=True)) for rows, scores in pairs]


def agreement(ours: list[dict[str, float]], theirs: list[dict[str, float]]) -> str:
    """How many lists are equal in documents and order, and how far scores of documents in both are apart."""
    pairs = list(zip(ours, theirs, strict=True))
    equal = np.mean([list(one) == list(other) for one, other in pairs])
    apart = max(abs(one[doc_id] - other[doc_id]) for one, other in pairs for doc_id in one.keys() & other.keys())
    return f"{100 * equal:.1f} % of the top {DEPTH} lists equal, scores within {apart:.0e}"


def speed_rows(folder: Path, threads: int, rounds: int) -> Iterator[Row]:
    """One row per number of queries and peer."""
    index, ours, peers = Index(folder), open_ours(folder), open_peers(folder, threads)
    count, dimension = index.vectors.shape
    for size in QUERIES:
        queries = unit_vectors(size, dimension, seed=1)
        ways = ours | {name: search for name, (_, search) in peers.items()}
        found = {name: lists_of(way(queries), index.doc_ids) for name, way in ways.items()}
        turns = {name: partial(way, queries) for name, way in ways.items()} | ceilings(index.vectors, threads)
        seconds = take_turns(turns, rounds, clock(threads), twice=True)
        rate = 2 * _SQUARE**3 / seconds["multiply"]
        read = min(taken for name, taken in seconds.items() if name.startswith("read"))
        least = max(read, 2 * count * dimension * size / rate)
        for peer, (kind, _) in peers.items():
            title = f"exact search, {size} quer{'y' if size == 1 else 'ies'}, {count // 1000}k x {dimension}, {kind}"
            ratio, share = seconds[peer] / seconds[kind], least / seconds[kind]
            told = agreement(found[kind], found[peer])
            yield Row(title, seconds[kind], seconds[peer], peer, ratio, GOALS[size], told, share, threads)


def in_process(task: str, folder: Path, threads: int, rounds: int) -> Iterator[Row]:
    """The rows of TASKS[task], made by a process of its own that has so many threads."""
    command = [sys.executable, "-W", "ignore", "-m", __spec__.name, "--rounds", str(rounds)]
    names = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS")
    environment = os.environ | dict.fromkeys(names, str(threads))
    with subprocess.Popen(
        [*command, "--task", task, str(folder), str(threads)], stdout=subprocess.PIPE, text=True, env=environment
    ) as child:
        for line in child.stdout:
            yield Row(**json.loads(line))
    if child.returncode:
        raise RuntimeError(f"{task} on {folder} with {threads} threads ended with status {child.returncode}")


TASKS = {"speed": speed_rows, "kinds": kind_rows, "memory": memory_rows}


def measure(quick: bool, rounds: int, scifact: Path | None) -> Iterator[Row]:
    """All rows: speed, memory, kinds."""
    from rader_ir.threads import usable_processors

    shapes, threads = (QUICK_SHAPES if quick else SHAPES), [n for n in (1, 2) if n <= usable_processors()]
    with tempfile.TemporaryDirectory(dir=".") as scratch:
        folders = [make_index(Path(scratch), *shape) for shape in shapes]
        for folder in folders:
            for count in threads:
                yield from in_process("speed", folder, count, rounds)
        yield from in_process("memory", folders[0], threads[-1], rounds)
        others = [folders[0] if quick else make_index(Path(scratch), *QUICK_SHAPES[0])]  # graphs are slow to build
        if scifact is not None:
            others.append(Path(shutil.copytree(scifact, Path(scratch) / "scifact")))
        for folder in others:
            yield from in_process("kinds", folder, 1, rounds)


def main() -> None:
    """Measure and print the table."""
    parser = arguments(__doc__, rounds=7)
    parser.add_argument(
        "--scifact", type=Path, metavar="FOLDER", help="an index of SciFact by minilm, for the other kinds"
    )
    parser.add_argument("--task", nargs=3, metavar=("TASK", "FOLDER", "THREADS"), help="print these rows as JSON only")
    options = parser.parse_args()
    if options.task:
        task, folder, threads = options.task
        for row in TASKS[task](Path(folder), int(threads), options.rounds):
            print(json.dumps(asdict(row)), flush=True)
        return
    rounds = min(options.rounds, 3) if options.quick else options.rounds
    report(measure(options.quick, rounds, options.scifact), options.json)


if __name__ == "__main__":
    main()
