"""Fusion by frames: the arithmetic of `rader_ir.fusion`, rows that meet by (qid, docno), and columns that survive."""

import numpy as np
import pandas as pd
import pytest

pt = pytest.importorskip("pyterrier")

from pyterrier_rader import Bm25Retriever, RaDeREncoder, RaDeRFusion, RaDeRReranker, ReciprocalRankFusion, SafeQueries  # noqa: E402
from rader_ir.fusion import PUBLISHED, interpolate, reciprocal_rank  # noqa: E402
from tests.pyterrier_cases import documents, results, topics, two_scores  # noqa: E402
from tests.toys import WordEncoder, WordOverlap  # noqa: E402


def frame(rows, **more) -> pd.DataFrame:
    return pd.DataFrame(rows, columns=["qid", "docno", "score"]).assign(rank=0, query="the question", **more)


def system(result: pd.DataFrame) -> pt.Transformer:
    return pt.Transformer.from_df(result, uniform=True)


FIRST = frame([("1", "a", 3.0), ("1", "b", 1.0), ("2", "a", 1.0)], text="from the first")
SECOND = frame([("1", "b", 20.0), ("1", "c", 10.0), ("3", "z", 5.0)], text="from the second")
ASKED = pd.DataFrame({"qid": ["1", "2", "3"], "query": "the question"})


def scores(fused: pd.DataFrame) -> dict:
    return {(qid, docno): score for qid, docno, score in zip(fused["qid"], fused["docno"], fused["score"], strict=True)}


def test_z_scores_by_hand():
    """Both lists of query 1 have z-scores 1 and -1; a missing document gets -1; lists of one document count 0."""
    fused = RaDeRFusion(system(FIRST), system(SECOND), alpha=0.75)(ASKED)
    wanted = {
        ("1", "a"): 0.75 - 0.25,
        ("1", "b"): -0.75 + 0.25,
        ("1", "c"): -0.75 - 0.25,
        ("2", "a"): 0.0,
        ("3", "z"): 0.0,
    }
    assert scores(fused) == pytest.approx(wanted)
    assert fused["rank"].tolist() == [0, 1, 2, 0, 0]


@pytest.mark.parametrize(
    "options",
    [
        {},
        {"alpha": 0.8, "normalise": "minmax"},
        {"normalise": "none", "missing": "drop"},
        *PUBLISHED.values(),
        {"over": "all", "depth": 1},
        {"depth": 1},
        {"depth": 3, "alpha": 1.0},
    ],
)
def test_the_engine_and_the_frames_agree(options):
    random = np.random.default_rng(5)
    runs = [
        {f"q{q}": {f"d{d}": float(random.normal()) for d in random.permutation(12)[:8]} for q in range(4)}
        for _ in range(2)
    ]
    results = [frame([(q, d, s) for q, row in run.items() for d, s in row.items()]) for run in runs]
    wanted = interpolate(*runs, **options)
    fused = RaDeRFusion(*map(system, results), **options)(ASKED)
    assert scores(fused) == {(q, d): s for q, row in wanted.items() for d, s in row.items()}
    for qid, row in wanted.items():
        assert fused[fused["qid"] == qid]["docno"].tolist() == list(row)


def test_reciprocal_rank_by_hand_over_three_systems():
    third = frame([("1", "c", 1.0)])
    fused = ReciprocalRankFusion(system(FIRST), system(SECOND), system(third), k=60)(ASKED)
    wanted = {
        ("1", "a"): 1 / 61,
        ("1", "b"): 1 / 62 + 1 / 61,
        ("1", "c"): 1 / 62 + 1 / 61,
        ("2", "a"): 1 / 61,
        ("3", "z"): 1 / 61,
    }
    assert scores(fused) == pytest.approx(wanted)
    assert fused[fused["qid"] == "1"]["docno"].tolist() == ["b", "c", "a"]  # a tie goes to the smaller docno
    runs = [{"1": {"a": 3.0, "b": 1.0}}, {"1": {"b": 20.0, "c": 10.0}}]
    cut = ReciprocalRankFusion(system(FIRST), system(SECOND), k=1, depth=1)(ASKED[:1])
    assert scores(cut[cut["qid"] == "1"]) == {("1", d): s for d, s in reciprocal_rank(runs, k=1, depth=1)["1"].items()}


def test_a_rewritten_query_neither_doubles_nor_loses_a_row():
    docs = documents().to_dict("records")
    bm25 = Bm25Retriever.from_documents(docs)
    rewriting = SafeQueries() >> bm25
    for plain, mixed in (
        (RaDeRFusion(bm25, bm25), RaDeRFusion(bm25, rewriting)),
        (ReciprocalRankFusion(bm25, bm25), ReciprocalRankFusion(bm25, rewriting)),
    ):
        pd.testing.assert_frame_equal(mixed(topics()), plain(topics()))
    swapped = RaDeRFusion(rewriting, bm25)(topics())
    asked = topics().set_index("qid")["query"]
    assert not swapped.duplicated(["qid", "docno"]).any()
    assert (swapped["query_0"] == swapped["qid"].map(asked)).all()  # the columns of the first system
    assert (swapped["query"] != swapped["query_0"]).any()


