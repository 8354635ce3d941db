import gzip
import json

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from rader_ir.runs import cut, ranked, read_qrels, read_run, without, write_qrels, write_run

IDS = st.text(st.characters(exclude_characters="\t\r\n", exclude_categories=["Cs"]), min_size=1, max_size=8)
SCORES = st.floats(allow_nan=False, allow_infinity=False)


@pytest.mark.parametrize("name", ["run.trec", "run.trec.gz", "run.json", "run.json.gz"])
@given(run=st.dictionaries(IDS, st.dictionaries(IDS, SCORES, min_size=1, max_size=4), max_size=3))
def test_a_run_reads_back_equal_and_in_order(tmp_path_factory, name, run):
    path = tmp_path_factory.mktemp("run") / name
    write_run(run, path)
    back = read_run(path)
    assert back == run
    assert [list(scores.items()) for scores in back.values()] == [ranked(scores) for scores in run.values()]


@given(qrels=st.dictionaries(IDS, st.dictionaries(IDS, st.integers(-100, 3), min_size=1, max_size=4), max_size=3))
def test_qrels_read_back_equal(tmp_path_factory, qrels):
    path = tmp_path_factory.mktemp("qrels") / "qrels.tsv"
    write_qrels(qrels, path)
    assert read_qrels(path) == qrels


def test_the_file_is_trec_with_ranks_from_one_and_ties_by_doc_id(tmp_path):
    write_run({"q1": {"b": 1, "a": 1.0, "c": np.float32(0.1)}, "q2": {}}, tmp_path / "run", tag="bm25", depth=2)
    assert (tmp_path / "run").read_text() == "q1 Q0 a 1 1.0 bm25\nq1 Q0 b 2 1.0 bm25\n"
    write_run({"q1": {"c": np.float32(0.1)}}, tmp_path / "run")
    assert read_run(tmp_path / "run")["q1"]["c"] == float(np.float32(0.1))


def test_an_id_with_a_blank_parts_every_row_by_tabs(tmp_path):
    write_run({"q1": {"a b": 2.0, "c": 1.0}}, tmp_path / "run")
    assert (tmp_path / "run").read_text() == "q1\tQ0\ta b\t1\t2.0\trader\nq1\tQ0\tc\t2\t1.0\trader\n"


def test_blanks_within_doc_ids_survive_rows_parted_by_blanks(tmp_path):
    (tmp_path / "run").write_text("q1 Q0 a  b c 1 2.5 tag\n  q1 Q0  d   2  -1e-3 tag  \r\n")
    assert read_run(tmp_path / "run") == {"q1": {"a  b c": 2.5, "d": -0.001}}
    (tmp_path / "qrels").write_text("q1 0 a  b c 1\nq1\t0\td\t-100\n")
    assert read_qrels(tmp_path / "qrels") == {"q1": {"a  b c": 1, "d": -100}}


@pytest.mark.parametrize(
    ("row", "complaint"),
    [
        ("q1 Q0 d1 1 0.5", "is not a row; expected 'query_id Q0 doc_id rank score tag'"),
        ("q1 Q0 d1 first 0.5 tag", "is not a row"),
        ("q1\tQ0\td1\t1\thigh\ttag", "score 'high' is not a finite number"),
        ("q1 Q0 d1 1 nan tag", "score 'nan' is not a finite number"),
        ("q1 Q0 d1 1 inf tag", "score 'inf' is not a finite number"),
        ("q1 Q0 d0 1 0.5 tag", "document 'd0' stands twice for query 'q1'"),
    ],
)
def test_a_bad_row_of_a_run_is_named_by_file_and_line(tmp_path, row, complaint):
    (tmp_path / "run.trec").write_text(f"q1 Q0 d0 1 0.7 tag\n{row}\n")
    with pytest.raises(ValueError, match=r"run\.trec:2: ") as caught:
        read_run(tmp_path / "run.trec")
    assert complaint in str(caught.value)


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ('{"q": {"d": NaN}}', "query q, document d: score nan is not a finite number"),
        ('{"q": {"d": true}}', "score True is not a finite number"),
        ('{"q": {"d": null}}', "score None is not a finite number"),
        ('{"q": {"d": 1, "d": 2}}', "stands twice"),
        ('{"q": [1]}', "expected one object {query_id: {doc_id: score}}"),
        ('{"q":\n {"d": }}', "run.json:2: broken JSON"),
    ],
)
def test_a_bad_json_run_is_refused(tmp_path, text, complaint):
    (tmp_path / "run.json").write_text(text)
    with pytest.raises(ValueError) as caught:
        read_run(tmp_path / "run.json")
    assert "run.json" in str(caught.value) and complaint in str(caught.value)


