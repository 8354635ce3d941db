"""The actions of the search against a scripted model over HTTP: what each step must become follows from the script by hand.

Defects of RaDeR's released code are named where a test would fail on them: candidates lost after a rejection, the last sample's
reward in place of the best one's, trailing zeros stripped from numbers, missing answers that agree.
"""

import asyncio
import json
from collections import Counter
from dataclasses import replace

import pytest

pytest.importorskip("aiohttp")
pytest.importorskip("math_verify")

from rader_ir.equivalence import Equivalence
from rader_ir.lm.asking import together
from rader_ir.mcts import Ask, Child, Expand, Rules, rollout
from rader_ir.problems import Problem
from rader_ir.prompts import Prompt, load_prompts
from rader_ir.seeded import seed_of
from rader_ir.synth.actions import Actions
from rader_ir.synth.asking import NOTHING_YET, partial_solution
from rader_ir.synth.grown import FAILED, KEPT, REJECTED, USED, Found, Grown
from rader_ir.synth.library import Library
from tests.lm_server import Fault, LMServer
from tests.synth_cases import DOCUMENTS, asked_for, last_part, noun, running, script, seed_by_hand, task_of

PROBLEM = Problem("p1", "What is 6 times 7?", "42")
HITS = [(f"d{number}", 10.0 - number) for number in range(1, 6)]
SUMMARIES = {"summary": lambda body: f"Sum of {noun(last_part(body, 'Theorem'))}"}
QUERY = {"text": "Theorem Name: Sums", "name": "Sums"}


@pytest.fixture(scope="module")
def answers():
    with Equivalence() as answers:
        yield answers


def hits(texts, k):
    """A search that finds d1 ... d5 for everything."""
    return [HITS[:k] for _ in texts]


def grown_from(*children: Child, problem=PROBLEM, seed=3, **rules) -> tuple[Grown, int]:
    """A tree of a question and a chain of nodes below it, and the id of the last."""
    grown = Grown(problem, Rules(**rules), seed)
    for child in children:
        last = grown.tree.nodes[-1]
        grown.tree.expand(last, [child], [False])
    return grown, len(grown.tree.nodes) - 1


def asks(
    server, answers, grown, node, *wanted: Ask, search=hits, documents=DOCUMENTS, judge=False, prompts=None, **options
):
    """The children for what is wanted of a node."""

    async def use(lm):
        async with Library(documents, search) as library:
            actions = Actions(lm, library, answers=answers, judge=judge, prompts=prompts)
            return await actions.children(grown, Expand(tuple(grown.tree.path(node)), wanted))

    return running(server, use, **{"retries": 0, "answer_retries": 0, **options})


def by_seed(*texts: str, section: str, node=0, seed=3, problem="p1"):
    """Replies of which the n-th goes to the call that must carry the n-th seed."""
    seeds = {seed_by_hand(seed, problem, node, section, number): text for number, text in enumerate(texts)}
    return lambda body: seeds[body["seed"]]


# Theorems: search, summary, reflection


def reflecting(*labels: str):
    """Judges the theorem d1 by the first label, d2 by the second, ..."""
    summaries = {f"Sum of {noun(text)}": label for text, label in zip(DOCUMENTS.values(), labels, strict=False)}
    return script({**SUMMARIES, "reflection": lambda body: summaries[last_part(body, "Theorem")]})


def test_no_candidate_is_lost_after_one_that_is_rejected(answers):
    """Labels T F T F T. The released code does not advance after a rejection: it keeps d1 and logs d2 four times."""
    grown, node = grown_from(Child("query", QUERY))
    with LMServer(reflecting("True", "False", "True", "False", "True")) as server:
        children = asks(server, answers, grown, node, Ask("theorem", 5))
    assert [child.content["doc_id"] for child in children] == ["d1", "d3", "d5"]
    assert [(found.doc_id, found.verdict) for found in grown.found[node]] == [
        ("d1", KEPT),
        ("d2", REJECTED),
        ("d3", KEPT),
        ("d4", REJECTED),
        ("d5", KEPT),
    ]


