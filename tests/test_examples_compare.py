"""The comparison of all rerankers runs as a user calls it, with tiny models and a server that knows which passages are right.

Its figures are counted again from outside: quality by ir_measures from the runs that it left, requests and tokens at the server.
"""

import json
import os
import random
import re
import runpy
import subprocess
import sys
from pathlib import Path

import ir_measures
import pandas as pd
import pytest

from rader_ir.corpus import read_documents, read_queries
from rader_ir.runs import read_run
from tests import tiny
from tests.idcm_folder import made
from tests.judging import best, order, passages, shown
from tests.lm_server import MODEL, LMServer

pytest.importorskip("pyterrier")
pytest.importorskip("matplotlib")
pytest.importorskip("scipy")

ROOT = Path(__file__).parents[1]
SCRIPT = ROOT / "examples" / "compare_rerankers.py"
QUERIES, DOCUMENTS, DEPTH = 5, 12, 8
READING = ("biencoder", "rader", "dear-pointwise", "prorank", "icr", "idcm")
# by the words of their prompts, for the server
KINDS = {
    "llm-rating": ["Relevance score: X."],
    "llm-rating-expected": ["Reply by the number alone"],
    "rank-r1": ["Which single passage"],
    "rankgpt-order": ["and write nothing else"],
    "rankgpt-choice": ["by its label in square brackets"],
    "dear": ["Work in three steps"],
}
OF_KIND = {
    "llm-rating": ["llm-rating"],
    "llm-rating-expected": ["llm-rating-expected"],
    "rank-r1": ["rank-r1"],
    "rankgpt-order": ["rankgpt-listwise", "rankgpt-whole"],
    "rankgpt-choice": ["rankgpt-setwise", "rankgpt-tournament"],
    "dear": ["dear-listwise", "dear-both"],
}


STRANGE = ("--corpus", "docs.tsv", "--topics", "queries.tsv", "--qrels", "qrels.tsv")


def test_is_short_enough_to_be_read():
    assert len(SCRIPT.read_text(encoding="utf-8").splitlines()) <= 300


def answer(body: dict) -> str:
    """What a model would write that knows each passage's worth, whatever the prompt wants."""
    prompt = body["messages"][-1]["content"]
    if "Relevance score: X" in prompt:
        worth = int(prompt.rpartition("worth ")[2].split()[0])
        return f"Relevance score: {worth * 5 // DOCUMENTS}"
    if "single passage" in prompt:
        return best(body)
    if "by its label" in prompt:
        values = shown(body)
        return f"[{values.index(max(values)) + 1}]"
    return order(body)


def kind_of(body: dict) -> str:
    prompt = body["messages"][-1]["content"]
    (found,) = (
        name for name, words in KINDS.items() if all(word in prompt for word in words) and _not_digit(name, prompt)
    )
    return found


def _not_digit(name: str, prompt: str) -> bool:
    """The expected rating's prompt holds the other one's words too."""
    return name != "llm-rating" or KINDS["llm-rating-expected"][0] not in prompt


@pytest.fixture(scope="module")
def data(tmp_path_factory) -> Path:
    """Passages that differ in worth and by chance in how often they say what is asked, of which the best three are right."""
    folder, drawn = tmp_path_factory.mktemp("data"), random.Random(3)
    texts = passages(list(range(DOCUMENTS)))
    written = {
        "corpus.jsonl": [
            {"doc_id": f"d{worth}", "text": f"{text} {'points ' * drawn.randint(0, 6)}"}
            for worth, text in enumerate(texts)
        ],
        "topics.jsonl": [
            {"query_id": f"q{i}", "text": f"passage of many points number {i}"} for i in range(QUERIES + 3)
        ],
    }
    for name, rows in written.items():
        (folder / name).write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    right = [f"q{i}\t0\td{worth}\t1\n" for i in range(QUERIES + 2) for worth in range(DOCUMENTS - 3, DOCUMENTS)]
    (folder / "qrels.tsv").write_text("".join(right), encoding="utf-8")
    return folder


