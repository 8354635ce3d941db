"""Examples made of trees: which, of what, with which negatives, worked out by hand on the trees of `grown_trees`.

Queries are written by a server on loopback whose replies are a function of the request.
"""

import asyncio
import hashlib
import random
from collections import Counter
from dataclasses import replace

import pytest

pytest.importorskip("aiohttp")

from rader_ir.examples import KINDS, excluded_ids, read_examples, write_examples
from rader_ir.lm.cache import Cached
from rader_ir.lm.server import Server
from rader_ir.mining import Window
from rader_ir.prompts import Prompt
from rader_ir.seeded import seed_of
from rader_ir.synth.build import Recipe, build_examples
from rader_ir.synth.grown import Found
from rader_ir.synth.paths import Negative, read_trees, yielded
from rader_ir.synth.summaries import stated
from tests.grown_trees import CORPUS, PYTHAGORAS, grown, hang, legs, query, solution, theorem, thought, walk
from tests.lm_server import MODEL, Fault, LMServer

PROMPTS = {
    "general_query": Prompt(
        "You write queries.", "GENERAL|{question}|{partial}|{theorem}", 100, stop=("END",), temperature=0.3
    ),
    "lexical_query": Prompt("", "LEXICAL|{theorem}", 60),
}
WRITTEN = {  # by a word of the theorem: the general query and the lexical one
    "Pythagoras": (
        "How do you get the far distance from two perpendicular ones?",
        "square hypotenuse right triangle legs",
    ),
    "Cosines": ("What connects a triangle's third length with its corner?", "law of cosines triangle gamma facing"),
    "Heron": ("How large is a surface bounded thrice?", "area triangle half perimeter"),
    "Ring": ("Which structure adds and multiplies?", "abelian group associative multiplication"),
}


def reply(body: dict) -> str:
    """A good reply to either prompt."""
    task, *_, shown_theorem = body["messages"][-1]["content"].split("|")
    general, lexical = next(texts for word, texts in WRITTEN.items() if word in shown_theorem)
    return f"Preconditions: none.\nQuery: {general}" if task == "GENERAL" else lexical


def build(
    *trees, answer=reply, fault=lambda body, times: None, documents=CORPUS, cache=None, prompts=PROMPTS, **recipe
):
    """What is built of (name, tree) pairs, and the requests that reached the server."""

    async def run(server):
        lm = Server(server.url, MODEL, pause=0.001, retries=1, answer_retries=0)
        async with lm if cache is None else Cached(lm, cache) as opened:
            return await build_examples(trees, opened, documents, prompts=prompts, recipe=Recipe(**recipe))

    with LMServer(answer=answer, fault=fault) as server:
        return asyncio.run(run(server)), server.requests


def tree(problem: int | str = "legs", **options):
    one = legs(str(problem), **options)
    return f"{problem}.json", one


def of_kind(built, kind: str) -> dict[str, object]:
    return {example.positives[0].doc_id: example for example in built.examples if example.kind == kind}


def ids(passages) -> list[str]:
    return [passage.doc_id for passage in passages]


# What a tree yields


def test_every_right_answer_of_the_tree_gives_its_theorems():
    """5 (cosine) leads to the right solution 6, 7 (pyth) to the right thought 9; 8 (heron) only to a wrong solution."""
    got = yielded("t", legs())
    assert [(use.theorem_node, use.query_node, use.doc_id, use.reasoning) for use in got.uses] == [
        (5, 2, "cosine", ""),
        (7, 4, "pyth", "The angle between the legs is right."),
    ]
    assert got.uses[1].rejected == tuple(
        Negative(*each) for each in [("twin", 1, 9.0), ("angles", 3, 7.0), ("cosine", 6, 4.0), ("euler", 7, 3.0)]
    )
    assert got.uses[0].summary.startswith("Law of Cosines - ") and got.kept == {"cosine", "pyth", "heron"}


def test_rollouts_alone_may_count():
    """The rollouts ended at 6, right, and at 10, wrong; no rollout met 9."""
    assert [use.doc_id for use in yielded("t", legs(), trajectories="rollouts").uses] == ["cosine"]


def test_the_reward_decides_what_is_right():
    """A wrong answer in a box has 0.2; with that for enough, heron's solution counts too."""
    assert [use.doc_id for use in yielded("t", legs(), least_reward=0.2).uses] == ["cosine", "pyth", "heron"]
    assert yielded("t", legs(), least_reward=1.1).uses == ()