def test_what_was_found_is_noted_with_its_reason_and_summary(answers):
    grown, node = grown_from(Child("query", QUERY))
    labels = ('{"relevant": true, "reason": "apples fit"}', "Relevant: False\nReason: no bees")
    with LMServer(reflecting(*labels)) as server:
        children = asks(server, answers, grown, node, Ask("theorem", 2))
    apples = {"doc_id": "d1", "text": "Sum of apples", "score": 9.0, "reason": "apples fit"}
    assert children == [Child("theorem", apples)]
    assert grown.found[node] == (
        Found("d1", 9.0, KEPT, "Sum of apples", "apples fit"),
        Found("d2", 8.0, REJECTED, "Sum of bees", "no bees"),
    )
    assert grown.counts == {}


@pytest.mark.parametrize("label", ["", "True or False", "It may help.", '{"relevant": tr', "Relevant:", "<think>True"])
def test_a_reflection_that_cannot_be_read_keeps_nothing_and_is_counted(answers, label):
    grown, node = grown_from(Child("query", QUERY))
    with LMServer(reflecting(label, "False")) as server:
        assert asks(server, answers, grown, node, Ask("theorem", 2)) == []
    assert [found.verdict for found in grown.found[node]] == [FAILED, REJECTED]
    event = "reflection unreadable" if label else "reflection failed: empty"  # an empty reply is a failed call
    assert grown.counts == {event: 1}


def test_a_theorem_is_judged_alike_wherever_the_same_reasoning_found_it(answers):
    """Two lookups below the question and one below a thought: equal calls, which a cache asks once, and another."""
    grown = Grown(PROBLEM, Rules(), 3)
    grown.tree.expand(
        grown.tree.root, [Child("query", QUERY), Child("query", QUERY), Child("thought", {"text": "x"})], [False] * 3
    )
    grown.tree.expand(grown.tree.nodes[3], [Child("query", QUERY)], [False])
    with LMServer(reflecting("True")) as server:
        for node in (1, 2, 4):
            asks(server, answers, grown, node, Ask("theorem", 1))
    first, second, other = asked_for(server, "reflection")
    assert first == second and first["seed"] != other["seed"] and first["messages"] != other["messages"]


FAULTS = {
    "server_error": Fault("status", 500),
    "rate_limit": Fault("status", 429),
    "refused": Fault("status", 403),
    "broken": Fault("cut"),
    "empty": Fault("empty"),
    "cut_off": Fault("length"),
    "filtered": Fault("filter"),
    "connection": Fault("drop"),
    "timeout": Fault("hang"),
    "context_overflow": Fault("status", 400, "maximum context length is 8192 tokens"),
}


@pytest.mark.parametrize("failure", FAULTS)
def test_a_reflection_whose_call_fails_keeps_nothing_and_is_counted(answers, failure):
    grown, node = grown_from(Child("query", QUERY))
    first = "\nSum of apples\n\nJudgement:"

    def fault(body, times):
        return (
            FAULTS[failure]
            if task_of(body) == "reflection" and body["messages"][0]["content"].endswith(first)
            else None
        )

    with LMServer(reflecting("True", "True"), fault=fault) as server:
        children = asks(server, answers, grown, node, Ask("theorem", 2), timeout=2.0 if failure == "timeout" else 10.0)
    assert [child.content["doc_id"] for child in children] == ["d2"]
    assert grown.found[node][0] == Found("d1", 9.0, FAILED, "Sum of apples", f"no reply: {failure}")
    assert grown.counts == {f"reflection failed: {failure}": 1}


def test_a_document_that_the_path_holds_is_neither_judged_nor_replaced(answers):
    held = Child("theorem", {"doc_id": "d1", "text": "Sum of apples"})
    grown, node = grown_from(Child("query", QUERY), held, Child("query", QUERY))
    with LMServer(reflecting("True", "True", "False")) as server:
        children = asks(server, answers, grown, node, Ask("theorem", 3))
        assert Counter(map(task_of, server.requests)) == {"summary": 2, "reflection": 2}
    assert [child.content["doc_id"] for child in children] == ["d2"]
    assert [found.verdict for found in grown.found[node]] == [USED, KEPT, REJECTED]


def test_where_a_summary_fails_the_text_is_judged_and_read(answers):
    grown, node = grown_from(Child("query", QUERY))
    documents = {"d1": "Statement of d1.\\begin{proof} Long. \\end{proof}"}
    judged = script({"reflection": lambda body: str(last_part(body, "Theorem") == "Statement of d1.")})
    fault = Fault("status", 500)
    with LMServer(judged, fault=lambda body, times: fault if task_of(body) == "summary" else None) as server:
        children = asks(server, answers, grown, node, Ask("theorem", 1), documents=documents)
    assert children[0].content["text"] == "Statement of d1."
    assert grown.found[node] == (Found("d1", 9.0, KEPT, ""),)
    assert grown.counts == {"summary failed: server_error": 1}


