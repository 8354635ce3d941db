"""The traps that PyTerrier's frames lay, walked by every transformer: what other packages stumble over must not matter here.

Empty frames (typed and not), a query that stands on one row only, repeated row labels, a missing text, a document twice, a
single row, shuffled rows, batches of rows, list-of-dicts, and an input that must not change.
"""

import numpy as np
import pandas as pd
import pytest

pt = pytest.importorskip("pyterrier")

from pyterrier_rader import ExcludeDocuments, RaDeRFusion, ReciprocalRankFusion  # noqa: E402
from tests.pyterrier_cases import CASES, EXCLUDED  # noqa: E402

every_case = pytest.mark.parametrize("case", CASES.values(), ids=CASES.keys())
reranking = pytest.mark.parametrize(
    "case", [c for c in CASES.values() if c.kind == "rank"], ids=[n for n, c in CASES.items() if c.kind == "rank"]
)
TYPES = {"qid": "str", "docno": "str", "query": "str", "text": "str", "score": "float64", "rank": "int64"}


def ordered(frame: pd.DataFrame) -> pd.DataFrame:
    """Rows by query, document and note, for comparing frames whose rows may stand otherwise."""
    keys = [name for name in ("qid", "docno", "note") if name in frame.columns]
    return frame.sort_values(keys, kind="stable").reset_index(drop=True)


def assert_same(one: pd.DataFrame, other: pd.DataFrame) -> None:
    assert list(one.columns) == list(other.columns)
    for name in one.columns:
        if name in ("query_vec", "doc_vec"):
            np.testing.assert_allclose(np.stack(one[name]), np.stack(other[name]), atol=1e-6)
        else:
            pd.testing.assert_series_equal(one[name], other[name], check_dtype=name in TYPES, rtol=1e-6)


@every_case
def test_an_empty_frame_gives_an_empty_typed_frame_with_the_same_columns(case):
    full = case.make()(case.frame())
    for empty in (case.frame().iloc[:0], pd.DataFrame(columns=case.frame().columns)):
        out = case.make()(empty)
        assert len(out) == 0
        assert set(out.columns) == set(full.columns)
        for name in set(TYPES) & set(out.columns):
            assert out[name].dtype == pd.Series(dtype=TYPES[name]).dtype, name


@every_case
def test_an_empty_output_merges_and_concatenates_with_a_full_one(case):
    full, empty = case.make()(case.frame()), case.make()(pd.DataFrame(columns=case.frame().columns))
    keys = [name for name in ("qid", "docno") if name in full.columns]
    assert len(full.merge(empty[keys], on=keys, how="left")) == len(full)
    assert len(pd.concat([full, empty])) == len(full)


@every_case
def test_the_input_does_not_change(case):
    frame = case.frame()
    before = frame.copy(deep=True)
    case.make()(frame)
    pd.testing.assert_frame_equal(frame, before)


@every_case
def test_other_columns_stay_with_their_rows(case):
    frame, out = case.frame(), case.make()(case.frame())
    assert set(frame.columns) <= set(out.columns)
    for name, keys in {"note": ["qid", "docno"], "difficulty": ["qid"], "pages": ["docno"]}.items():
        if name in frame.columns:
            wanted = frame.set_index(keys)[name].to_dict()
            assert out.set_index(keys)[name].to_dict().items() <= wanted.items()


@every_case
def test_results_are_ranked_from_0_by_score_and_ties_by_docno(case):
    out = case.make()(case.frame())
    if "rank" not in out.columns or case.kind == "keep":
        return
    for _, rows in out.groupby("qid"):
        assert rows["rank"].tolist() == list(range(len(rows)))
        assert list(zip(-rows["score"], rows["docno"], strict=True)) == sorted(
            zip(-rows["score"], rows["docno"], strict=True)
        )
    assert out["qid"].is_monotonic_increasing
    assert (out["score"].dtype, out["rank"].dtype) == (np.float64, np.int64)
    assert out.columns.is_unique


@every_case
def test_a_query_may_stand_on_one_row_only(case):
    frame = case.frame()
    if "query" not in frame.columns or "docno" not in frame.columns:
        return
    thin = frame.assign(query=frame["query"].where(~frame["qid"].duplicated()))
    whole, out = case.make()(frame), case.make()(thin)
    assert_same(*(o.drop(columns=["query", "query_0"], errors="ignore") for o in (out, whole)))
    if case.kind == "rank":  # a later cut must not lose the query
        assert_same(out, whole)