def test_a_theorem_may_have_to_precede_more_right_answers_than_wrong_ones():
    """pyth precedes 9, right, and 10, wrong: a half. cosine precedes one answer, which is right."""
    for share, expected in ((0.5, ["cosine", "pyth"]), (0.51, ["cosine"]), (1.0, ["cosine"])):
        assert [use.doc_id for use in yielded("t", legs(), least_share=share).uses] == expected
    built, _ = build(tree(), kinds=("question",), least_share=0.51)
    assert [example.positives[0].doc_id for example in built.examples] == ["cosine"]


def test_the_reasoning_holds_earlier_theorems_and_thoughts_but_no_query():
    one = grown("p", "q?")
    hang(one.tree, 0, query("first lookup"))
    hang(one.tree, 1, theorem("ring", "Rings add."))
    hang(one.tree, 2, thought("Add up."))
    hang(one.tree, 3, query("second lookup"))
    hang(one.tree, 4, theorem("euler", "Faces."))
    hang(one.tree, 5, solution("\\boxed{5}", 1.0))
    walk(one.tree, 6)
    first, second = yielded("t", one).uses
    assert (first.reasoning, second.reasoning) == ("", "Rings add.\nAdd up.")


def test_gold_documents_follow_a_thought_without_a_query():
    one = grown("p", "q?")
    hang(one.tree, 0, thought("Think."))
    hang(one.tree, 1, theorem("ring", "Rings add."))
    hang(one.tree, 2, solution("\\boxed{5}", 1.0))
    (use,) = yielded("t", one).uses
    assert (use.query_node, use.reasoning, use.rejected) == (1, "Think.", ())


# The four kinds


def test_the_four_kinds_by_hand():
    """Of two theorems: two questions, two of the model's, one with reasoning before it, two lexical ones."""
    built, requests = build(tree())
    assert Counter(example.kind for example in built.examples) == {"cot": 1, "llm": 2, "question": 2, "lexical": 2}
    question = "Legs 3 and 4: how long is the longest side?"
    assert {example.query for example in of_kind(built, "question").values()} == {question}
    assert of_kind(built, "cot")["pyth"].query == f"{question}\nThe angle between the legs is right."
    assert of_kind(built, "llm")["cosine"].query == WRITTEN["Cosines"][0]
    assert of_kind(built, "lexical")["pyth"].query == WRITTEN["Pythagoras"][1]
    assert all(example.positives[0].text == CORPUS[example.positives[0].doc_id] for example in built.examples)
    assert len(requests) == 4, "two queries of each kind that is written"
    assert built.counts["cot without reasoning"] == 1 and built.counts["theorems on right paths"] == 2


def test_no_query_shows_the_model_the_theorem_too_early_nor_its_own_lookup():
    """The general prompt holds the question, the thought and the theorem found, without its proof; the lexical one only that."""
    _, requests = build(tree())
    told = {body["messages"][-1]["content"]: body for body in requests}
    theorem = stated(PYTHAGORAS, 6000)
    assert theorem.endswith("\\end{theorem}") and "Cut and paste" not in theorem
    question = "Legs 3 and 4: how long is the longest side?"
    general = told[f"GENERAL|{question}|Step 1: The angle between the legs is right.|{theorem}"]
    assert general["messages"][0] == {"role": "system", "content": "You write queries."}
    assert (general["temperature"], general["stop"], general["max_tokens"]) == (0.3, ["END"], 100)
    assert f"GENERAL|{question}|(nothing yet)|{CORPUS['cosine']}" in told, "right after the question"
    lexical = told[f"LEXICAL|{theorem}"]
    assert len(lexical["messages"]) == 1 and (lexical["temperature"], lexical["max_tokens"]) == (0.8, 60)
    assert general["seed"] == seed_of(0, "general_query", "legs", 7, 0)
    assert lexical["seed"] == seed_of(0, "lexical_query", "pyth", 0)
    assert not any("squares on sides" in text for text in told), "the search's own queries go nowhere"