def test_a_theorem_is_summarised_once_for_all_trees(answers):
    async def use(lm):
        async with Library(DOCUMENTS, hits) as library:
            actions = Actions(lm, library, answers=answers)
            trees = [grown_from(Child("query", QUERY), problem=replace(PROBLEM, problem_id=f"p{n}")) for n in range(6)]
            requests = [(grown, Expand(tuple(grown.tree.path(node)), (Ask("theorem", 5),))) for grown, node in trees]
            return await asyncio.gather(*(actions.children(*each) for each in requests))

    with LMServer(reflecting(*["True"] * 5), latency=0.005) as server:
        found = running(server, use)
        assert all(
            [child.content["doc_id"] for child in children] == ["d1", "d2", "d3", "d4", "d5"] for children in found
        )
        assert Counter(map(task_of, server.requests)) == {"summary": 5, "reflection": 30}


def test_gold_documents_are_taken_as_they_are(answers):
    problem = replace(PROBLEM, gold_documents=("d4", "gone", "d2"))
    grown, node = grown_from(Child("theorem", {"doc_id": "d2", "text": "held"}), problem=problem, gold_documents=True)
    with LMServer(script(SUMMARIES)) as server:
        children = asks(server, answers, grown, node, Ask("theorem", None))
        assert Counter(map(task_of, server.requests)) == {"summary": 1}
    dogs = {"doc_id": "d4", "text": "Sum of dogs", "score": 0.0, "reason": "gold document"}
    assert children == [Child("theorem", dogs)]
    assert [(found.doc_id, found.verdict) for found in grown.found[node]] == [
        ("d4", KEPT),
        ("gone", FAILED),
        ("d2", USED),
    ]
    assert grown.counts == {"gold document not in the corpus": 1}


# Thoughts and solutions: reading, rewards


def test_thoughts_are_drawn_by_seeds_of_their_own(answers):
    grown, node = grown_from()
    told = by_seed("Step 1: We multiply.", "We add.", section="thought")
    with LMServer(script({"thought": told})) as server:
        children = asks(server, answers, grown, node, Ask("thought", 2))
    assert children == [Child("thought", {"text": "We multiply."}), Child("thought", {"text": "We add."})]


def test_equal_thoughts_are_both_kept(answers):
    grown, node = grown_from()
    with LMServer(script({"thought": "We multiply."})) as server:
        assert len(asks(server, answers, grown, node, Ask("thought", 2))) == 2


@pytest.mark.parametrize(
    ("text", "answer", "rewards"),
    [
        (r"So it is $\boxed{42}$.", "42", {"code": 1.0, "paper": 1.0}),
        (r"So it is $\boxed{42.0}$.", "42.0", {"code": 1.0, "paper": 1.0}),
        (r"So it is $\boxed{420}$.", "420", {"code": 0.2, "paper": 0.0}),
        ("The answer is 42.", "42", {"code": 0.0, "paper": 1.0}),
        ("The answer is 43.", "43", {"code": 0.0, "paper": 0.0}),
        (r"So it is \boxed{", None, {"code": 0.0, "paper": 0.0}),
    ],
)
@pytest.mark.parametrize("variant", ["code", "paper"])
@pytest.mark.parametrize("kind", ["thought", "solution"])
def test_the_reward_of_an_answer(answers, text, answer, rewards, variant, kind):
    grown, node = grown_from(variant=variant)
    with LMServer(script({kind: text})) as server:
        (child,) = asks(server, answers, grown, node, Ask(kind, 1))
    more = {"rewards": [rewards[variant]]} if kind == "solution" else {}
    assert child == Child(kind, {"text": text, "answer": answer, **more}, rewards[variant])
    without = {"solution without answer": 1} if kind == "solution" and answer is None else {}
    assert grown.counts == without


@pytest.mark.parametrize(("gold", "answer"), [("20", "200"), ("10", "1"), ("50", "5")])
def test_numbers_keep_their_zeros(answers, gold, answer):
    """The released code strips trailing zeros before it compares, so these are equal there."""
    assert gold.rstrip("0") == answer.rstrip("0")
    grown, node = grown_from(problem=replace(PROBLEM, answer=gold))
    with LMServer(script({"solution": rf"\boxed{{{answer}}}"})) as server:
        (child,) = asks(server, answers, grown, node, Ask("solution", 1))
    assert child.reward == 0.2