@pytest.fixture(scope="module")
def models(tmp_path_factory) -> list[str]:
    """Options that name a tiny model for each system that reads one."""
    folder = tmp_path_factory.mktemp("models")
    strong = tiny.bert(folder / "bert", labels=1)
    reranker, chat = (
        tiny.qwen2(folder / "reranker", labels=1),
        tiny.qwen2_chat(folder / "chat", max_position_embeddings=4096),
    )
    named = {
        "--biencoder": tiny.qwen2(folder / "encoder"),
        "--rader": reranker,
        "--dear": reranker,
        "--prorank": chat,
        "--icr": chat,
        "--idcm": made(folder / "idcm", strong),
    }
    return [str(word) for pair in named.items() for word in pair]


def called(folder: Path, *options: str) -> subprocess.CompletedProcess:
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"}
    command = [sys.executable, str(SCRIPT), *options]
    return subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, check=False)


def asked(data: Path) -> list[str]:
    files = {"--corpus": "corpus.jsonl", "--topics": "topics.jsonl", "--qrels": "qrels.tsv"}
    named = [str(word) for option, name in files.items() for word in (option, data / name)]
    return [*named, "--queries", str(QUERIES), "--depth", str(DEPTH), "--group", "2", "--out", "out"]


@pytest.fixture(scope="module")
def whole(data, models, tmp_path_factory):
    """One call with all systems: the folder, what it printed, its report, and the bodies that the server was sent."""
    folder = tmp_path_factory.mktemp("whole")
    with LMServer(answer=answer, logprobs={"4": -0.2, "1": -2.0}) as server:
        options = [*asked(data), *models, "--lm", server.url, "--lm-model", MODEL]
        done = called(folder, *options)
        assert done.returncode == 0, done.stderr
        bodies = list(server.requests)
        yield (
            folder / "out",
            done.stdout,
            json.loads((folder / "out" / "report.json").read_text()),
            bodies,
            server,
            options,
        )


def test_every_system_has_a_row_and_nothing_is_left_out(whole):
    _, printed, report, _, _, _ = whole
    names = [*READING, *(name for names in OF_KIND.values() for name in names)]
    assert report["table"]["rows"][0][0] == "bm25" and "left out" not in printed
    assert sorted(row[0] for row in report["table"]["rows"][1:]) == sorted(names)
    for name in names:
        assert sum(line.split()[:1] == [name] for line in printed.splitlines()) == 1


def test_quality_is_what_ir_measures_finds_in_the_runs(whole, data):
    out, printed, report, _, _, _ = whole
    qrels = [
        one
        for one in ir_measures.read_trec_qrels(str(data / "qrels.tsv"))
        if one.query_id in report["values"]["bm25"]["nDCG@10"]
    ]
    assert len({one.query_id for one in qrels}) == QUERIES
    for row in report["table"]["rows"]:
        run = ir_measures.read_trec_run(str(out / "runs" / f"{row[0]}.trec"))
        found = ir_measures.calc_aggregate([ir_measures.nDCG @ 10], qrels, run)[ir_measures.nDCG @ 10]
        assert row[1]["value"] == pytest.approx(found, abs=1e-9)
        assert f"{found:.4f}" in next(line for line in printed.splitlines() if line.split()[:1] == [row[0]])
    figures = {row[0]: row[1]["value"] for row in report["table"]["rows"]}
    assert {figures[name] for name in ("rank-r1", "rankgpt-whole", "dear-listwise")} == {max(figures.values())}
    assert max(figures.values()) > figures["bm25"]


def test_every_run_ranks_the_same_documents_as_the_first_stage(whole):
    out, _, report, _, _, _ = whole
    ranked = {}
    for row in report["table"]["rows"]:
        lines = (out / "runs" / f"{row[0]}.trec").read_text().splitlines()
        ranked[row[0]] = {tuple(line.split()[:3:2]) for line in lines}
        assert len(lines) == len(ranked[row[0]]) == QUERIES * DEPTH
    assert all(pairs == ranked["bm25"] for pairs in ranked.values())


