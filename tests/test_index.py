"""Search: the order of a plain sort, ties and exclusions at the depth cut, batches, kinds, and which encoder may ask."""

import os

import numpy as np
import pytest

from rader_ir.index import Index
from rader_ir.index_writer import build_index, write_index
from tests.toy_index import Toy, documents, vector

COUNT, DIMENSION = 500, 12


@pytest.fixture(scope="module")
def index(tmp_path_factory) -> Index:
    built = build_index(tmp_path_factory.mktemp("index"), documents(COUNT), Toy(DIMENSION))
    built.add_hnsw(m=16, ef_construction=100)
    for kind in ("sq8", "fp16"):
        built.add_quantised(kind)
    return built


@pytest.fixture(scope="module")
def queries() -> np.ndarray:
    return np.stack([vector(f"query {number}", DIMENSION) for number in range(40)])


@pytest.fixture
def tied(tmp_path) -> Index:
    """200 documents of three vectors in turn, with small whole numbers, so that sums are exact; ids in scrambled order."""
    names = [f"t{number:03d}" for number in np.random.default_rng(1).permutation(200)]
    vectors = np.array([[2, 1], [1, 1], [0, 3]], np.float32)
    return write_index(tmp_path, [(name, vectors[n % 3]) for n, name in enumerate(names)], dimension=2, made_by={})


def plain_sort(index: Index, query: np.ndarray, depth: int, excluded=()) -> list[tuple[str, float]]:
    """Oracle: all inner products in float64, sorted by score and then by doc id."""
    scores = np.asarray(index.vectors, np.float64) @ query.astype(np.float64)
    pairs = zip(index.doc_ids, scores.round(9).tolist(), strict=True)
    kept = [(doc_id, score) for doc_id, score in pairs if doc_id not in excluded]
    return sorted(kept, key=lambda pair: (-pair[1], pair[0]))[:depth]


def named(index: Index, ranked) -> list[str]:
    return index.doc_ids[ranked[0]].tolist()


@pytest.mark.parametrize("depth", [1, 10, 499, 500, 1000])
def test_flat_search_equals_a_plain_sort(index, queries, depth):
    for query, (positions, scores) in zip(queries, index.search(queries, depth=depth), strict=True):
        expected = plain_sort(index, query, depth)
        assert index.doc_ids[positions].tolist() == [doc_id for doc_id, _ in expected]
        assert np.allclose(scores, [score for _, score in expected], atol=1e-6)
        assert (positions.dtype, scores.dtype) == (np.int64, np.float32)


@pytest.mark.parametrize("depth", [1, 5, 66, 67, 68, 133, 134, 199, 200, 300])
@pytest.mark.parametrize("query", [[1, 0], [0, 1], [1, 1], [0, 0], [-1, -1]])
def test_ties_go_to_the_smaller_doc_id_also_at_the_cut(tied, depth, query):
    query = np.array([query], np.float32)
    expected = [doc_id for doc_id, _ in plain_sort(tied, query[0], depth)]
    assert named(tied, tied.search(query, depth=depth)[0]) == expected
    for kind in ("sq8", "fp16"):
        tied.add_quantised(kind)
        assert named(tied, tied.search(query, depth=depth, kind=kind)[0]) == expected


@pytest.mark.parametrize("kind", ["flat", "sq8", "fp16"])
def test_excluded_documents_leave_before_the_cut(index, queries, kind):
    first = [named(index, ranked)[:30] for ranked in index.search(queries, depth=30)]
    excluded = [[*ids[: number % 7], "unknown id"] for number, ids in enumerate(first)]
    for query, ids, ranked in zip(
        queries, excluded, index.search(queries, depth=20, excluded=excluded, kind=kind), strict=True
    ):
        found = named(index, ranked)
        assert len(found) == 20 and not set(ids) & set(found)
        if kind == "flat":
            assert found == [doc_id for doc_id, _ in plain_sort(index, query, 20, ids)]


def test_all_but_one_may_be_excluded(index, queries):
    excluded = [list(index.doc_ids)[1:]]
    (ranked,) = index.search(queries[:1], depth=10, excluded=excluded)
    assert named(index, ranked) == [index.doc_ids[0]]


@pytest.mark.parametrize("kind", ["flat", "hnsw", "sq8", "fp16"])
def test_results_do_not_depend_on_the_batch(index, queries, kind):
    excluded = [[str(index.doc_ids[number])] * (number % 3) for number in range(40)]
    together = index.search(queries, depth=50, kind=kind, excluded=excluded)
    for number in range(40):
        (alone,) = index.search(
            queries[number : number + 1], depth=50, kind=kind, excluded=excluded[number : number + 1]
        )
        assert np.array_equal(alone[0], together[number][0]) and np.array_equal(alone[1], together[number][1])


