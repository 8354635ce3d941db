"""`rader mine`: its file holds what the engine mines from the runs of the engine, and its figures count it."""

import json
import shlex
from pathlib import Path

import pytest

from rader_ir.bm25 import BM25
from rader_ir.cli import main
from rader_ir.corpus import read_documents, read_queries
from rader_ir.examples import Example, Passage, read_examples, write_examples
from rader_ir.guards import statement
from rader_ir.mining import REASONS
from rader_ir.runs import ranked, read_qrels, write_run

DOCUMENTS = {
    "d1": "the law of large numbers",
    "d2": "every finite integral domain is a field",
    "d3": "a graph is bipartite if and only if it contains no odd cycle",
    "d4": "the law of small numbers",
    "d5": "The law of $large$ numbers.",
    "d6": "numbers, large and small, obey no law",
}
QUERIES = {"q1": "what is the law of large numbers?", "q2": "which integral domain is a field?", "q3": "is it odd?"}
EXCLUDED = {"q1": ["d6"]}


def rader(command: str) -> int:
    """The exit status of `rader COMMAND --quiet`."""
    return main([*shlex.split(command), "--quiet"])


def figures() -> dict:
    return json.loads(Path("f.json").read_text())


def negatives(path: str = "mined.jsonl") -> dict[str, list[str]]:
    return {one.query_id: [passage.doc_id for passage in one.negatives] for one in read_examples(path)}


@pytest.fixture
def files(tmp_path, monkeypatch):
    """The working folder of a call, with documents, queries, and judgements of two of them."""
    monkeypatch.chdir(tmp_path)
    docs = [{"doc_id": doc_id, "text": text} for doc_id, text in DOCUMENTS.items()]
    queries = [{"query_id": q, "text": t, "excluded_ids": EXCLUDED.get(q, ["N/A"])} for q, t in QUERIES.items()]
    Path("docs.jsonl").write_text("".join(json.dumps(record) + "\n" for record in docs))
    Path("queries.jsonl").write_text("".join(json.dumps(record) + "\n" for record in queries))
    Path("qrels.tsv").write_text("q1\t0\td1\t1\nq2\t0\td2\t2\nq2\t0\td3\t0\n")
    return tmp_path


JUDGED = "mine docs.jsonl --queries queries.jsonl --qrels qrels.tsv --out mined.jsonl --json f.json"


def test_bm25_ranks_become_negatives(files):
    """q1's list without d6 is d1, d5, d4, ...: d1 answers, d5 states the same, d4 is left; q2's is its answer alone."""
    assert rader(f"{JUDGED} --bm25-ranks 10 --query-kind question") == 0
    listed = BM25.build(DOCUMENTS.items()).retrieve(QUERIES, excluded=EXCLUDED)
    assert negatives() == {"q1": ["d4"], "q2": []}
    (mined, _) = read_examples("mined.jsonl")
    assert (mined.query, mined.positives, mined.kind) == (QUERIES["q1"], (Passage("d1", DOCUMENTS["d1"]),), "question")
    rank = [doc_id for doc_id, _ in ranked(listed["q1"])].index("d4") + 1
    assert mined.provenance == {"negatives": {"d4": {"run": "bm25", "rank": rank, "score": listed["q1"]["d4"]}}}
    told = figures()
    assert (told["documents"], told["examples"], told["negatives"], told["without_negatives"]) == (6, 2, 1, 1)
    removed = {reason: told[f"removed_{reason}"] for reason in REASONS}
    assert removed == {**dict.fromkeys(REASONS, 0), "positive": 2, "equal_statement": 1}


def test_runs_that_were_given(files):
    """Two runs, the first two ranks that pass of each; q2 excludes nothing, so d6 counts for it."""
    write_run({"q1": {"d1": 3, "d6": 2, "d3": 1}, "q2": {"d6": 2, "d1": 1}}, "one.trec")
    write_run({"q1": {"d3": 2, "d2": 1}}, "two.trec")
    assert rader(f"{JUDGED} --no-bm25 --run one.trec --run two.trec --run-ranks 2") == 0
    assert negatives() == {"q1": ["d3", "d2"], "q2": ["d6", "d1"]}
    origins = read_examples("mined.jsonl")[0].provenance["negatives"]
    assert origins["d3"] == {"run": "one.trec", "rank": 2, "score": 1.0} and origins["d2"]["run"] == "two.trec"
    assert figures()["removed_repeated"] == 1


def test_the_margin_keeps_what_ranks_well_below(files):
    write_run({"q1": {"d1": 3, "d4": 2.5, "d3": 1}, "q2": {"d2": 1}}, "one.trec")
    assert rader(f"{JUDGED} --no-bm25 --run one.trec --margin 1") == 0
    assert negatives()["q1"] == ["d3"] and figures()["removed_score"] == 1


