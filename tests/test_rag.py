"""Answers with and without retrieval: intervals and tests against known figures, systems and votes counted by hand."""

import asyncio
import json
import math
from fractions import Fraction
from itertools import product
from pathlib import Path

import pytest

pytest.importorskip("aiohttp")
pytest.importorskip("math_verify")

from rader_ir.equivalence import THEOREMQA_TOLERANCE
from rader_ir.lm import open_lm
from rader_ir.lm.steady import Budget
from rader_ir.problems import Problem, read_answers, read_problems
from rader_ir.prompts import load_prompts
from rader_ir.rag import Given, Plan, System, gold, mcnemar, measure, table, texts_of, top, voting, wilson
from rader_ir.runs import read_qrels
from tests.lm_server import MODEL, Fault, LMServer
from tests.rag_cases import DOCUMENTS, EXCLUDED, PROBLEMS, RUN, rows_of, scripted
from tests.synth_cases import seed_by_hand
from tests.synth_folder import left_in

SHARED = Path(__file__).resolve().parents[2] / "shared" / "data"
SHIPPED = Path(__file__).parents[1] / "rader_ir" / "data" / "theoremqa"


# Newcombe, Statistics in Medicine 17 (1998), table I, method 3, which is Wilson's without continuity correction.
@pytest.mark.parametrize(
    ("right", "n", "low", "high"),
    [(81, 263, 0.2553, 0.3662), (15, 148, 0.0624, 0.1605), (0, 20, 0.0, 0.1611), (1, 29, 0.0061, 0.1718)],
)
def test_wilson_against_published_intervals(right, n, low, high):
    assert wilson(right, n) == pytest.approx((low, high), abs=5e-5)


@pytest.mark.parametrize("right", [54, 57, 59, 60, 61, 62])
def test_wilson_of_the_papers_counts_solves_its_equation(right):
    """At both bounds p of 76 questions, (right/76 - p)^2 = z^2 p (1 - p) / 76 with z = 1.959964, right/76 between them."""
    low, high = wilson(right, 76)
    assert low < right / 76 < high
    for p in (low, high):
        assert (right / 76 - p) ** 2 == pytest.approx(1.959963985**2 * p * (1 - p) / 76, rel=1e-8)


def test_wilson_by_hand():
    """54 of 76, z^2 = 3.841459: (54 + 1.920729) / 79.841459 = .700397; half = 1.959964 sqrt(54 * 22 / 76 + .960365) / 79.841459
    = 1.959964 * 4.073256 / 79.841459 = .099991. All and none meet the ends."""
    assert wilson(54, 76) == pytest.approx((0.700397 - 0.099991, 0.700397 + 0.099991), abs=2e-6)
    assert wilson(5, 5)[1] == 1.0 and wilson(0, 5)[0] == 0.0
    assert wilson(5, 5)[0] == pytest.approx(1 - wilson(0, 5)[1])
    for bad in ((1, 0), (3, 2), (-1, 2)):
        with pytest.raises(ValueError, match="give a count from 0 to n"):
            wilson(*bad)


def test_mcnemar_against_all_ways_that_coins_can_fall():
    """Of n fair coins, the share of the 2^n ways in which heads are as far from n / 2 as here, or farther."""
    for won, lost in product(range(6), repeat=2):
        ways = list(product((0, 1), repeat=won + lost))
        far = abs(2 * won - (won + lost))
        expected = Fraction(sum(abs(2 * sum(way) - len(way)) >= far for way in ways), len(ways))
        first = [True] * won + [False] * lost + [True, False]
        second = [False] * won + [True] * lost + [True, False]
        found = mcnemar(first, second)
        assert (found.won, found.lost) == (won, lost) and found.p == pytest.approx(float(expected))
    with pytest.raises(ValueError, match="the same questions"):
        mcnemar([True], [])


def measured(systems, out, *, answer=scripted, fault=lambda body, times: None, problems=PROBLEMS, plan=None, **options):
    """What `measure` gives, and the requests."""
    with LMServer(answer=answer, fault=fault) as server:
        lm = open_lm(server.url, model=MODEL, retries=0, cache=out / "replies.sqlite", **options)
        told = asyncio.run(measure(problems, systems, out, lm=lm, texts=DOCUMENTS, plan=plan))
    return told, server.requests


