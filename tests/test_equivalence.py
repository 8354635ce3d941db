r"""Equivalence of answers: the pairs of `answer_pairs.py`, real golds, processes that hang or die, clusters and votes."""

import json
import os
import signal
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from itertools import combinations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as some

from rader_ir.equivalence import (
    FAILURES,
    RULES,
    THEOREMQA_TOLERANCE,
    Equivalence,
    Verdict,
    clusters,
    equivalent,
    majority,
)
from rader_ir.equivalence.pool import Pool
from rader_ir.equivalence.readings import read
from rader_ir.equivalence.units import read_unit
from tests.answer_pairs import PAIRS, UNDECIDED

HANGS = "9^{9^{9^{9}}}"
EVERY_PAIR = [(kind, *pair) for kind, pairs in PAIRS.items() for pair in pairs]


@pytest.fixture(scope="module")
def answers():
    with Equivalence() as answers:
        yield answers


@pytest.mark.parametrize(("kind", "a", "b", "equal"), EVERY_PAIR, ids=lambda part: repr(part)[:40])
def test_pairs_either_way_round(answers, kind, a, b, equal):
    for verdict in (answers.compare(a, b), answers.compare(b, a)):
        assert (verdict.equal, verdict.failed) == (equal, False), f"{kind}: {a!r} and {b!r} by {verdict.rule}"


@pytest.mark.parametrize(("a", "b"), UNDECIDED)
def test_what_the_rules_do_not_know_is_called_unequal(answers, a, b):
    assert not answers.compare(a, b) and not answers.compare(b, a)


def test_there_are_enough_pairs_of_both_verdicts():
    verdicts = [equal for *_, equal in EVERY_PAIR]
    assert len(verdicts) >= 550
    assert verdicts.count(False) >= 200
    assert len({(repr(a), repr(b)) for _, a, b, _ in EVERY_PAIR}) == len(EVERY_PAIR)


def test_every_rule_decides_a_pair(answers):
    decided = {answers.compare(a, b).rule for _, a, b, _ in EVERY_PAIR}
    assert decided == set(RULES)


def test_theoremqas_golds_equal_themselves_as_text_and_not_their_neighbours(answers, shared):
    with open(shared / "data" / "theoremqa" / "queries.jsonl", encoding="utf-8") as rows:
        golds = [json.loads(row)["answer"] for row in rows]
    assert len(golds) == 537
    for gold in golds:
        assert answers.compare(gold, json.dumps(gold)) and answers.compare(str(gold), gold), gold
        assert not any(answers.compare(gold, wrong) for wrong in _neighbours(gold)), gold
        assert answers.readable(gold)


def _neighbours(gold):
    if isinstance(gold, bool):
        return [not gold, str(not gold)]
    if isinstance(gold, int):
        return [str(gold + 1), f"{gold}0" if gold else "10", str(-gold or 3)]
    if isinstance(gold, float):
        return [repr(gold * 1.01 or 0.01), repr(-gold or 1.0)]
    if isinstance(gold, list):
        return [json.dumps([*gold, 1]), json.dumps(gold[1:] or [gold[0] + 1]), json.dumps([x + 1 for x in gold])]
    return [f"({letter})" for letter in "abcd" if letter != gold[1]]


def test_theoremqas_own_tolerance_is_an_option():
    loose = Equivalence(tolerance=THEOREMQA_TOLERANCE)
    for gold, answer, equal in [(1.42, "1.4", True), (120.0, "118", True), (1.42, "1.3", False), (35, "35.2", True)]:
        assert loose.compare(gold, answer).equal is equal
    for gold, answer in [(35, "36"), ("1/3", "1/4"), (35, "35.8")]:  # whole and exact numbers stay exact
        assert not loose.compare(gold, answer)
    assert not equivalent(1.42, "1.4") and equivalent(1.42, "1.4", tolerance=THEOREMQA_TOLERANCE)


def test_aquas_options_differ_from_each_other_and_equal_their_letter_and_their_text(answers, shared):
    with open(shared / "data" / "math" / "aqua_test.jsonl", encoding="utf-8") as rows:
        problems = [json.loads(row)["options"] for row in rows]
    assert len(problems) == 254
    same = []
    for options in problems:
        for option in options:
            assert answers.compare(option, option[0]) and answers.compare(option, option[2:]), option
        texts = [option[2:].strip() for option in options]
        same += [(a, b) for a, b in combinations(texts, 2) if a != b and answers.compare(a, b)]
    assert len(same) <= 5, same  # of 2,540; what is left names one set in two orders, or one span in two units