def test_examples_without_negatives_are_left_out_on_request(files, capsys):
    """The run lists nothing but q2's answer for q2; a margin of 9 leaves q1 nothing either."""
    write_run({"q1": {"d1": 3, "d4": 2.5, "d3": 1}, "q2": {"d2": 1}}, "one.trec")
    command = f"{JUDGED} --no-bm25 --run one.trec --require-negatives"
    assert rader(command) == 0
    assert negatives() == {"q1": ["d4", "d3"]}
    assert (figures()["examples"], figures()["negatives"], figures()["left_out"]) == (1, 2, 1)
    assert rader(f"{command} --margin 9") == 2
    assert "none of 2 examples has negatives; lower --margin" in capsys.readouterr().err


@pytest.mark.parametrize("kept", [False, True])
def test_a_dense_run_made_on_the_spot(files, tiny_bert, kept):
    """The first two of the encoder's own ranking that pass, with or without an index to keep."""
    from rader_ir.encoder import Encoder

    encoder = Encoder(tiny_bert)
    products = encoder.encode_queries(list(QUERIES.values())) @ encoder.encode_docs(list(DOCUMENTS.values())).T
    expected = {}
    for query_id, left_out, row in (("q1", {"d1", "d5", "d6"}, products[0]), ("q2", {"d2"}, products[1])):
        scores = {doc_id: float(score) for doc_id, score in zip(DOCUMENTS, row, strict=True)}
        expected[query_id] = [doc_id for doc_id, _ in ranked(scores) if doc_id not in left_out][:2]
    dense = f"{JUDGED} --no-bm25 --dense-ranks 2"
    if kept:
        assert rader(f"{dense} --checkpoint {tiny_bert} --index index") == 0
        assert negatives() == expected and Path("index").is_dir()
        Path("mined.jsonl").unlink()
        assert rader(f"{dense} --index index") == 0
    else:
        assert rader(f"{dense} --checkpoint {tiny_bert}") == 0
    assert negatives() == expected
    assert figures()["truncated"] == 0
    origin = read_examples("mined.jsonl")[0].provenance["negatives"][expected["q1"][0]]
    assert origin["run"] == "dense" and origin["score"] == pytest.approx(
        float(products[0][list(DOCUMENTS).index(expected["q1"][0])]), abs=1e-5
    )


def test_what_an_example_excludes_is_not_ranked(files):
    """q1's list is d1, d5, d4, d6, ...; the example excludes d4, the queries' file d6, so neither is a negative of it."""
    positive = (Passage("d1", DOCUMENTS["d1"]),)
    given = Example("q1", QUERIES["q1"], positive, provenance={"excluded_ids": ["d4"]})
    write_examples([given], "given.jsonl")
    command = "mine docs.jsonl --examples given.jsonl --out mined.jsonl --bm25-ranks 10"
    assert rader(command) == 0 and {"d6"} <= {*negatives()["q1"]} and "d4" not in negatives()["q1"]
    assert rader(f"{command} --queries queries.jsonl") == 0 and not {"d4", "d6"} & {*negatives()["q1"]}
    write_examples([Example("q1", QUERIES["q1"], positive)], "given.jsonl")
    assert rader(command) == 0 and {"d4", "d6"} <= {*negatives()["q1"]}


def test_examples_keep_what_they_have(files):
    """Negatives and provenance stay, mined ones follow; what the queries file excludes for an id is left out."""
    given = Example(
        "q1", QUERIES["q1"], (Passage("d1", DOCUMENTS["d1"]),), (Passage("x", "other"),), "cot", {"from": "y"}
    )
    write_examples([given], "given.jsonl")
    command = "mine docs.jsonl --examples given.jsonl --out mined.jsonl --json f.json --bm25-ranks 10"
    assert rader(command) == 0
    assert set(negatives()["q1"]) == {"x", "d4", "d6"}
    assert rader(f"{command} --queries queries.jsonl") == 0
    (mined,) = read_examples("mined.jsonl")
    assert negatives() == {"q1": ["x", "d4"]} and mined.kind == "cot" and mined.provenance["from"] == "y"
    assert figures()["negatives"] == 1


