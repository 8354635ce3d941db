import gzip
import json
import os
import subprocess
import sys
from typing import NamedTuple

import pytest

from rader_ir.corpus import load_irds, read_documents, read_queries


def jsonl(path, *records):
    path.write_text("".join((record if isinstance(record, str) else json.dumps(record)) + "\n" for record in records))
    return path


def test_the_text_joins_the_default_fields_in_their_order(tmp_path):
    source = jsonl(
        tmp_path / "docs.jsonl",
        {"doc_id": "a", "text": "body", "kind": "lemma", "title": "Head", "name": ""},
        {"doc_id": "b", "sentences": ["One.", "", None, "Two."], "title": "Head"},
        {"doc_id": "c", "title": "only a title", "text": None},
        {"doc_id": "d", "contents": "  kept as it is\n"},
    )
    assert dict(read_documents(source)) == {
        "a": "Head\nbody",
        "b": "Head\nOne. Two.",
        "c": "only a title",
        "d": "  kept as it is\n",
    }


def test_named_fields_replace_the_default(tmp_path):
    source = jsonl(tmp_path / "docs.jsonl", {"id": "a", "text": "body", "tags": ["x", "y"], "title": "Head"})
    assert list(read_documents(source, fields=["tags", "text"])) == [("a", "x y\nbody")]
    with pytest.raises(ValueError, match=r"docs\.jsonl:1: no field 'titel'; the record has id, text, tags, title"):
        list(read_documents(source, fields=["titel", "text"]))
    with pytest.raises(ValueError, match="fields 'text' is one string"):
        read_documents(source, fields="text")


@pytest.mark.parametrize("name", ["doc_id", "docid", "docno", "_id", "id"])
def test_documents_of_other_tools_are_read(tmp_path, name):
    source = jsonl(tmp_path / "docs.jsonl", {name: 7, "contents": "seven"}, {"contents": "b", name: "a b"})
    assert list(read_documents(source)) == [("7", "seven"), ("a b", "b")]


@pytest.mark.parametrize("name", ["query_id", "qid", "_id", "id"])
def test_queries_of_other_tools_are_read(tmp_path, name):
    source = jsonl(tmp_path / "topics.jsonl", {name: 7, "query": "seven?"}, {name: "8", "text": "eight?"})
    assert read_queries(source) == ({"7": "seven?", "8": "eight?"}, {})


def test_excluded_ids_of_queries(tmp_path):
    source = jsonl(
        tmp_path / "queries.jsonl",
        {"query_id": "1", "text": "one", "excluded_ids": ["a", 2, "a"]},
        {"query_id": "2", "text": "two", "excluded_ids": ["N/A"]},
        {"query_id": "3", "text": "three", "excluded_ids": None},
    )
    assert read_queries(source)[1] == {"1": frozenset({"a", "2"})}
    jsonl(source, {"query_id": "1", "text": "one", "excluded_ids": "a"})
    with pytest.raises(ValueError, match=r"queries\.jsonl:1: excluded_ids is 'a'; expected a list"):
        read_queries(source)


def test_tsv_and_gzip(tmp_path):
    text = "1\tfirst\tstill first\r\n\n2\t second\n"
    (tmp_path / "docs.tsv").write_text(text)
    with gzip.open(tmp_path / "docs.tsv.gz", "wt", newline="") as file:
        file.write(text)
    for name in ("docs.tsv", "docs.tsv.gz"):
        assert dict(read_documents(tmp_path / name)) == {"1": "first\tstill first", "2": " second"}
        assert read_queries(str(tmp_path / name))[0] == {"1": "first\tstill first", "2": " second"}
    with pytest.raises(ValueError, match="leave fields out"):
        read_documents(tmp_path / "docs.tsv", fields=["text"])