def right_in(out, label):
    return [row["problem_id"] for row in rows_of(out / "answers" / f"{label}.jsonl") if row["right"]]


def test_systems_by_hand(tmp_path):
    """The counts that `rag_cases` states; won and lost against no retrieval (right: 0, 1) follow.

    run, k = 1 (0, 2): won 2, lost 1, p = 1. k = 2 (0, 2, 6): won 2 and 6, lost 1: p = 2 (1 + 3) / 8 = 1. gold (0 to 6): won 5,
    lost 0: p = 2 / 32 = .0625, by Holm three times that.
    """
    systems = [
        System("none"),
        System("one", top(RUN, PROBLEMS, 1, excluded=EXCLUDED)),
        System("two", top(RUN, PROBLEMS, 2, excluded=EXCLUDED)),
        System("gold", gold(PROBLEMS)),
    ]
    told, requests = measured(systems, tmp_path)
    right = {label: right_in(tmp_path, label) for label in told["systems"]}
    assert right == {
        "none": ["p0", "p1"],
        "one": ["p0", "p2"],
        "two": ["p0", "p2", "p6"],
        "gold": ["p0", "p1", "p2", "p3", "p4", "p5", "p6"],
    }
    pairs = {label: each["against"] for label, each in told["systems"].items() if "against" in each}
    assert [(each["won"], each["lost"], each["p"]) for each in pairs.values()] == [
        (1, 1, 1.0),
        (2, 1, 1.0),
        (5, 0, 0.0625),
    ]
    assert pairs["gold"]["p_corrected"] == 0.1875 and pairs["one"]["baseline"] == "none"
    seven = told["systems"]["gold"]
    assert (seven["right"], seven["accuracy"], seven["documents"]) == (7, 0.875, 8)
    assert (seven["low"], seven["high"]) == wilson(7, 8)
    assert told["systems"]["one"]["events"] == {"question without documents": 1, "reply without answer": 1}
    assert "question without documents" not in told["systems"]["none"]["events"]
    # Asked before already: p5 of run, one; p1, p4, p5, p7 of two; p0, p2, p7 of gold
    assert len(requests) == 8 + 7 + 4 + 5, "equal prompts are asked once"
    shown = [" ".join(line.split()) for line in (tmp_path / "report.txt").read_text().splitlines()]
    assert "gold 1 1.0 7 / 8 0.875 [0.529, 0.978] 5 0 0.1875" in shown
    assert "none 1 - 2 / 8 0.250 [0.071, 0.591]" in shown
    assert "**0.875** [0.529, 0.978] |" in (tmp_path / "report.md").read_text()
    assert r"gold & 1 & 1.0 & 7 / 8 & \textbf{0.875} {[}0.529, 0.978{]} & 5 & 0 & 0.1875 \\" in (
        (tmp_path / "report.tex").read_text()
    )


def test_a_line_of_answers_tells_all(tmp_path):
    _, requests = measured([System("two", top(RUN, PROBLEMS, 2))], tmp_path, problems=PROBLEMS[6:7])
    (row,) = rows_of(tmp_path / "answers" / "two.jsonl")
    reply = r"Squaring gives \boxed{64}."
    assert row == {
        "problem_id": "p6",
        "question": "Item 6: what is the square of 8?",
        "gold": 64,
        "prompt": "with_documents",
        "documents": ["d0", "d6"],
        "answer": "64",
        "right": True,
        "rule": "text",
        "votes": 1,
        "samples": [{"key": 0, "answer": "64", "reply": reply, "failure": None, "right": True}],
    }
    (request,) = requests
    asked = load_prompts(name="rag")["with_documents"].messages(
        {"question": PROBLEMS[6].question, "documents": f"[1] {DOCUMENTS['d0']}\n\n[2] {DOCUMENTS['d6']}"}
    )
    assert request["messages"] == asked and request["temperature"] == 0.0
    assert request["seed"] == seed_by_hand(0, "rag", "p6", 0)


