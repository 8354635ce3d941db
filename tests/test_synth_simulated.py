"""The simulated solver: what it writes for each task against what it promises.

A rate is checked at 0 and at 1, where the reply is certain, and between by the share of many seeds, which follows from the seeds
alone and so is the same at every run.
"""

import json
import re

import pytest

pytest.importorskip("math_verify")

from rader_ir.analysis import analyse
from rader_ir.answers import boxed
from rader_ir.bm25 import BM25
from rader_ir.synth.simulated import Skill, demo_corpus, demo_problems, needed
from rader_ir.synth.simulated.chance import Chance
from rader_ir.synth.simulated.kinds import same, written
from rader_ir.synth.simulated.problems import recognised, templates
from rader_ir.synth.simulated.replies import UNKNOWN, reply
from rader_ir.synth.simulated.theorems import near_misses, shown, theorems

PROBLEMS = demo_problems(320, 5)
BY_NAME = {name: [one for one in PROBLEMS if one.problem_id.startswith(f"{name}-")] for name in templates()}
NEEDING = [name for name, template in templates().items() if template.needs]
PLAIN = [name for name, template in templates().items() if not template.needs]
CORPUS = demo_corpus()
EXAMPLE = (
    "Example\n\nQuestion:\nA boy buys 2 apples at 30 cents each and 3 pears at 40 cents each. He pays with 200 cents. How "
    "many cents does he get back?\n\nSolution:\nThe answer is $\\boxed{20}$.\n\nNow the problem to work on."
)
ALWAYS = ("right_with", "right_plain", "p_query", "p_reflect", "p_reject", "p_judge", "p_general", "p_lexical")
SURE = Skill(**dict.fromkeys(ALWAYS, 1.0), right_without=0.0, messy=0.0)


def write(task, question="", *, skill=SURE, seed=0, temperature=0.8, schema=None, **parts):
    """The reply to a prompt of this task: an example, the question, then what else there is, each below its name."""
    below = "\n\n".join(f"{name.capitalize().replace('_', ' ')}:\n{text}" for name, text in parts.items())
    prompt = f"Task: {task}\n\n{EXAMPLE}\n\nQuestion:\n{question}\n\n{below}\n\nReply:"
    body = {"messages": [{"role": "user", "content": prompt}], "seed": seed, "temperature": temperature}
    if schema:
        body["response_format"] = {"type": "json_schema", "json_schema": {"name": "reply", "schema": schema}}
    told, text = reply(body, skill)
    assert told == task
    return text


def a_problem(name):
    return BY_NAME[name][0]


def the_theorem(problem):
    return theorems()[needed(problem.problem_id)]


def test_a_theorem_is_found_by_document_and_summary_and_by_nothing_else():
    for doc_id, text in CORPUS.items():
        cut = text.partition(r"\begin{proof}")[0][:1000]
        summary = write("summary", theorem=text)
        assert [one.id for one in shown(f"Theorem:\n{cut}\nJudge:".split())] == [doc_id]
        assert [one.id for one in shown(f"Step 1: x\nTheorem: {summary}\nStep 2: y".split())] == [doc_id]
    for problem in PROBLEMS:
        assert not shown(problem.question.split())
    asked = [text for one in theorems().values() if not one.near for text in (*one.asked, *one.general, one.name)]
    assert not [text for text in asked if shown(f"Theorem: {text} Judge".split())]


def test_theorems_are_shown_in_their_order():
    first, last = theorems()["sim-bayes"].summary, theorems()["sim-union"].summary
    assert [one.id for one in shown(f"{first} {last}".split())] == ["sim-bayes", "sim-union"]
    assert [one.id for one in shown(f"{first} {last} {first}".split())] == ["sim-union", "sim-bayes"]