def test_negatives_are_what_reflection_rejected_at_that_lookup():
    """pyth's lookup: angles and euler stay; twin states the same as pyth, cosine helped elsewhere, primes was never judged."""
    built, _ = build(tree())
    for kind in ("cot", "llm", "question"):
        assert ids(of_kind(built, kind)["pyth"].negatives) == ["angles", "euler"], kind
    assert ids(of_kind(built, "llm")["cosine"].negatives) == ["ring"]
    origins = of_kind(built, "cot")["pyth"].provenance["negatives"]
    assert origins == {
        "angles": {"run": "reflection", "rank": 3, "score": 7.0},
        "euler": {"run": "reflection", "rank": 7, "score": 3.0},
    }
    plain, _ = build(tree(), kinds=("cot", "llm", "question"))
    assert plain.counts["negatives left out: equal_statement"] == plain.counts["negatives left out: positive"] == 3


def test_what_was_kept_elsewhere_in_the_tree_is_no_negative():
    """heron was kept at node 4 and led nowhere; rejected at node 2 it is still no negative of cosine."""
    one = legs()
    one.found[2] = (*one.found[2], Found("heron", 0.5, "rejected", "s", "no"))
    built, _ = build(("t.json", one), kinds=("question",))
    assert ids(of_kind(built, "question")["cosine"].negatives) == ["ring"]
    assert built.counts["negatives left out: kept_elsewhere"] == 1


def test_a_theorem_that_helped_under_another_id_of_the_question_is_no_negative():
    """The same question stands under two ids; angles helped there, so it is no negative here, and is not ranked."""
    other = grown("again", "Legs $3$ and $4$: how long is the longest side?")
    hang(other.tree, 0, query("angle sum"))
    hang(other.tree, 1, theorem("angles", "Angles add up."))
    hang(other.tree, 2, solution("\\boxed{5}", 1.0))
    built, _ = build(tree(), ("again.json", other), kinds=("question",))
    pyth = of_kind(built, "question")["pyth"]
    assert ids(pyth.negatives) == ["euler"] and pyth.provenance["excluded_ids"] == ["angles", "cosine", "heron"]


def test_provenance_leads_to_the_path():
    built, _ = build(tree())
    example = of_kind(built, "llm")["pyth"]
    kept = {name: example.provenance[name] for name in ("source", "question_id", "tree", "query_node", "theorem_node")}
    assert kept == {
        "source": "synthesis",
        "question_id": "legs",
        "tree": "legs.json",
        "query_node": 4,
        "theorem_node": 7,
    }
    assert example.query_id == "legs-llm-7" and example.provenance["excluded_ids"] == ["cosine", "heron"]
    lexical = of_kind(built, "lexical")["pyth"]
    assert lexical.query_id == "legs-lexical-7" and lexical.provenance["excluded_ids"] == ["cosine", "heron"]


def test_what_was_kept_or_used_anywhere_in_the_tree_is_excluded_from_every_example_of_the_question():
    """heron was kept and led nowhere; primes stood on the path already. Neither is a negative, of whatever source."""
    one = legs()
    one.found[2] = (*one.found[2], Found("primes", 0.4, "used"))
    built, _ = build(("t.json", one), windows={kind: Window(1, None, None) for kind in KINDS})
    assert {example.kind for example in built.examples} == {*KINDS}
    for example in built.examples:
        others = {"cosine", "pyth", "heron", "primes"} - {example.positives[0].doc_id}
        assert example.provenance["excluded_ids"] == sorted(others) and excluded_ids(example) == others
        assert example.negatives and others.isdisjoint(ids(example.negatives))


def twice() -> tuple:
    """A tree in which pyth helps at two lookups, after one thought and after two."""
    one = grown("twice", "How far?")
    hang(one.tree, 0, thought("First."))
    hang(one.tree, 1, query("a"), thought("Second."))
    hang(one.tree, 2, theorem("pyth", "Squares."))
    hang(one.tree, 3, query("b"))
    hang(one.tree, 4, solution("\\boxed{5}", 1.0))
    hang(one.tree, 5, theorem("pyth", "Squares."))
    hang(one.tree, 7, solution("\\boxed{5}", 1.0))
    return "twice.json", one


