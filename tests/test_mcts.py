"""Tree search: every rule by hand on scripted answers, and whole searches against a second search written another way.

The second one, `oracle`, keeps its counts in dictionaries by label, its own explored set and its own table of legal steps.
It shares with ours the world that both search, which follows from hashes, and the stream of chance numbers.
"""

import json
import math
import random
from dataclasses import replace
from hashlib import sha256

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rader_ir.mcts import (
    Ask,
    Child,
    Expand,
    Node,
    Rules,
    Tree,
    agreement,
    doc_ids,
    drive,
    rollout,
    search,
    text_of,
    uct,
)

QUESTION = "What is 2 + 2?"


def thought(text: str = "a step", reward: float | None = None) -> Child:
    return Child("thought", text, reward)


def theorem(doc_id: str) -> Child:
    return Child("theorem", {"doc_id": doc_id, "text": f"statement of {doc_id}"})


def path_of(*kinds: str) -> list[Node]:
    """A path with a node of each kind below the question; the theorem in place n holds document dn."""
    contents = [{"doc_id": f"d{depth}"} if kind == "theorem" else "text" for depth, kind in enumerate(kinds, start=1)]
    nodes = zip(kinds, contents, strict=True)
    return [
        Node(0, None, "question", 0, QUESTION),
        *(Node(i, i - 1, k, i, c) for i, (k, c) in enumerate(nodes, start=1)),
    ]


def script(*replies: list[Child]):
    """Answers the requests in turn by `replies`; its list `requests` keeps what was asked."""

    def answer(request: Expand) -> list[Child]:
        answer.requests.append(request)
        return replies[len(answer.requests) - 1]

    answer.requests = []
    return answer


def kinds_asked(answer) -> list[list[str]]:
    return [[ask.kind for ask in request.asks] for request in answer.requests]


def children(tree: Tree, node: int = 0) -> list:
    return [tree.nodes[child].content for child in tree.nodes[node].children]


THOUGHTS, SOLUTION, QUERIES = Ask("thought", 2), Ask("solution", 4), Ask("query", None)


@pytest.mark.parametrize(
    "kinds, asks",
    [
        ([], [(THOUGHTS, SOLUTION, QUERIES)]),
        (["thought"], [(THOUGHTS, QUERIES), (SOLUTION,)]),
        (["query"], [(Ask("theorem", 5),), (THOUGHTS, SOLUTION)]),
        (["query", "theorem"], [(THOUGHTS, SOLUTION)]),
        (["query", "theorem", "thought"], [(THOUGHTS, QUERIES), (SOLUTION,)]),
        (["solution"], []),
    ],
)
def test_what_may_follow(kinds, asks):
    """The table of legal children; of two entries the second is the way out when the first brought nothing."""
    assert Rules().asks(path_of(*kinds)) == asks


@pytest.mark.parametrize(
    "kinds, asks",
    [
        ([], [(THOUGHTS, SOLUTION, Ask("theorem", None))]),
        (["thought"], [(THOUGHTS, Ask("theorem", None)), (SOLUTION,)]),
        (["theorem"], [(THOUGHTS, SOLUTION)]),
    ],
)
def test_what_may_follow_where_the_gold_documents_are_given(kinds, asks):
    assert Rules(gold_documents=True).asks(path_of(*kinds)) == asks


@pytest.mark.parametrize(
    "options, queries, more",
    [
        ({}, 2, True),  # 6 // 2 = 3 on a path
        ({}, 3, False),
        ({"max_depth": 5}, 1, True),  # 5 // 2 = 2
        ({"max_depth": 5}, 2, False),
        ({"max_depth": 1}, 0, False),  # 1 // 2 = 0
        ({"max_queries": 1}, 0, True),
        ({"max_queries": 1}, 1, False),
        ({"max_queries": 0}, 0, False),
        ({"queries_per_expansion": 0}, 0, False),
    ],
)
def test_queries_on_a_path_are_limited(options, queries, more):
    """Only queries count: thoughts and theorems between them do not."""
    kinds = ["query", "theorem", "thought"] * queries
    (asked, *_) = Rules(**options).asks(path_of(*kinds))
    assert ("query" in [ask.kind for ask in asked]) is more


