"""Exact search by blocks: one matrix product of all queries with a block of rows, sifted by faiss's heaps.

faiss alone answers up to 128,000 / dimension queries one by one, each at the speed of memory; a matrix product reads a row
once for all of them. What is held besides the rows is one block of products, however large the index.
"""

import faiss
import numpy as np

_PRODUCTS_AT_ONCE = 1 << 21  # of a block, over all queries: 8 MB, still in the cache when they are sifted
_LEAST_ROWS = 1024  # of a block: a matrix product of many more rows than queries waits for memory, of few is slow
_PIECE = 1 << 18  # numbers of the rows that a core's own cache holds
_FEW = 6  # up to so many queries take turns with a piece of rows sooner than a matrix product packs it
_SAMPLED = 64  # for deep searches of small indexes, one of so many rows tells beforehand what the k-th best will reach
_LEAST_EXPECTED = 8  # of the k best in such a sample; fewer tell too little


def nearest(vectors: np.ndarray, queries: np.ndarray, k: int) -> tuple[np.ndarray, np.ndarray]:
    """The k rows with the largest inner products, as far as a BLAS's float32 sums tell.

    vectors: [n, d], n >= k >= 1, may be mapped from disk and is read in order; queries: [q, d], q >= 1. Rows that give NaN
    are never found.

    Returns:
        scores float32 and positions int64, both [q, k], best first; the position is -1 where nothing is left to find.
    """
    if len(queries) == faiss.omp_get_max_threads() == 1:  # nothing to share: faiss reads at the speed of memory
        return faiss.knn(queries, vectors, k, metric=faiss.METRIC_INNER_PRODUCT)
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
    heap = faiss.ResultHeap(len(queries), k, keep_max=True)
    heap.D[:] = bounds
    step = _PRODUCTS_AT_ONCE // len(queries)
    if len(queries) > _FEW:
        step = max(1, min(step, max(_LEAST_ROWS, 4 * len(queries))))
    room = np.empty(len(queries) * min(step, len(vectors)), np.float32)
    for start in range(0, len(vectors), step):
        rows = vectors[start : start + step]
        products = room[: len(queries) * len(rows)].reshape(len(queries), len(rows))
        _multiply(queries, rows, products)
        heap.heaps.addn(len(rows), faiss.swig_ptr(products), start, 0, len(queries))
    heap.finalize()
    return heap.D, heap.I


def _multiply(queries: np.ndarray, rows: np.ndarray, products: np.ndarray) -> None:
    """Write queries [q, d] x rows [m, d] to products [q, m].

    numpy multiplies rows that begin at an odd byte of a file without BLAS, so those are copied, piece by piece.
    """
    few = 1 < len(queries) <= _FEW
    if rows.flags.aligned and not few:
        np.matmul(queries, rows.T, out=products)
        return
    step = max(1, _PIECE // rows.shape[1])
    for start in range(0, len(rows), step):
        piece, lines = np.require(rows[start : start + step], requirements="A"), products[:, start : start + step]
        if few:
            for query, line in zip(queries, lines, strict=True):
                np.dot(piece, query, out=line)
        else:
            np.matmul(queries, piece.T, out=lines)