def test_documents_are_cut_and_prompts_replaced(tmp_path):
    own = tmp_path / "own.toml"
    user = "user = '{documents} | {question}'"
    own.write_text(f"[plain]\nuser = '{{question}}'\nmax_tokens = 9\n[with_documents]\n{user}\nmax_tokens = 9\n")
    plan = Plan(prompts=own, characters=6)
    _, (request,) = measured([System("gold", gold(PROBLEMS))], tmp_path / "out", problems=PROBLEMS[3:4], plan=plan)
    assert request["messages"][0]["content"] == f"[1] Rule 3 | {PROBLEMS[3].question}" and request["max_tokens"] == 9


def voted(tmp_path, replies, answer, **plan):
    """The row of one question whose samples are these replies, in the order of their numbers."""
    said = {seed_by_hand(3, "rag", "q", number): reply for number, reply in enumerate(replies)}
    system = voting(System("none"), len(replies))
    plan = Plan(seed=3, **plan)
    problems = [Problem("q", "Item 0: ?", answer)]
    told, requests = measured([system], tmp_path, answer=lambda body: said[body["seed"]], problems=problems, plan=plan)
    assert {request["temperature"] for request in requests} == {0.8} and len(requests) == len(replies)
    (row,) = rows_of(tmp_path / "answers" / f"none.vote{len(replies)}.jsonl")
    return row, told["systems"][system.label]


@pytest.mark.parametrize(
    ("replies", "answer", "votes", "right"),
    [
        ([r"\boxed{3}", r"\boxed{1/2}", r"\boxed{0.5}"], "1/2", 2, True),  # equal answers in two ways are one cluster
        (
            [r"\boxed{1/2}", r"\boxed{3}", r"\boxed{3}", r"\boxed{0.5}", "none"],
            "1/2",
            2,
            True,
        ),  # a tie: the first sample's
        ([r"\boxed{3}", r"\boxed{3}", r"\boxed{0.5}"], "3", 2, False),
        (["none", "nothing", r"\boxed{0.5}"], "0.5", 1, True),  # what has no answer has no vote
        (["none", "nothing", "no"], None, 0, False),
    ],
)
def test_votes_by_hand(tmp_path, replies, answer, votes, right):
    row, told = voted(tmp_path, replies, 0.5)
    assert (row["answer"], row["votes"], row["right"]) == (answer, votes, right)
    halves = sum("0.5" in reply or "1/2" in reply for reply in replies)
    assert told["right_samples"] == pytest.approx(halves / len(replies))
    assert [sample["right"] for sample in row["samples"]] == ["0.5" in r or "1/2" in r for r in replies]


def test_votes_stay_strict_where_the_verdict_is_lenient(tmp_path):
    """3.0, 3.1 and 3.2 are a chain within 4 %, and three answers: the first counts. 3.14 is 4.5 % more, so it is wrong; the other
    two are within 4 % of it, and one of a thousandth is not."""
    replies = [r"\boxed{3.0}", r"\boxed{3.1}", r"\boxed{3.2}"]
    row, _ = voted(tmp_path / "lenient", replies, 3.14, tolerance=THEOREMQA_TOLERANCE)
    assert (row["answer"], row["votes"], row["right"]) == ("3.0", 1, False)
    assert [sample["right"] for sample in row["samples"]] == [False, True, True]
    row, _ = voted(tmp_path / "strict", replies, 3.14)
    assert [sample["right"] for sample in row["samples"]] == [False] * 3