@pytest.mark.parametrize(
    ("texts", "rewards", "kept"),
    [
        ((r"First \boxed{41}", r"Then \boxed{42}", r"Also \boxed{42}", "No box"), [0.2, 1.0], 1),
        ((r"First \boxed{41}", "No box", r"Then \boxed{42}", "None"), [0.2, 0.0, 1.0, 0.0], 2),
        ((r"First \boxed{41}", "No box", "None", r"Last \boxed{40}"), [0.2, 0.0, 0.0, 0.2], 0),
    ],
)
def test_the_best_sample_is_kept_and_no_more_are_drawn_than_can_change_it(answers, texts, rewards, kept):
    """Two by two until one is right. The released code would give the node the last sample's reward."""
    grown, node = grown_from()
    with LMServer(script({"solution": by_seed(*texts, section="solution")})) as server:
        (child,) = asks(server, answers, grown, node, Ask("solution", 4))
        assert len(server.requests) == len(rewards)
    assert (child.content["text"], child.content["rewards"], child.reward) == (texts[kept], rewards, max(rewards))
    boxless = sum("box" not in text.replace("No box", "") for text in texts[: len(rewards)])
    assert grown.counts == ({"solution without answer": boxless} if boxless else {})


def test_failed_samples_are_left_out_and_counted(answers):
    grown, node = grown_from()
    seeds = [seed_by_hand(3, "p1", 0, "solution", number) for number in range(3)]
    faults = dict(zip(seeds, [Fault("length"), Fault("status", 503), None], strict=True))
    with LMServer(script({"solution": r"\boxed{42}"}), fault=lambda body, times: faults[body["seed"]]) as server:
        (child,) = asks(server, answers, grown, node, Ask("solution", 3))
    assert child.content["rewards"] == [1.0]
    assert grown.counts == {"solution failed: cut_off": 1, "solution failed: server_error": 1}


def test_where_every_call_fails_nothing_follows(answers):
    grown, node = grown_from()
    with LMServer(fault=lambda body, times: Fault("status", 500)) as server:
        wanted = (Ask("thought", 2), Ask("solution", 4), Ask("query", None))
        assert asks(server, answers, grown, node, *wanted) == []
    assert grown.counts == {
        f"{kind} failed: server_error": n for kind, n in (("thought", 2), ("solution", 4), ("query", 1))
    }


def test_without_a_known_answer_samples_that_agree_are_rewarded_and_missing_answers_do_not_agree(answers):
    grown, node = grown_from(problem=replace(PROBLEM, answer=None))
    texts = ["No answer", r"\boxed{41}", "None either", r"\boxed{42}", "Nor here", r"\boxed{\frac{84}{2}}"]
    with LMServer(script({"solution": by_seed(*texts, section="solution")})) as server:
        (child,) = asks(server, answers, grown, node, Ask("solution", 6))
    # The three without an answer would be the largest cluster, were None equal to None as in the released code.
    assert (
        child.content["rewards"] == pytest.approx([0, 1 / 6, 0, 2 / 6, 0, 2 / 6]) and child.content["text"] == texts[3]
    )


def test_without_a_known_answer_a_last_thought_is_worth_its_share_of_the_thoughts(answers):
    grown, node = grown_from(problem=replace(PROBLEM, answer=None))
    told = by_seed("We multiply.", "The answer is 42.", section="thought")
    with LMServer(script({"thought": told})) as server:
        children = asks(server, answers, grown, node, Ask("thought", 2))
    assert [child.reward for child in children] == [None, 0.5]


# The judge


@pytest.mark.parametrize(
    ("reply", "reward", "logged", "event"),
    [
        ('{"equal": true, "reason": "forty-two"}', 1.0, "equal: forty-two", "judge: equal"),
        ('{"equal": false, "reason": "another"}', 0.2, "unequal: another", "judge: unequal"),
        ("True", 1.0, "equal", "judge: equal"),
        ("Who knows?", 0.2, "unreadable: Who knows?", "judge unreadable"),
    ],
)
def test_the_judge_is_asked_about_what_is_unequal_and_its_words_are_kept(answers, reply, reward, logged, event):
    grown, node = grown_from()
    texts = [r"\boxed{XLII}", "no box"]
    told = {"solution": by_seed(*texts, section="solution"), "judge": reply}
    with LMServer(script(told)) as server:
        (child,) = asks(server, answers, grown, node, Ask("solution", 2), judge=True)
        (asked,) = asked_for(server, "judge")
    assert asked["temperature"] == 0.0 and last_part(asked, "Right answer") == "42"
    assert last_part(asked, "Answer to mark") == "XLII" and last_part(asked, "Question") == PROBLEM.question
    assert child.reward == reward and child.content["judge"] == logged
    assert grown.counts == {"judge asked": 1, event: 1, "solution without answer": 1}