def test_a_question_and_a_theorem_give_one_example_of_each_kind():
    """The first lookup's; two where two are asked for, but never two of one text."""
    built, requests = build(twice())
    assert [example.query_id for example in built.examples] == [
        f"twice-{kind}-4" for kind in ("cot", "llm", "question", "lexical")
    ]
    assert len(requests) == 2, "one general query and one lexical one"
    more, _ = build(twice(), per_theorem=2)
    assert [example.query for example in more.examples if example.kind == "cot"] == [
        "How far?\nFirst.",
        "How far?\nFirst.\nSecond.",
    ]
    assert len([example for example in more.examples if example.kind == "llm"]) == 1, "the server wrote one text twice"


def test_a_question_under_two_ids_is_one_question():
    """The same words, in other TeX: one example of each kind and theorem, of the first id."""
    built, _ = build(tree("b"), tree("a", question="Legs $3$ and $4$: how long is the longest side?"))
    assert {example.provenance["question_id"] for example in built.examples} == {"a"} and len(built.examples) == 7


def test_the_next_lookup_stands_in_where_no_query_could_be_had():
    """The model writes nothing useful after one thought; after two it does."""

    def answer(body):
        return reply(body) if "Second." in body["messages"][-1]["content"] else "Query: Pythagoras's theorem, please?"

    built, requests = build(twice(), answer=answer, kinds=("llm",))
    assert [example.query_id for example in built.examples] == ["twice-llm-7"]
    assert len(requests) == 4, "three tries, and one"
    assert built.counts["general_query names the theorem"] == 3 and built.counts["general_query dropped"] == 1


def test_a_lexical_query_is_written_once_for_all_problems_and_for_copies():
    """pyth helps in two problems and its copy in a third: one lexical example, of the first problem."""
    third = legs("c", "Yet another one?")
    third.tree.nodes[7].content["doc_id"] = "twin"
    built, requests = build(tree("b"), tree("a", question="Another question?"), ("c.json", third))
    lexical = [example for example in built.examples if example.kind == "lexical"]
    assert [example.query_id for example in lexical] == ["a-lexical-5", "a-lexical-7"]
    assert sum(body["messages"][-1]["content"].startswith("LEXICAL") for body in requests) == 2


def test_the_order_of_trees_and_of_replies_changes_nothing():
    """Trees in another order, and each reply late by a chance of its own: the same examples and counts."""
    trees = [tree(name, question=f"Question {name}?") for name in "abcdef"]
    built, _ = build(*trees)
    for seed in range(3):
        shuffle = random.Random(seed)
        faulty = lambda body, times, n=seed: (  # noqa: E731
            Fault("status", 429) if not times and hashlib.sha256(f"{n}{body}".encode()).digest()[0] % 2 else None
        )
        again, _ = build(*shuffle.sample(trees, len(trees)), fault=faulty)
        assert again == built
    order = [(example.provenance["question_id"], KINDS.index(example.kind)) for example in built.examples]
    assert order == sorted(order) and len({example.query_id for example in built.examples}) == len(built.examples)


def test_a_second_run_on_the_cache_asks_nothing(tmp_path):
    first, requests = build(tree(), cache=tmp_path / "replies.sqlite")
    second, more = build(tree(), cache=tmp_path / "replies.sqlite", answer=lambda body: "nothing to be asked")
    assert second == first and len(requests) == 4 and not more


def test_examples_are_kept_by_their_file(tmp_path):
    built, _ = build(tree())
    write_examples(built.examples, tmp_path / "examples.jsonl")
    assert tuple(read_examples(tmp_path / "examples.jsonl")) == built.examples


def test_trees_are_read_from_their_folder(tmp_path):
    for name in ("b", "a"):
        legs(name).write(tmp_path / f"{name}.json")
    assert [(name, one.problem.problem_id) for name, one in read_trees(tmp_path)] == [("a.json", "a"), ("b.json", "b")]


# What the model writes wrong


@pytest.mark.parametrize(
    ("text", "event"),
    [
        ("Query: By Pythagoras's theorem, how long is it?", "general_query names the theorem"),
        (
            "Query: Has the square on the hypotenuse of a right triangle the area of both?",
            "general_query shares its words",
        ),
        ("I would rather not say.", "general_query unreadable"),
        ("Query:", "general_query unreadable"),
        ("Query: N/A", "general_query unreadable"),
        ("Query: 1 2 3", "general_query unreadable"),
    ],
)
def test_a_bad_query_is_asked_for_again_and_then_dropped(text, event):
    """Three calls with three seeds, three counts, and no example."""
    one = legs()
    one.tree.nodes[6].reward = 0.2  # so that pyth alone helped
    built, requests = build(("t.json", one), answer=lambda body: text, kinds=("llm",))
    assert built.examples == () and built.counts[event] == 3 and built.counts["general_query dropped"] == 1
    assert len({body["seed"] for body in requests}) == len(requests) == 3