def test_calls_and_tokens_are_those_that_the_server_was_sent(whole):
    _, _, report, bodies, _, _ = whole
    costs = report["costs"]
    sent = dict.fromkeys(OF_KIND, (0, 0))
    for body in bodies:
        requests, tokens = sent[kind_of(body)]
        size = sum(len(message["content"].split()) for message in body["messages"])
        sent[kind_of(body)] = (requests + 1, tokens + size)
    for kind, names in OF_KIND.items():
        calls = sum(costs[name]["calls"] for name in names)
        tokens = sum(costs[name]["tokens_in"] for name in names)
        if "dear-both" in names:
            calls, tokens = calls - costs["dear-pointwise"]["calls"], tokens - costs["dear-pointwise"]["tokens_in"]
        assert (calls, tokens) == sent[kind] and calls > 0, kind
    assert costs["llm-rating"]["calls"] == QUERIES * DEPTH and costs["rankgpt-whole"]["calls"] == QUERIES
    assert all(costs[name]["malformed"] == 0 for names in OF_KIND.values() for name in names)


def test_systems_without_a_language_model_count_what_they_read_and_have_no_malformed_answers(whole):
    _, _, report, _, _, _ = whole
    costs = report["costs"]
    assert all(costs[name]["calls"] == QUERIES * DEPTH for name in ("rader", "dear-pointwise", "prorank"))
    assert costs["icr"]["calls"] == QUERIES
    assert costs["biencoder"]["calls"] < costs["rader"]["calls"] <= costs["idcm"]["calls"]
    for name in READING:
        assert costs[name]["malformed"] is None and costs[name]["tokens_out"] == 0 and costs[name]["tokens_in"] > 0
    assert all(one["seconds"] > 0 for one in costs.values())


def test_pictures_and_tables_lie_in_the_folder(whole):
    out, _, report, _, _, _ = whole
    for kind in ("seconds", "calls", "tokens"):
        assert (out / f"{kind}.png").read_bytes()[:4] == b"\x89PNG"
        drawn = (out / f"{kind}.svg").read_text(encoding="utf-8")
        assert all(f">{row[0]}</text>" in drawn for row in report["table"]["rows"])
    assert "booktabs" in (out / "report.tex").read_text()
    assert "![calls](calls.svg)" in (out / "report.md").read_text()
    assert {one["system"] for one in report["comparisons"]} == {row[0] for row in report["table"]["rows"]} - {"bm25"}


def test_a_call_that_was_stopped_goes_on_and_asks_nothing_twice(whole):
    """Of three groups the last is taken from one system's file, and another's is gone: only these are asked for again."""
    out, _, report, bodies, server, options = whole
    kept = out / "runs" / "llm-rating.json"
    told = json.loads(kept.read_text())
    assert [len(group["run"]) for group in told["groups"]] == [2, 2, 1]
    kept.write_text(json.dumps({**told, "groups": told["groups"][:-1]}))
    (out / "runs" / "rankgpt-whole.json").unlink()
    done = called(out.parent, *options)
    assert done.returncode == 0, done.stderr
    again = json.loads((out / "report.json").read_text())
    assert [kind_of(body) for body in server.requests[len(bodies) :]].count("llm-rating") == DEPTH
    assert [kind_of(body) for body in server.requests[len(bodies) :]].count("rankgpt-order") == QUERIES
    assert len(server.requests) == len(bodies) + DEPTH + QUERIES
    assert again["values"] == report["values"]
    for name, cost in report["costs"].items():
        timeless = {key: value for key, value in cost.items() if key != "seconds"}
        assert timeless == {key: value for key, value in again["costs"][name].items() if key != "seconds"}
        if name not in ("bm25", "llm-rating", "rankgpt-whole"):
            assert again["costs"][name]["seconds"] == cost["seconds"]


