"""The whole way from problems to examples with the simulated solver: what decides the result, and what must not.

Each test is a call as users make it, to a server over loopback that fails as it is told to.
"""

import dataclasses
import json
import re
from collections import Counter
from pathlib import Path

import pytest

pytest.importorskip("aiohttp")
pytest.importorskip("math_verify")
pytest.importorskip("matplotlib")

import rader_ir.prompts
from rader_ir.bm25 import BM25
from rader_ir.cli import main
from rader_ir.examples import read_examples, write_examples
from rader_ir.mcts import THEOREM
from rader_ir.synth.grown import FAILED, KEPT, REJECTED
from rader_ir.synth.simulated import Faults, Skill, demo_corpus, demo_problems, needed
from rader_ir.synth.simulated.replies import reply
from tests.lm_server import MODEL as TOY
from tests.lm_server import LMServer
from tests.synth_cases import task_of
from tests.synth_folder import (
    demo_of,
    impatient,
    inputs,
    left_in,
    solving,
    synthesized,
    trees,
    usage,
    words,
    write_rows,
)

PROBLEMS = demo_of("catalan", "nim", "frobenius", "change", "josephus", "legendre")
FAULTS = {"rate_limit": 0.03, "server_error": 0.03, "timeout": 0.01, "connection": 0.02}
FAULTS |= {"broken": 0.04, "empty": 0.03, "endless": 0.02, "cut_off": 0.02}
EVENTS = ("thought", "solution", "query", "reflection")  # sections whose failed calls are events of trees, one for one


@pytest.fixture(scope="module")
def given(tmp_path_factory):
    return inputs(tmp_path_factory.mktemp("given") / "inputs", PROBLEMS)


@pytest.fixture(scope="module")
def solver():
    with solving() as solver:
        yield solver


@pytest.fixture(scope="module")
def whole(given, solver, tmp_path_factory):
    """What an unbroken run leaves."""
    out = tmp_path_factory.mktemp("whole") / "out"
    figures = synthesized(given, out, solver.url)
    assert figures["finished"] == 6 and figures["examples_total"] > 10 and not figures["failed"]
    assert "examples" not in figures and "stopped_by_budget" not in figures
    assert {"examples.jsonl", "report.json", "report.md", "summaries.jsonl"} < left_in(out).keys()
    return left_in(out)


def only_trees(files):
    return {name: content for name, content in files.items() if name.startswith("trees/")}


def test_one_seed_gives_one_result_and_another_seed_another(given, solver, whole, tmp_path):
    synthesized(given, tmp_path / "again", solver.url, "--under-way", 2, "--concurrency", 3)
    assert left_in(tmp_path / "again") == whole
    synthesized(given, tmp_path / "other", solver.url, "--seed", 1)
    other = left_in(tmp_path / "other")
    assert other.keys() >= only_trees(whole).keys()
    assert all(other[name] != content for name, content in only_trees(whole).items())


def test_the_order_of_the_problems_counts_for_nothing(given, solver, whole, tmp_path):
    turned = write_rows(tmp_path / "turned.jsonl", map(dataclasses.asdict, PROBLEMS[::-1]))
    given_turned = inputs(tmp_path / "turned", PROBLEMS[::-1])
    assert turned.read_text() != (given / "problems.jsonl").read_text()
    synthesized(given_turned, tmp_path / "out", solver.url)
    assert left_in(tmp_path / "out") == whole


def test_the_same_call_again_asks_nothing(given, solver, whole, tmp_path):
    synthesized(given, tmp_path / "out", solver.url)
    before = solver.requests
    figures = synthesized(given, tmp_path / "out", solver.url)
    assert solver.requests == before and figures["calls"] == 0
    assert left_in(tmp_path / "out") == whole