@pytest.mark.parametrize(
    "options, n",
    [
        ({}, None),
        ({"variant": "paper"}, 1),
        ({"queries_per_expansion": 2}, 2),
        ({"queries_per_expansion": 2, "variant": "paper"}, 2),
    ],
)
def test_queries_of_a_node_by_variant(options, n):
    """The code has a node for each theorem that a reply names; the paper has one; a number of one's own beats both."""
    rules, tree = Rules(thoughts=0, rollouts=1, max_depth=1, max_queries=1, **options), Tree(QUESTION)
    sent = [Child("query", name) for name in ("Pythagoras", "Thales", "Ptolemy")]
    assert Ask("query", n) in rules.asks([tree.root])[0]
    drive(search(tree, rules, 0), script(sent))
    assert children(tree) == ["Pythagoras", "Thales", "Ptolemy"][:n]


def test_no_thoughts_are_asked_for_where_there_are_to_be_none():
    assert Rules(thoughts=0).asks(path_of()) == [(SOLUTION, QUERIES)]
    assert Rules(thoughts=0, max_queries=0).asks(path_of("thought")) == [(), (SOLUTION,)]


def test_a_solution_follows_a_thought_only_if_nothing_else_came():
    answer = script([thought("first")], [], [Child("solution", "so \\boxed{4}", 1.0)])
    tree = Tree(QUESTION)
    end = drive(rollout(tree, Rules(), 0), answer)
    assert kinds_asked(answer) == [["thought", "solution", "query"], ["thought", "query"], ["solution"]]
    assert [node.kind for node in tree.path(end.id)] == ["question", "thought", "solution"]

    answer = script([thought("first")], [Child("query", "a query")], [theorem("d1")], [thought("the answer is 4", 1.0)])
    drive(rollout(Tree(QUESTION), Rules(), 0), answer)
    assert kinds_asked(answer)[1:] == [["thought", "query"], ["theorem"], ["thought", "solution"]]


def test_a_query_without_theorems_is_followed_by_thoughts_and_a_solution():
    answer = script([Child("query", "a query")], [], [Child("solution", "4", 0.0)])
    tree = Tree(QUESTION)
    end = drive(rollout(tree, Rules(), 0), answer)
    assert kinds_asked(answer) == [["thought", "solution", "query"], ["theorem"], ["thought", "solution"]]
    assert [node.kind for node in tree.path(end.id)] == ["question", "query", "solution"]


def test_theorems_all_used_on_the_path_are_as_good_as_none():
    replies = (
        [Child("query", "q1")],
        [theorem("d1")],
        [thought()],
        [Child("query", "q2")],
        [theorem("d1")],
        [thought("boxed", 1.0)],
    )
    answer, tree = script(*replies), Tree(QUESTION)
    end = drive(rollout(tree, Rules(), 0), answer)
    assert answer.requests[4].used == ["d1"] == doc_ids(tree.path(end.id))
    assert kinds_asked(answer)[4:] == [["theorem"], ["thought", "solution"]]


def test_theorems_are_cut_then_sifted():
    """Of d1 d2 d3 d2 d4 d5 the first top_k = 5 are looked at; d1 is on the path and d2 came before: d2 d3 d4 stay, in order."""
    sent = [theorem(name) for name in ("d1", "d2", "d3", "d2", "d4", "d5")]
    replies = [Child("query", "q1")], [theorem("d1")], [thought()], [Child("query", "q2")], sent
    tree = Tree(QUESTION)
    drive(rollout(tree, Rules(max_depth=5), 0), script(*replies))
    assert [content["doc_id"] for content in children(tree, 4)] == ["d2", "d3", "d4"]


def test_a_document_of_another_branch_is_not_used():
    """Both queries of the question may bring d1: only the path counts."""
    queries = [Child("query", "q1"), Child("query", "q2")]
    tree = Tree(QUESTION)
    drive(search(tree, Rules(max_depth=2, rollouts=2), 0), script(queries, [theorem("d1")], [theorem("d1")]))
    assert [[content["doc_id"] for content in children(tree, query)] for query in (1, 2)] == [["d1"], ["d1"]]