BAD = {
    "nothing to mine for": ("--out x.jsonl", "give --queries and --qrels, or --examples"),
    "no judgements": ("--queries queries.jsonl --out x.jsonl", "give --queries and --qrels, or --examples"),
    "judgements of examples": ("--examples e.jsonl --qrels qrels.tsv --out x.jsonl", "with --examples leave them out"),
    "kind of examples": ("--examples e.jsonl --query-kind cot --out x.jsonl", "with --examples leave them out"),
    "nothing to mine from": (
        "--queries queries.jsonl --qrels qrels.tsv --no-bm25 --out x.jsonl",
        "nothing to mine from; leave --no-bm25 out, or give --checkpoint, --index or --run",
    ),
    "a run that is not there": (
        "--queries queries.jsonl --qrels qrels.tsv --run absent.trec --out x.jsonl",
        "absent.trec",
    ),
    "a run of other queries": (
        "--queries queries.jsonl --qrels qrels.tsv --run other.trec --out x.jsonl",
        "other.trec has lists for 1 queries, and none of the 2 given is among them",
    ),
    "other judgements": ("--queries queries.jsonl --qrels other.tsv --out x.jsonl", "none of 3 queries has a relevant"),
    "the same file": ("--examples e.jsonl --out e.jsonl", "is a file that this call reads"),
    "a run to write": ("--examples e.jsonl --run other.trec --out other.trec", "is a file that this call reads"),
    "a negative margin": ("--examples e.jsonl --margin -1 --out x.jsonl", "margin is -1.0; expected 0 or more"),
    "an unsound example": ("--examples bad.jsonl --out x.jsonl", "bad.jsonl:2: no field 'positives'"),
    "no index": ("--examples e.jsonl --index absent --out x.jsonl", "absent"),
}


@pytest.mark.parametrize(("options", "message"), BAD.values(), ids=BAD)
def test_bad_input_ends_with_2_and_one_line(files, capsys, options, message):
    Path("other.trec").write_text("q9 Q0 d1 1 1.0 x\n")
    Path("other.tsv").write_text("q9\t0\td1\t1\n")
    write_examples([Example("q1", "?", (Passage("d1", "x"),))], "e.jsonl")
    Path("bad.jsonl").write_text(Path("e.jsonl").read_text() + '{"query_id": "q2", "query": "?"}\n')
    assert rader(f"mine docs.jsonl {options}") == 2
    err = capsys.readouterr().err
    assert message in err and err.startswith("rader mine: ") and err.count("\n") == 1
    assert not Path("x.jsonl").exists()


def test_a_document_twice_is_refused(files, capsys):
    Path("docs.jsonl").write_text(Path("docs.jsonl").read_text() * 2)
    assert rader(JUDGED) == 2
    assert "docs.jsonl: a document id stands twice" in capsys.readouterr().err


@pytest.mark.parametrize("flag", ["--bm25-ranks 50-31", "--dense-ranks first", "--run-ranks 0", "--query-kind CoT"])
def test_misspelt_ranks_end_with_2(files, capsys, flag):
    with pytest.raises(SystemExit) as end:
        rader(f"{JUDGED} {flag}")
    assert end.value.code == 2 and "usage: rader mine" in capsys.readouterr().err


def test_real_theorems(shared, tmp_path, monkeypatch):
    """As RaDeR mines: of BM25's ranks 31 to 50 each of 1,024 statements gets ten that are no answer, and not itself."""
    monkeypatch.chdir(tmp_path)
    folder = shared / "data" / "stacks_theorems"
    paths = {"queries": folder / "queries.train.jsonl", "qrels": folder / "qrels" / "train.tsv"}
    command = f"mine {folder / 'corpus.jsonl.gz'} --out mined.jsonl --json f.json"
    assert rader(f"{command} --queries {paths['queries']} --qrels {paths['qrels']}") == 0
    documents, (queries, excluded) = dict(read_documents(folder / "corpus.jsonl.gz")), read_queries(paths["queries"])
    qrels, made = read_qrels(paths["qrels"]), read_examples("mined.jsonl")
    listed = BM25.build(documents.items()).retrieve(queries, depth=50, excluded=excluded)
    assert [one.query_id for one in made] == [query_id for query_id in queries if query_id in qrels]
    for one in made:
        drawn = [passage.doc_id for passage in one.negatives]
        window = [doc_id for doc_id, _ in ranked(listed[one.query_id])][30:]
        assert len(drawn) == 10 and set(drawn) <= set(window) - set(qrels[one.query_id]) - excluded[one.query_id]
        assert all(passage.text == documents[passage.doc_id] for passage in (*one.positives, *one.negatives))
        answers = {statement(passage.text) for passage in one.positives}
        assert not answers & {statement(passage.text) for passage in one.negatives}
        assert statement(one.query) not in {statement(passage.text) for passage in one.negatives}
    before = (tmp_path / "mined.jsonl").read_bytes()
    assert rader(f"{command} --queries {paths['queries']} --qrels {paths['qrels']}") == 0
    assert (tmp_path / "mined.jsonl").read_bytes() == before, "the same call writes the same bytes"
