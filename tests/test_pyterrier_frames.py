"""Frames to lists and back, against oracles that go row by row: order, ties, repeats, and every kind of string column."""

import numpy as np
import pandas as pd
import pytest

pytest.importorskip("pyterrier")

from pyterrier_rader import RaDeRReranker, frames
from pyterrier_rader.columns import distinct, texts
from tests.pyterrier_cases import results
from tests.toys import WordOverlap

KINDS = ["object", "str", "string[python]", "string[pyarrow]", "category"]
every_kind = pytest.mark.parametrize("kind", KINDS)


def held_as(frame: pd.DataFrame, kind: str) -> pd.DataFrame:
    """The frame with its ids and texts held as `kind`."""
    return frame.astype({name: kind for name in ("qid", "query", "docno", "text") if name in frame.columns})


def random_rows(seed: int, count: int = 300) -> tuple[pd.DataFrame, np.ndarray]:
    """Rows of 7 queries in no order, with scores of which most are tied and pairs of which some repeat."""
    random = np.random.default_rng(seed)
    rows = pd.DataFrame(
        {
            "qid": [f"q{i}" for i in random.integers(0, 7, count)],
            "docno": [f"d{i}" for i in random.integers(0, 40, count)],
            "row": np.arange(count),
        }
    )
    return rows, random.integers(-3, 4, count).astype(np.float64)


@pytest.mark.parametrize("seed", range(5))
def test_ranked_order_is_that_of_a_sort_row_by_row(seed):
    """qid, score from high to low, docno, and rows that share all three as they stood."""
    rows, scores = random_rows(seed)
    out = frames.with_scores(rows, frames.group(rows), scores)
    keys = [(qid, -scores[row], docno, row) for qid, docno, row in rows.itertuples(index=False)]
    assert list(zip(out["qid"], -out["score"], out["docno"], out["row"], strict=True)) == sorted(keys)
    cut = frames.with_scores(rows, frames.group(rows), scores, 3)
    pd.testing.assert_frame_equal(cut, out[out["rank"] < 3].reset_index(drop=True))


def test_categories_in_an_order_of_their_own_are_sorted_as_text():
    rows = pd.DataFrame({"qid": pd.Categorical(["a", "b", "a"], categories=["b", "a"]), "docno": list("xyz")})
    out = frames.with_scores(rows, frames.group(rows), np.array([1.0, 3.0, 2.0]))
    assert out["qid"].tolist() == ["a", "a", "b"] and out["docno"].tolist() == ["z", "x", "y"]


def test_more_queries_than_a_small_integer_counts():
    count = 70_000
    rows = pd.DataFrame({"qid": [f"{i:05}" for i in range(count)][::-1], "docno": "d"})
    out = frames.with_scores(rows, frames.group(rows), np.arange(count))
    assert out["qid"].tolist() == sorted(rows["qid"])
    assert not out["rank"].any()


def test_scores_that_are_no_numbers_come_last_by_docno():
    rows = pd.DataFrame({"qid": "q", "docno": list("cadb")})
    out = frames.with_scores(rows, frames.group(rows), np.array([np.nan, np.nan, 1.0, np.inf]))
    assert out["docno"].tolist() == ["b", "d", "a", "c"]


@every_kind
def test_every_kind_of_string_column_gives_the_same(kind):
    frame, wanted, asked = results(), WordOverlap(), WordOverlap()
    doubled = pd.concat([frame, frame[frame["docno"] == "d2"].assign(docno="other")], ignore_index=True)
    whole, out = RaDeRReranker(wanted)(doubled), RaDeRReranker(asked)(held_as(doubled, kind))
    assert asked.pairs == wanted.pairs
    assert len(asked.pairs) == len(frame)  # a text under two docnos is scored once
    pd.testing.assert_frame_equal(out.astype(whole.dtypes.to_dict()), whole)


@every_kind
def test_what_is_wrong_is_named_in_every_kind_of_string_column(kind):
    frame = held_as(results(), kind)
    with pytest.raises(ValueError, match="docno 'd3': no text in column 'text'"):
        RaDeRReranker(WordOverlap())(frame.assign(text=frame["text"].where(frame["docno"] != "d3")))
    with pytest.raises(ValueError, match="qid 'q2': no value in column 'query'"):
        RaDeRReranker(WordOverlap())(frame.assign(query=frame["query"].where(frame["qid"] != "q2")))
    two = pd.concat([results(), results()[results()["qid"] == "q2"].assign(query="odd\0cycle")])
    with pytest.raises(ValueError, match="qid 'q2': rows of one query differ in column 'query'"):
        RaDeRReranker(WordOverlap())(held_as(two, kind))


def test_a_text_that_is_no_string_is_named():
    frame = results()[:2].assign(text=pd.Series(["odd", 7], dtype=object))
    with pytest.raises(ValueError, match="docno 'd2': no text in column 'text'"):
        texts(frame, "text")


@pytest.mark.parametrize(
    "kind", KINDS[:-1]
)  # pandas 2 itself makes one category of what differs behind a null character
@pytest.mark.parametrize("values", [["b", "a", "b", "c", "a"], ["x\0a", "x\0b", "x", "x\0a"], ["c", "b", "a"], ["é"]])
def test_distinct_values_in_the_order_of_their_first_appearance(kind, values):
    codes, unique = distinct(pd.Series(values, dtype=kind))
    assert unique.tolist() == list(dict.fromkeys(values))
    assert unique[codes].tolist() == values


def test_distinct_pairs():
    codes, unique = distinct(zip("abab", "xyxx", strict=True))
    assert (codes.tolist(), unique.tolist()) == ([0, 1, 0, 2], [("a", "x"), ("b", "y"), ("b", "x")])


@pytest.mark.parametrize("seed", range(3))
def test_a_run_takes_the_highest_score_of_a_pair_and_goes_back_into_its_rows(seed):
    rows, scores = random_rows(seed)
    run = frames.to_run(rows.assign(score=scores))
    wanted: dict = {}
    for (qid, docno, _), score in zip(rows.itertuples(index=False), scores, strict=True):
        wanted.setdefault(qid, {})[docno] = max(score, wanted.get(qid, {}).get(docno, -np.inf))
    assert run == wanted
    del run["q3"]
    back = frames.from_run(rows, run)
    assert len(back) == (rows["qid"] != "q3").sum()
    assert all(
        run[qid][docno] == score for qid, docno, score in back[["qid", "docno", "score"]].itertuples(index=False)
    )


def test_one_row_each_keeps_first_values_and_nulls_apart():
    rows = pd.DataFrame(
        {
            "qid": ["1", "1", "2", "1"],
            "query": [None, "one", "two", "other"],
            "docno": ["b", "a", None, "b"],
            "text": [None, "at", "ct", "bt"],
        }
    )
    out = frames.one_row_each(rows).set_index("text")
    assert out["docno"].fillna("none").to_dict() == {"bt": "b", "at": "a", "ct": "none"}
    assert out["query"].to_dict() == {"bt": "one", "at": "one", "ct": "two"}