def test_gold_documents_are_all_taken_but_for_those_on_the_path():
    gold = [theorem(f"d{i}") for i in range(1, 8)]
    rules = Rules(gold_documents=True, thoughts=1, max_depth=3)
    answer, tree = script(gold, [thought()], gold), Tree(QUESTION)
    drive(rollout(tree, rules, 0), answer)
    used = answer.requests[1].used
    assert len(children(tree)) == 7 and len(used) == 1
    third = answer.requests[2].node.id
    assert [content["doc_id"] for content in children(tree, third)] == [
        f"d{i}" for i in range(1, 8) if [f"d{i}"] != used
    ]


@pytest.mark.parametrize("text", ["so \\boxed{4}", "The Answer Is 4.", "BOXED", {"text": "the answer is 4", "call": 3}])
def test_a_thought_with_an_answer_is_terminal(text):
    assert Rules().answers("thought", text) and Rules().terminal("thought", text, 1)


@pytest.mark.parametrize("kind", ["thought", "query", "theorem", "question"])
def test_without_an_answer_only_the_last_depth_is_terminal(kind):
    """The marks count in thoughts alone: a theorem that says "the answer is" ends nothing."""
    content = "the answers are many" if kind == "thought" else {"text": "the answer is", "doc_id": "d1"}
    assert [Rules().terminal(kind, content, depth) for depth in (5, 6, 7)] == [False, True, True]
    assert not Rules().answers(kind, content)


def test_every_solution_is_terminal_and_answers():
    assert Rules().answers("solution", "no box") and Rules().terminal("solution", "no box", 1)


def test_marks_of_ones_own():
    assert Rules(answer_marks=("QED",)).answers("thought", "and so, qed") and not Rules(answer_marks=()).answers(
        "thought", "boxed"
    )


def test_the_last_depth_without_an_answer_is_worth_0_and_asks_for_nothing():
    """Depth 2 = question, thought, thought: two requests, and a third thought is never asked for."""
    answer, tree = script([thought("one")], [thought("two")]), Tree(QUESTION)
    end = drive(rollout(tree, Rules(max_depth=2), 0), answer)
    assert (end.depth, end.terminal, end.reward, end.children) == (2, True, None, None)
    assert [(node.visits, node.value) for node in tree.nodes] == [(1, 0.0)] * 3 and not tree.answers()


def test_an_answer_at_the_last_depth_counts():
    tree = Tree(QUESTION)
    drive(rollout(tree, Rules(max_depth=1), 0), script([thought("the answer is 4", 1.0)]))
    assert [(node.visits, node.value) for node in tree.nodes] == [(1, 1.0)] * 2


def test_a_dead_end_is_terminal_and_worth_0():
    """Every call failed: the node is not asked for again, later rollouts end there too."""
    answer, tree = script([thought("one")], [], []), Tree(QUESTION)
    drive(search(tree, Rules(rollouts=3), 0), answer)
    assert kinds_asked(answer) == [["thought", "solution", "query"], ["thought", "query"], ["solution"]]
    assert tree.rollouts == [1, 1, 1] and tree.nodes[1].terminal and tree.nodes[1].children == []
    assert [(node.visits, node.value) for node in tree.nodes] == [(3, 0.0)] * 2


def test_a_question_to_which_nothing_is_found():
    tree = Tree(QUESTION)
    drive(search(tree, Rules(rollouts=2), 0), script([]))
    assert tree.rollouts == [0, 0] and (tree.root.visits, tree.root.value, tree.root.terminal) == (2, 0.0, True)


def test_of_the_samples_of_a_solution_the_best_is_kept():
    """Rewards .2 1 1 0: the first 1. A fifth sample was not asked for, so its 2 does not count."""
    samples = [Child("solution", name, reward) for name, reward in zip("abcde", (0.2, 1, 1, 0, 2), strict=True)]
    tree = Tree(QUESTION)
    drive(rollout(tree, Rules(), 0), script(samples))
    assert [(node.content, node.reward) for node in tree.answers()] == [("b", 1.0)]


def test_kinds_may_come_in_any_order():
    """Thoughts, the solution and queries are numbered in this order, whichever call returned first; a third thought is cut."""
    query, steps = Child("query", "a query"), [thought("one"), thought("two"), thought("three")]
    solution = Child("solution", "4", 1.0)
    for sent in ([query, *steps, solution], [*steps, solution, query], [steps[0], query, steps[1], solution, steps[2]]):
        tree = Tree(QUESTION)
        drive(rollout(tree, Rules(max_depth=1, max_queries=1), 0), script(sent))
        assert children(tree) == ["one", "two", "4", "a query"]


