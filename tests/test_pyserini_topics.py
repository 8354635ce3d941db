"""Topics, excluded documents, sections and filtered runs: files in, files out, no Pyserini and no Java."""

import argparse
import gzip
import json

import pytest

from rader_ir.pyserini import sections
from rader_ir.pyserini.encode import documents
from rader_ir.pyserini.hybrid import fuse
from rader_ir.pyserini.search import filter_run
from rader_ir.pyserini.topics import excluded_of, is_local, read_excluded, read_topics


def write_jsonl(path, records):
    path.write_text("".join(json.dumps(record) + "\n" for record in records))
    return str(path)


def test_topics_keep_their_newlines_and_excluded_ids(tmp_path):
    records = [{"id": "q1", "query": "one\nline more", "excluded_ids": ["d 1", "d2"]}, {"id": 2, "query": "two"}]
    queries, excluded = read_topics(write_jsonl(tmp_path / "topics.jsonl", records), "raw_jsonl")
    assert queries == {"q1": "one\nline more", "2": "two"}
    assert excluded == {"q1": {"d 1", "d2"}}


def test_excluded_ids_of_a_file_of_pairs(tmp_path):
    (tmp_path / "pairs.txt").write_text("q1 d1\nq1\td 2\n\nq2 d1\n")
    assert read_excluded(tmp_path / "pairs.txt") == {"q1": {"d1", "d 2"}, "q2": {"d1"}}
    with gzip.open(tmp_path / "pairs.txt.gz", "wt") as file:
        file.write("q1 d1\n")
    assert read_excluded(tmp_path / "pairs.txt.gz") == {"q1": {"d1"}}


def test_a_line_that_is_no_pair_is_named(tmp_path):
    (tmp_path / "pairs.txt").write_text("q1 d1\nq2\n")
    with pytest.raises(ValueError, match=r"pairs\.txt:2: 'q2' is not `qid docid`"):
        read_excluded(tmp_path / "pairs.txt")


def test_a_given_file_goes_before_the_topics_own(tmp_path):
    topics = write_jsonl(tmp_path / "topics.jsonl", [{"id": "q1", "query": "one", "excluded_ids": ["d1"]}])
    other = write_jsonl(tmp_path / "other.jsonl", [{"id": "q1", "query": "one", "excluded_ids": ["d9"]}])
    assert excluded_of(topics, None) == {"q1": {"d1"}}
    assert excluded_of(topics, other) == {"q1": {"d9"}}
    assert excluded_of("bright-aops", None) == {}
    assert not is_local("bright-aops")


def test_a_run_is_filtered_before_the_cut(tmp_path):
    """Of four documents the second is excluded; two are kept, their lines as they were but for the rank."""
    run = [
        "q1 Q0 a 1 0.9 Faiss",
        "q1 Q0 d x 2 0.8 Faiss",
        "q1 Q0 c 3 0.700000 Faiss",
        "q1 Q0 d 4 0.6 Faiss",
        "q2 Q0 a 1 1 Faiss",
    ]
    (tmp_path / "run").write_text("\n".join(run) + "\n")
    filter_run(tmp_path / "run", tmp_path / "deep" / "out", {"q1": {"d x"}}, 2)
    expected = ["q1 Q0 a 1 0.9 Faiss", "q1 Q0 c 2 0.700000 Faiss", "q2 Q0 a 1 1 Faiss"]
    assert (tmp_path / "deep" / "out").read_text().splitlines() == expected


def test_sections_have_options_of_their_own():
    parsers = {name: argparse.ArgumentParser(name) for name in ("", "one", "two")}
    parsers["one"].add_argument("--fields", nargs="+", dest="first")
    parsers["two"].add_argument("--fields", nargs="+", dest="second")
    parts = sections.split(["one", "--fields", "a", "b", "two", "--fields", "c", "--new"], ("one", "two"))
    args, unknown = sections.parse(parsers, parts)
    assert (args.first, args.second) == (["a", "b"], ["c"])
    assert unknown == {"one": [], "two": ["--new"]}
    with pytest.raises(SystemExit):
        sections.parse(parsers, sections.split(["--odd", "one"], ("one", "two")))


def test_hybrid_takes_excluded_documents_out_before_the_lists_are_cut():
    """alpha .25, min-max. Lists of 2 after d9 left: dense a 1, b 0; BM25 c 1, a 0. a = .25, b = 0 (BM25's lowest), c = .75."""
    dense = {"q": {"d9": 9.0, "a": 3.0, "b": 2.0, "z": 1.0}}
    sparse = {"q": {"c": 8.0, "a": 7.0, "z": 6.0}}
    args = argparse.Namespace(alpha=0.25, normalise="minmax", depth=2, hits=2)
    assert fuse(dense, sparse, {"q": {"d9"}}, args) == {"q": {"c": 0.75, "a": 0.25}}


def corpus_options(corpus, **changed):
    """Options of `encode` as they are without flags, but for the corpus and `changed`."""
    defaults = dict(fields=["text"], input_fields=["text"], delimiter="\n", shard_id=0, shard_num=1)
    return argparse.Namespace(corpus=str(corpus), **{**defaults, **changed})


def test_native_corpus_by_fields_and_by_contents(tmp_path):
    fields = write_jsonl(tmp_path / "a.jsonl", [{"id": "1", "title": "T", "text": "one", "contents": "T\none"}])
    assert list(documents(corpus_options(fields))) == [("1", "one")]
    assert list(documents(corpus_options(fields, fields=["title", "text"]))) == [("1", "T\none")]
    contents = write_jsonl(tmp_path / "b.jsonl", [{"id": "2", "contents": "T\ntwo"}])
    assert list(documents(corpus_options(contents))) == [("2", "T\ntwo")]
    assert list(documents(corpus_options(tmp_path))) == [("1", "one"), ("2", "T\ntwo")]


def test_native_corpus_does_not_cut_contents(tmp_path):
    contents = write_jsonl(tmp_path / "b.jsonl", [{"id": "2", "contents": "T\ntwo"}])
    both = ["title", "text"]
    assert list(documents(corpus_options(contents, fields=both, input_fields=both))) == [("2", "T\ntwo")]
    with pytest.raises(ValueError, match="does not cut `contents` into title, text"):
        list(documents(corpus_options(contents, input_fields=both)))


@pytest.mark.parametrize("count", [1, 2, 3, 4])
def test_native_shards_are_cut_where_pyserini_cuts(tmp_path, count):
    """Shard i of n is rows i * (N // n) on, N // n of them; the last takes what remains."""
    corpus = write_jsonl(tmp_path / "a.jsonl", [{"id": str(i), "text": f"text {i}"} for i in range(10)])
    shards = [
        [doc_id for doc_id, _ in documents(corpus_options(corpus, shard_id=i, shard_num=count))] for i in range(count)
    ]
    assert [doc_id for shard in shards for doc_id in shard] == [str(i) for i in range(10)]
    assert [len(shard) for shard in shards[:-1]] == [10 // count] * (count - 1)
    with pytest.raises(ValueError, match=f"expected 0 to {count - 1}"):
        documents(corpus_options(corpus, shard_id=count, shard_num=count))


def test_a_corpus_that_is_not_there(tmp_path):
    with pytest.raises(FileNotFoundError, match="expected a JSONL or TSV file"):
        documents(corpus_options(tmp_path / "none"))