def test_a_judge_that_fails_holds_nothing_for_right(answers):
    grown, node = grown_from()
    fault = Fault("status", 500)
    with LMServer(
        script({"thought": r"\boxed{XLII}"}), fault=lambda body, times: fault if task_of(body) == "judge" else None
    ) as server:
        (child,) = asks(server, answers, grown, node, Ask("thought", 1), judge=True)
    assert child.reward == 0.2 and child.content["judge"] == "failed: server_error"
    assert grown.counts == {"judge asked": 1, "judge failed: server_error": 1}


@pytest.mark.parametrize(
    ("text", "judge"), [(r"\boxed{42}", True), (r"\boxed{41}", False), ("The answer is 41.", True)]
)
def test_the_judge_is_not_asked_about_equal_answers_nor_unless_wished_nor_where_nothing_hangs_on_it(
    answers, text, judge
):
    grown, node = grown_from()
    with LMServer(script({"solution": text, "judge": '{"equal": true}'})) as server:
        (child,) = asks(server, answers, grown, node, Ask("solution", 1), judge=judge)
        assert asked_for(server, "judge") == []
    assert "judge" not in child.content and child.reward == {r"\boxed{42}": 1.0, r"\boxed{41}": 0.2}.get(text, 0.0)


# Queries


NAMED = "**Theorem 1: A**\nTheorem statement: of A\n\n**Theorem 2: B**\nTheorem statement: of B"


@pytest.mark.parametrize(("n", "names"), [(None, ["A", "B"]), (1, ["A"])])
def test_a_query_for_every_theorem_named_or_the_papers_one(answers, n, names):
    grown, node = grown_from()
    with LMServer(script({"query": NAMED})) as server:
        children = asks(server, answers, grown, node, Ask("query", n))
        assert len(server.requests) == 1
    assert [child.content["name"] for child in children] == names
    assert children[0].content["text"] == "Theorem Name: A\nTheorem Statement: of A"


@pytest.mark.parametrize(
    ("said", "counted"),
    [
        ("I need none.", "query for no theorem"),
        ("No further theorem is needed; count.", "query for no theorem"),
        ("This does not require any theorem.", "query for no theorem"),
        ("None is required here.", "query for no theorem"),
        ("Let me see. I know it.", "query unreadable"),
        ("Noticeable progress.", "query unreadable"),
    ],
)
def test_a_reply_that_names_no_theorem_is_counted(answers, said, counted):
    grown, node = grown_from()
    with LMServer(script({"query": said})) as server:
        assert asks(server, answers, grown, node, Ask("query", None)) == []
    assert grown.counts == {counted: 1}


def test_the_library_is_searched_with_the_text_of_the_query(answers):
    searched = []
    grown, node = grown_from(Child("query", QUERY))
    with LMServer(reflecting("False")) as server:
        asks(
            server,
            answers,
            grown,
            node,
            Ask("theorem", 1),
            search=lambda texts, k: searched.append((texts, k)) or hits(texts, k),
        )
    assert searched == [(["Theorem Name: Sums"], 1)]


# What is sent


PATH = (
    Child("thought", {"text": "We multiply."}),
    Child("query", QUERY),
    Child("theorem", {"doc_id": "d1", "text": "Sum of apples"}),
    Child("thought", {"text": "Seven sixes."}),
)


def test_the_solution_so_far_holds_thoughts_and_theorems_and_no_query(answers):
    grown, node = grown_from(*PATH)
    so_far = "Step 1: We multiply.\nTheorem: Sum of apples\nStep 2: Seven sixes."
    assert partial_solution(grown.tree.path(node)) == so_far and partial_solution(grown.tree.path(0)) == NOTHING_YET
    with LMServer(script({"query": NAMED})) as server:
        asks(server, answers, grown, node, Ask("thought", 1), Ask("solution", 1), Ask("query", None))
    assert Counter(map(task_of, server.requests)) == {"thought": 1, "solution": 1, "query": 1}
    for body in server.requests:
        assert last_part(body, "Solution so far") == so_far and last_part(body, "Question") == PROBLEM.question
        assert "Theorem Name: Sums" not in body["messages"][-1]["content"]