REWARDS = {"code": [1.0, 0.2, 0.0, 0.0], "paper": [1.0, 0.0, 1.0, 0.0]}


@pytest.mark.parametrize("variant", REWARDS)
def test_rewards_by_variant(variant):
    """In a box: right, wrong; without one: right, wrong."""
    rules = Rules(variant=variant)
    assert [rules.reward(right, boxed) for boxed in (True, False) for right in (True, False)] == REWARDS[variant]


def test_agreement_rewards_without_a_known_answer():
    """Three of five say A, one B, one nothing; two that say nothing do not agree with each other."""
    assert agreement(["A", "B", "A", None, "A"]) == [0.6, 0.2, 0.6, 0.0, 0.6]
    assert agreement([None, None]) == [0.0, 0.0] and agreement([]) == []


@pytest.mark.parametrize(
    "child, message",
    [
        (Child("theorem", {"doc_id": "d1"}), "asked for was thought or solution or query"),
        (Child("solution", "4"), "needs a reward"),
        (thought("the answer is 4"), "needs a reward"),
        (thought("no end", 0.0), "its reward must be None"),
        (Child("thought", {"step": 1}), "expected a text"),
    ],
)
def test_what_was_not_asked_for_is_refused(child, message):
    tree = Tree(QUESTION)
    with pytest.raises(ValueError, match=message):
        drive(rollout(tree, Rules(), 0), script([child]))
    assert len(tree.nodes) == 1 and not tree.rollouts  # nothing half done is left behind


@pytest.mark.parametrize(
    "facts, message",
    [
        (("thought", ("a", "b")), "not kept by JSON"),
        (("thought", {1: "a"}), "not kept by JSON"),
        (("thought", float("nan")), "not kept by JSON"),
        (("query", {"score": math.inf}), "not kept by JSON"),
        (("thought", object()), "not kept by JSON"),
        (("theorem", {"text": "no id"}), "'doc_id'"),
        (("theorem", "d1"), "'doc_id'"),
        (("solution", "4", math.inf), "finite"),
    ],
)
def test_children_are_checked(facts, message):
    with pytest.raises(ValueError, match=message):
        Child(*facts)


@pytest.mark.parametrize(
    "options",
    [
        {"max_depth": 0},
        {"samples": 0},
        {"top_k": 0},
        {"rollouts": 0},
        {"thoughts": -1},
        {"max_queries": -1},
        {"thoughts": None},
    ]
    + [{"exploration": value} for value in (-1, math.nan, math.inf)]
    + [
        {"max_depth": 2.5},
        {"queries_per_expansion": -1},
        {"schedule": "cos"},
        {"variant": "both"},
        {"answer_marks": "boxed"},
    ],
)
def test_rules_are_checked(options):
    (name,) = options
    with pytest.raises(ValueError, match=name):
        Rules(**options)


def test_text_of():
    assert text_of("a") == text_of({"text": "a", "more": 1}) == "a"
    with pytest.raises(ValueError, match="expected a text"):
        text_of({"text": None})


def test_weights_by_schedule():
    """After 8 of 16 rollouts: 2; 2 * 0.1^(1/2) = 0.632456; 2 * (1 - 0.45) = 1.1. Before the first, 2 each."""
    halves = {"const": 2.0, "exp": 0.632456, "lin": 1.1}
    for schedule, half in halves.items():
        rules = Rules(schedule=schedule)
        assert rules.weight(0) == 2 and rules.weight(8) == pytest.approx(half, abs=1e-6)


def test_uct_by_hand():
    """Sum 3 in 4 visits below 10, weight 2: 0.75 + 2 sqrt(2.302585 / 4) = 0.75 + 1.517427."""
    node, parent = Node(1, 0, "thought", 1, "", visits=4, value=3.0), Node(0, None, "question", 0, "", visits=10)
    assert uct(node, parent, 2) == pytest.approx(2.267427, abs=1e-6)
    assert uct(node, parent, 0) == 0.75


TWO = [thought("the answer is 5", 0.0), Child("solution", "\\boxed{4}", 1.0)]  # nodes 1 and 2