@pytest.fixture(scope="module")
def calls(given, solver, whole, tmp_path_factory):
    """How many growth makes, and how many all of it; taken from two calls that make trees and then examples."""
    out = tmp_path_factory.mktemp("two") / "out"
    growth = synthesized(given, out, solver.url, "--no-examples")
    files = left_in(out)
    assert only_trees(files) == only_trees(whole) and "examples.jsonl" not in files
    assert "examples_total" not in growth and "examples" not in json.loads(files["report.json"])
    assert growth["examples"] == "none made by this call; the same call without --no-examples makes them"
    told = files["report.md"].decode()
    assert told.startswith("# Data synthesis\n") and "| finished | 6 |" in told
    assert "Examples were not made by this call." in told and "report.png" not in files
    writing = synthesized(given, out, solver.url, "--no-search")
    assert left_in(out) == whole
    return growth["calls"], growth["calls"] + writing["calls"]


@pytest.mark.parametrize("left", [200, 80, 0, -3])
def test_a_budget_ends_a_call_and_the_next_goes_on(given, solver, whole, calls, tmp_path, left):
    """`left` calls of the growth are not made; below 0 it is over, and queries are being written."""
    growth, total = calls
    out, limit = tmp_path / "out", growth - left
    figures = synthesized(given, out, solver.url, "--max-calls", limit, "--under-way", 1, "--concurrency", 4)
    assert figures["stopped_by_budget"] == f"{limit} calls"
    assert limit <= figures["calls"] < limit + 60  # of the one rollout that was under way
    assert not (out / "examples.jsonl").exists() and (out / "report.json").exists()
    assert (figures["finished"] == 6) == (left <= 0)
    assert figures["examples"] == "none made by this call; the same call goes on with what there is"
    assert f"The budget of {limit} calls ended this call before examples were made" in (out / "report.md").read_text()
    synthesized(given, out, solver.url)
    assert left_in(out) == whole
    first, second = usage(out)
    assert first["stopped"] == f"{limit} calls" and second["stopped"] == ""
    assert first["calls"] + second["calls"] in (total, total + 1)  # one may have been broken off


def test_faults_that_retries_mend_change_nothing(given, whole, tmp_path, monkeypatch):
    """A fifth of the attempts fail, at most three of one call; each is counted, and the run is as without them."""
    impatient(monkeypatch, retries=6, answer_retries=6)
    with solving(faults=Faults(FAULTS, most=3)) as solver:
        synthesized(given, tmp_path / "out", solver.url)
    assert left_in(tmp_path / "out") == whole
    (used,) = usage(tmp_path / "out")
    assert sum(solver.faulted.values()) > 0.1 * used["calls"] and used["failed"] == {}
    assert solver.faulted.keys() == FAULTS.keys(), "every kind of fault occurred"
    counted = dict(used["retried"])
    assert counted.pop("timeout") >= solver.faulted.pop("timeout")  # a busy machine adds some
    assert counted == solver.faulted
    assert used["attempts"] == used["calls"] + sum(used["retried"].values())


def test_faults_that_nothing_mends_are_counted_one_by_one(given, whole, tmp_path, monkeypatch):
    """Without retries a fifth of the calls fail for good: the run ends, and no failure stands for a text or a judgement."""
    impatient(monkeypatch, retries=0, answer_retries=0)
    with solving(faults=Faults(FAULTS)) as solver:
        figures = synthesized(given, tmp_path / "out", solver.url, "--rollouts", 6)
    (used,) = usage(tmp_path / "out")
    assert figures["finished"] == 6 and used["retried"] == {}
    failed = dict(used["failed"])
    assert failed.pop("timeout") >= solver.faulted.pop("timeout")
    assert failed == solver.faulted and used["failed"] == figures["failed"]
    events = Counter(json.loads((tmp_path / "out" / "report.json").read_text())["problems"]["events"])
    assert sum(events[f"{section} failed: {kind}"] for section in EVENTS for kind in FAULTS) > 20
    grown = trees(tmp_path / "out")
    found = [each for tree in grown for found in tree.found.values() for each in found]
    in_reflection = sum(count for name, count in events.items() if name.startswith("reflection failed"))
    assert sum(each.verdict == FAILED for each in found) == in_reflection > 0
    assert all(each.reason.startswith("no reply: ") for each in found if each.verdict == FAILED)
    texts = [str(node.content.get("text")) for tree in grown for node in tree.tree.nodes]
    assert all(text.strip() and text != "None" and "choices" not in text for text in texts)