def test_a_simulated_model_is_called_so_and_has_no_seconds(models, tmp_path):
    """On the questions that come with the package; what has no model is told in a line."""
    systems = ("rader", "prorank", "llm-rating", "llm-rating-expected", "rankgpt-setwise", "dear-both", "rank-r1")
    named = [*models[2:4], "--simulated", "--queries", "4", "--depth", "6", "--systems", *systems]
    done = called(tmp_path, *named)
    assert done.returncode == 0, done.stderr
    assert "left out for want of --dear: dear-both\n" in done.stdout
    assert "left out for want of --prorank: prorank\n" in done.stdout
    assert "Simulated: no language model" in done.stdout and "TheoremQA: 4 queries, first 6 of BM25" in done.stdout
    report = json.loads((tmp_path / "comparison" / "report.json").read_text())
    simulated = {f"{name} (simulated)" for name in systems if name not in ("rader", "prorank", "dear-both")}
    assert set(report["costs"]) == {"bm25", "rader"} | simulated == {"bm25", "rader"} | set(report["simulated"])
    for name in simulated:
        cost = report["costs"][name]
        assert cost["seconds"] is None and cost["tokens_out"] is None
        assert cost["calls"] > 0 and cost["tokens_in"] > 0 and cost["malformed"] == 0
    assert report["costs"]["llm-rating (simulated)"]["calls"] == 24
    assert not (tmp_path / "comparison" / "seconds.svg").exists() and "seconds.svg" not in markdown(tmp_path)
    for kind, axis in (("calls", "calls per query"), ("tokens", "tokens per query, read")):
        drawn = (tmp_path / "comparison" / f"{kind}.svg").read_text(encoding="utf-8")
        names = {name.removesuffix(" (simulated)") for name in report["costs"]} | {"simulated model", axis}
        assert names <= set(re.findall(r">([^<>]+)</text>", drawn)) and f"![{kind}]" in markdown(tmp_path)


def markdown(folder: Path) -> str:
    return (folder / "comparison" / "report.md").read_text(encoding="utf-8")


def test_a_language_model_alone_is_named_with_the_true_number_of_queries_and_its_own_ties(data, tmp_path):
    """All ratings are equal: the run has the scores that the transformer gives, as an experiment would."""
    with LMServer(answer=lambda body: "Relevance score: 3") as server:
        options = [*asked(data), "--group", "32", "--lm", server.url, "--lm-model", MODEL, "--systems", "llm-rating"]
        done = called(tmp_path, *options)
        assert done.returncode == 0, done.stderr
        found = experiment(data, server.url)
    report = json.loads((tmp_path / "out" / "report.json").read_text())
    assert f"Models: language model: {MODEL}.\n" in done.stdout
    assert f"Seconds: {QUERIES} queries side by side." in done.stdout
    assert report["costs"]["llm-rating"]["calls"] == QUERIES * DEPTH
    run = read_run(tmp_path / "out" / "runs" / "llm-rating.trec")
    assert {query_id: pytest.approx(found[query_id]) for query_id in run} == run


def experiment(data: Path, url: str) -> dict[str, dict[str, float]]:
    """The scores of llm-rating behind the same first stage, as a pipeline gives them."""
    from pyterrier_rader import Bm25Retriever, LLMRatingReranker, TextLoader

    documents, (queries, _) = dict(read_documents(data / "corpus.jsonl")), read_queries(data / "topics.jsonl")
    pairs = [{"docno": docno, "text": text} for docno, text in documents.items()]
    first = Bm25Retriever(Bm25Retriever.from_documents(pairs).index, num_results=DEPTH)
    pipeline = first >> TextLoader(documents) >> LLMRatingReranker(url, lm_model=MODEL)
    rows = pipeline(pd.DataFrame(queries.items(), columns=["qid", "query"]))
    return {qid: dict(zip(own["docno"], own["score"], strict=True)) for qid, own in rows.groupby("qid")}


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (["--simulated", "--lm", "http://127.0.0.1:1/v1"], "--simulated and --lm were given; choose one"),
        (["--simulated", "--corpus", "docs.jsonl"], "--corpus, --topics and --qrels belong together"),
        (["--systems", "rank-r1"], "no system is left; give a model"),
        (["--simulated", "--systems", "rank-r1", "--queries", "1"], "a comparison needs 2 or more"),
        (["--simulated", *STRANGE], "BM25 finds none of the queries' words in the documents"),
    ],
)
def test_wrong_calls_are_told(options, words, tmp_path, monkeypatch):
    (tmp_path / "docs.tsv").write_text("d1\tcat\n")
    (tmp_path / "queries.tsv").write_text("q1\tdog\nq2\thorse\n")
    (tmp_path / "qrels.tsv").write_text("q1 0 d1 1\nq2 0 d1 1\n")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "argv", [str(SCRIPT), *options])
    with pytest.raises(SystemExit, match=re.escape(words)):
        runpy.run_path(str(SCRIPT), run_name="__main__")
    assert not Path("comparison").exists()