@pytest.mark.parametrize(
    "options, later",
    [
        # 2 visits: 1 + 2 sqrt(ln 2) = 2.665 against 1.665. 3: 1 + 2 sqrt(ln 3 / 2) = 2.482 against 2 sqrt(ln 3) = 2.096.
        # 4: 1 + 2 sqrt(ln 4 / 3) = 2.3595 against 2.3548. 5: 1 + 2 sqrt(ln 5 / 4) = 2.269 against 2 sqrt(ln 5) = 2.537.
        ({}, [2, 2, 2, 1]),
        # The last weight is 2 * 0.1^(5/6) = 0.294: 1 + 0.294 * 0.634 = 1.186 against 0.294 * 1.269 = 0.373.
        ({"schedule": "exp"}, [2, 2, 2, 2]),
        ({"exploration": 0.0}, [2, 2, 2, 2]),
        # 10 sqrt(ln 3 / 2) = 7.411 + 1 against 10 sqrt(ln 3) = 10.481 after three; then 2 and 2: the rewarded one.
        ({"exploration": 10.0}, [2, 1, 2, 1]),
    ],
)
def test_uct_leads_the_search(options, later):
    """Two answers, worth 0 and 1: each is met once, in any order, then the arithmetic above decides."""
    tree = Tree(QUESTION)
    drive(search(tree, Rules(rollouts=6, **options), 0), script(TWO))
    assert sorted(tree.rollouts[:2]) == [1, 2] and tree.rollouts[2:] == later
    assert (
        tree.root.value == tree.nodes[2].value == tree.nodes[2].visits == tree.rollouts.count(2)
    )  # a sum, terminals again


def test_equal_scores_go_to_the_first():
    tree = Tree(QUESTION)
    drive(search(tree, Rules(rollouts=3), 0), script([thought("boxed 1", 0.5), thought("boxed 2", 0.5)]))
    assert sorted(tree.rollouts[:2]) == [1, 2] and tree.rollouts[2] == 1


def test_scores_that_differ_by_rounding_are_equal():
    """0.2 + 0.2 + 0.2 is 0.6000000000000001, whose third is above 0.2: with c = 0 the first child still leads."""
    tree = Tree(QUESTION)
    tree.expand(tree.root, [thought("boxed 1", 0.2), thought("boxed 2", 0.2)], [True, True])
    for node, visits in zip(tree.nodes, (4, 1, 3), strict=True):
        node.visits, node.value = visits, sum([0.2] * visits)
    assert tree.nodes[2].value / 3 > tree.nodes[1].value
    assert drive(rollout(tree, Rules(exploration=0), 0), script()).id == 1


def test_every_child_is_met_before_any_is_met_twice():
    """Six children of the question, one after the other in the first six rollouts, whatever they are worth."""
    sent = [thought(f"boxed {i}", float(i)) for i in range(6)]
    for seed in range(20):
        tree = Tree(QUESTION)
        drive(search(tree, Rules(rollouts=6, thoughts=6), seed), script(sent))
        assert sorted(tree.rollouts) == [1, 2, 3, 4, 5, 6]


def test_chance_is_uniform():
    """3000 seeds: the first draw (simulation) among 3 and the second (selection) among 2 left: within 5 standard deviations."""
    sent = [thought(f"boxed {i}", 0.0) for i in range(3)]
    orders = []
    for seed in range(3000):
        tree = Tree(QUESTION)
        drive(search(tree, Rules(rollouts=2, thoughts=3), seed), script(sent))
        orders.append(tuple(tree.rollouts))
    pairs = {(a, b) for a in (1, 2, 3) for b in (1, 2, 3) if a != b}
    assert set(orders) == pairs
    deviation = math.sqrt(3000 * 1 / 6 * 5 / 6)  # 20.4
    assert all(abs(orders.count(pair) - 500) < 5 * deviation for pair in pairs)


def test_simulation_runs_on_to_the_end_and_expands_on_the_way():
    """One rollout goes all the way down: question, two thoughts, answer; the siblings on the way stay unexpanded."""
    replies = [[thought("a"), thought("b")], [thought("c"), thought("d")], [thought("boxed", 1.0)]]
    tree = Tree(QUESTION)
    end = drive(rollout(tree, Rules(), 3), script(*replies))
    walked = tree.path(end.id)
    assert [node.depth for node in walked] == [0, 1, 2, 3] and tree.rollouts == [end.id]
    assert [node.children is not None for node in walked] == [True, True, True, False]
    aside = [node for node in tree.nodes if node not in walked]
    assert len(aside) == 2 and all((node.children, node.visits) == (None, 0) for node in aside)
    assert [(node.visits, node.value) for node in walked] == [(1, 1.0)] * 4