def test_an_example_keeps_clear_of_all_that_its_question_kept(whole):
    """And has negatives, so that a retriever can be trained with some of each."""
    grown = {tree["problem"]["problem_id"]: tree for tree in map(json.loads, only_trees(whole).values())}
    for line in whole["examples.jsonl"].decode().splitlines():
        example = json.loads(line)
        found = grown[example["provenance"]["question_id"]]["found"].values()
        kept = {each["doc_id"] for one in found for each in one if each["verdict"] in ("kept", "used")}
        positive, *_ = [each["doc_id"] for each in example["positives"]]
        assert kept - {positive} <= {*example["provenance"].get("excluded_ids", ())}
        assert example["negatives"] and kept.isdisjoint(each["doc_id"] for each in example["negatives"])


MALFORMED = (
    "",
    '{"relevant": tru',
    '{"relevant": "perhaps"}',
    "I cannot tell whether this helps.",
    "Relevant:",
    "Relevant: True or False",
    "Is the theorem relevant? Explain.",
    "{}",
    "True. No, wait: False.",
)


def test_no_malformed_answer_is_taken_for_a_judgement(given, tmp_path, monkeypatch):
    """Two of three judgements are malformed; each document is kept or rejected exactly if a good one said so."""
    impatient(monkeypatch, answer_retries=0)
    good, bad = {}, Counter()

    def answer(body):
        if task_of(body) != "reflection":
            return reply(body, Skill())[1]
        number = len(good) + bad.total()
        if number % 3:
            text = MALFORMED[bad.total() % len(MALFORMED)]
            bad[text] += 1
            return text
        good[f"judged as number {number}"] = relevant = number % 2 == 0
        return json.dumps({"relevant": relevant, "reason": f"judged as number {number}"})

    with LMServer(answer) as server:
        synthesized(given, tmp_path / "out", server.url, "--lm-model", TOY, "--no-examples", "--rollouts", 5)
    found = [each for tree in trees(tmp_path / "out") for found in tree.found.values() for each in found]
    judged = {each.reason: each.verdict for each in found if each.verdict in (KEPT, REJECTED)}
    assert judged == {reason: KEPT if relevant else REJECTED for reason, relevant in good.items()}
    failed = Counter(each.reason.partition(":")[0] for each in found if each.verdict == FAILED)
    assert (
        failed.keys() == {"unreadable", "no reply"} and failed.total() >= bad.total() > 15
    )  # one reply may serve two lookups
    kept = sum(each.verdict == KEPT for each in found)
    assert sum(node.kind == THEOREM for tree in trees(tmp_path / "out") for node in tree.tree.nodes) == kept
    events = json.loads((tmp_path / "out" / "report.json").read_text())["problems"]["events"]
    assert events["reflection unreadable"] == failed["unreadable"]
    assert events["reflection failed: empty"] == failed["no reply"]
    assert usage(tmp_path / "out")[0]["failed"]["empty"] == bad[""]


