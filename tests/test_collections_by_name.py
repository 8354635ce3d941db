"""Collections open by name: RAR-b in MTEB's layout, MS MARCO, TREC DL and BEIR by ir_datasets, all of them from folders."""

import json
import os
import shutil
import subprocess
import sys
from typing import NamedTuple

import ir_measures
import pytest

from rader_ir import rarb
from rader_ir.collections_by_name import NAMES, open_collection
from rader_ir.corpus import read_documents
from rader_ir.evaluation import evaluate
from tests import bright_folders, hub
from tests.bright_folders import write_jsonl, write_parquet

CORPUS = [
    {"_id": "d1", "title": "Head", "text": "body"},
    {"_id": "d2", "title": "", "text": "plain"},
    {"_id": "q2", "title": "", "text": ""},
]
QUERIES = [{"_id": "q1", "text": "one?"}, {"_id": "q2", "text": "two?"}, {"_id": "q9", "text": "not judged?"}]
QRELS = [{"query-id": "q1", "corpus-id": "d1", "score": 1}, {"query-id": "q2", "corpus-id": "d2", "score": 2}]
EXPECTED = ({"q1": "one?", "q2": "two?"}, {"q1": {"d1": 1}, "q2": {"d2": 2}})
TEXTS = [("d1", "Head body"), ("d2", "plain"), ("q2", "")]


def mteb(folder, *, qrels="qrels"):
    """MTEB's layout on the hub: parquet, the split's name in the file's."""
    for name, rows in [("corpus", CORPUS), ("queries", QUERIES), (qrels, QRELS)]:
        write_parquet(folder / name / "test", rows, parts=2 if name == "corpus" else 1)
    return folder


def beir(folder):
    """BEIR's layout: JSONL, and judgements with a header."""
    write_jsonl(folder / "corpus.jsonl", CORPUS)
    write_jsonl(folder / "queries.jsonl", QUERIES)
    (folder / "qrels").mkdir()
    rows = [f"{row['query-id']}\t{row['corpus-id']}\t{row['score']}\n" for row in QRELS]
    (folder / "qrels/test.tsv").write_text("".join(["query-id\tcorpus-id\tscore\n", *rows]))
    return folder


@pytest.mark.parametrize("layout", [mteb, beir, lambda folder: mteb(folder, qrels="data")])
@pytest.mark.parametrize(("name", "problem"), [("rarb/math", "math"), ("rarb/code", "coding")])
def test_rarb_from_a_folder(tmp_path, layout, name, problem):
    pytest.importorskip("pyarrow")
    layout(tmp_path / name)
    found = open_collection(name, source=tmp_path)
    assert (found.queries, found.qrels, list(found.documents())) == (*EXPECTED, TEXTS)
    assert found.instruction == f"Instruct: Retrieve the answer for the following {problem} problem.\nQuery: "
    assert (found.name, found.measures[0], found.excluded) == (name, "nDCG@10", {})
    assert found.version == f"folder, 2 queries instead of {rarb.TASKS[name.partition('/')[2]].queries}"
    assert open_collection(name, source=tmp_path, instruction=False).instruction == ""


def test_judgements_are_enough_to_measure_runs(tmp_path):
    folder = beir(tmp_path / "rarb/math")
    (folder / "corpus.jsonl").unlink()
    found = open_collection("rarb/math", source=tmp_path)
    assert found.documents is None and (found.queries, found.qrels) == EXPECTED


def test_a_folders_corpus_is_known_by_its_bytes(tmp_path):
    """Of every layout; ir_datasets and a hub fix theirs by checksums or a revision, so that nothing is asked of them."""
    bright_folders.export_folder(tmp_path / "bright")
    for name, corpus in (("bright/pony", "bright/documents/pony.jsonl"), ("rarb/math", None), ("beir/nq", None)):
        table = tmp_path / (corpus or f"{name}/corpus.jsonl")
        if corpus is None:
            beir(tmp_path / name)
        else:
            table.with_name(f"{table.name}.gz").unlink()
            write_jsonl(table, [{"id": "a_1", "content": "one"}])
        first, again = (open_collection(name, source=tmp_path).corpus() for _ in range(2))
        table.write_text(table.read_text().replace("o", "0"))
        assert first == again != open_collection(name, source=tmp_path).corpus()
        table.unlink()
        assert open_collection(name, source=tmp_path).corpus is None


def test_titles_alone_are_no_corpus(tmp_path):
    folder = beir(tmp_path / "rarb/math")
    write_jsonl(folder / "corpus.jsonl", [{"_id": "d1", "title": "Head", "body": "body"}])
    found = open_collection("rarb/math", source=tmp_path)
    with pytest.raises(
        ValueError, match=r"corpus\.jsonl:1: no text; expected title, .*text, .*, the record has _id, title, body"
    ):
        list(found.documents())