def test_given_answers_vote_and_what_lacks_is_wrong(tmp_path):
    """p0: two of three nodes say 4; p1: no answer; p2: no tree. One of three."""
    given = Given("trees", {"p0": {4: "4", 9: "5", 11: r"\frac{8}{2}"}, "p1": {2: None}}, ("Votes of 2 trees.",))
    told = asyncio.run(measure(PROBLEMS[:3], [given], tmp_path))
    each = told["systems"]["trees"]
    assert (each["right"], each["questions"], each["votes"]) == (1, 3, 3) and each["right_samples"] == 0.5
    assert each["events"] == {"question without votes": 1, "vote without answer": 1}
    rows = rows_of(tmp_path / "answers" / "trees.jsonl")
    assert [sample["key"] for sample in rows[0]["samples"]] == [4, 9, 11] and rows[0]["prompt"] == "elsewhere"
    assert (
        "trees: Votes of 2 trees. question without votes: 1; vote without answer: 1."
        in (tmp_path / "report.md").read_text()
    )


def test_a_failed_call_is_counted_as_wrong_and_asked_again_another_time(tmp_path):
    def unwell(body, times):
        return Fault("status", 500) if "Item 0" in body["messages"][-1]["content"] else None

    told, _ = measured([System("none")], tmp_path / "a", fault=unwell)
    assert told["systems"]["none"]["right"] == 1
    assert told["systems"]["none"]["events"] == {"call failed: server_error": 1, "reply without answer": 1}
    row = rows_of(tmp_path / "a" / "answers" / "none.jsonl")[0]
    assert (row["rule"], row["samples"][0]["failure"]) == ("no answer", "server_error")
    told, requests = measured([System("none")], tmp_path / "a")
    assert told["systems"]["none"]["right"] == 2 and len(requests) == 1
    measured([System("none")], tmp_path / "b")
    assert left_in(tmp_path / "a") == left_in(tmp_path / "b")


def test_a_budget_ends_between_systems_and_the_next_call_ends_equal(tmp_path):
    """Eight calls are the first system; the second waits for the next call, which asks for the seven that the cache lacks."""
    systems = [System("none"), System("gold", gold(PROBLEMS))]
    told, requests = measured(systems, tmp_path / "a", plan=Plan(budget=Budget(calls=8), under_way=1), concurrency=1)
    assert list(told["systems"]) == ["none"] and len(requests) == 8 and told["used"]["stopped"] == "8 calls"
    assert "The budget of 8 calls ended this call before gold;" in (tmp_path / "a" / "report.md").read_text()
    measured(systems, tmp_path / "a")
    measured(systems, tmp_path / "b")
    assert left_in(tmp_path / "a") == left_in(tmp_path / "b")
    usage = [json.loads(line) for line in (tmp_path / "a" / "usage.jsonl").read_text().splitlines()]
    assert [each["calls"] for each in usage] == [8, 8] and [each["stopped"] for each in usage] == ["8 calls", ""]


def test_replies_do_not_depend_on_what_else_is_asked(tmp_path):
    def by_seed(body):
        return rf"\boxed{{{body['seed'] % 7}}}"

    many = [System("none"), voting(System("none"), 3), System("gold", gold(PROBLEMS))]
    measured(many, tmp_path / "many", answer=by_seed, plan=Plan(under_way=2))
    measured([many[1]], tmp_path / "one", answer=by_seed, problems=PROBLEMS[5:6])
    (row,) = rows_of(tmp_path / "one" / "answers" / "none.vote3.jsonl")
    assert row == rows_of(tmp_path / "many" / "answers" / "none.vote3.jsonl")[5]


def test_gold_documents_by_judgements_or_the_problems_own():
    qrels = {"p0": {"d1": 1, "d0": 2, "d2": 0}}
    assert gold(PROBLEMS, qrels)["p0"] == ("d0", "d1") and gold(PROBLEMS, qrels)["p1"] == ()
    assert gold(PROBLEMS)["p3"] == ("d3",)
    with pytest.raises(ValueError, match="the judgements name no document of a problem"):
        gold(PROBLEMS, {"q9": {"d0": 1}})
    with pytest.raises(ValueError, match="no problem names gold_documents"):
        gold([Problem("p", "?", 1)])


def test_texts_are_those_that_are_shown():
    systems = [System("none"), System("two", {"p0": ["d0", "d1"], "p1": ["d1"]})]
    assert texts_of(DOCUMENTS.items(), systems) == {name: DOCUMENTS[name] for name in ("d0", "d1")}
    with pytest.raises(
        ValueError, match=r"two shows the document 'd0', which the corpus has not \(2 of 2 are missing\)"
    ):
        texts_of([("d9", "x")], systems)