# --- a world that follows from hashes, searched by ours and by another search ---


def chance(*key) -> int:
    """A number in 0..999 that follows from the key."""
    return int.from_bytes(sha256(repr(key).encode()).digest()[:4]) % 1000


class World:
    """What there is to find below a label; a label is the contents from the question down, joined by slashes."""

    def __init__(self, salt: int):
        self.salt = salt

    def thoughts(self, label: str) -> list[tuple[str, float | None]]:
        found = [i for i in range(3) if chance(self.salt, label, "thought", i) < 650]
        ends = [chance(self.salt, label, "ends", i) < 300 for i in found]
        return [
            (f"t{i} boxed", self.worth(label, i)) if end else (f"t{i}", None)
            for i, end in zip(found, ends, strict=True)
        ]

    def samples(self, label: str) -> list[tuple[str, float]]:
        return [(f"s{i}", self.worth(label, 9 + i)) for i in range(chance(self.salt, label, "samples") % 4)]

    def queries(self, label: str) -> list[str]:
        return [f"q{i}" for i in range(chance(self.salt, label, "queries") % 3)]

    def theorems(self, label: str) -> list[str]:
        return [f"d{chance(self.salt, label, 'doc', i) % 4}" for i in range(chance(self.salt, label, "theorems") % 4)]

    def worth(self, label: str, i: int) -> float:
        return (0.0, 0.2, 1.0)[chance(self.salt, label, "worth", i) % 3]


def name(node: Node) -> str:
    return node.content["doc_id"] if node.kind == "theorem" else node.content


def label_of(path) -> str:
    return "/".join(map(name, path))


def explorer(world: World):
    """Answers requests from the world, kinds in reverse; more than is asked for, so that the search must cut."""

    def answer(request: Expand) -> list[Child]:
        label, sent = label_of(request.path), []
        for ask in reversed(request.asks):
            if ask.kind == "thought":
                sent += [Child("thought", text, worth) for text, worth in world.thoughts(label)]
            elif ask.kind == "solution":
                sent += [Child("solution", text, worth) for text, worth in world.samples(label)]
            elif ask.kind == "query":
                sent += [Child("query", text) for text in world.queries(label)]
            else:
                sent += [theorem(doc_id) for doc_id in world.theorems(label)]
        return sent

    return answer


def followers(world: World, label: str, rules: Rules) -> list[tuple[str, float | None, bool]]:
    """(label, reward, terminal) of all that follows a label, from the world and the written rules alone."""
    names = label.split("/")
    last, depth = names[-1], len(names)
    steps = [(text, worth, worth is not None) for text, worth in world.thoughts(label)[: rules.thoughts]]
    drawn = world.samples(label)[: rules.samples]
    best = [(text, worth, True) for text, worth in drawn if worth == max(worth for _, worth in drawn)][:1]
    budget = rules.max_depth // 2 - sum(one[0] == "q" for one in names[1:])
    asked = (
        [(text, None, False) for text in world.queries(label)[: 1 if rules.variant == "paper" else 99]]
        if budget > 0
        else []
    )
    seen = [one for one in names if one[0] == "d"]
    fresh = dict.fromkeys(one for one in world.theorems(label)[: rules.top_k] if one not in seen)
    found = [(doc_id, None, False) for doc_id in fresh]
    legal = {"r": steps + best + asked, "t": (steps + asked) or best, "q": found or (steps + best), "d": steps + best}
    return [(f"{label}/{text}", worth, end or depth >= rules.max_depth) for text, worth, end in legal[last[0]]]