def test_the_second_query_may_do():
    """The seed of the second call is another, and the server answers well to it."""
    bad = seed_of(0, "general_query", "legs", 7, 0)
    built, _ = build(tree(), answer=lambda body: "Query: Pythagoras?" if body["seed"] == bad else reply(body))
    assert of_kind(built, "llm")["pyth"].query == WRITTEN["Pythagoras"][0]
    assert built.counts["general_query unreadable"] == 1 and "general_query dropped" not in built.counts


def test_a_failed_call_is_counted_and_is_no_text():
    """Every call answered by 500: no written example, the others stand; each was dropped at once, after the client's retry."""
    built, _ = build(tree(), fault=lambda body, times: Fault("status", 500))
    assert {example.kind for example in built.examples} == {"cot", "question"}
    assert built.counts["general_query failed: server_error"] == built.counts["general_query dropped"] == 2
    assert built.counts["lexical_query failed: server_error"] == built.counts["lexical_query dropped"] == 2


def test_a_cut_off_query_is_asked_for_again():
    built, requests = build(tree(), fault=lambda body, times: Fault("length"), kinds=("lexical",))
    assert built.examples == () and built.counts["lexical_query failed: cut_off"] == 6 == len(requests)


def test_a_theorem_that_is_too_long_is_cut_once():
    """The server takes 2,000 characters. 6,000 of the theorem are shown first, then 1,500; then it does."""
    long = {**CORPUS, "pyth": f"Pythagoras\n{'The sides have squares. ' * 400}"}
    too_long = Fault("status", 400, "This model's maximum context length is 500 tokens.", "context_length_exceeded")

    def fault(body, times):
        return too_long if len(body["messages"][-1]["content"]) > 2000 else None

    built, requests = build(tree(), documents=long, fault=fault, kinds=("llm",))
    assert {*of_kind(built, "llm")} == {"pyth", "cosine"} and built.counts[
        "general_query failed: context_overflow"
    ] == 1
    assert [len(body["messages"][-1]["content"]) > 2000 for body in requests].count(True) == 1
    never, _ = build(tree(), documents=long, fault=lambda body, times: too_long, kinds=("llm",))
    assert never.counts["general_query failed: context_overflow"] == 4, "two calls for each of two theorems"


def test_a_lexical_query_must_lead_back_to_its_theorem():
    """A query without a word of the theorem finds it nowhere; among the first 1, a word of another theorem wins."""
    lost, _ = build(tree(), answer=lambda body: "zebra stripes", kinds=("lexical",))
    assert lost.examples == () and lost.counts["lexical_query not found again among 20"] == 2
    off = lambda body: "prime numbers infinite numbers triangle"  # noqa: E731
    near, _ = build(tree(), answer=off, kinds=("lexical",))
    assert {*of_kind(near, "lexical")} == {"pyth", "cosine"}
    far, _ = build(tree(), answer=off, kinds=("lexical",), round_trip=1)
    assert far.examples == () and far.counts["lexical_query not found again among 1"] == 2


def test_lexical_negatives_come_from_the_ranks_of_bm25():
    """60 documents hold "triangle" n times, so the list of that word is d60, d59, ... d1 by frequency over equal lengths.

    Ranks 31 to 50 are then d30 to d11; ten of them are drawn, by the query's own seed.
    """
    documents = {f"d{n}": " ".join(["triangle"] * n + ["zebra"] * (61 - n)) for n in range(1, 61)}
    one = grown("p", "q?")
    hang(one.tree, 0, query("a"))
    hang(one.tree, 1, theorem("d55", "s"))
    hang(one.tree, 2, solution("\\boxed{5}", 1.0))
    built, _ = build(("t", one), answer=lambda body: "triangle", documents=documents, kinds=("lexical",))
    (example,) = built.examples
    assert len(example.negatives) == 10 and {*ids(example.negatives)} <= {f"d{n}" for n in range(11, 31)}
    ranks = {each: 61 - int(each[1:]) for each in ids(example.negatives)}
    assert {d: origin["rank"] for d, origin in example.provenance["negatives"].items()} == ranks