@settings(max_examples=300, derandomize=True, deadline=None)
@given(some.text(alphabet="01,. aAxe(){}[]\\^_%$=+-/&ftr", min_size=1, max_size=40))
def test_any_text_can_be_read_and_equals_itself_if_it_says_anything(text):
    verdict = Equivalence().compare(text, text)
    assert verdict.equal == bool(read(text).text)


@pytest.mark.parametrize("endless", ["1" * 5000, "{" * 1500, "[" * 900 + "1" + "]" * 900, "because " * 900])
def test_endless_texts_are_failures_and_not_exceptions(answers, endless):
    verdict = answers.compare(endless, "1")
    assert (verdict.equal, verdict.rule, verdict.failed) == (False, "unreadable", True)
    assert not answers.readable(endless)


@pytest.mark.parametrize("broken", [r"\frac{", "x^{2", r"\begin{cases} x"])
def test_broken_formulas_are_failures(answers, broken):
    assert answers.compare(broken, "x+1").rule in FAILURES
    assert not answers.readable(broken)


def test_golds_that_can_be_compared(answers):
    assert all(map(answers.readable, ["x^2+1", r"\text{odd}", "(a)", True, [1, 2], 1.5, "-7", "no solution"]))
    assert not any(map(answers.readable, [None, "", "$$", " . "]))


def test_answers_of_other_types_are_refused(answers):
    with pytest.raises(TypeError, match="an answer is a text, truth value, number or list of these; got dict"):
        answers.compare({"a": 1}, "1")
    with pytest.raises(ValueError, match="NaN"):
        answers.compare(float("nan"), "1")
    assert answers.compare(float("inf"), r"\infty")


def test_bad_settings_are_refused():
    with pytest.raises(ValueError, match=r"tolerance 1\.5 is outside"):
        Equivalence(tolerance=1.5)
    with pytest.raises(ValueError, match="at least one process"):
        Equivalence(processes=0)


@pytest.mark.parametrize(
    ("a", "b", "ratio"),
    [
        ("km", "m", 1000),
        ("m/s^2", r"\text{ cm}/\text{s}^2", 100),
        ("J", "N m", 1),
        ("square feet", "in^2", 144),
        ("apples", "J", None),
    ],
)
def test_units(a, b, ratio):
    a, b = read_unit(a), read_unit(b)
    assert (a is None) if ratio is None else (a.powers == b.powers and a.factor / b.factor == ratio)


class TestProcesses:
    """What happens to the processes that compare formulas."""

    def test_a_hang_costs_one_verdict_and_one_process(self):
        pool = Pool(timeout=2)
        assert pool.compare("x+1", "1+x", 0).equal
        before = pool.pids()
        assert pool.compare(HANGS, "1", 0).rule == "timeout"
        assert pool.pids() == []
        assert pool.compare("x+1", "1+x", 0).equal
        assert len(before) == len(pool.pids()) == 1 and before != pool.pids()
        pool.close()
        assert pool.pids() == []

    def test_a_process_that_dies_is_replaced(self):
        pool = Pool(timeout=60)
        assert pool.compare("x", "x", 0).equal
        with ThreadPoolExecutor(1) as thread:
            asked = thread.submit(pool.compare, HANGS, "1", 0)
            time.sleep(0.5)
            os.kill(pool.pids()[0], signal.SIGKILL)
            assert asked.result().rule == "crashed"
        assert pool.compare("x+1", "1+x", 0).equal
        os.kill(pool.pids()[0], signal.SIGKILL)  # between two questions
        while pool.pids():
            time.sleep(0.01)
        assert pool.compare("x+1", "1+x", 0).equal
        pool.close()

    def test_a_hang_is_remembered_and_a_crash_is_not(self):
        with Equivalence(timeout=1) as answers:
            assert answers.compare(HANGS, "x").rule == "timeout"
            assert answers.compare("x", HANGS).rule == "timeout"
            assert answers._pool.pids() == []  # the second time nothing was started

    def test_threads_share_the_processes(self):
        pairs = [(f"(x+{n})^2", f"x^2+{2 * n}x+{n * n + n % 2}") for n in range(40)]
        with Equivalence(processes=2) as answers, ThreadPoolExecutor(8) as threads:
            verdicts = list(threads.map(lambda pair: answers.compare(*pair).equal, pairs))
            assert len(answers._pool.pids()) == 2
        assert verdicts == [n % 2 == 0 for n in range(40)]

    def test_what_needs_no_algebra_or_had_it_before_is_known_at_once(self):
        with Equivalence() as answers:
            assert answers.known("1,000", r"10^3") == answers.compare("1,000", r"10^3")
            assert answers.known(None, "1") == answers.compare(None, "1")
            assert answers.known("x+1", "1+x") is None and answers._pool.pids() == []
            assert answers.compare("x+1", "1+x") == answers.known("1+x", "x+1") == Verdict(True, "algebra")

    def test_the_program_that_asks_loads_no_algebra(self):
        code = "import sys; from rader_ir.equivalence import Equivalence; e = Equivalence(); print(bool(e.compare('x+1', '1+x')),"
        code += "{'sympy', 'math_verify', 'torch'} & set(sys.modules))"
        shown = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
        assert (shown.stdout, shown.stderr) == ("True set()\n", "")

    @pytest.mark.skipif(not os.path.isdir("/proc"), reason="looks for processes in /proc")
    @pytest.mark.parametrize("busy", [False, True])
    def test_none_outlives_a_program_that_is_killed(self, busy):
        code = "from rader_ir.equivalence.pool import Pool; p = Pool(timeout=3); p.compare('x', 'x', 0); "
        code += f"print(p.pids()[0], flush=True); p.compare({(HANGS if busy else 'x')!r}, '1', 0); input()"
        asking = subprocess.Popen(
            [sys.executable, "-c", code], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )
        worker = int(asking.stdout.readline())
        time.sleep(0.5)
        assert _lives(worker)
        asking.kill()
        asking.communicate()
        deadline = time.monotonic() + 100
        while _lives(worker) and time.monotonic() < deadline:
            time.sleep(0.1)
        assert not _lives(worker)