def test_a_context_that_is_too_short_for_a_document_and_one_that_is_too_short_for_all(given, tmp_path):
    """A long document is cut and summarised; where no prompt fits, each step fails as a value and the run ends."""
    theorems = {name: text for name, text in demo_corpus().items() if name.startswith("sim-")}
    theorems["sim-long"] = theorems["sim-catalan"] + " The number of paths is counted by reflection." * 400
    long = inputs(tmp_path / "long", demo_of("catalan"), documents=theorems)
    with solving(context=1600) as solver:
        synthesized(long, tmp_path / "cut", solver.url, "--no-examples")
    summaries = [json.loads(line) for line in (tmp_path / "cut" / "summaries.jsonl").read_text().splitlines()]
    (used,) = usage(tmp_path / "cut")
    assert "sim-long" in {row["doc_id"] for row in summaries} and used["failed"] == {"context_overflow": 1}
    events = json.loads((tmp_path / "cut" / "report.json").read_text())["problems"]["events"]
    assert not [name for name in events if "overflow" in name]
    with solving(context=50) as solver:
        figures = synthesized(given, tmp_path / "none", solver.url)
    assert figures["finished"] == 6 and figures["solved"] == figures["examples_total"] == 0
    told = (tmp_path / "none" / "report.md").read_text()
    assert "**No example came out.**" in told and "no problem was solved" in told
    assert "`solution failed: context_overflow` (" in told and not (tmp_path / "none" / "report.png").exists()
    (used,) = usage(tmp_path / "none")
    assert used["failed"] == {"context_overflow": used["calls"]} and used["calls"] > 6
    events = json.loads((tmp_path / "none" / "report.json").read_text())["problems"]["events"]
    assert events.keys() == {f"{section} failed: context_overflow" for section in ("thought", "solution", "query")}


def test_trees_find_the_theorem_and_it_becomes_the_positive(tmp_path):
    """A solver that is lost without the right theorem: what leads to right answers is that theorem."""
    given = inputs(tmp_path / "given", demo_problems(64, 0), documents=demo_corpus())
    with solving(skill=Skill(right_without=0.0, p_reflect=0.998)) as solver:
        figures = synthesized(given, tmp_path / "out", solver.url, "--rollouts", 8, "--query-kinds", "question,cot")
    wanting = {tree.problem.problem_id: tree for tree in trees(tmp_path / "out") if needed(tree.problem.problem_id)}
    assert len(wanting) > 40
    found = {
        problem_id: {node.content["doc_id"] for node in tree.tree.nodes if node.kind == THEOREM}
        for problem_id, tree in wanting.items()
    }
    assert sum(needed(problem_id) in held for problem_id, held in found.items()) >= 0.9 * len(wanting)
    examples = list(read_examples(tmp_path / "out" / "examples.jsonl"))
    right = [needed(each.provenance["question_id"]) == each.positives[0].doc_id for each in examples]
    assert len(right) == figures["examples_total"] > 60
    assert sum(right) >= 0.95 * len(right)


def test_rader_mine_takes_what_was_made(given, whole, tmp_path, monkeypatch):
    """All of BM25's list but what answers the question: positives, and theorems that helped with it elsewhere in its tree."""
    monkeypatch.chdir(tmp_path)
    Path("made.jsonl").write_bytes(whole["examples.jsonl"])
    made = {each.query_id: each for each in read_examples("made.jsonl")}
    other = next(each for each in made.values() if each.kind == "cot")
    ranked = BM25.build(documents_of(given).items()).retrieve({"q": other.query}, depth=20)["q"]
    helped = next(doc_id for doc_id in ranked if doc_id not in taken(other))
    made[other.query_id] = dataclasses.replace(other, provenance={**other.provenance, "excluded_ids": [helped]})
    write_examples(made.values(), "made.jsonl")
    call = ["mine", str(given / "docs.jsonl"), "--examples", "made.jsonl", "--bm25-ranks", "20", "--out", "mined.jsonl"]
    assert main([*call, "--quiet"]) == 0
    mined = read_examples("mined.jsonl")
    assert [each.query_id for each in mined] == list(made)
    for each in mined:
        before = made[each.query_id]
        assert (each.query, each.positives, each.kind) == (before.query, before.positives, before.kind)
        assert each.negatives[: len(before.negatives)] == before.negatives and len(each.negatives) > len(
            before.negatives
        )
        assert each.provenance["question_id"] == before.provenance["question_id"], "what led to it is kept"
        assert not {one.doc_id for one in each.negatives} & set(each.provenance.get("excluded_ids", ()))


def documents_of(given):
    rows = map(json.loads, (given / "docs.jsonl").read_text().splitlines())
    return {row["doc_id"]: row["text"] for row in rows}


def taken(example):
    return {passage.doc_id for passage in (*example.positives, *example.negatives)}


