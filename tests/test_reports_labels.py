"""Runs are called by their names, and a baseline is found however it is written."""

from pathlib import Path

import pytest

from rader_ir.reports.labels import labelled


@pytest.fixture(autouse=True)
def files(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for name in ("a/bm25.trec.gz", "b/bm25.trec", "dense.json.gz", "b/runs/pony.trec", "x=y.trec"):
        Path(name).parent.mkdir(parents=True, exist_ok=True)
        Path(name).touch()
    return tmp_path


@pytest.mark.parametrize(
    ("words", "labels"),
    [
        (["a/bm25.trec.gz", "dense.json.gz", "b/runs/", "x=y.trec"], ["bm25", "dense", "runs", "x=y"]),
        (["a/bm25.trec.gz", "b/bm25.trec", "dense.json.gz"], ["a/bm25.trec.gz", "b/bm25.trec", "dense"]),
        (["bm25=dense.json.gz", "b/bm25.trec"], ["bm25", "b/bm25.trec"]),
        (["A=b/bm25.trec", "B=b/bm25.trec"], ["A", "B"]),
    ],
)
def test_a_run_is_called_by_its_name_where_no_other_is(words, labels):
    found, baseline = labelled(words)
    assert list(found) == labels and baseline is None
    assert all(word.endswith(path) for word, path in zip(words, found.values(), strict=True))


@pytest.mark.parametrize(
    "word",
    ["bm25", "bm25.trec.gz", "a/bm25.trec.gz", "./a/../a/bm25.trec.gz", "L=a/bm25.trec.gz", "{here}/a/bm25.trec.gz"],
)
def test_a_baseline_is_found_however_it_is_written(files, word):
    found, baseline = labelled(["a/bm25.trec.gz", "dense.json.gz"], word.format(here=files))
    assert baseline == ("L" if word[0] == "L" else "bm25")
    assert list(found.values()) == ["a/bm25.trec.gz", "dense.json.gz"] and next(iter(found)) == baseline


def test_a_label_comes_before_a_path_and_a_run_that_is_none_of_them_first():
    assert labelled(["A=b/bm25.trec", "B=b/bm25.trec"], "B")[1] == "B"
    assert labelled(["A=b/bm25.trec", "B=b/bm25.trec"], "B=b/bm25.trec")[1] == "B"
    assert labelled(["A=b/bm25.trec", "a/bm25.trec.gz"], "bm25")[1] == "bm25"
    assert labelled(["dense.json.gz"], "b/bm25.trec") == ({"bm25": "b/bm25.trec", "dense": "dense.json.gz"}, "bm25")
    found, baseline = labelled(["dense.json.gz", "a/bm25.trec.gz"], "b/bm25.trec")
    assert list(found) == ["b/bm25.trec", "dense", "a/bm25.trec.gz"] and baseline == "b/bm25.trec"
    assert labelled(["A=b/bm25.trec"], "b/runs") == ({"runs": "b/runs", "A": "b/bm25.trec"}, "runs")


@pytest.mark.parametrize(
    ("words", "baseline", "complaint"),
    [
        (["A=dense.json.gz", "b/runs"], "bm24", "'bm24' is neither a run of this call nor a file; the runs are called A, runs"),
        (["a/bm25.trec.gz", "b/bm25.trec"], "bm25", "is several runs; the runs are called a/bm25.trec.gz, b/bm25.trec"),
        (["A=b/bm25.trec", "B=b/bm25.trec"], "b/bm25.trec", "is several runs; the runs are called A, B"),
        (["b/bm25.trec"] * 2, None, "run 'b/bm25.trec' is given twice; leave one out, or give labels as in NAME=b/"),
        (["A=b/bm25.trec", "A=dense.json.gz"], None, "run 'A' is given twice"),
    ],
)  # fmt: skip
def test_what_cannot_be_told_apart_is_refused(words, baseline, complaint):
    with pytest.raises(ValueError) as told:
        labelled(words, baseline)
    assert complaint in str(told.value)