def test_a_set_whose_texts_are_sentences_is_read_whole(shared, tmp_path):
    """SciFact as its authors give it: the words that `read_documents` finds, of title and abstract."""
    data, folder = shared / "data/scifact", beir(tmp_path / "beir/scifact")
    (folder / "corpus.jsonl").unlink()
    shutil.copy(data / "corpus.jsonl.gz", folder)
    found = dict(open_collection("beir/scifact", source=tmp_path).documents())
    expected = dict(read_documents(data / "corpus.jsonl.gz"))
    assert found.keys() == expected.keys() and len(found) == 5183
    assert all(found[doc_id].split() == expected[doc_id].split() for doc_id in found)


@pytest.mark.parametrize(
    ("qrels", "complaint"),
    [
        ([{**QRELS[0], "score": 0.5}], "score is 0.5; expected a whole number"),
        ([QRELS[0], QRELS[0]], "document 'd1' is judged twice for query 'q1'"),
        ([{**QRELS[0], "query-id": "q7"}], "1 judged queries have no text, 'q7' first"),
        ([{"qid": "q1", "corpus-id": "d1", "score": 1}], "no id; expected one of query-id, the record has qid"),
    ],
)
def test_broken_judgements_are_told(tmp_path, qrels, complaint):
    folder = beir(tmp_path / "rarb/math")
    (folder / "qrels/test.tsv").unlink()
    write_jsonl(folder / "qrels/test.jsonl", qrels)
    with pytest.raises(ValueError, match=complaint):
        open_collection("rarb/math", source=tmp_path)


def test_a_whole_number_may_be_written_as_a_fraction(tmp_path):
    folder = beir(tmp_path / "rarb/math")
    (folder / "qrels/test.tsv").unlink()
    write_jsonl(folder / "qrels/test.jsonl", [{**row, "score": float(row["score"])} for row in QRELS])
    assert json.dumps(open_collection("rarb/math", source=tmp_path).qrels) == json.dumps(EXPECTED[1])


FROM_THE_HUB = """
import json, sys
from rader_ir.collections_by_name import open_collection
found = open_collection("rarb/code", revision=sys.argv[1] or None)
print(json.dumps([found.queries, found.qrels, found.version, list(found.documents())]))
"""


def test_rarb_from_the_hub(tmp_path):
    pytest.importorskip("pyarrow")
    folder = mteb(tmp_path / "hub")

    def run(revision, address):
        everything = {**os.environ, "HF_HOME": str(tmp_path / "home"), "HF_ENDPOINT": address, "HF_HUB_OFFLINE": "0"}
        command = [sys.executable, "-c", FROM_THE_HUB, revision]
        return subprocess.run(command, env=everything, capture_output=True, text=True, timeout=120)

    with hub.serve({"mteb/RARbCode": folder}) as (address, _):
        given, pinned = run("main", address), run("", address)
    assert given.returncode == 0, given.stderr
    version = "hub main, 2 queries instead of 1484"
    assert json.loads(given.stdout) == [*EXPECTED, version, [list(text) for text in TEXTS]]
    assert "task 'code' has 2 queries at revision ed0a01c3e4d3" in pinned.stderr


class Document(NamedTuple):
    doc_id: str
    text: str
    title: str


class Tiny:
    """Documents, queries and judgements as ir_datasets hands them out; q9 is not judged."""

    def docs_iter(self):
        return iter([Document(row["_id"], row["text"], row["title"]) for row in CORPUS])

    def docs_handler(self):
        return self

    def queries_iter(self):
        from ir_datasets.formats import GenericQuery

        return iter([GenericQuery(row["_id"], row["text"]) for row in QUERIES])

    def queries_handler(self):
        return self

    def qrels_iter(self):
        from ir_datasets.formats import TrecQrel

        return iter([TrecQrel("q1", "d1", 1, "0"), TrecQrel("q2", "d2", 2, "0"), TrecQrel("q2", "d1", 0, "0")])

    def qrels_handler(self):
        return self


DATASETS = {
    "msmarco-dev-small": ("msmarco-passage/dev/small", "RR@10", 32, 196),
    "trec-dl-2019": ("msmarco-passage/trec-dl-2019/judged", "nDCG@10", 32, 196),
    "trec-dl-2020": ("msmarco-passage/trec-dl-2020/judged", "nDCG@10", 32, 196),
    "beir/scifact": ("beir/scifact/test", "nDCG@10", 512, 512),
    "beir/arguana": ("beir/arguana", "nDCG@10", 512, 512),
    "beir/msmarco": ("beir/msmarco/dev", "nDCG@10", 512, 512),
    "beir/cqadupstack/android": ("beir/cqadupstack/android", "nDCG@10", 512, 512),
    "beir/fiqa/dev": ("beir/fiqa/dev", "nDCG@10", 512, 512),
}