@pytest.mark.parametrize(
    ("line", "complaint"),
    [
        ('{"doc_id": "b", "text": "cut', "broken JSON (Unterminated string"),
        ("[1]", "a list; expected one JSON object per line"),
        ('{"text": "t"}', "no id; expected one of doc_id, docid, docno, _id, id, the record has text"),
        ('{"doc_id": null, "text": "t"}', "doc_id is None; expected a string or an integer"),
        ('{"doc_id": 1.0, "text": "t"}', "doc_id is 1.0; expected a string or an integer"),
        ('{"doc_id": true, "text": "t"}', "doc_id is True; expected a string or an integer"),
        ('{"doc_id": " ", "text": "t"}', "an id may not be empty"),
        (r'{"doc_id": "a\tb", "text": "t"}', "nor hold a tab or line break"),
        (r'{"doc_id": "a\nb", "text": "t"}', "nor hold a tab or line break"),
        ('{"doc_id": "b", "text": null}', "the text is empty or null in text"),
        ('{"doc_id": "b", "title": "", "text": " \\n"}', "the text is empty or null in title, text"),
        ('{"doc_id": "b", "sentences": []}', "the text is empty or null in sentences"),
        ('{"doc_id": "b", "body": "t"}', "the record has doc_id, body: name the right fields"),
        ('{"doc_id": "b", "text": 3}', "text holds '3', a int; expected text or a list of texts"),
        ('{"doc_id": "b", "text": ["t", {"a": 1}]}', "a dict; expected text or a list of texts"),
        (r'{"doc_id": "b", "text": "\ud835"}', "half a surrogate pair at character 0"),
        (r'{"doc_id": "\ud835", "text": "b"}', "half a surrogate pair at character 0"),
    ],
)
def test_a_bad_record_is_named_by_file_and_line(tmp_path, line, complaint):
    source = jsonl(tmp_path / "docs.jsonl", {"doc_id": "a", "text": "fine"}, "", line)
    documents = read_documents(source)
    assert next(documents) == ("a", "fine")
    with pytest.raises(ValueError, match=r"docs\.jsonl:3: ") as caught:
        next(documents)
    assert complaint in str(caught.value)


def test_other_bad_sources(tmp_path):
    (tmp_path / "docs.tsv").write_text("1\tone\ntwo\n")
    with pytest.raises(ValueError, match=r"docs\.tsv:2: no tab in 'two'; expected id<TAB>text"):
        list(read_documents(tmp_path / "docs.tsv"))
    (tmp_path / "latin.jsonl").write_bytes(b'{"id": 1, "text": "caf\xe9"}\n')
    with pytest.raises(ValueError, match=r"latin\.jsonl:1: not UTF-8"):
        list(read_documents(tmp_path / "latin.jsonl"))
    with pytest.raises(ValueError, match=r"docs\.csv: unknown kind of file; expected \.jsonl"):
        read_documents(tmp_path / "docs.csv")
    with pytest.raises(FileNotFoundError, match=r"none\.jsonl: no such file"):
        read_documents(tmp_path / "none.jsonl")
    jsonl(tmp_path / "twice.jsonl", {"id": 1, "text": "a"}, {"id": "1", "text": "b"})
    with pytest.raises(ValueError, match=r"twice\.jsonl:2: query id '1' stands twice"):
        read_queries(tmp_path / "twice.jsonl")


def test_documents_stream(tmp_path):
    """Reading the first of many documents takes memory for a few lines, not for the 40 MB of the file."""
    import tracemalloc

    source = tmp_path / "docs.jsonl"
    with open(source, "w") as file:
        for number in range(4000):
            file.write(json.dumps({"doc_id": number, "text": "word " * 2000}) + "\n")
    tracemalloc.start()
    assert sum(1 for _ in read_documents(source)) == 4000
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 2_000_000


class Paper(NamedTuple):
    doc_id: str
    text: str
    title: str
    url: str


class Papers:
    """The documents, queries and judgements of a dataset, in ir_datasets' own shape, without a download."""

    def docs_iter(self):
        return iter([Paper("d1", "body", "Head", "u"), Paper("d2", "", "Title only", "u")])

    def docs_handler(self):
        return self

    def queries_iter(self):
        from ir_datasets.formats import GenericQuery

        return iter([GenericQuery("1", "one"), GenericQuery("2", "two")])

    def queries_handler(self):
        return self

    def qrels_iter(self):
        from ir_datasets.formats import TrecQrel

        return iter([TrecQrel("1", "d1", 1, "0"), TrecQrel("1", "d2", -100, "0")])

    def qrels_defs(self):
        return {1: "Relevant", -100: "Excluded from evaluation"}

    def qrels_handler(self):
        return self


