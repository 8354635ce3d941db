"""Memory of its own that a process takes while it searches: what faiss loads, this package maps and reads block by block.

Pages of a mapped file can be dropped at any time and belong to no process, so only anonymous memory counts (RssAnon of Linux),
sampled every millisecond while the search runs, above what was there before the index was opened: torch, among others, which
whoever encoded the queries has loaded.
"""

import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np

from rader_ir.index import Index
from rader_ir.linear import matrix_product
from tests.benchmarks.rows import Row

QUERIES, DEPTH = 1000, 100
_STATUS = Path("/proc/self/status")


def memory_rows(folder: Path, threads: int, rounds: int) -> Iterator[Row]:
    """One row: QUERIES queries once by each; none where the system does not count anonymous memory."""
    if not _STATUS.exists():
        print("the row of memory is left out: no /proc/self/status here", file=sys.stderr)
        return
    count, dimension = Index(folder).vectors.shape
    queries = np.random.default_rng(1).standard_normal((QUERIES, dimension), np.float32)
    matrix_product(queries, queries)
    ours = peak(lambda: Index(folder).search(queries, depth=DEPTH))
    theirs = peak(lambda: _by_faiss(folder, queries))
    title = f"memory in MB, exact search, {QUERIES} queries, {count // 1000}k x {dimension}"
    told = f"the vectors alone are {4 * count * dimension / 1e6:.0f} MB"
    yield Row(title, ours, theirs, "faiss Flat", theirs / max(ours, 1e-3), 1.0, told, None, threads)


def peak(call: Callable[[], object]) -> float:
    """Megabytes of anonymous memory that the process holds at most during `call`, above what it held before."""
    seen, done = [_anonymous()], threading.Event()

    def watch() -> None:
        while not done.wait(0.001):
            seen.append(_anonymous())

    watcher = threading.Thread(target=watch)
    watcher.start()
    try:
        call()
    finally:
        done.set()
        watcher.join()
    return max(seen) - seen[0]


def _by_faiss(folder: Path, queries: np.ndarray) -> None:
    import faiss

    faiss.read_index(str(folder / "index")).search(queries, DEPTH)


def _anonymous() -> float:
    return int(_STATUS.read_text(encoding="ascii").partition("RssAnon:")[2].split()[0]) * 1024 / 1e6