@pytest.mark.parametrize(
    ("row", "complaint"),
    [("q1 0 d1", "is not a row"), ("q1\t0\td1\thigh", "relevance 'high'"), ("q1 0 d0 1", "'d0' stands twice")],
)
def test_a_bad_row_of_qrels_is_named_by_file_and_line(tmp_path, row, complaint):
    (tmp_path / "qrels.tsv").write_text(f"q1 0 d0 1\n\n{row}\n")
    with pytest.raises(ValueError, match=r"qrels\.tsv:3: ") as caught:
        read_qrels(tmp_path / "qrels.tsv")
    assert complaint in str(caught.value)


@pytest.mark.parametrize(
    ("run", "options", "complaint"),
    [
        ({"q": {"d\n": 1.0}}, {}, "holds a tab or line break"),
        ({"q": {"": 1.0}}, {}, "is empty"),
        ({"q\t": {"d": 1.0}}, {}, "holds a tab"),
        ({"q": {"d": float("nan")}}, {}, "query 'q', document 'd': score nan"),
        ({"q": {"d": 1.0}}, {"tag": "two words"}, "give one word"),
        ({"q": {"d": 1.0}}, {"depth": 0}, "depth 0 keeps no document"),
    ],
)
def test_what_trec_cannot_carry_is_refused_before_a_file_appears(tmp_path, run, options, complaint):
    with pytest.raises(ValueError, match=complaint):
        write_run(run, tmp_path / "run", **options)
    assert not list(tmp_path.iterdir())


def test_cut_and_without_leave_the_rest_alone():
    run = {"q1": {"a": 1.0, "b": 3.0, "c": 2.0}, "q2": {"a": 1.0}}
    assert cut(run, 2) == {"q1": {"b": 3.0, "c": 2.0}, "q2": {"a": 1.0}}
    assert without(run, {"q1": ["b", "z"], "q9": ["a"]}) == {"q1": {"a": 1.0, "c": 2.0}, "q2": {"a": 1.0}}
    assert run["q1"] == {"a": 1.0, "b": 3.0, "c": 2.0}


def test_a_thousand_rows_of_a_real_run_survive_both_formats(shared, tmp_path):
    source = shared / "data/bright_theot_bow/bm25_original_queries.top1000.json.gz"
    run = read_run(source)
    assert (len(run), sum(map(len, run.values()))) == (76, 76_000)
    write_run(run, tmp_path / "run.trec.gz")
    assert read_run(tmp_path / "run.trec.gz") == run == json.loads(gzip.decompress(source.read_bytes()))


def test_real_document_ids_with_blanks_survive(shared, tmp_path):
    name = "rader_runs/RaDeR-gte-Qwen2-LLMq_CoT_lexical/stackoverflow/gpt4_score.json.gz"
    run = read_run(shared / "data" / name)
    assert sum(" " in doc_id for scores in run.values() for doc_id in scores) == 8  # as the data's notes count them
    write_run(run, tmp_path / "run.trec")
    assert read_run(tmp_path / "run.trec") == run


@pytest.mark.parametrize("row", ["q1\td1\t1", "q1 d1 1"])
def test_beirs_judgements_without_their_header_are_refused_by_its_name(tmp_path, row):
    path = tmp_path / "qrels.tsv"
    path.write_text(f"{row}\n")
    with pytest.raises(ValueError, match="BEIR's rows of three need their header before them, query-id<TAB>corpus-id"):
        read_qrels(path)


def test_beirs_judgements_are_read(tmp_path):
    path = tmp_path / "test.tsv"
    path.write_text("query-id\tcorpus-id\tscore\nq1\td 1\t1\nq1\td2\t0\n")
    assert read_qrels(path) == {"q1": {"d 1": 1, "d2": 0}}
    path.write_text("query-id\tcorpus-id\tscore\nq1\t0\td1\t1\n")
    with pytest.raises(ValueError, match=r"test.tsv:2: .* is not a row; expected 'query-id corpus-id score'"):
        read_qrels(path)