def test_datasets_of_ir_datasets_are_read_by_the_same_rules():
    ir_datasets = pytest.importorskip("ir_datasets")
    ir_datasets.registry.register("rader-papers", ir_datasets.Dataset(Papers()))
    assert list(read_documents("irds:rader-papers")) == [("d1", "Head\nbody"), ("d2", "Title only")]
    assert read_queries("irds:rader-papers") == ({"1": "one", "2": "two"}, {"1": frozenset({"d2"})})
    with pytest.raises(ValueError, match="irds:rader-papers, record 1: no field 'abstract'"):
        list(read_documents("irds:rader-papers", fields=["abstract"]))
    with pytest.raises(ValueError, match="ir_datasets has no dataset 'no-such-set'"):
        load_irds("no-such-set")
    with pytest.raises(ValueError, match="irds:msmarco-passage has no queries"):
        read_queries("irds:msmarco-passage")


def test_without_ir_datasets_the_error_names_the_extra():
    code = (
        "import sys; sys.modules['ir_datasets'] = None\n"
        "from rader_ir.corpus import read_documents\n"
        "try: read_documents('irds:bright/pony')\n"
        "except ModuleNotFoundError as error: print(error)"
    )
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert "pip install ir-datasets" in result.stdout


@pytest.mark.parametrize(
    ("name", "count", "start"),
    [
        ("scifact", 5183, "Microstructural development of human newborn cerebral white matter"),
        ("theoremqa", 354, "Kraft inequality\nKraft inequality is a fundamental concept"),
        ("stacks_theorems", 2342, "Every set is an element of"),
        ("bright_theoq_mini", 2239, "John's Lawn Mowing Service"),
        ("bright_pony_pages", 758, "# The Pony Type System at a Glance\n\nPony"),
        ("hotpotqa_500", 4858, "Meet Corliss Archer\nMeet Corliss Archer, a program"),
    ],
)
def test_real_corpora(shared, name, count, start):
    documents = list(read_documents(shared / "data" / name / "corpus.jsonl.gz"))
    assert len(dict(documents)) == len(documents) == count
    assert documents[0][1].startswith(start)


@pytest.mark.parametrize(
    ("name", "count", "excluding"),
    [
        ("scifact/queries.test.jsonl", 300, 0),
        ("theoremqa/queries.jsonl", 537, 0),
        ("stacks_theorems/queries.test.jsonl", 250, 250),
        ("bright/topics/leetcode.jsonl.gz", 142, 142),
        ("interleaved_lessons/image_queries.jsonl", 148, 0),
    ],
)
def test_real_queries(shared, name, count, excluding):
    queries, excluded = read_queries(shared / "data" / name)
    assert (len(queries), len(excluded)) == (count, excluding)
    if name.startswith("stacks"):
        assert all(query_id in doc_ids for query_id, doc_ids in excluded.items())
        longer = read_queries(shared / "data" / name, fields=["text", "proof"])[0]
        assert all(longer[query_id].startswith(f"{text}\n") for query_id, text in queries.items())


WITHOUT_NETWORK = """
from rader_ir import bright, irds_collections
from rader_ir.bright_sources import irds_documents
from rader_ir.corpus import read_documents, read_queries

def told(call):
    try:
        call()
    except ConnectionError as error:
        print(error)

told(lambda: bright.load("pony"))
told(lambda: next(irds_documents("bright/pony")))
told(lambda: irds_collections.collection("beir/scifact"))
told(lambda: next(read_documents("irds:vaswani")))
told(lambda: read_queries("irds:vaswani"))
"""


def test_a_network_that_is_not_there_is_told_in_one_line(tmp_path):
    """Nobody listens where the proxy should be."""
    nowhere = dict.fromkeys(("http_proxy", "https_proxy", "HTTP_PROXY", "HTTPS_PROXY"), "http://127.0.0.1:9")
    environment = (
        os.environ | nowhere | {"IR_DATASETS_HOME": str(tmp_path), "IR_DATASETS_DL_TRIES": "1", "no_proxy": ""}
    )
    done = subprocess.run(
        [sys.executable, "-c", WITHOUT_NETWORK], env=environment, capture_output=True, text=True, check=True
    )
    names = ("bright/pony", "bright/pony", "beir/scifact/test", "vaswani", "vaswani")
    said = "(Connection refused); connect to the network, or give a folder with its files"
    assert done.stdout.splitlines() == [f"ir_datasets cannot download {name} {said}" for name in names]