@pytest.mark.parametrize("name", NEEDING)
def test_a_solution_is_right_just_where_the_needed_theorem_is_shown(name):
    for problem in BY_NAME[name][:4]:
        theorem, answer = the_theorem(problem), recognised(problem.question.split()).answer
        misses = "\n".join(f"Theorem: {near.summary}" for near in near_misses(theorem.id))
        for shows, texts in {
            True: (f"Theorem: {theorem.summary}", f"{misses}\nTheorem: {CORPUS[theorem.id]}"),
            False: ("(nothing yet)", misses, f"Theorem: {theorem.asked_name}\n{theorem.asked[0]}"),
        }.items():
            for partial in texts:
                text = write("solution", problem.question, solution_so_far=partial)
                assert same(boxed(text), answer) is shows, (text, partial)


def test_a_problem_without_theorem_is_solved_without():
    for name in PLAIN:
        problem = a_problem(name)
        assert same(boxed(write("solution", problem.question)), recognised(problem.question.split()).answer)
        assert "No theorem" in write("query", problem.question)


@pytest.mark.parametrize("rate", [0.1, 0.5, 0.95])
def test_rates_are_kept(rate):
    problem = a_problem("derangement")
    answer, partial = recognised(problem.question.split()).answer, f"Theorem: {the_theorem(problem).summary}"
    judged = [
        write("reflection", problem.question, skill=Skill(p_reflect=rate, messy=0), seed=seed, theorem=partial)
        for seed in range(400)
    ]
    solved = {
        "with": [
            write("solution", problem.question, skill=Skill(right_with=rate), seed=seed, partial=partial)
            for seed in range(400)
        ],
        "without": [
            write("solution", problem.question, skill=Skill(right_without=rate), seed=seed) for seed in range(400)
        ],
    }
    spread = 4 * (rate * (1 - rate) / 400) ** 0.5
    shares = {name: sum(same(boxed(text), answer) for text in texts) / 400 for name, texts in solved.items()}
    shares["judged"] = sum(json.loads(text)["relevant"] for text in judged) / 400
    assert all(abs(share - rate) < spread for share in shares.values()), shares


@pytest.mark.parametrize("name", templates())
def test_thoughts_lead_from_what_is_given_to_the_answer(name):
    """Each on one line and none twice; only the last holds an answer, and marks it as the search's rules have it."""
    problem = a_problem(name)
    steps = [f"Theorem: {the_theorem(problem).summary}"] if needed(problem.problem_id) else []
    for seed in range(20):
        step = write("thought", problem.question, seed=seed, solution_so_far="\n".join(steps))
        assert step and "\n" not in step and step not in steps
        if "boxed" in step:
            assert same(boxed(step), recognised(problem.question.split()).answer)
            return
        assert "answer is" not in step
        steps.append(step)
    pytest.fail(f"no answer after {steps}")


@pytest.fixture(scope="module")
def index():
    return BM25.build(CORPUS.items())


def searched(text, index, depth):
    return list(index.retrieve({"q": text}, depth=depth)["q"])


def blocks(text):
    """The searched texts of a query's theorems, read in the plain format."""
    named = re.findall(r"Theorem Name: (.+)\nTheorem Statement: (.+)\nPreconditions: .+\nWhy .+: .+\nSubject: .+", text)
    return [f"Theorem Name: {name}\nTheorem Statement: {statement}" for name, statement in named]


@pytest.mark.parametrize("name", NEEDING)
def test_queries_find_the_needed_theorem_in_other_words(name, index):
    problem = a_problem(name)
    theorem = the_theorem(problem)
    for seed in range(6):
        text = write("query", problem.question, seed=seed)
        queries = blocks(text)
        assert 1 <= len(queries) == text.count("Subject:") <= 3
        assert theorem.id in searched(queries[0], index, 5)
        assert theorem.text not in text and theorem.plain not in text
        amiss = blocks(write("query", problem.question, seed=seed, skill=Skill(p_query=0, messy=0)))
        again = blocks(write("query", problem.question, seed=seed, solution=f"Theorem: {theorem.summary}"))
        assert amiss and again and queries[0] not in amiss + again  # it asks for what it has not got


