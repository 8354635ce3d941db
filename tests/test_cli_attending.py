"""`rader rerank --system icr`: the run that is written, its options, and what is refused."""

import json
import shlex
from pathlib import Path

import numpy as np
import pytest

from rader_ir.cli import main
from rader_ir.rerank import open_reranker
from rader_ir.runs import read_run
from tests import tiny

QUERIES = {"q1": "odd cycle of a graph", "q2": "is every finite domain a field?"}
DOCS = {"d1": "a graph is bipartite if it has no odd cycle", "d2": "a field", "d3": "odd cycle", "d4": "a product"}
COMMAND = "rerank first.trec --docs docs.jsonl --queries queries.jsonl --out new.trec --system icr"


def rader(command: str) -> int:
    return main([*shlex.split(command), "--quiet"])


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return str(tiny.qwen2_chat(tmp_path_factory.mktemp("model")))


@pytest.fixture
def files(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    Path("docs.jsonl").write_text("".join(json.dumps({"doc_id": d, "text": t}) + "\n" for d, t in DOCS.items()))
    Path("queries.jsonl").write_text("".join(json.dumps({"query_id": q, "text": t}) + "\n" for q, t in QUERIES.items()))
    rows = (f"{q} Q0 {d} {i + 1} {10 - i} x\n" for q in QUERIES for i, d in enumerate(DOCS))
    Path("first.trec").write_text("".join(rows))
    Path("own.toml").write_text("[qa]\nmax_tokens = 1\nuser = '{passages} OWN {query}'\n")


@pytest.mark.parametrize(
    ("words", "options"),
    [
        ("", {}),
        ("--layers 0:1 --no-chat", {"layers": (0, 1), "chat": False}),
        ("--heads 1:2,0:3", {"heads": ((1, 2), (0, 3))}),
        (
            "--ask-by qa --prompts own.toml --no-calibration",
            {"method": "qa", "prompt": "own.toml", "calibrated": False},
        ),
        ("--window 3 --stride 2 --passage-words 4", {"window": 3, "stride": 2, "passage_words": 4}),
        ("--context 300 --query-words 3 --dtype float32", {"context": 300, "query_words": 3}),
    ],
)
def test_the_new_run_has_the_engines_scores(files, folder, words, options):
    assert rader(f"{COMMAND} --checkpoint {folder} --device cpu --json f.json {words}") == 0
    reranker = open_reranker("icr", checkpoint=folder, device="cpu", **options)
    wanted = reranker.score(list(QUERIES.values()), [list(DOCS.values())] * 2)
    run = read_run("new.trec")
    for query, scores in zip(QUERIES, wanted, strict=True):
        np.testing.assert_allclose([run[query][doc] for doc in DOCS], scores, rtol=1e-6)
    told = json.loads(Path("f.json").read_text())
    assert (told["queries"], told["rows"], told["truncated"]) == (2, 8, reranker.truncated)


@pytest.mark.parametrize(
    ("words", "told"),
    [
        ("--lm http://127.0.0.1:9/v1", "--lm is no option of --system icr; leave it out"),
        ("--asks 2", "--asks is no option of --system icr"),
        ("--shuffle", "--shuffle is no option of --system icr"),
        ("--passage-length 9", "--passage-length is no option of --system icr"),
        ("--instruction x", "--instruction is no option of --system icr"),
        ("--task biology", "--task is no option of --system icr"),
        ("--max-length 90", "--max-length is no option of --system icr"),
        ("--ask-by guess", "method 'guess' is unknown"),
        ("--layers 3:1", "layers is (3, 1)"),
        ("--layers 0:1 --heads 0:1", "leave layers out"),
        ("--system rader --heads 0:1", "--heads is for --system icr; leave it out"),
        ("--system rader --layers 1:3", "--layers is for --system icr; leave it out"),
        ("--system biencoder --no-calibration", "--no-calibration is for --system icr"),
        ("--system rank-r1 --lm http://127.0.0.1:9/v1 --chat", "--chat is for --system icr"),
        ("--checkpoint ./nowhere", "no checkpoint folder"),
    ],
)
def test_what_cannot_be_is_told_in_a_line(files, capsys, words, told):
    assert rader(f"{COMMAND} {words}") == 2
    err = capsys.readouterr().err
    assert told in err and err.count("\n") == 1
    assert not Path("new.trec").exists()


def test_layers_that_are_none(files, capsys):
    with pytest.raises(SystemExit):
        rader(f"{COMMAND} --layers 3")
    assert "'3' names no layers; give FIRST:END, such as 8:12" in capsys.readouterr().err
    for words in ("3", "3:1,", "1:2:3", "a:b"):
        with pytest.raises(SystemExit):
            rader(f"{COMMAND} --heads {words}")
        assert f"'{words}' names no heads; give LAYER:HEAD" in capsys.readouterr().err


def test_it_teaches_too(files, folder):
    """Scores of `rader teach` are those of each example's passages in one prompt."""
    passages = [{"doc_id": d, "text": t} for d, t in DOCS.items()]
    example = {"query_id": "q1", "query": QUERIES["q1"], "positives": passages[:1], "negatives": passages[1:]}
    Path("examples.jsonl").write_text(json.dumps(example) + "\n")
    assert rader(f"teach examples.jsonl --system icr --checkpoint {folder} --device cpu --out taught.jsonl") == 0
    taught = json.loads(Path("taught.jsonl").read_text())
    wanted = open_reranker("icr", checkpoint=folder, device="cpu").score([QUERIES["q1"]], [list(DOCS.values())])[0]
    scores = [passage["score"] for passage in taught["positives"] + taught["negatives"]]
    np.testing.assert_allclose(scores, wanted, rtol=1e-6)