def test_what_is_asked_at_a_node_goes_side_by_side_each_by_its_seed(answers):
    grown, node = grown_from(PATH[0])
    request = Expand(tuple(grown.tree.path(node)), (Ask("thought", 2), Ask("solution", 4), Ask("query", None)))

    async def use(lm):
        async with Library(DOCUMENTS, hits) as library:
            return await Actions(lm, library, answers=answers).children(grown, request), lm.meter

    with LMServer(script({"thought": "We add.", "solution": r"\boxed{42}", "query": NAMED})) as server:
        children, meter = running(server, use)
    assert (
        meter.peak_in_flight == meter.calls == 5
    )  # all are under way before the first is answered; one of two samples is right
    assert Counter(child.kind for child in children) == {"thought": 2, "solution": 1, "query": 2}
    numbers = {"thought": range(2), "solution": range(2), "query": range(1)}
    expected = {seed_by_hand(3, "p1", node, kind, number) for kind in numbers for number in numbers[kind]}
    assert {body["seed"] for body in server.requests} == expected and len(expected) == 5


def test_the_sampling_is_the_searchs_but_for_what_a_prompt_says(answers):
    grown, node = grown_from(Child("query", QUERY))
    with LMServer(reflecting("True")) as server:
        asks(server, answers, grown, node, Ask("theorem", 1), Ask("thought", 1))
    sent = {task_of(body): body for body in server.requests}
    assert {task: body["temperature"] for task, body in sent.items()} == {
        "summary": 0.0,
        "reflection": 0.0,
        "thought": 0.8,
    }
    assert sent["thought"]["top_p"] == 0.95 and "top_k" not in sent["thought"]
    assert sent["thought"]["stop"] == ["\n\n", "\nQuestion:"] and sent["thought"]["max_tokens"] == 256
    assert sent["reflection"]["response_format"]["json_schema"]["schema"]["required"] == ["relevant", "reason"]
    assert "response_format" not in sent["thought"]


def test_a_server_without_structured_output_is_asked_without(answers):
    grown, node = grown_from(Child("query", QUERY))
    refusal = Fault("status", 400, "response_format is not supported")
    with LMServer(
        reflecting("True"), fault=lambda body, times: refusal if "response_format" in body else None
    ) as server:
        children = asks(server, answers, grown, node, Ask("theorem", 1))
    assert [child.content["doc_id"] for child in children] == ["d1"] and grown.counts == {}


def test_prompts_of_ones_own_with_a_system_message(answers):
    grown, node = grown_from()
    prompts = load_prompts() | {
        "thought": Prompt("Be brief.", "Task: thought\n{question} {partial}", 20, temperature=0.1)
    }
    with LMServer(script({"thought": "We add."})) as server:
        asks(server, answers, grown, node, Ask("thought", 1), prompts=prompts)
        (body,) = server.requests
    assert body["messages"] == [
        {"role": "system", "content": "Be brief."},
        {"role": "user", "content": f"Task: thought\n{PROBLEM.question} {NOTHING_YET}"},
    ]
    assert (body["temperature"], body["max_tokens"]) == (0.1, 20)


def test_a_question_that_looks_like_a_hole_is_sent_as_it_is(answers):
    problem = replace(PROBLEM, question=r"What is {partial} of \frac{theorem}{2}?")
    grown, node = grown_from(problem=problem)
    with LMServer(script({"thought": "We add."})) as server:
        asks(server, answers, grown, node, Ask("thought", 1))
        assert last_part(server.requests[0], "Question") == problem.question


def test_seeds():
    assert seed_of(1, "a") == seed_by_hand(1, "a") != seed_of("1", "a")
    assert all(0 <= seed_of(n) < 2**31 for n in range(2000)) and len({seed_of(n) for n in range(2000)}) == 2000


