"""Exact search by blocks: equal to a plain sort for every number of queries and rows, whatever the blocks and the bounds."""

from pathlib import Path

import numpy as np
import pytest

from rader_ir import index_flat
from rader_ir.index import Index
from rader_ir.index_flat import inner_products, nearest
from rader_ir.index_formats import FAISS_HEADER
from rader_ir.index_writer import write_index
from rader_ir.linear import matrix_product
from tests.benchmarks.search_memory import peak


def whole_numbers(rows: int, dimension: int, seed: int = 0) -> np.ndarray:
    """Vectors of small whole numbers: every sum is exact in any order, and equal scores abound."""
    return np.random.default_rng(seed).integers(-3, 4, (rows, dimension)).astype(np.float32)


def best_scores(vectors: np.ndarray, queries: np.ndarray, k: int) -> np.ndarray:
    """Oracle: all products in float64, sorted."""
    return -np.sort(-(queries.astype(np.float64) @ vectors.T.astype(np.float64)), axis=1)[:, :k]


def check(vectors: np.ndarray, queries: np.ndarray, k: int) -> None:
    """The k best scores in order, each that of the row which it is said to be of, no row twice."""
    scores, positions = nearest(vectors, queries, k)
    assert scores.dtype == np.float32 and positions.dtype == np.int64
    assert np.array_equal(scores, best_scores(vectors, queries, k))
    assert np.array_equal(scores, np.einsum("qkd,qd->qk", vectors[positions], queries))
    assert all(len(set(row)) == k for row in positions.tolist())


@pytest.mark.parametrize("rows", [1, 2, 1023, 1024, 1025, 5000])
@pytest.mark.parametrize("count", [1, 2, 6, 7, 33, 300])
def test_blocks_of_all_sizes_give_a_plain_sort(rows, count):
    vectors, queries = whole_numbers(rows, 5), whole_numbers(count, 5, seed=1)
    for k in {1, min(7, rows), min(700, rows), rows} if count < 300 else {min(7, rows)}:
        check(vectors, queries, k)


def test_more_queries_than_a_block_has_room_for():
    vectors, queries = whole_numbers(3000, 3), whole_numbers(5000, 3, seed=1)
    scores, _ = nearest(vectors, queries, 4)
    assert np.array_equal(scores, best_scores(vectors, queries, 4))


@pytest.mark.parametrize("count", [1, 3, 20])
def test_one_thread_and_two_find_the_same(count):
    faiss = pytest.importorskip("faiss")
    threads, vectors, queries = faiss.omp_get_max_threads(), whole_numbers(2000, 9), whole_numbers(count, 9, seed=1)
    try:
        for number in (1, 2):
            faiss.omp_set_num_threads(number)
            check(vectors, queries, 30)
    finally:
        faiss.omp_set_num_threads(threads)


@pytest.mark.parametrize("where", ["the sample", "elsewhere", "the end"])
def test_a_sample_that_misleads_costs_time_and_nothing_else(where):
    """600 best of 8,000 are sought by a bound from every 64th row; those are made far better, or worse, than all others."""
    vectors, queries = whole_numbers(8000, 6), np.abs(whole_numbers(9, 6, seed=1)) + 1
    sampled = np.zeros(8000, bool)
    sampled[index_flat._SAMPLED // 2 :: index_flat._SAMPLED] = True
    better = {"the sample": sampled, "elsewhere": ~sampled, "the end": np.arange(8000) >= 7900}[where]
    vectors[better] += 50
    check(vectors, queries, 600)


def test_rows_of_nan_are_never_found():
    for rows, k in ((300, 20), (300, 300), (8000, 600)):
        vectors, queries = whole_numbers(rows, 4), whole_numbers(9, 4, seed=1)
        vectors[::3] = np.nan
        known = np.flatnonzero(~np.isnan(vectors[:, 0]))
        for batch in (queries, queries[:1], queries[:4]):
            scores, positions = nearest(vectors, batch, k)
            few = min(k, len(known))
            assert np.array_equal(scores[:, :few], best_scores(vectors[known], batch, few))
            assert np.isin(positions[:, :few], known).all() and (positions[:, few:] == -1).all()


def test_rows_that_begin_at_an_odd_byte_of_a_file(tmp_path):
    vectors = whole_numbers(3000, 7)
    (tmp_path / "rows").write_bytes(b"-" * FAISS_HEADER + vectors.tobytes())
    odd = np.asarray(np.memmap(tmp_path / "rows", "<f4", "r", offset=FAISS_HEADER, shape=vectors.shape))
    assert not odd.flags.aligned
    for count in (1, 4, 40):
        check(odd, whole_numbers(count, 7, seed=1), 50)


def test_inner_products_depend_on_their_two_vectors_only():
    random = np.random.default_rng(0)
    vectors, queries = (random.standard_normal((n, 301), np.float32) for n in (400, 30))
    positions = random.integers(-1, 400, (30, 90))
    together = inner_products(vectors, queries, positions)
    expected = np.einsum("qkd,qd->qk", vectors[positions].astype(np.float64), queries.astype(np.float64))
    assert np.allclose(together[positions >= 0], expected[positions >= 0], atol=1e-4)
    assert (together[positions < 0] == -np.inf).all()
    for row in range(30):
        alone = inner_products(vectors, queries[row : row + 1], positions[row : row + 1, ::-1])
        assert np.array_equal(alone[0, ::-1], together[row])


@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="the system does not count anonymous memory")
def test_a_mapped_index_is_searched_without_loading_it(tmp_path):
    """120 MB of vectors; at most 60 MB for 200 queries: products of a block for each thread, heaps, allocators' slack."""
    random = np.random.default_rng(0)
    rows = ((str(number), random.standard_normal(600, np.float32)) for number in range(50_000))
    write_index(tmp_path, rows, dimension=600, made_by={})
    queries = random.standard_normal((200, 600), np.float32)
    matrix_product(queries, queries)  # imports torch
    assert 0 < peak(lambda: Index(tmp_path).search(queries, depth=10)) < 60
    assert peak(lambda: np.array(Index(tmp_path).vectors).sum()) > 110  # what it would look like