def _lives(pid: int) -> bool:
    try:
        with open(f"/proc/{pid}/stat", encoding="ascii") as stat:
            return stat.read().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


class TestVotes:
    """Clusters of equivalent answers, and what most of them say."""

    def test_clusters_do_not_depend_on_the_order(self, answers):
        given = {1: r"\frac12", 2: "20", 3: None, 4: "0.5", 5: "200", 6: "20.0", 7: "50%", 8: None}
        expected = [(1, 4, 7), (2, 6), (5,)]
        assert clusters(given, answers.compare) == expected
        assert clusters(dict(reversed(given.items())), answers.compare) == expected

    def test_a_chain_of_equal_pairs_is_one_cluster(self):
        given = {1: "0", 2: "2", 3: "1"}
        assert clusters(given, lambda a, b: abs(int(a) - int(b)) <= 1) == [(1, 2, 3)]

    def test_equal_texts_are_asked_for_once(self):
        asked = []
        assert clusters(dict.fromkeys(range(50), "7") | {50: "8"}, lambda a, b: asked.append((a, b))) == [
            tuple(range(50)),
            (50,),
        ]
        assert asked == [("7", "8")]

    def test_no_answer_wins_no_vote(self, answers):
        vote = majority({1: None, 2: None, 3: None, 4: "5"}, answers.compare)
        assert (vote.answer, vote.keys, vote.weight, vote.total, vote.share) == ("5", (4,), 1.0, 4.0, 0.25)
        assert majority({1: None, 2: None}, answers.compare) is None
        assert majority({}, answers.compare) is None

    def test_twenty_and_two_hundred_vote_apart(self, answers):
        vote = majority({1: "200", 2: "20", 3: "2", 4: r"\frac{40}{2}"}, answers.compare)
        assert (vote.answer, vote.keys) == ("20", (2, 4))

    def test_ties_go_to_the_smallest_key_and_the_commonest_writing(self, answers):
        given = {4: "0.5", 3: "7", 2: r"\frac12", 1: None, 5: "7.0", 6: "0.5", 7: "7"}
        vote = majority(given, answers.compare)
        assert (vote.answer, vote.keys, vote.weight) == ("0.5", (2, 4, 6), 3.0)

    def test_weights_are_votes(self, answers):
        given = {1: "3", 2: "3", 3: "4"}
        vote = majority(given, answers.compare, weights={1: 0.2, 2: 0.2, 3: 1.0})
        assert (vote.answer, vote.keys, vote.total) == ("4", (3,), pytest.approx(1.4))
        with pytest.raises(ValueError, match="2 has weight None; give each answer a weight of 0 or more"):
            majority(given, answers.compare, weights={1: 1.0, 3: 1.0})