def test_the_batch_does_not_matter_where_faiss_changes_its_method(tmp_path):
    """From some batch size on faiss multiplies matrices, which rounds otherwise: 64 queries of 3,584 are beyond that."""
    random = np.random.default_rng(0)
    vectors, queries = (random.standard_normal((n, 3584)).astype(np.float32) for n in (300, 64))
    index = write_index(tmp_path, zip(map(str, range(300)), vectors, strict=True), dimension=3584, made_by={})
    together = index.search(queries, depth=20)
    alone = [index.search(query[None], depth=20)[0] for query in queries]
    for (positions, scores), (positions_alone, scores_alone) in zip(together, alone, strict=True):
        assert np.array_equal(positions, positions_alone) and np.array_equal(scores, scores_alone)


@pytest.mark.parametrize(("kind", "least"), [("hnsw", 0.99), ("sq8", 0.98), ("fp16", 0.999)])
def test_other_kinds_find_nearly_all_and_score_exactly(index, queries, kind, least):
    found, shares = index.search(queries, depth=100, kind=kind), []
    for query, (positions, scores), (exact, _) in zip(queries, found, index.search(queries, depth=100), strict=True):
        shares.append(np.isin(positions, exact).mean())
        assert np.allclose(scores, index.vectors[positions] @ query, atol=1e-6) and (np.diff(scores) <= 0).all()
    assert np.mean(shares) >= least


def test_kinds_must_be_built_and_be_as_new_as_the_index(tmp_path, queries):
    index = build_index(tmp_path, documents(40), Toy(DIMENSION))
    with pytest.raises(ValueError, match=r"has no 'hnsw' search yet; call .*add_hnsw\(\)"):
        index.search(queries, kind="hnsw")
    index.add_quantised("sq8")
    assert len(Index(tmp_path).search(queries, kind="sq8")[0][0]) == 40
    grown = build_index(tmp_path, documents(10, start=40), Toy(DIMENSION), append=True)
    with pytest.raises(
        ValueError, match=r"covers 40 documents and the index now has 50; call .*add_quantised\('sq8'\).* again"
    ):
        grown.search(queries, kind="sq8")
    with pytest.raises(ValueError, match="went from 40 to 50 documents meanwhile"):
        index.add_quantised("sq8")
    grown.add_quantised("sq8")
    assert len(grown.search(queries, kind="sq8")[0][0]) == 50
    assert "sq8.part" not in os.listdir(tmp_path)


@pytest.mark.parametrize("formats", [["pyserini"], ["flex"]])
def test_each_format_alone_is_searched_alike(tmp_path, index, queries, formats):
    alone = build_index(tmp_path, documents(COUNT), Toy(DIMENSION), formats=formats)
    for ours, theirs in zip(alone.search(queries), index.search(queries), strict=True):
        assert np.array_equal(ours[0], theirs[0]) and np.array_equal(ours[1], theirs[1])


def test_no_queries_and_no_documents(tmp_path, index, queries):
    assert index.search(np.zeros((0, DIMENSION))) == [] and index.search([]) == []
    assert index.retrieve({}, Toy(DIMENSION)) == {}
    empty = build_index(tmp_path, [], Toy(DIMENSION), shard=(0, 1))  # a whole index is never empty
    (positions, scores), *rest = empty.search(queries)
    assert (len(positions), len(scores), len(rest)) == (0, 0, 39)
    assert empty.retrieve({"q": "text"}, Toy(DIMENSION)) == {"q": {}}
    with pytest.raises(ValueError, match="no documents"):
        empty.add_hnsw()


@pytest.mark.parametrize(
    ("vectors", "options", "says"),
    [
        (np.zeros((2, 11)), {}, r"shape \(2, 11\), expected \(queries, 12\)"),
        (np.zeros(12), {}, r"shape \(12,\)"),
        (np.full((2, 12), np.nan), {}, "query 1 of 2 holds NaN"),
        (np.zeros((5, 0)), {}, r"shape \(5, 0\)"),
        (np.zeros((1, 12)), {"depth": 0}, "depth is 0"),
        (np.zeros((1, 12)), {"depth": 10.0}, "depth is 10.0, expected a whole number"),
        (np.zeros((1, 12)), {"depth": "3"}, "depth is '3', expected a whole number"),
        (np.zeros((1, 12)), {"kind": "ivf"}, "kind 'ivf' is unknown; choose 'flat', 'hnsw', 'sq8', 'fp16'"),
        (np.zeros((1, 12)), {"excluded": []}, "excluded has 0 entries for 1 queries"),
        (np.zeros((1, 12)), {"excluded": {"q": ["d0"]}}, "excluded is a mapping; give a list .* or use `retrieve`"),
        (np.zeros((1, 12)), {"excluded": ["d0"]}, r"the string 'd0' where a list .* write \['d0'\]"),
    ],
)
def test_bad_queries_are_refused(index, vectors, options, says):
    with pytest.raises(ValueError, match=says):
        index.search(vectors, **options)