def test_questions_alone_seldom_find_the_theorem(index):
    """Else a search would have nothing to add, and a retriever nothing to learn."""
    needing = [problem for problem in PROBLEMS if needed(problem.problem_id)]
    found = sum(needed(problem.problem_id) in searched(problem.question, index, 5) for problem in needing)
    assert found / len(needing) < 0.25


def test_careless_queries_differ_in_form_alone():
    problem = a_problem("crt")
    texts = {write("query", problem.question, seed=seed, skill=Skill(p_query=1, messy=1)) for seed in range(20)}
    assert any("**Theorem name:**" in text for text in texts) and any("\nTheorem name:" in text for text in texts)
    assert all(any(asked in text for asked in theorems()["sim-crt"].asked) for text in texts)


@pytest.mark.parametrize("name", NEEDING)
def test_reflection_keeps_the_needed_theorem_alone(name):
    problem = a_problem(name)
    theorem = the_theorem(problem)
    others = [*near_misses(theorem.id), next(one for one in theorems().values() if one.id != theorem.id)]
    judged = {one.id: one.summary for one in [theorem, *others]} | {"T005": write("summary", theorem=CORPUS["T005"])}
    for doc_id, summary in judged.items():
        held = "(nothing yet)" if doc_id == theorem.id else f"Theorem: {theorem.summary}"
        told = json.loads(write("reflection", problem.question, solution_so_far=held, theorem=summary))
        assert told["relevant"] is (doc_id == theorem.id) and told["reason"]


def test_no_theorem_helps_where_none_is_needed():
    for doc_id in ("sim-bayes", "T005"):
        told = json.loads(write("reflection", a_problem("savings").question, theorem=CORPUS[doc_id]))
        assert told["relevant"] is False


def test_careless_judgements_say_the_same():
    problem = a_problem("pick")
    skill = Skill(p_reflect=1, p_reject=1, messy=1)
    for doc_id, word in {"sim-pick": "true", "sim-shoelace": "false"}.items():
        summary = theorems()[doc_id].summary
        texts = {write("reflection", problem.question, seed=seed, skill=skill, theorem=summary) for seed in range(40)}
        assert len({text.partition("\n")[0] for text in texts}) == 4
        assert all(word in text.lower() for text in texts)
        assert not any({"true": "false", "false": "true"}[word] in text.lower() for text in texts)


def test_the_judge_marks_what_it_is_given():
    schema = {"type": "object", "properties": {"equal": {"type": "boolean"}, "reason": {"type": "string"}}}
    for problem in PROBLEMS[:64]:
        found = recognised(problem.question.split())
        right = written(found.answer, Chance(1))
        wrong = written(found.template.kind.wrong(found.values, Chance(2)), Chance(3))
        for answer, verdict in {right: True, wrong: False}.items():
            parts = {"right_answer": str(problem.answer), "answer_to_mark": answer}
            assert write("judge", problem.question, **parts) == str(verdict)
            assert json.loads(write("judge", problem.question, schema=schema, **parts))["equal"] is verdict
            solution = rf"We compute. So it is $\boxed{{{answer}}}$."
            told = write("judge", problem.question, gold_answer=str(problem.answer), solution=solution)
            assert told == str(verdict), (problem, answer)
            assert write("judge", problem.question, skill=Skill(p_judge=0), **parts) == str(not verdict)


def test_general_queries_do_not_give_the_theorem_away():
    """Neither its name nor four words in a row of it, and few of its terms."""
    for name in NEEDING:
        problem = a_problem(name)
        theorem = the_theorem(problem)
        document = CORPUS[theorem.id]
        for seed in range(6):
            text = write("general query", problem.question, seed=seed, theorem=document)
            query = text.rpartition("Query: ")[2]
            terms, held = analyse(query), analyse(f"{document} {theorem.plain}")
            assert text.count("\n") == 2 and query in theorem.general
            assert len(set(terms) & set(held)) <= 0.34 * len(set(terms)), (query, set(terms) & set(held))
            runs = {tuple(terms[at : at + 3]) for at in range(len(terms) - 2)}
            assert not runs & {tuple(held[at : at + 3]) for at in range(len(held) - 2)}
            leaked = write("general query", problem.question, seed=seed, theorem=document, skill=Skill(p_general=0))
            assert theorem.name in leaked