def test_query_columns_come_from_the_first_and_the_rest_from_whoever_has_it():
    first = FIRST.assign(query="first's", qreason="because", docid=7, only_first=1)
    second = SECOND.assign(query="second's", query_0="older", docid=8, title="t")
    fused = RaDeRFusion(system(first), system(second))(ASKED).set_index(["qid", "docno"])
    assert fused["query"].to_dict() == {
        ("1", "a"): "first's",
        ("1", "b"): "first's",
        ("1", "c"): "first's",
        ("2", "a"): "first's",
        ("3", "z"): "second's",
    }
    assert fused["text"].loc[[("1", "a"), ("1", "b"), ("1", "c")]].tolist() == [
        "from the first",
        "from the first",
        "from the second",
    ]
    assert fused["title"].loc[[("1", "b"), ("1", "c")]].tolist() == ["t", "t"]
    assert pd.isna(fused["title"].loc[("1", "a")])
    assert fused["qreason"].loc[[("1", "a"), ("1", "c")]].tolist() == ["because"] * 2
    assert not {"docid", "query_0"} & set(
        fused.columns
    )  # ids within one index, and a rewriting that is not the first's


def test_one_system_finds_nothing():
    nothing = Bm25Retriever.from_documents([{"docno": "x", "text": "zebra"}])
    bm25 = Bm25Retriever.from_documents(documents().to_dict("records"))
    asked = topics().iloc[:2]
    for fused in (RaDeRFusion(bm25, nothing)(asked), RaDeRFusion(nothing, bm25)(asked)):
        found = bm25(asked)
        assert fused[["qid", "docno"]].to_numpy().tolist() == found[["qid", "docno"]].to_numpy().tolist()
        assert set(fused["query"]) == set(asked["query"])
    neither = RaDeRFusion(nothing, nothing)(asked)
    assert len(neither) == 0
    assert neither["qid"].dtype == pd.Series(dtype="str").dtype


def test_rerankers_are_fused_with_their_first_stage():
    first = results()
    fused = RaDeRFusion(RaDeRReranker(WordOverlap()), pt.Transformer.identity(), alpha=0.3, normalise="none")(first)
    reranked = RaDeRReranker(WordOverlap())(first)
    wanted = {key: 0.3 * score + 0.7 * scores(first)[key] for key, score in scores(reranked).items()}
    assert scores(fused) == pytest.approx(wanted)
    assert list(fused.columns) == list(reranked.columns)


def test_two_columns_of_one_frame():
    rows = two_scores()
    rows.loc[rows["docno"] == "d2", "sparse"] = np.nan  # not in the second list
    fused = RaDeRFusion("dense", "sparse", alpha=0.4)(rows)
    runs = [
        {q: dict(zip(part["docno"], part[name], strict=True)) for q, part in rows[rows[name].notna()].groupby("qid")}
        for name in ("dense", "sparse")
    ]
    assert scores(fused) == {(q, d): s for q, row in interpolate(*runs, alpha=0.4).items() for d, s in row.items()}
    assert {"dense", "sparse", "note"} <= set(fused.columns)
    dropped = RaDeRFusion("dense", "sparse", missing="drop")(rows)
    assert set(dropped["docno"]) == {"d1", "d3", "d4", "d10"}
    both = RaDeRFusion("dense", "score", normalise="minmax")(two_scores())  # the first stage's own score
    assert both.groupby("qid")["docno"].first().tolist() == ["d1"] * 3 or both["rank"].max() == 4


def test_num_results_and_the_cut_of_a_fusion():
    hybrid = RaDeRFusion(RaDeREncoder(WordEncoder()).text_scorer(), RaDeRReranker(WordOverlap()), num_results=2)
    assert hybrid(results()).groupby("qid").size().tolist() == [2, 2, 2]
    assert (hybrid % 1).compile().num_results == 1


@pytest.mark.parametrize(
    ("make", "error", "message"),
    [
        (lambda: RaDeRFusion("dense", system(FIRST)), TypeError, "give two systems, or the names of two score columns"),
        (lambda: RaDeRFusion("a", "b", normalise="l2"), ValueError, "normalise 'l2' is unknown; choose 'zscore'"),
        (lambda: RaDeRFusion("a", "b", over="some"), ValueError, "over 'some' is unknown"),
        (lambda: RaDeRFusion("a", "b", missing="zero"), ValueError, "missing 'zero' is unknown"),
        (lambda: RaDeRFusion("a", "b", alpha=1.5), ValueError, "alpha 1.5 is outside"),
        (lambda: RaDeRFusion("a", "b", depth=0), ValueError, "depth is 0"),
        (lambda: ReciprocalRankFusion(system(FIRST)), ValueError, "1 system was given; give at least two"),
        (lambda: ReciprocalRankFusion(system(FIRST), system(SECOND), k=-1), ValueError, "k -1 is below 0"),
    ],
)
def test_wrong_options_are_refused_at_once(make, error, message):
    with pytest.raises(error, match=message):
        make()


def test_a_score_that_is_no_number_is_refused():
    broken = FIRST.assign(score=[1.0, float("nan"), 2.0])
    with pytest.raises(ValueError, match="query '1', document 'b': score nan is not a finite number"):
        RaDeRFusion(system(broken), system(SECOND))(ASKED)