def oracle(world: World, rules: Rules, seed: int) -> tuple[dict, dict, list[str]]:
    """Visits and sums of rewards by label, and the labels at which rollouts ended. The question is called `r`."""
    visits, sums, below, worth, over, explored, ends = {}, {}, {}, {"r": None}, set(), set(), []

    def grow(label):
        if label not in below and label not in over:
            below[label] = []
            for child, reward, terminal in followers(world, label, rules):
                below[label].append(child)
                worth[child] = reward
                over.update([child] if terminal else [])

    for turn in range(rules.rollouts):
        stream, here, route = random.Random(repr((seed, turn))), "r", ["r"]
        share = turn / rules.rollouts
        c = rules.exploration * {"const": 1, "exp": 0.1**share, "lin": 1 - 0.9 * share}[rules.schedule]
        while below.get(here) and all(child in explored for child in below[here]):
            bound = {x: sums[x] / visits[x] + c * (math.log(visits[here]) / visits[x]) ** 0.5 for x in below[here]}
            here = next(child for child in below[here] if bound[child] >= max(bound.values()) - 1e-9)
            route.append(here)
        grow(here)
        while below.get(here):
            unmet = [child for child in below[here] if child not in explored]
            options = unmet if here in explored else below[here]
            here = options[int(stream.random() * len(options))]
            route.append(here)
            grow(here)
        ends.append(here)
        for label in route:
            visits[label] = visits.get(label, 0) + 1
            sums[label] = sums.get(label, 0) + (worth[here] or 0)
        explored.update(route)
    return visits, sums, ends


RULES = st.builds(
    Rules,
    max_depth=st.integers(1, 6),
    thoughts=st.integers(0, 3),
    samples=st.integers(1, 3),
    top_k=st.integers(1, 3),
    rollouts=st.integers(1, 40),
    exploration=st.sampled_from([0.0, 0.5, 2.0]),
    schedule=st.sampled_from(["const", "exp", "lin"]),
    variant=st.sampled_from(["code", "paper"]),
)
NUMBERS = st.integers(0, 10**6)


def grown(salt: int, rules: Rules, seed: int) -> Tree:
    return drive(search(Tree("r"), rules, seed), explorer(World(salt)))


@settings(max_examples=300, deadline=None)
@given(NUMBERS, RULES, NUMBERS)
def test_counts_are_those_of_another_search(salt, rules, seed):
    tree, (visits, sums, ends) = grown(salt, rules, seed), oracle(World(salt), rules, seed)
    labels = {node.id: label_of(tree.path(node.id)) for node in tree.nodes}
    assert [labels[end] for end in tree.rollouts] == ends
    assert {labels[node.id]: node.visits for node in tree.nodes if node.visits} == visits
    assert {labels[node.id]: node.value for node in tree.nodes if node.visits} == pytest.approx(sums)


@settings(max_examples=100, deadline=None)
@given(NUMBERS, RULES, NUMBERS)
def test_counts_follow_from_the_ends_of_the_rollouts(salt, rules, seed):
    """Visits and sum of a node are those of the rollouts that ended at or below it; terminal nodes have no children."""
    tree = grown(salt, rules, seed)
    ends = [(tree.path(end), tree.nodes[end].reward or 0.0) for end in tree.rollouts]
    for node in tree.nodes:
        through = [reward for path, reward in ends if node in path]
        assert node.visits == len(through) and node.value == pytest.approx(sum(through))
        assert not (node.terminal and node.children) and node.depth <= rules.max_depth
        assert node.depth == len(tree.path(node.id)) - 1
    assert len(ends) == rules.rollouts and all(path[-1].terminal for path, _ in ends)


@settings(max_examples=100, deadline=None)
@given(NUMBERS, RULES, NUMBERS, st.data())
def test_a_search_that_was_broken_off_ends_as_an_unbroken_one(salt, rules, seed, data):
    """Broken off at any request, in the middle of a rollout too, saved as text, loaded, and gone on with: byte for byte equal."""
    whole, answer = grown(salt, rules, seed), explorer(World(salt))
    requests = sum(node.children is not None for node in whole.nodes)
    tree = Tree("r")
    for _ in range(3):
        steps, sent = search(tree, rules, seed), None
        try:
            for _ in range(data.draw(st.integers(1, requests + 1))):
                sent = answer(steps.send(sent))
        except StopIteration:
            pass
        tree = Tree.from_json(json.loads(json.dumps(tree.to_json())))
    drive(search(tree, rules, seed), answer)
    assert json.dumps(tree.to_json()) == json.dumps(whole.to_json())
    assert tree.nodes == whole.nodes and tree.rollouts == whole.rollouts