def test_general_queries_for_other_theorems_and_problems_hold_no_numbers():
    text = write("general query", a_problem("bayes").question, theorem=CORPUS["T005"])
    assert (
        text.rpartition("Query: ")[2] == "What general result yields the share of the kind among all that are reported?"
    )


def test_lexical_queries_find_their_theorem(index):
    """For every document of the corpus, distractors too, within the twenty that the round trip allows."""
    vague = write("lexical query", theorem=CORPUS["T005"], skill=Skill(p_lexical=0))
    assert vague == write("lexical query", theorem=CORPUS["sim-crt"], skill=Skill(p_lexical=0))
    missed = []
    for doc_id, text in CORPUS.items():
        query = write("lexical query", theorem=text)
        assert query.startswith("Query: ") and query.count("\n") == 0
        if doc_id not in searched(query.removeprefix("Query: "), index, 20):
            missed.append(doc_id)
    assert not missed


def test_documents_of_another_corpus_are_summed_up_too():
    text = "The sum of the angles of a plane polygon with n corners\nthat does not cross itself is n minus two straight angles."
    assert write("summary", theorem=text) == f"Statement - {' '.join(text.split())} Reply:"
    assert "sum of the angles" in write("lexical query", theorem=text)


def test_malformed_replies_hold_no_answer_and_no_judgement():
    problem, skill = a_problem("heron"), Skill(malformed=1)
    for seed in range(30):
        assert boxed(write("solution", problem.question, skill=skill, seed=seed)) is None
        assert not blocks(write("query", problem.question, skill=skill, seed=seed))
        told = write("reflection", problem.question, skill=skill, seed=seed, theorem=theorems()["sim-heron"].summary)
        assert ("true" in told) == ("false" in told)
        assert not write("thought", problem.question, skill=skill, seed=seed).strip()
        assert not write("lexical query", skill=skill, seed=seed, theorem="x").removeprefix("Query:").strip()


def test_replies_follow_from_messages_and_seed():
    problem = a_problem("ballot")
    texts = [write("solution", problem.question, skill=Skill(), seed=seed) for seed in range(50)]
    assert texts == [write("solution", problem.question, skill=Skill(), seed=seed) for seed in range(50)]
    assert len(set(texts)) > 5
    assert len({write("thought", problem.question, seed=3, partial=partial) for partial in "abcdefgh"}) > 1


def test_at_temperature_0_the_seed_counts_for_nothing():
    problem = a_problem("ballot")
    assert len({write("solution", problem.question, seed=seed, temperature=0) for seed in range(50)}) == 1


@pytest.mark.parametrize(
    "line", ["Task: general query", "**Task:** General query", "# task: general_query", "  TASK: general-query."]
)
def test_the_line_of_the_task_is_read_freely(line):
    question = a_problem("crt").question
    messages = [{"role": "system", "content": line}, {"role": "user", "content": f"{question}\nTask: judge"}]
    assert reply({"messages": messages}, SURE)[0] == "general query"


@pytest.mark.parametrize(
    "prompt", ["What is 1 + 1?", "Task: solution\nWhat is 1 + 1?", "Task: dance\n" + a_problem("crt").question]
)
def test_other_prompts_are_told_that_it_is_a_simulation(prompt):
    assert reply({"messages": [{"role": "user", "content": prompt}]}, SURE) == (None, UNKNOWN)


def test_a_skill_is_checked():
    with pytest.raises(ValueError, match=r"right_with is 1\.5"):
        Skill(right_with=1.5)
