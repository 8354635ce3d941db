"""`rader rerank` with systems that ask a language model: what is written, what is told, what is refused, and going on."""

import json
import shlex
from pathlib import Path

import pytest

pytest.importorskip("aiohttp")

from rader_ir.cli import main
from rader_ir.rerank_file import GROUP_SIZES
from rader_ir.runs import read_run
from tests.judging import best, order, passages
from tests.lm_server import MODEL, Fault, LMServer

WORTHS = {"q1": [3, 9, 1, 5], "q2": [2, 8, 4, 7]}
COMMAND = "rerank first.trec --docs docs.jsonl --queries queries.jsonl --out new.trec --json f.json"


def rader(command: str) -> int:
    return main([*shlex.split(command), "--quiet"])


def figures() -> dict:
    return json.loads(Path("f.json").read_text())


@pytest.fixture
def files(tmp_path, monkeypatch):
    """Two queries with four documents each, ranked in the order in which they stand."""
    monkeypatch.chdir(tmp_path)
    docs = {f"{q}d{i}": text for q, values in WORTHS.items() for i, text in enumerate(passages(values))}
    Path("docs.jsonl").write_text("".join(json.dumps({"doc_id": d, "text": t}) + "\n" for d, t in docs.items()))
    Path("queries.jsonl").write_text("".join(json.dumps({"query_id": q, "text": f"of {q}?"}) + "\n" for q in WORTHS))
    rows = (f"{q} Q0 {q}d{i} {i + 1} {10 - i} x\n" for q, values in WORTHS.items() for i in range(len(values)))
    Path("first.trec").write_text("".join(rows))
    return tmp_path


def ranked() -> dict[str, list[int]]:
    """The worths in the order of the new run."""
    return {q: [WORTHS[q][int(d[-1])] for d in scores] for q, scores in read_run("new.trec").items()}


@pytest.mark.parametrize(
    ("options", "answer", "calls"),
    [
        ("--system rank-r1", best, 8),  # the best of 4, of 3, of 2, and the heap's check at the end
        ("--system rankgpt", order, 2),
        ("--system rankgpt --ask-by setwise --window 3", best, None),
        ("--system dear-listwise --asks 1 --temperature 0.3", order, 2),
        ("--system rankgpt --passage-words 20 --context 2000 --reply-tokens 99 --seed 3 --shuffle", order, 2),
    ],
)
def test_the_new_run_and_what_it_cost(files, options, answer, calls):
    with LMServer(answer=answer) as server:
        assert rader(f"{COMMAND} {options} --lm {server.url} --lm-model {MODEL}") == 0
        asked = len(server.requests)
    assert ranked() == {q: sorted(values, reverse=True) for q, values in WORTHS.items()}
    told = figures()
    assert told["calls"] == asked and told["malformed"] == told["failed"] == told["further"] == 0
    assert "kept" not in told
    assert told["tokens_in"] > 0 and told["rows"] == 8
    assert calls is None or asked <= calls


def test_ratings_with_the_wording_of_a_task(files):
    def rate(body):
        assert "Theorem:" in body["messages"][-1]["content"]
        return f"Relevance score: {int(body['messages'][-1]['content'].split('worth ')[1].split()[0]) // 2}"

    with LMServer(answer=rate) as server:
        command = f"{COMMAND} --system llm-rating --task theoremqa_theorems --lm {server.url} --lm-model {MODEL}"
        assert rader(command) == 0
    assert read_run("new.trec")["q1"] == pytest.approx({"q1d1": 0.8, "q1d3": 0.4, "q1d0": 0.2, "q1d2": 0.0})


def test_own_prompts_and_a_cache(files):
    Path("own.toml").write_text("[order]\nmax_tokens = 40\nuser = '''{query}\n{passages}\nOWN'''\n")
    for _ in range(2):
        with LMServer(answer=order) as server:
            words = f"--system rankgpt --lm {server.url} --lm-model {MODEL} --prompts own.toml --lm-cache replies"
            assert rader(f"{COMMAND} {words}") == 0
            asked = [body["messages"][-1]["content"].endswith("OWN") for body in server.requests]
    assert asked == []  # the second time all replies were there
    assert ranked()["q1"] == [9, 5, 3, 1]


