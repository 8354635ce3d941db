"""Exact search by blocks: one matrix product of all queries with a block of rows, sifted by faiss's heaps.

faiss alone answers up to 128,000 / dimension queries one by one, each at the speed of memory; a matrix product reads a row
once for all of them. Each thread takes blocks of its own as it comes to them, and holds one block of products besides.
"""

from collections import deque
from collections.abc import Callable

import faiss
import numpy as np

from rader_ir.threads import shared, usable_processors

_PRODUCTS_AT_ONCE = 1 << 21  # of a block, over all queries
_ROWS = 2048  # of a block: of fewer a matrix product is slow, of many more it waits for memory
_PIECE = 1 << 19  # numbers of the rows that the caches hold
_FEW = 6  # up to so many queries take turns with a piece of rows sooner than a matrix product packs it
_WIDE = 16  # queries for which multiplying takes as long as reading
_WORTH_A_THREAD = 1 << 22  # numbers read
_PAIRS = 2048  # products of single vectors that are worth a thread
_SAMPLED = 64  # for deep searches of small indexes, one of so many rows tells beforehand what the k-th best will reach
_LEAST_EXPECTED = 8  # of the k best in such a sample; fewer tell too little


def nearest(vectors: np.ndarray, queries: np.ndarray, k: int) -> tuple[np.ndarray, np.ndarray]:
    """The k rows with the largest inner products, as far as float32 sums tell.

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
    multiply = _multiplier(len(queries))
    (products,) = shared(lambda rows: multiply(queries, rows), [sample])
    bounds = np.partition(products, -rank, axis=1)[:, -rank, None]
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

    def multiply(start: int) -> None:
        parts = (of_query[start : start + step], of_row[start : start + step], sorted_products[start : start + step])
        some_queries, some_rows, some_products = map(faiss.swig_ptr, parts)
        arrays = faiss.swig_ptr(queries), some_queries, faiss.swig_ptr(vectors), some_rows, some_products
        faiss.pairwise_indexed_inner_product(vectors.shape[1], len(parts[0]), *arrays)

    threads = min(_threads(), 1 + len(order) // _PAIRS)
    step = -(-len(order) // threads)
    shared(multiply, range(0, len(order), step))
    products[order] = sorted_products
    return products.reshape(positions.shape)


def _scan(vectors: np.ndarray, queries: np.ndarray, k: int, bounds: np.ndarray | float = -np.inf):
    """`nearest` among the rows above bounds [q, 1], block by block; a heap's root is what a product must pass."""
    work = vectors.size * min(len(queries), _WIDE)
    threads, multiply = min(_threads(), 1 + work // _WORTH_A_THREAD), _multiplier(len(queries))
    step = _rows_at_once(len(queries), *vectors.shape, threads)
    starts = iter(range(0, len(vectors), step))  # threads take from it by turns

    def sift(_: int) -> faiss.ResultHeap:
        heap = faiss.ResultHeap(len(queries), k, keep_max=True)
        heap.D[:] = bounds
        for start in starts:
            products = multiply(queries, vectors[start : start + step])
            heap.heaps.addn(products.shape[1], faiss.swig_ptr(products), start, 0, len(queries))
        return heap if threads > 1 else _merged([heap])

    try:
        best, *others = shared(sift, range(threads))
        if others:
            (best,) = shared(_merged, [[best, *others]])
    except BaseException:
        deque(starts, maxlen=0)  # leaves nothing to those that are still at it
        raise
    return best.D, best.I


def _merged(heaps: list[faiss.ResultHeap]) -> faiss.ResultHeap:
    best, *others = heaps
    for other in others:
        best.add_result(other.D, other.I)
    best.finalize()
    return best


def _threads() -> int:
    return min(faiss.omp_get_max_threads(), usable_processors())


def _rows_at_once(queries: int, rows: int, dimension: int, threads: int) -> int:
    if queries > _FEW:
        return max(1, min(_ROWS, _PRODUCTS_AT_ONCE // queries))
    piece = _PIECE // dimension + 1
    return (
        piece if queries > 1 else max(piece, min(rows // (2 * threads), _PRODUCTS_AT_ONCE))
    )  # one reads nothing twice


def _multiplier(queries: int) -> Callable[[np.ndarray, np.ndarray], np.ndarray]:
    """What multiplies so many queries [q, d] with rows [m, d] to float32 [q, m]."""
    if queries <= _FEW:
        return _one_by_one
    from rader_ir.linear import matrix_product  # imports torch

    return matrix_product


def _one_by_one(queries: np.ndarray, rows: np.ndarray) -> np.ndarray:
    products = np.empty((len(queries), len(rows)), np.float32)
    for query, line in zip(queries, products, strict=True):
        faiss.fvec_inner_products_ny(*map(faiss.swig_ptr, (line, query, rows)), rows.shape[1], len(rows))
    return products