FILLED = "negatives filled from BM25"


def ranked_by_triangle(count: int, documents=()) -> dict[str, str]:
    """d1 to dN, of which BM25 ranks dN first and d1 last for `triangle`."""
    made = {f"d{n}": " ".join(["triangle"] * n + ["zebra"] * (count + 1 - n)) for n in range(1, count + 1)}
    return {**made, **dict(documents)}


def used_once(doc_id: str, *found: Found):
    """A tree in which one theorem helped."""
    one = grown("p", "A triangle?")
    hang(one.tree, 0, thought("The triangle has sides."))
    hang(one.tree, 1, query("a"))
    hang(one.tree, 2, theorem(doc_id, "s"))
    hang(one.tree, 3, solution("\\boxed{5}", 1.0))
    one.found[2] = found
    return "t", one


def test_a_list_too_short_for_the_window_gives_its_last_ones():
    """20 documents: the window's ranks 31 to 50 do not exist, so the ten at the end do, d1, the farthest, first; d4 is the
    positive, d6 was kept for the question and is not ranked, d2 has a copy that is no negative twice."""
    documents = ranked_by_triangle(20)
    documents["d2copy"] = documents["d2"]
    found = Found("d4", 2.0, "kept", "s", "r"), Found("d6", 1.0, "kept", "s", "r")
    trees = used_once("d4", *found)
    built, _ = build(trees, answer=lambda body: "triangle", documents=documents, kinds=("lexical", "question", "cot"))
    assert [example.kind for example in built.examples] == ["cot", "question", "lexical"]
    for example in built.examples:
        assert ids(example.negatives) == ["d1", "d2", "d3", "d5", "d7", "d8", "d9", "d10", "d11", "d12"], example.kind
        origins = example.provenance["negatives"]
        assert list(origins) == ids(example.negatives) and {each["run"] for each in origins.values()} == {"bm25"}
        assert (origins["d1"]["rank"], origins["d12"]["rank"]) == (20, 9), "of 20 that are ranked"
    assert built.counts[FILLED] == 30


def test_a_list_that_is_long_enough_gives_the_window():
    """No lookup rejected anything: ten of the ranks 31 to 50 of 60; the lexical query had them as ever and counts for nothing."""
    trees = used_once("d55", Found("d55", 2.0, "kept", "s", "r"))
    built, _ = build(
        trees, answer=lambda body: "triangle", documents=ranked_by_triangle(60), kinds=("question", "lexical")
    )
    question, lexical = built.examples
    for example in (question, lexical):
        assert len(example.negatives) == 10
        assert all(31 <= origin["rank"] <= 50 for origin in example.provenance["negatives"].values())
    assert built.counts[FILLED] == 10


def test_what_reflection_rejected_is_not_added_to():
    trees = used_once("d4", Found("d4", 2.0, "kept", "s", "r"), Found("d9", 1.0, "rejected", "s", "no"))
    built, _ = build(trees, documents=ranked_by_triangle(20), kinds=("question",))
    assert ids(built.examples[0].negatives) == ["d9"] and FILLED not in built.counts


def test_a_window_of_ones_own_says_how_many_fill():
    trees = used_once("d4", Found("d4", 2.0, "kept", "s", "r"))
    given = {"documents": ranked_by_triangle(20), "kinds": ("question",)}
    built, _ = build(trees, **given, windows={"question": Window(40, 60, 3)})
    assert ids(built.examples[0].negatives) == ["d1", "d2", "d3"] and built.counts[FILLED] == 3
    every, _ = build(trees, **given, windows={"question": Window(40, 60, None)})
    assert len(every.examples[0].negatives) == 19


def test_where_bm25_finds_nothing_that_may_be_one_the_example_has_no_negatives():
    """All that shares a word with the question helped, or states the same as what did."""
    documents = {"d4": "triangle sides", "copy": "Triangle $sides$.", "d6": "triangle", "far": "unrelated prose"}
    trees = used_once("d4", Found("d4", 2.0, "kept", "s", "r"), Found("d6", 1.0, "kept", "s", "r"))
    built, _ = build(trees, documents=documents, kinds=("question",))
    assert ids(built.examples[0].negatives) == [] and built.counts[FILLED] == 0