@pytest.mark.parametrize("name", DATASETS)
def test_sets_of_ir_datasets(name, monkeypatch):
    """The real name stands for a tiny dataset while the test runs."""
    ir_datasets = pytest.importorskip("ir_datasets")
    dataset, measure, max_query_length, max_doc_length = DATASETS[name]
    assert ir_datasets.load(dataset).has_qrels()
    monkeypatch.setitem(ir_datasets.registry._registered, dataset, ir_datasets.Dataset(Tiny()))
    found = open_collection(name)
    assert found.queries == EXPECTED[0] and found.qrels == {"q1": {"d1": 1}, "q2": {"d2": 2, "d1": 0}}
    assert list(found.documents()) == TEXTS and found.corpus is None
    assert (found.name, found.measures[0], found.version) == (name, measure, f"ir_datasets {dataset}")
    assert (found.max_query_length, found.max_doc_length) == (max_query_length, max_doc_length)
    assert found.instruction == ""
    itself = {"q1": frozenset({"q1"}), "q2": frozenset({"q2"})} if name.startswith("beir/") else {}
    assert found.excluded == itself


@pytest.mark.parametrize("name", ["beir/scifact", "trec-dl-2019"])
def test_the_same_sets_from_a_folder(tmp_path, name):
    beir(tmp_path / name)
    found = open_collection(name, source=tmp_path)
    assert (found.queries, found.qrels, list(found.documents())) == (*EXPECTED, TEXTS)
    assert found.version == "folder" and bool(found.excluded) == (name == "beir/scifact")


def test_deep_learning_counts_a_passage_from_grade_2_on():
    """A run that finds the one passage of grade 2 second, after one of grade 1: nDCG sees both, the binary ones one."""
    ir_datasets = pytest.importorskip("ir_datasets")
    assert ir_datasets.load("msmarco-passage/trec-dl-2019/judged").qrels_defs()[1].endswith("does not answer it.")
    from rader_ir.irds_collections import PROTOCOLS

    values = evaluate({"q": {"a": 2.0, "b": 1.0}}, {"q": {"a": 1, "b": 2}}, PROTOCOLS["trec-dl-2019"].measures)
    assert values["RR(rel=2)@10"] == 0.5 and values["R(rel=2)@1000"] == 1.0
    # Gains 1, 2 in ranks 1, 2: (1 + 2 / log2(3)) / (2 + 1 / log2(3)).
    assert values["nDCG@10"] == pytest.approx(0.85972, abs=1e-5)


def test_every_collection_measures_by_names_that_ir_measures_knows(tmp_path):
    bright_folders.export_folder(tmp_path / "bright")
    for name in ("rarb/math", "msmarco-dev-small", "trec-dl-2020", "beir/nq"):
        beir(tmp_path / name)
    for name in ("bright/pony", "rarb/math", "msmarco-dev-small", "trec-dl-2020", "beir/nq"):
        measures = open_collection(name, source=tmp_path).measures
        assert [str(ir_measures.parse_measure(measure)) for measure in measures] == list(measures)


def test_bright_by_name(tmp_path):
    bright_folders.export_folder(tmp_path / "bright")
    for source in (tmp_path, tmp_path / "bright"):
        found = open_collection("bright/pony", source=source, queries="gpt4_reason", instruction=False)
        assert found.queries["0"] == "GPT-4 on first?" and found.instruction == ""
    assert open_collection("bright/pony", source=tmp_path, long=True).name == "bright/pony-long"
    assert len(NAMES) == 12 + 2 + 3 + 1


@pytest.mark.parametrize(
    ("name", "arguments", "error", "complaint"),
    [
        ("scifact", {}, ValueError, "collection 'scifact' is unknown; choose one of bright/biology"),
        ("bright/hard", {}, ValueError, "task 'hard' is unknown; choose 'biology'"),
        ("rarb/logic", {}, ValueError, "task 'logic' is unknown; choose 'math', 'code'"),
        ("rarb/math", {"source": "irds"}, ValueError, "ir_datasets has no RAR-b; give source 'hub' or a folder"),
        ("rarb/math", {"source": "nowhere"}, FileNotFoundError, "nowhere/rarb/math: no such folder"),
        ("rarb/math", {"queries": "gpt4_reason"}, ValueError, "rarb/math has one set of queries"),
        ("trec-dl-2019", {"qrels": "fixed"}, ValueError, "trec-dl-2019 has one set of queries"),
        ("beir/nq", {"long": True}, ValueError, "beir/nq has one set of queries"),
        ("beir/nq", {"source": "hub"}, ValueError, "beir/nq is not read from the hub"),
        ("beir/nothing", {}, ValueError, "ir_datasets has no judged dataset 'beir/nothing'"),
    ],
)
def test_what_is_not_there_is_told(name, arguments, error, complaint):
    pytest.importorskip("ir_datasets")
    with pytest.raises(error, match=complaint):
        open_collection(name, **arguments)
