"""The simulated solver's problems: their answers against another computation, their texts, and that a prompt tells them apart."""

import re
from fractions import Fraction
from math import gcd

import pytest

pytest.importorskip("math_verify")

from rader_ir.equivalence import Equivalence
from rader_ir.synth.simulated import demo_corpus, demo_problems, needed
from rader_ir.synth.simulated import problems as problems_module
from rader_ir.synth.simulated.chance import Chance
from rader_ir.synth.simulated.kinds import gold, same, written
from rader_ir.synth.simulated.problems import Posed, recognised, templates
from rader_ir.synth.simulated.theorems import near_misses, theorems
from tests import solving

PROBLEMS = demo_problems(320, 5)
BY_NAME = {name: [one for one in PROBLEMS if one.problem_id.startswith(f"{name}-")] for name in templates()}
NEEDING = [name for name, template in templates().items() if template.needs]
CORPUS = demo_corpus()
EXAMPLE = (
    "Example\n\nQuestion:\nA boy buys 2 apples at 30 cents each and 3 pears at 40 cents each. He pays with 200 cents. How "
    "many cents does he get back?\n\nSolution:\nThe answer is $\\boxed{20}$.\n\nNow the problem to work on."
)


def number(answer):
    """A gold as a number, where it is one."""
    found = re.fullmatch(r"\\frac\{(-?\d+)\}\{(\d+)\}", answer) if isinstance(answer, str) else None
    return Fraction(int(found[1]), int(found[2])) if found else answer


@pytest.mark.parametrize("name", templates())
def test_answers_are_those_of_another_computation(name):
    """From the numbers that stand in the question; ten problems of each template."""
    for problem in BY_NAME[name]:
        values = recognised(problem.question.split()).values
        assert all(re.search(rf"(?<!\d){value}(?!\d)", problem.question) for value in values.values())
        anew = getattr(solving, name)(**values)
        answer = number(problem.answer)
        if isinstance(answer, bool | list):
            assert answer == anew, problem
        else:
            close = 1e-4 if isinstance(answer, float) else 1e-9  # surds are rounded to four decimals
            exact = isinstance(anew, int | Fraction)
            assert answer == anew if exact else abs(answer - anew) <= close * max(1, abs(anew)), (problem, anew)


def test_the_polygon_of_the_other_computation_has_the_points_of_the_question():
    for i, b in [(3, 4), (5, 9), (60, 30)]:
        corners = [(0, 0), (1, -1), (i + 1, 0), (b - 3, 1), (1, 1)]
        edges = zip(corners, corners[1:] + corners[:1], strict=True)
        assert sum(gcd(x - u, y - v) for (x, y), (u, v) in edges) == b  # all others within lie at height 0: 1, ..., i


def test_truth_values_come_in_both_kinds():
    for name in ("nim", "residue"):
        assert {problem.answer for problem in BY_NAME[name]} == {True, False}


def test_problems_are_distinct_and_follow_from_the_seed():
    assert len({problem.question for problem in PROBLEMS}) == len({p.problem_id for p in PROBLEMS}) == 320
    assert demo_problems(320, 5) == PROBLEMS
    assert demo_problems(40, 5) == PROBLEMS[:40]
    assert {problem.question for problem in demo_problems(64, 6)} != {problem.question for problem in PROBLEMS[:64]}
    assert {problem.problem_id.partition("-")[0] for problem in PROBLEMS[:32]} == set(templates())
    assert len(demo_problems(1000, 0)) == 1000


def test_wordings_can_be_held_out():
    ours, held = demo_problems(200, 1, forms=(0, 1)), demo_problems(100, 1, forms=(2,))
    kept = {(found.template.name, words) for found, words in map(wording, ours)}
    other = {(found.template.name, words) for found, words in map(wording, held)}
    assert kept and other and not kept & other
    assert {name for name, _ in other} == set(NEEDING)


def wording(problem):
    found = recognised(problem.question.split())
    return found, re.sub(r"-?\d+", "#", problem.question)


def test_problems_that_cannot_be_had_are_refused(monkeypatch):
    with pytest.raises(ValueError, match=r"no template has a wording of \[7\]"):
        demo_problems(3, 0, forms=(7,))
    with pytest.raises(KeyError):
        needed("nothing-0-0")
    few = {"catalan": templates()["catalan"]}  # 22 numbers in 3 wordings
    monkeypatch.setattr(problems_module, "templates", lambda: few)
    assert len(demo_problems(40, 0)) == 40
    with pytest.raises(ValueError, match=r"only \d\d different ones were found"):
        demo_problems(67, 0)


def test_texts_fit_together():
    ours = theorems()
    for name, template in templates().items():
        holes = [set(re.findall(r"\{([a-z]+)\}", form)) for form in template.forms]
        assert all(each == holes[0] == set(template.kind.draw(Chance(1, name))) for each in holes), name
        assert set(re.findall(r"\{([a-z]+)\}", template.given)) <= holes[0] and "{" not in template.goal
        assert not template.needs or (ours[template.needs].near == "" and ours[template.needs].general)
    assert len({template.goal for template in templates().values()}) == len(templates()) == 32
    assert len(NEEDING) == 24 and {template.needs for template in templates().values() if template.needs} == {
        theorem.id for theorem in ours.values() if not theorem.near
    }
    assert len(ours) >= 60 and all(theorem.near in ours for theorem in ours.values() if theorem.near)
    assert all(near_misses(template.needs) for template in templates().values() if template.needs)
    assert len(CORPUS) > 400 and set(ours) <= set(CORPUS)
    assert [problem.gold_documents for problem in PROBLEMS] == [
        tuple(filter(None, [needed(problem.problem_id)])) for problem in PROBLEMS
    ]


@pytest.mark.parametrize("name", templates())
def test_written_answers_are_told_from_wrong_ones(name):
    """By the equivalence of the pipeline, by types alone, so that a reward never waits for algebra; and by the solver's judge."""
    kind, judge = templates()[name].kind, Equivalence()
    for problem in BY_NAME[name]:
        values = recognised(problem.question.split()).values
        right = kind.answer(**values)
        for seed in range(4):
            good, bad = written(right, Chance(seed)), written(kind.wrong(values, Chance(seed)), Chance(seed))
            verdicts = judge.compare(good, problem.answer), judge.compare(bad, problem.answer)
            assert [verdict.equal for verdict in verdicts] == [True, False], (problem, good, bad)
            assert not judge._algebra, verdicts
            assert same(good, right) and not same(bad, right), (good, bad)
    judge.close()


def test_a_question_is_found_in_any_prompt():
    for problem in PROBLEMS:
        for prompt in (
            f'{EXAMPLE}\n\n"{problem.question}"\n\nSolve it.',
            f"{EXAMPLE}\n**Question:**{problem.question}",
            problem.question.replace(" ", "\n  ") + "\nNext step:",
        ):
            found = recognised(prompt.split())
            assert isinstance(found, Posed) and problem.problem_id.startswith(found.template.name)
            assert gold(found.answer) == problem.answer
    assert recognised(["How", "many", "roads", "must", "a", "man", "walk", "down?"]) is None
