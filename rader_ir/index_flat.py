"""Exact search by blocks: one matrix product of all queries with a block of rows, sifted by faiss's heaps.

faiss alone answers up to 128,000 / dimension queries one by one, each at the speed of memory; a matrix product reads a row
once for all of them. What is held besides the rows is one block of products, however large the index.
"""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import faiss
import numpy as np

_PRODUCTS_AT_ONCE = 1 << 22  # of a block, over all queries
_ROWS = 2048  # of a block: of fewer a matrix product is slow, of many more it waits for memory
_PIECE = 1 << 19  # numbers of the rows that the caches hold
_FEW = 6  # up to so many queries take turns with a piece of rows sooner than a matrix product packs it
_ALONE = 100_000  # products from which faiss sifts by threads of its own, which stand in the way of the BLAS's
_SAMPLED = 64  # for deep searches of small indexes, one of so many rows tells beforehand what the k-th best will reach
_LEAST_EXPECTED = 8  # of the k best in such a sample; fewer tell too little


def nearest(vectors: np.ndarray, queries: np.ndarray, k: int) -> tuple[np.ndarray, np.ndarray]:
    """The k rows with the largest inner products, as far as a BLAS's float32 sums tell.

    vectors: [n, d], n >= k >= 1, may be mapped from disk and is read in order; queries: [q, d], q >= 1. Rows that give NaN
    are never found.

    Returns:
        scores float32 and positions int64, both [q, k], best first; the position is -1 where nothing is left to find.
    """
    expected = k // _SAMPLED
    if expected < _LEAST_EXPECTED or not 4 * k <= len(vectors) <= 512 * k:  # in larger ones the heaps are soon warm
        return _scan(vectors, queries, k)
    sample = np.ascontiguousarray(vectors[_SAMPLED // 2 :: _SAMPLED])
    rank = 2 * expected + 4  # so many of the k best, where so few are expected, come once in 4,000 draws or more seldom
    bounds = np.partition(queries @ sample.T, -rank, axis=1)[:, -rank, None]
    scores, positions = _scan(vectors, queries, k, bounds)
    if len(fewer := np.flatnonzero(positions[:, -1] < 0)):  # the sample promised these too much
        scores[fewer], positions[fewer] = _scan(vectors, queries[fewer], k)
    return scores, positions


def inner_products(vectors: np.ndarray, queries: np.ndarray, positions: np.ndarray) -> np.ndarray:
    """Inner products of queries [q, d] with the rows at positions [q, k]: float32 [q, k], -inf where a position is -1.

    Each is summed by itself and always in one order, so that it depends on its two vectors only. Rows are taken in their
    order on disk, so that one which many queries found is read once.
    """
    order = np.argsort(positions, axis=None)
    products, sorted_products = (np.full(positions.size, -np.inf, np.float32) for _ in range(2))
    of_query, of_row = order // positions.shape[1], positions.ravel()[order]
    arrays = map(faiss.swig_ptr, (queries, of_query, vectors, of_row, sorted_products))
    faiss.pairwise_indexed_inner_product(vectors.shape[1], len(order), *arrays)
    products[order] = sorted_products
    return products.reshape(positions.shape)


def _scan(vectors: np.ndarray, queries: np.ndarray, k: int, bounds: np.ndarray | float = -np.inf):
    """`nearest` among the rows above bounds [q, 1], block by block; a heap's root is what a product must pass."""
    heap, threads = faiss.ResultHeap(len(queries), k, keep_max=True), faiss.omp_get_max_threads()
    heap.D[:] = bounds
    step = _rows_at_once(len(queries), threads)
    room = np.empty(len(queries) * min(step, len(vectors)), np.float32)
    with ThreadPoolExecutor(threads) as pool:
        share = pool.map if threads > 1 else map
        for start in range(0, len(vectors), step):
            rows = vectors[start : start + step]
            products = room[: len(queries) * len(rows)].reshape(len(queries), len(rows))
            _multiply(queries, rows, products, share)
            _sift(heap.heaps, products, start, share)
    heap.finalize()
    return heap.D, heap.I


def _rows_at_once(queries: int, threads: int) -> int:
    most = max(1, min(_PRODUCTS_AT_ONCE // queries, _ALONE))
    if queries <= _FEW:
        return most
    enough = _ROWS if threads == 1 else 2 * _ROWS * threads  # threads wait for each other at the end of every block
    return min(most, max(enough, 4 * queries))


def _multiply(queries: np.ndarray, rows: np.ndarray, products: np.ndarray, share: Callable) -> None:
    """Write queries [q, d] x rows [m, d] to products [q, m]; `share`: a `map` that may use threads."""
    few, (count, dimension) = len(queries) <= _FEW, rows.shape
    if rows.flags.aligned and not few:
        np.matmul(queries, rows.T, out=products)
        return

    def one_by_one(start: int) -> None:
        piece, lines = rows[start : start + step], products[:, start : start + step]
        for query, line in zip(queries, lines, strict=True):
            faiss.fvec_inner_products_ny(*map(faiss.swig_ptr, (line, query, piece)), dimension, len(piece))

    step = max(1, (_PIECE if len(queries) > 1 else 8 * _PIECE) // dimension)  # one query reads nothing twice
    if few:
        list(share(one_by_one, range(0, count, step)))
        return
    for start in range(0, count, step):  # numpy multiplies what begins at an odd byte of a file without its BLAS
        np.matmul(queries, rows[start : start + step].copy().T, out=products[:, start : start + step])


def _sift(heaps, products: np.ndarray, start: int, share: Callable) -> None:
    """Push products [q, m] of the rows from `start` on to the queries' heaps; `share`: a `map` that may use threads."""
    rows = products.shape[1]
    step = max(1, _ALONE // rows)

    def push(first: int) -> None:
        some = products[first : first + step]
        heaps.addn(rows, faiss.swig_ptr(some), start, first, len(some))

    firsts = range(0, len(products), step)
    list((share if len(firsts) > 4 else map)(push, firsts))