def test_numpy_depths_and_unequal_exclusions(index, queries):
    """One query leaves out most documents; it and all others get what each gets alone."""
    banned = [[] for _ in queries]
    banned[3] = [doc_id for doc_id, _ in documents(COUNT)[10:]]
    banned[7] = banned[3][:50]
    together = index.search(queries, depth=np.int64(20), excluded=banned)
    for row, (positions, scores) in enumerate(together):
        ((alone, same),) = index.search(queries[row : row + 1], depth=20, excluded=banned[row : row + 1])
        assert np.array_equal(positions, alone) and np.array_equal(scores, same)
    assert len(together[3][0]) == 10


def test_products_beyond_float32_bring_back_no_excluded_document(tmp_path):
    vectors = np.random.default_rng(0).standard_normal((60, 8)).astype(np.float32) * np.float32(1e19)
    index = write_index(tmp_path, ((str(number), row) for number, row in enumerate(vectors)), dimension=8, made_by={})
    ((positions, _),) = index.search(vectors[:1], depth=60, excluded=[[str(number) for number in range(0, 60, 2)]])
    assert set(positions.tolist()) <= set(range(1, 60, 2))


def test_doc_vectors(index):
    wanted = documents(COUNT)[7][0], documents(COUNT)[0][0]
    assert np.array_equal(index.doc_vectors(wanted), index.vectors[[7, 0]])
    with pytest.raises(KeyError, match=r"doc id 'nowhere' is not in .* 500 documents"):
        index.doc_vectors([wanted[0], "nowhere"])


def test_retrieve_makes_a_run(index):
    queries, encoder = {"q1": "text number 3", "q2": "text number 4"}, Toy(DIMENSION)
    run = index.retrieve(queries, encoder, depth=5, excluded={"q2": {"d16"}})
    assert list(run) == ["q1", "q2"] and [len(docs) for docs in run.values()] == [5, 5]
    assert next(iter(run["q1"])) == "d9" and run["q1"]["d9"] == pytest.approx(1) and "d16" not in run["q2"]
    told = index.retrieve(queries, encoder, depth=5, instructions={"q1": "Find it.", "q2": "Find it."})
    assert told["q1"] == index.retrieve({"q1": "Find it. text number 3"}, encoder, depth=5)["q1"]
    with pytest.raises(ValueError, match="no instruction for query 'q2'"):
        index.retrieve(queries, encoder, instructions={"q1": "Find it."})


def test_another_encoder_is_refused_with_both_sides_named(index):
    query = {"q": "text"}
    with pytest.raises(ValueError, match="pooling: 'none' / 'mean'; eos: None / True"):
        index.retrieve(query, Toy(DIMENSION, pooling="mean", eos=True))
    with pytest.raises(ValueError, match="dimension: 12 / 13"):
        index.retrieve(query, Toy(13))
    assert index.retrieve(query, Toy(DIMENSION, pooling="mean"), check=False) == index.retrieve(query, Toy(DIMENSION))


def test_what_document_vectors_do_not_see_is_no_difference(tmp_path):
    made = {"weights": "53aa", "revision": "abc", "instruction": "", "forms": ("a", "b")}
    index = build_index(tmp_path, documents(5), Toy(DIMENSION, **made))
    copied = {**made, "checkpoint": "/a/copy", "revision": None, "instruction": "Find it.", "device": "cuda"}
    assert index.retrieve({"q": "text"}, Toy(DIMENSION, **copied))
    with pytest.raises(ValueError, match="weights: '53aa' / 'ffff'"):
        index.retrieve({"q": "text"}, Toy(DIMENSION, **{**copied, "weights": "ffff"}))


def test_what_is_no_index_is_told(tmp_path, index):
    with pytest.raises(FileNotFoundError, match=r"rader_index\.json is missing"):
        Index(tmp_path)
    with pytest.raises(FileNotFoundError, match="holds no index"):
        Index(tmp_path / "nowhere")


@pytest.mark.parametrize(("name", "says"), [("vecs.f4", "shorter than 40 vectors"), ("docid", "39 doc ids where 40")])
def test_a_damaged_index_is_told(tmp_path, name, says):
    build_index(tmp_path, documents(40), Toy(DIMENSION))
    os.truncate(tmp_path / name, (tmp_path / name).stat().st_size - 1)
    with pytest.raises(ValueError, match=says):
        Index(tmp_path)


def test_opening_reads_no_vectors_and_repr_rebuilds(index):
    assert isinstance(index.vectors, np.memmap)
    assert len(eval(repr(index))) == COUNT