@every_case
def test_two_queries_under_one_qid_are_not_taken_for_one(case):
    frame, transformer = case.frame(), case.make()
    scoring = case.kind == "rank" and "query" in pt.inspect.transformer_inputs(transformer)[0]
    if "query_vec" in frame or not (scoring or case.kind == "find"):
        return
    doubled = pd.concat([frame, frame[frame["qid"] == "q2"].head(1).assign(query="even cycle")])
    with pytest.raises(ValueError, match="qid 'q2': rows of one query differ in column 'query'"):
        transformer(doubled)


@every_case
def test_a_query_without_any_text_is_named(case):
    frame = case.frame()
    transformer = case.make()
    if (
        "query" not in pt.inspect.transformer_inputs(transformer)[0]
        or "query" not in frame.columns
        or "query_vec" in frame
    ):
        return
    with pytest.raises(ValueError, match="'q2'"):
        transformer(frame.assign(query=frame["query"].where(frame["qid"] != "q2")))


@every_case
def test_row_labels_may_repeat(case):
    frame = case.frame()
    labelled = frame.set_axis([7] * len(frame))
    assert_same(ordered(case.make()(labelled)), ordered(case.make()(frame)))


@every_case
def test_a_missing_text_names_its_document(case):
    if case.text_field is None:
        return
    frame = case.frame()
    for missing in (None, np.nan, pd.NA):
        texts = frame[case.text_field].astype(object).where(frame["docno"] != "d3", missing)
        with pytest.raises(ValueError, match="'d3'"):
            case.make()(frame.assign(**{case.text_field: texts}))


@reranking
def test_a_document_that_stands_twice_keeps_both_rows_and_one_score(case):
    frame = case.frame()
    out = case.make()(pd.concat([frame, frame[frame["docno"] == "d2"].assign(note="again")]))
    single = case.make()(frame)
    both = out[out["docno"] == "d2"]
    if isinstance(case.make(), RaDeRFusion | ReciprocalRankFusion):  # a fusion makes one row of them
        assert len(both) == len(single[single["docno"] == "d2"])
        assert not out.duplicated(["qid", "docno"]).any()
    else:
        assert both.groupby("qid")["score"].nunique().eq(1).all()
        assert both.groupby("qid").size().eq(2).all()
    assert len(out) <= len(single) + single["qid"].nunique()


@every_case
def test_one_row(case):
    frame = case.frame().iloc[[0]]
    out = case.make()(frame)
    assert len(out) == 1 or case.kind == "find" or (case.kind == "rank" and frame["docno"].iloc[0] == "d1")
    if case.kind == "rank" and len(out):
        assert out["rank"].tolist() == [0]


@every_case
def test_shuffled_rows_give_the_same(case):
    frame = case.frame()
    out = case.make()(frame)
    for seed in range(3):
        shuffled = case.make()(frame.sample(frac=1, random_state=seed))
        assert_same(ordered(shuffled), ordered(out))
        if case.kind != "keep":
            assert_same(shuffled, out)


@every_case
def test_rows_in_batches_give_the_same(case):
    """What `pt.Experiment(batch_size=...)` does: the queries in parts."""
    frame = case.frame()
    key = "qid" if "qid" in frame.columns else "docno"
    parts = [case.make()(frame[frame[key] == value]) for value in frame[key].unique()]
    assert_same(ordered(pd.concat(parts, ignore_index=True)), ordered(case.make()(frame)))


@every_case
def test_a_list_of_dicts_is_taken_too(case):
    frame = case.frame()
    out = case.make()(frame.to_dict("records"))
    assert isinstance(out, list)
    assert len(out) == len(case.make()(frame))


@every_case
def test_a_whole_number_is_a_qid_too(case):
    """Frames read by pandas have integer qids; nothing is lost or mixed up."""
    frame = case.frame()
    if "qid" not in frame.columns:
        return
    numbers = {"q1": 1, "q2": 2, "q10": 3}
    excluded = {"excluded": {numbers[qid]: docnos for qid, docnos in EXCLUDED.items()}}
    transformer = case.make()
    if isinstance(transformer, ExcludeDocuments):
        transformer = ExcludeDocuments(**excluded)
    whole, out = case.make()(frame), transformer(frame.assign(qid=frame["qid"].map(numbers)))
    assert_same(ordered(out), ordered(whole.assign(qid=whole["qid"].map(numbers))))


def test_every_public_transformer_is_a_case():
    import pyterrier_rader

    made = {type(case.make()).__name__ for case in CASES.values()}
    classes = [getattr(pyterrier_rader, name) for name in pyterrier_rader.__all__]
    transformers = {c.__name__ for c in classes if isinstance(c, type) and issubclass(c, pt.Transformer)}
    indexes = {c.__name__ for c in classes if isinstance(c, type) and issubclass(c, pt.Indexer)}
    assert transformers - indexes <= made