def test_about_changes_with_what_decides_the_replies(answers):
    with LMServer() as server:

        def about(documents=DOCUMENTS, search=hits, prompts=None, **options):
            async def use(lm):
                async with Library(documents, search) as library:
                    return Actions(lm, library, answers=answers, prompts=prompts, **options).about

            return running(server, use)

        first = about()
        other_prompts = load_prompts() | {"judge": Prompt("", "{question} {gold} {answer}", 5)}
        others = [
            about(documents={"d1": "x"}),
            about(search=lambda t, k: []),
            about(prompts=other_prompts),
            about(judge=True),
        ]
    assert json.loads(json.dumps(first)) == first
    changed = [{name for name in first if first[name] != other[name]} for other in others]
    assert changed == [{"corpus"}, {"retriever"}, {"prompts"}, {"judge"}]


def test_together_ends_the_others_when_one_raises():
    ended = []

    async def waits(name):
        try:
            await asyncio.sleep(60)
        finally:
            ended.append(name)

    async def raises():
        await asyncio.sleep(0)
        raise KeyError("x")

    with pytest.raises(KeyError):
        asyncio.run(together([waits("a"), raises(), waits("b")]))
    assert ended == ["a", "b"]


# Whole searches


def chatter(body: dict) -> str:
    """A model that does everything a little, by its seed: steps, answers, queries, judgements both ways, and nonsense."""
    task, draw = task_of(body), body["seed"] % 7
    return {
        "thought": [f"We try {body['seed']}.", r"So it is \boxed{41}.", "The answer is 42."][draw % 3],
        "solution": [r"\boxed{42}", r"\boxed{41}", "none"][draw % 3],
        "query": [NAMED, "nothing", NAMED.replace("A", "C")][draw % 3],
        "summary": f"Sum - {last_part(body, 'Theorem')[:12]}",
        "reflection": ["True", "False", "perhaps", '{"relevant": true, "reason": "fits"}'][body["seed"] % 4],
    }[task]


def uneven(body: dict, times: int) -> Fault | None:
    """Some calls fail for good, by their seed."""
    return {0: Fault("status", 500), 1: Fault("length")}.get(body["seed"] % 29)


async def grow(lm, answers, problems, search) -> list[Grown]:
    async def one(actions, problem):
        grown = Grown(problem, Rules(rollouts=6), 5, actions.about)
        while not grown.finished:
            steps, sent = rollout(grown.tree, grown.rules, f"{grown.seed} {problem.problem_id}"), None
            while True:
                try:
                    request = steps.send(sent)
                except StopIteration:
                    break
                sent = await actions.children(grown, request)
        return grown

    async with Library(DOCUMENTS, search) as library:
        actions = Actions(lm, library, answers=answers)
        return await asyncio.gather(*(one(actions, problem) for problem in problems))


def varied(texts, k):
    """Finds other documents for other texts."""
    names = list(DOCUMENTS)
    return [[(names[(len(text) + place) % 6], 1.0 / (1 + place)) for place in range(k)] for text in texts]


def test_trees_do_not_depend_on_when_replies_come_nor_on_what_else_is_under_way(answers, tmp_path):
    problems = [
        replace(PROBLEM, problem_id=f"p{n}", question=f"What is 6 times 7, for the {n}th time?") for n in range(6)
    ]

    def bytes_of(grown):
        grown.write(tmp_path / "tree.json")
        return (tmp_path / "tree.json").read_bytes()

    def run(some, latency, **options):
        with LMServer(chatter, fault=uneven, latency=latency) as server:
            options = {"retries": 0, "answer_retries": 0, **options}
            return running(server, lambda lm: grow(lm, answers, some, varied), **options)

    first = run(problems, 0.0)
    trees = [bytes_of(grown) for grown in first]
    assert trees == [bytes_of(grown) for grown in run(problems, 0.003, concurrency=3)]
    assert trees[2:3] == [bytes_of(grown) for grown in run(problems[2:3], 0.0)]
    kinds = Counter(node.kind for grown in first for node in grown.tree.nodes)
    verdicts = Counter(found.verdict for grown in first for every in grown.found.values() for found in every)
    assert min(kinds[kind] for kind in ("thought", "solution", "query", "theorem")) > 5
    assert set(verdicts) == {KEPT, REJECTED, USED, FAILED}
    counted = Counter(event.partition(":")[0] for grown in first for event in grown.counts)
    assert {"thought failed", "solution failed", "query unreadable", "reflection unreadable"} <= counted.keys()
    assert Grown.read(tmp_path / "tree.json").tree.to_json() == first[2].tree.to_json()