def test_rollout_by_rollout_is_the_search():
    tree, rules, answer = Tree("r"), Rules(), explorer(World(1))
    ends = []
    for _ in range(rules.rollouts):
        ends.append(drive(rollout(tree, rules, 5), answer).id)
        tree = Tree.from_json(tree.to_json())
    assert tree.to_json() == grown(1, rules, 5).to_json() and ends == tree.rollouts


def test_more_rollouts_go_on_from_fewer():
    few, many = Rules(rollouts=7), Rules(rollouts=20)
    tree = drive(search(grown(1, few, 5), many, 5), explorer(World(1)))
    assert tree.to_json() == grown(1, many, 5).to_json()


def test_equal_seeds_give_equal_trees_and_others_others():
    assert grown(1, Rules(), 5).to_json() == grown(1, Rules(), 5).to_json()
    assert len({json.dumps(grown(1, Rules(), seed).to_json()) for seed in (5, 6, 7, "p5")}) == 4


def test_each_node_tells_the_rollout_that_made_it():
    """A node is made in the rollout that first visits its parent: the first whose path holds the parent."""
    tree = grown(1, Rules(rollouts=12), 5)
    first = {}
    for turn, end in enumerate(tree.rollouts):
        for node in tree.path(end):
            first.setdefault(node.id, turn)
    assert [node.rollout for node in tree.nodes[1:]] == [first[node.parent] for node in tree.nodes[1:]]
    assert len(set(first.values())) > 3


def test_answers_are_each_once_visited_or_not():
    """Two rollouts end at one of the two answers that the first expansion found; both are listed, and only once."""
    tree = Tree(QUESTION)
    drive(search(tree, Rules(rollouts=1), 0), script(TWO))
    assert [(node.id, node.reward) for node in tree.answers()] == [(1, 0.0), (2, 1.0)]
    drive(search(tree, Rules(rollouts=9), 0), script())
    assert [node.id for node in tree.answers()] == [1, 2]


def chain(depth: int) -> Tree:
    """A tree of one path: thoughts of 1,000 letters down to the depth."""
    steps = script(*[[thought("x" * 1000)]] * depth)
    tree = Tree("x" * 1000)
    drive(rollout(tree, Rules(max_depth=depth, queries_per_expansion=0), 0), steps)
    return tree


@pytest.mark.parametrize("depth", [5, 50, 500])
def test_a_trace_and_a_saved_tree_are_linear_in_depth(depth):
    """A node adds its own 1,000 letters and less than 200 more, however deep it lies; copied traces would add 1,000 per level."""
    tree = chain(depth)
    assert len(tree.path(depth)) == len(tree.nodes) == depth + 1
    assert 1000 * (depth + 1) < len(json.dumps(tree.to_json())) < 1200 * (depth + 1)


@pytest.mark.parametrize(
    "damage",
    [
        lambda saved: saved.pop("rollouts"),
        lambda saved: saved["nodes"][1].pop("kind"),
        lambda saved: saved["nodes"].insert(0, "a text"),
        lambda saved: saved["nodes"][1].update(parent=1),
        lambda saved: saved["nodes"][1].update(parent=None),
        lambda saved: saved["nodes"][2].update(parent=1),  # an answer, which was never expanded
        lambda saved: saved["nodes"].pop(0),
        lambda saved: saved["nodes"].clear(),
        lambda saved: saved["rollouts"].append(3),
    ],
)
def test_a_damaged_tree_is_told(damage):
    tree = Tree(QUESTION)
    drive(search(tree, Rules(rollouts=1), 0), script(TWO))
    saved = tree.to_json()
    assert Tree.from_json(saved).nodes == tree.nodes
    damage(saved)
    with pytest.raises(ValueError, match="grow it anew"):
        Tree.from_json(saved)


def test_gold_documents_of_which_there_are_none_are_a_search_without_retrieval():
    without = replace(Rules(), queries_per_expansion=0)
    worlds = [World(salt) for salt in range(5)]
    for world in worlds:
        world.theorems = lambda label: []
        trees = [
            drive(search(Tree("r"), rules, 1), explorer(world))
            for rules in (without, replace(without, gold_documents=True))
        ]
        assert trees[0].to_json() == trees[1].to_json()