@pytest.mark.parametrize(
    ("made", "message"),
    [
        (lambda: System("a/b"), "label 'a/b' cannot name a file"),
        (lambda: System(".a"), "cannot name a file"),
        (
            lambda: System("a", samples=3),
            "3 samples at temperature 0.0; give 1 or more, and of several a temperature above 0",
        ),
        (lambda: System("a", samples=0), "0 samples"),
        (lambda: Plan(under_way=0), "under_way is 0"),
        (lambda: top({"q": {"d": 1.0}}, PROBLEMS, 1), "the run has 'q', the problems are 'p0', 'p1', 'p2'"),
        (lambda: top(RUN, PROBLEMS, 0), "depth 0 keeps no document"),
    ],
)
def test_bad_settings_are_refused(made, message):
    with pytest.raises(ValueError, match=message):
        made()


@pytest.mark.parametrize(
    ("problems", "systems", "plan", "message"),
    [
        (PROBLEMS, [System("none")], None, "none asks a language model, and none is given"),
        (PROBLEMS, [Given("a", {}), Given("a", {})], None, "two systems have the label 'a'"),
        (PROBLEMS, [Given("a", {})], Plan(baseline="b"), "baseline 'b' is none of the systems a"),
        ([], [Given("a", {})], None, "0 problems and 1 systems"),
        ([Problem("p", "?", None)], [Given("a", {})], None, "the answer of 'p' is not known"),
    ],
)
def test_bad_work_is_refused(tmp_path, problems, systems, plan, message):
    with pytest.raises(ValueError, match=message):
        asyncio.run(measure(problems, systems, tmp_path, plan=plan))


def test_a_small_p_is_not_shown_as_nothing():
    each = {"questions": 9, "right": 9, "accuracy": 1.0, "low": 0.7, "high": 1.0, "votes": 1, "documents": 0}
    each |= {"events": {}, "notes": [], "against": {"won": 12, "lost": 0, "p_corrected": 2 / 2**12}}
    (row,) = table({"a": each | {"against": {"won": 20, "lost": 0, "p_corrected": 2 / 2**20}}}).rows
    assert row[-3:] == ("20", "0", "<0.0001") and not row[4].best, "alone it is not the best of anything"
    assert table({"a": each}).rows[0][-1] == "0.0005"
    assert table({}, about=["Nothing yet."]).text().splitlines()[-2:][0] == "Nothing yet."


@pytest.mark.skipif(not SHARED.is_dir(), reason="the shared data are not here")
def test_brights_questions_find_their_answers_in_theoremqa():
    """BRIGHT gives none of its 76 an answer; 58 are among the 537 that are shipped, none of which needs a picture."""
    topics = SHARED / "bright" / "topics" / "theoremqa_theorems.jsonl.gz"
    with pytest.raises(ValueError, match=r"TheoremQA_jianyu_xu/pigeonhole_3\.json has no answer"):
        read_problems(topics)
    problems, left = read_problems(topics, known=read_answers(SHIPPED / "queries.jsonl.gz"))
    assert (len(problems), len(left)) == (58, 18)
    first = {each.problem_id: each for each in problems}["TheoremQA_jianyu_xu/pigeonhole_3.json"]
    assert (first.answer, first.gold_documents) == (4, ("18695",)) and "10 cookies" in first.question
    qrels = read_qrels(SHARED / "bright" / "qrels" / "theoremqa_theorems.tsv")
    judged = gold(problems, qrels)
    assert all(set(judged[each.problem_id]) == set(each.gold_documents) for each in problems)
    hidden, left = read_problems(topics, hide_answers=True)
    assert len(hidden) == 76 and left == [] and {each.answer for each in hidden} == {None}
    low, high = wilson(54, 76)
    assert math.isclose(high - low, 0.19998, abs_tol=1e-4), "one system's interval is 20 points wide, one question 1.3"