def test_progress_is_told_while_it_goes_on(given, tmp_path, capsys):
    """The last state of the line: six problems of three rollouts, what was asked and read, nothing under way any more."""
    with solving(latency=0.002) as solver:
        prices = ("--prices", 10, 20, "--json", tmp_path / "f.json", "--no-examples")
        assert main([str(word) for word in words(given, tmp_path / "out", solver.url, *prices)]) == 0
    told, last = json.loads((tmp_path / "f.json").read_text()), capsys.readouterr().err.rstrip().split("\r")[-1]
    assert "18/18" in last and "problems 6/6 (0 under way)" in last and f"solved {told['solved']}," in last
    assert f"calls {told['calls']} (0 in flight)" in last and f"cost {told['cost']:.2f}" in last
    assert f"tokens {(told['tokens_in'] + told['tokens_out']) / 1000:.1f}k" in last


def test_a_model_of_this_process_in_place_of_a_server(given, tmp_path):
    """Random weights, so nothing is solved; but every step is asked of it, and what it wrote lies in trees and cache."""
    pytest.importorskip("torch")
    from tests import tiny

    folder = tiny.qwen2_chat(tmp_path / "chat", max_position_embeddings=16384)
    prompts, shipped = tmp_path / "short.toml", Path(rader_ir.prompts.__file__).parent / "synth.toml"
    text = re.sub(r"max_tokens = \d+", "max_tokens = 12", shipped.read_text(encoding="utf-8"))
    prompts.write_text(
        re.sub(r"^stop = .*$", f"stop = {json.dumps(list('aeiou'))}", text, flags=re.M), encoding="utf-8"
    )
    call = words(given, tmp_path / "out", f"local:{folder}", "--prompts", prompts, "--rollouts", 1, "--quiet")
    at = call.index("--lm-model")
    call = [*call[:at], *call[at + 2 :]]
    assert main(call) == 0
    made = left_in(tmp_path / "out")
    (used,) = usage(tmp_path / "out")
    assert used["calls"] > 20 and used["tokens_in"] > 1000 and set(used["failed"]) <= {"empty", "cut_off"}
    written = [
        node for tree in trees(tmp_path / "out") for node in tree.tree.nodes if node.kind in ("thought", "solution")
    ]
    assert written and not any(set("aeiou") & set(node.content["text"]) for node in written)
    assert json.loads(made["run.json"])["model"].startswith('["local"')
    assert main(call) == 0 and left_in(tmp_path / "out") == made
    assert usage(tmp_path / "out")[1]["attempts"] == 0


def test_a_dense_index_in_place_of_bm25(given, solver, tiny_bert, tmp_path, capsys):
    index, out = tmp_path / "index", tmp_path / "out"
    call = ["index", str(given / "docs.jsonl"), "--checkpoint", str(tiny_bert), "--out", str(index), "--quiet"]
    assert main([*call, "--device", "cpu"]) == 0
    dense = ("--index", index, "--device", "cpu")
    figures = synthesized(given, out, solver.url, *dense)
    assert figures["finished"] == 6
    retriever = json.loads((out / "run.json").read_text())["retriever"]
    assert retriever.startswith("dense ") and retriever.endswith(" flat")
    scores = {each.score for tree in trees(out) for found in tree.found.values() for each in found}
    assert len(scores) > 5 and all(-1.001 <= score <= 1.001 for score in scores), "cosines, not BM25's sums"
    synthesized(given, tmp_path / "again", solver.url, *dense)
    assert left_in(tmp_path / "again") == left_in(out)
    with pytest.raises(ValueError, match=r"was made with retriever 'dense .* this call has 'bm25"):
        synthesized(given, out, solver.url)
    fewer = inputs(tmp_path / "fewer", PROBLEMS, documents={"sim-derangement": "No object stays at its place."})
    with pytest.raises(ValueError, match="which is none of the 1 documents; index this corpus"):
        synthesized(fewer, tmp_path / "wrong", solver.url, *dense)