def test_other_kinds_may_be_mined_as_well():
    """Behind the rejected ones stands what BM25 lists for the query. heron comes first by far and was kept elsewhere, so it is
    not even counted; of the others primes has most of the words, and pyth, twin and cosine answer."""
    asked = "Which area follows from three sides and half the perimeter, prime numbers all?"
    built, _ = build(tree(question=asked), kinds=("question",), windows={"question": Window(1, None, 1)})
    example = of_kind(built, "question")["pyth"]
    assert ids(example.negatives) == ["angles", "euler", "primes"]
    assert {origin["run"] for origin in example.provenance["negatives"].values()} == {"reflection", "bm25"}


def test_what_is_mined_may_not_state_what_another_theorem_of_the_question_does():
    """The query for cosine shares "triangle" with pyth, twin, heron and angles; only angles may be a negative of it."""
    built, _ = build(tree(), kinds=("llm",), windows={"llm": Window(1, None, None)})
    assert ids(of_kind(built, "llm")["cosine"].negatives) == ["ring", "angles"]


# Split


def test_a_question_is_on_one_side_with_all_its_kinds():
    trees = [tree(n, question=f"Question {n}?") for n in range(20)] + [tree("copy", question="Question $3$?")]
    built, _ = build(*trees, dev_fraction=0.25)
    sides = {}
    for example in built.examples:
        sides.setdefault(example.provenance["question_id"], set()).add(example.provenance["split"])
    assert all(len(side) == 1 for side in sides.values())
    dev = {name for name, side in sides.items() if side == {"dev"}}
    assert len(dev) == 5, "a quarter of 20 questions; the copy has no example of its own"
    assert [e.query_id for e in built.of("dev")] == [
        e.query_id for e in built.examples if e.provenance["question_id"] in dev
    ]
    assert len(built.of("train")) + len(built.of("dev")) == len(built.examples)
    other, _ = build(*trees, dev_fraction=0.25, seed=1)
    assert {e.provenance["question_id"] for e in other.of("dev")} != dev


def test_one_question_of_a_few_is_held_out():
    """A tenth of two questions is none, but one is held out; of a single question none; without a share none."""
    trees = [tree(n, question=f"Question {n}?") for n in range(2)]
    assert len({e.provenance["question_id"] for e in build(*trees)[0].of("dev")}) == 1
    assert build(trees[0])[0].of("dev") == [] == build(*trees, dev_fraction=0.0)[0].of("dev")


# What is refused


def test_a_document_that_the_corpus_lacks_is_named():
    lacking = {doc_id: text for doc_id, text in CORPUS.items() if doc_id != "euler"}
    with pytest.raises(ValueError, match=r"legs.json: document 'euler' is not in the corpus"):
        build(tree(), documents=lacking)


def test_a_problem_has_one_tree():
    with pytest.raises(ValueError, match="other: problem 'legs' has a tree already"):
        build(tree(), ("other", legs()))


def test_a_missing_prompt_is_named():
    with pytest.raises(ValueError, match=r"the prompts have no \[lexical_query\]; they have general_query"):
        build(tree(), prompts={"general_query": PROMPTS["general_query"]})


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"kinds": ("cots",)}, "kind 'cots' is unknown"),
        ({"windows": {"qcot": Window()}}, "kind 'qcot' is unknown"),
        ({"trajectories": "all"}, "trajectories 'all' are unknown; choose one of tree, rollouts"),
        ({"tries": 0}, "expected 1 or more"),
        ({"dev_fraction": 1.0}, "a share from 0 to below 1"),
        ({"least_share": 1.1}, "least_share 1.1; expected a share from 0 to 1"),
    ],
)
def test_impossible_recipes_are_refused(options, message):
    with pytest.raises(ValueError, match=message):
        Recipe(**options)


def test_no_right_answer_gives_no_example():
    one = legs()
    for node in one.tree.nodes:
        node.reward = None if node.reward is None else 0.2
    built, requests = build(("t", one))
    assert built.examples == () and not requests and built.counts["theorems on right paths"] == 0


def test_the_recipe_is_what_it_says():
    """The paper's code: ten of ranks 31 to 50 for lexical queries, round trip among 20."""
    assert Recipe().windows == {"lexical": Window(31, 50, 10)} and Recipe().round_trip == 20
    assert replace(Recipe(), seed=3).seed == 3