def test_replies_are_kept_beside_the_new_run_and_asked_for_once(files):
    """A group of two queries breaks off in its middle: nothing of it is a finished group, and its replies are there."""

    def gone(body, times):
        return Fault("status", 403, "no more") if len(server.requests) > 3 else None

    words = f"--system rank-r1 --lm-model {MODEL} --retries 0 --concurrency 1"
    with LMServer(answer=best, fault=gone) as server:
        assert rader(f"{COMMAND} {words} --lm {server.url}") in (0, 2)
        first = [json.dumps(body["messages"]) for body in server.requests[:3]]
    Path("new.trec").unlink(missing_ok=True)
    with LMServer(answer=best) as server:
        assert rader(f"{COMMAND} {words} --lm {server.url}") == 0
        again = [json.dumps(body["messages"]) for body in server.requests]
    assert len(first) == 3 and again and not set(first) & set(again)
    assert Path("new.trec.replies.sqlite").is_file()
    assert ranked() == {q: sorted(values, reverse=True) for q, values in WORTHS.items()}


def test_after_an_outage_the_same_call_goes_on(files, monkeypatch, capsys):
    """Groups of one query: the first is kept, and told so, the second is asked about again; its call alone is counted."""
    monkeypatch.setitem(GROUP_SIZES, "rankgpt", 1)

    def gone(body, times):
        return (
            Fault("status", 403, "the key is no longer good") if "of q2?" in body["messages"][-1]["content"] else None
        )

    words = f"--system rankgpt --lm-model {MODEL} --retries 0"
    with LMServer(answer=order, fault=gone) as server:
        assert rader(f"{COMMAND} {words} --lm {server.url}") == 2
    assert Path("new.trec.part").exists() and not Path("new.trec").exists()
    with LMServer(answer=order) as server:
        assert main(shlex.split(f"{COMMAND} {words} --lm {server.url}")) == 0
        assert len(server.requests) == 1
    assert ranked() == {q: sorted(values, reverse=True) for q, values in WORTHS.items()}
    told = figures()
    assert (told["queries"], told["rows"], told["kept"], told["calls"]) == (2, 8, 1, 1)
    err = capsys.readouterr().err
    assert "rader rerank: 1 of 2 queries are kept from an earlier, unfinished call; calls, tokens" in err
    assert "rader rerank: queries 2, rows 8, kept 1, " in err


@pytest.mark.parametrize(
    ("words", "told"),
    [
        ("--system rank-r1", "give --lm URL and --lm-model NAME"),
        (
            "--system rank-r1 --lm http://127.0.0.1:9/v1 --checkpoint minilm",
            "--checkpoint is for a model that scores pairs",
        ),
        ("--system rank-r1 --lm http://127.0.0.1:9/v1 --passage-length 9", "--passage-length is for a model"),
        ("--system rader --lm http://127.0.0.1:9/v1", "--lm is for systems that ask a language model: rank-r1"),
        ("--system biencoder --asks 2", "--asks is for systems"),
        ("--system rader --shuffle", "--shuffle is for systems"),
        ("--system rank-r1 --lm http://127.0.0.1:9/v1 --window 3", "--window is no option of --system rank-r1"),
        ("--system rankgpt --lm http://127.0.0.1:9/v1 --task biology", "--task chooses no wording of --system rankgpt"),
        ("--system rankgpt --lm http://127.0.0.1:9/v1 --lm-model x --ask-by guess", "method 'guess' is unknown"),
        ("--system rankgpt --lm http://127.0.0.1:9/v1 --lm-model x --prompts none.toml", "none.toml"),
        (
            "--system rankgpt --lm http://127.0.0.1:9/v1 --lm-model x",
            "no language model answers at http://127.0.0.1:9/v1",
        ),
        ("--system rankgpt --lm somewhere", "'somewhere' is of no known kind"),
        ("--system llm-rating --lm http://127.0.0.1:9/v1 --lm-model x --task cooking", "task 'cooking' is unknown"),
    ],
)
def test_what_cannot_be_is_told_in_a_line(files, capsys, words, told):
    assert rader(f"{COMMAND} {words}") == 2
    err = capsys.readouterr().err
    assert told in err and err.count("\n") == 1
    assert not Path("new.trec").exists()


def test_a_teacher_is_none_of_them(files, capsys):
    assert rader("teach examples.jsonl --system rank-r1 --out x.jsonl") == 2
    assert (
        "--system rank-r1 asks a language model, and is no teacher; choose rader, biencoder" in capsys.readouterr().err
    )
