"""The files of RaDeR's published code: what is written, by hand on the trees of `grown_trees`, and what comes back from them."""

import asyncio
import json
import math
import random
from collections import Counter

import pytest

pytest.importorskip("aiohttp")

from rader_ir.lm.server import Server
from rader_ir.mcts import QUERY, SOLUTION, THEOREM, THOUGHT, Child, Rules, drive, search
from rader_ir.problems import Problem
from rader_ir.synth.build import Recipe, build_examples
from rader_ir.synth.grown import Found, Grown
from rader_ir.synth.official import export_official, trace, tree_lines
from rader_ir.synth.official_import import read_official
from tests.grown_trees import CORPUS, grown, hang, legs, solution, theorem, thought, walk
from tests.lm_server import MODEL, LMServer
from tests.test_synth_build import PROMPTS, reply

QUESTION = "Legs 3 and 4: how long is the longest side?"


def written(folder, *trees, **options):
    """The names of the files below a folder of exported trees."""
    export_official(trees, folder, **options)
    return sorted(path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file())


def loaded(path):
    return json.loads(path.read_text(encoding="utf-8"))


# Out


def test_the_files_and_their_names(tmp_path):
    """Two rollouts, so two dumps; the answer file's number is not padded, and a tree without lookups has no judgements."""
    plain = grown("plain", "q?")
    hang(plain.tree, 0, solution("\\boxed{5}", 1.0))
    walk(plain.tree, 1)
    assert written(tmp_path, legs(), plain, first=12) == [
        "answer_sheets/Question 0012 - Final Solutions.json",
        "answer_sheets/Question 0012 - Rollout 0.tree",
        "answer_sheets/Question 0012 - Rollout 1.tree",
        "answer_sheets/Question 0012 - Rollout Solutions.json",
        "answer_sheets/Question 0013 - Final Solutions.json",
        "answer_sheets/Question 0013 - Rollout 0.tree",
        "answer_sheets/Question 0013 - Rollout Solutions.json",
        "answer_sheets/Question 12 - Answer.json",
        "answer_sheets/Question 13 - Answer.json",
        "hard_negatives/12.json",
    ]


def test_a_trace_by_hand():
    """Thought 1, its query, the theorem found, thought 2 with the answer."""
    lookup = "Theorem Name: squares on sides\nTheorem Statement: squares on sides."
    candidate = {
        "candidate_theorem": lookup,
        "preconditions_theorem": "p",
        "preconditions_question": "w",
        "subject_candidatethm": "Geometry",
    }
    scores = {"twin": 9.0, "pyth": 8.0, "angles": 7.0, "heron": 6.0, "primes": 5.0, "cosine": 4.0, "euler": 3.0}
    one = legs()
    one.about["retriever"] = "bm25"
    assert trace(one, 9) == {
        "0": {
            "user_question": QUESTION,
            "ost_step": {
                "1": "The angle between the legs is right.",
                "1_querygeneration": [lookup, "p", "w", "Geometry", {"query1": candidate}, 1],
                "1_retrieval": [
                    "Pythagoras - squares add up.",
                    {"legs_4": {"query": lookup, "scores": scores}},
                    "bm25",
                    "pyth",
                ],
                "2": ["So the answer is 5", 1.0],
            },
        }
    }
    assert trace(one, 6)["0"]["direct_answer"] == {"text": "\\boxed{5}", "value": 1.0}
    assert list(trace(one, 6)["0"]["ost_step"]) == ["0_querygeneration", "0_retrieval"], "no thought yet"


def test_the_numbers_of_several_queries():
    """Two queries of one reply know each other and their places, from 1."""
    one = grown("p", "q?")
    hang(one.tree, 0, thought("t"), *(Child(QUERY, {"text": text}) for text in ("first", "second")))
    told = trace(one, 3)["0"]["ost_step"]["0_querygeneration"]
    assert told[0] == "second" and told[-1] == 2
    assert [each["candidate_theorem"] for each in told[4].values()] == ["first", "second"]


def test_solutions_are_all_answers_and_the_ends_of_rollouts(tmp_path):
    """The nodes 3, 6, 9, 10 and 11 hold answers; rollouts ended at 6 and 10."""
    one = legs()
    export_official([one], tmp_path)
    final = loaded(tmp_path / "answer_sheets" / "Question 0000 - Final Solutions.json")
    ends = loaded(tmp_path / "answer_sheets" / "Question 0000 - Rollout Solutions.json")
    assert [entry["trace"] for entry in final] == [trace(one, node) for node in (3, 6, 9, 10, 11)]
    assert [entry["rollout_id"] for entry in final] == [0, 0, 1, 1, 1], "the rollouts that made them"
    assert ends == [{"trace": trace(one, 6), "rollout_id": 0}, {"trace": trace(one, 10), "rollout_id": 1}]
    answer = loaded(tmp_path / "answer_sheets" / "Question 0 - Answer.json")
    assert (answer["id"], answer["problem"], answer["gold_answer"]) == ("legs", QUESTION, "5")
    assert answer["model_answer"] is None and answer["gold_solution"] is None


def test_judgements_are_lines(tmp_path):
    """Kept and rejected of both lookups in the order of ranks; primes had no judgement."""
    export_official([legs()], tmp_path, first=7)
    lines = [json.loads(line) for line in (tmp_path / "hard_negatives" / "7.json").read_text().splitlines()]
    assert [(line["theorem_id"], line["LLM_relevance_label"]) for line in lines] == [
        ("cosine", 1), ("ring", 0), ("twin", 0), ("pyth", 1), ("angles", 0), ("heron", 1), ("cosine", 0), ("euler", 0)
    ]  # fmt: skip
    assert lines[1] == {
        "question_id": 7,
        "theorem_id": "ring",
        "LLM_relevance_label": 0,
        "LLM_explanation": "no triangle here",
    }


def test_a_dump_by_hand():
    """After rollout 0, which went 0-2-5-6 for 1: its UCT is 1 + 2 * sqrt(ln 1 / 1) = 1; nodes that it did not meet have 999."""
    lines = list(tree_lines(legs(), 0))
    assert lines[:2] == [
        f"[U-0: Q: 1.0; N: 1; V: None; UCT: 666] User: {QUESTION}",
        " " * len("[U-0: Q: 1.0; N: 1; V: None; UCT: 666] ") + "Ground truth: 5",
    ]
    assert lines[2] == "----[TS-1: Q: 0.0; N: 0; V: None; UCT: 999] OST: The angle between the legs is right."
    assert (
        "--------[RT-5: Q: 1.0; N: 1; V: None; UCT: 1.0] Retrieved Theorem: Law of Cosines - a side follows from two "
        in ("\n".join(lines))
    )
    assert "------------[(T) DA-6: Q: 1.0; N: 1; V: 1.0; UCT: 1.0] Ans: \\boxed{5}" in lines
    assert "----[(T) DA-3: Q: 0.0; N: 0; V: 0.2; UCT: 999] Ans: 7" in lines
    assert lines[-3:] == ["", "=" * 50, ""] and not any("-7:" in line for line in lines), "made in rollout 1"


def test_a_later_dump_has_all_rollouts():
    """After rollout 1 the root has 2 visits; its child 1 has 0 of 1: 0 + 2 * sqrt(ln 2 / 1) = 1.67."""
    lines = list(tree_lines(legs(), 1))
    assert lines[0].startswith("[U-0: Q: 1.0; N: 2;")
    assert round(2 * math.sqrt(math.log(2)), 2) == 1.67
    assert lines[2].startswith("----[TS-1: Q: 0.0; N: 1; V: None; UCT: 1.67]")
    order = [line.split(":")[0].lstrip("-[(T) ") for line in lines if "-" in line.split(":")[0] and "[" in line]
    assert [int(name.split("-")[1]) for name in order] == [0, 1, 4, 7, 9, 10, 8, 11, 2, 5, 6, 3], (
        "children below their parents"
    )


def test_an_export_overwrites_nothing(tmp_path):
    export_official([legs()], tmp_path)
    with pytest.raises(FileExistsError, match="holds answer_sheets or hard_negatives already; give a new folder"):
        export_official([legs()], tmp_path)
    assert export_official([legs(), legs()], tmp_path / "new") == 2 and export_official([], tmp_path / "none") == 0


# Back


def examples_of(trees):
    """What is built of (name, tree) pairs, without what names nodes and files."""

    async def run(server):
        async with Server(server.url, MODEL) as lm:
            return await build_examples(trees, lm, CORPUS, prompts=PROMPTS, recipe=Recipe(seed=3))

    with LMServer(answer=reply) as server:
        built = asyncio.run(run(server))
    texts = [(e.kind, e.query, e.positives, e.negatives, e.provenance["split"]) for e in built.examples]
    return texts, {name: n for name, n in built.counts.items() if name.startswith("negatives")}


def test_the_same_examples_come_of_what_was_exported(tmp_path):
    trees = [legs("a"), legs("b", "Another question?")]
    export_official(trees, tmp_path)
    back = list(read_official(tmp_path, top_k=7))
    assert [name for name, _ in back] == [f"Question 000{n} - Final Solutions.json" for n in range(2)]
    assert [one.problem for _, one in back] == [one.problem for one in trees]
    expected, reasons = examples_of([(one.problem.problem_id, one) for one in trees])
    got, _ = examples_of(back)
    assert got == expected and len(got) == 7 * 2 - 2, "seven of each tree, but each lexical query once"
    assert reasons["negatives left out: positive"] > 0, "cosine was both kept and rejected"


def test_what_comes_back_of_a_lookup(tmp_path):
    """cosine was kept elsewhere, so its label at this lookup is lost; primes was never judged; the others are as they were."""
    export_official([legs()], tmp_path)
    ((_, one),) = read_official(tmp_path, top_k=7)
    (node,) = [n.id for n in one.tree.nodes if n.kind == QUERY and "squares" in n.content["text"]]
    verdicts = [(each.doc_id, each.score, each.verdict) for each in one.found[node]]
    assert verdicts == [
        ("twin", 9.0, "rejected"),
        ("pyth", 8.0, "kept"),
        ("angles", 7.0, "rejected"),
        ("heron", 6.0, "kept"),
        ("primes", 5.0, "failed"),
        ("cosine", 4.0, "failed"),
        ("euler", 3.0, "rejected"),
    ]
    assert one.found[node][2].reason == "angles only" and one.found[node][5].reason == "kept elsewhere"
    assert one.tree.nodes[node].content["name"] == "squares on sides"
    assert one.tree.nodes[node].content["statement"] == "squares on sides."
    fewer = next(read_official(tmp_path, top_k=3))[1].found[node]
    assert [each.doc_id for each in fewer] == ["twin", "pyth", "angles", "heron"], (
        "the three best, and what became a node"
    )


def random_tree(seed: int) -> Grown:
    """A search with children by chance, all of different texts."""
    number = random.Random(seed)
    one = Grown(Problem(f"p{seed}", "q?", "5"), Rules(rollouts=12, max_depth=5), seed)
    made = Counter()

    def children(request):
        found = []
        for ask in request.asks:
            for _ in range(ask.n or 2):
                made["all"] += 1
                text = f"{ask.kind} {made['all']}"
                if ask.kind == SOLUTION:
                    reward = number.choice([0.0, 0.2, 1.0])
                    content = {"text": text, "answer": None, "rewards": [reward]}
                    found.append(Child(SOLUTION, content, reward))
                elif ask.kind == THOUGHT:
                    found.append(Child(THOUGHT, {"text": text}))
                elif ask.kind == QUERY:
                    found.append(Child(QUERY, {"text": text}))
                elif number.random() < 0.7:
                    found.append(theorem(f"d{made['all']}", text))
        return found

    drive(search(one.tree, one.rules, seed), children)
    for node in one.tree.nodes:
        if node.kind == QUERY and node.children:
            docs = [one.tree.nodes[child].content.get("doc_id") for child in node.children]
            kept = [Found(d, 1.0, "kept", "s", "r") for d in docs if d]
            one.found[node.id] = (*kept, Found(f"n{node.id}", 0.5, "rejected", "s", "no"))
    return one


@pytest.mark.parametrize("seed", range(5))
def test_a_searched_tree_comes_back_as_far_as_its_paths_go(seed, tmp_path):
    """Every path to an answer or a rollout's end, with the visits and values of its nodes; and no other path."""
    one = random_tree(seed)
    assert len(one.tree.rollouts) == 12 and any(node.kind == THEOREM for node in one.tree.nodes)
    export_official([one], tmp_path)
    ((_, back),) = read_official(tmp_path, top_k=20)

    def paths(grown, ends):
        return [
            [(n.kind, n.content["text"], n.reward, n.visits, n.value) for n in grown.tree.path(end)] for end in ends
        ]

    assert paths(back, back.tree.rollouts) == paths(one, one.tree.rollouts)
    answers = [[node.id for node in grown.tree.answers()] for grown in (back, one)]
    assert sorted(paths(back, answers[0])) == sorted(paths(one, answers[1]))
    on_paths = {node.id for end in (*one.tree.rollouts, *answers[1]) for node in one.tree.path(end)}
    assert len(back.tree.nodes) == len(on_paths)
    back.write(tmp_path / "tree.json")
    assert Grown.read(tmp_path / "tree.json").tree.to_json() == back.tree.to_json()


def official(folder, steps: list[dict], negatives: list[dict] = (), answer: dict | None = None) -> None:
    """Sheets as the published code writes them, of question 3."""
    sheets = folder / "answer_sheets"
    sheets.mkdir(parents=True)
    entries = [{"trace": {"0": {"user_question": "q?", **step}}, "rollout_id": i} for i, step in enumerate(steps)]
    for name in ("Final", "Rollout"):
        (sheets / f"Question 0003 - {name} Solutions.json").write_text(json.dumps(entries))
    if answer is not None:
        (sheets / "Question 0003 - Answer.json").write_text(json.dumps(answer))
    if negatives:
        (folder / "hard_negatives").mkdir()
        (folder / "hard_negatives" / "3.json").write_text("\n".join(map(json.dumps, negatives)))


def label(doc_id, relevance: int) -> dict:
    return {
        "question_id": 3,
        "theorem_id": doc_id,
        "LLM_relevance_label": relevance,
        "LLM_explanation": f"Reason: {doc_id}",
    }


def lookup(scores) -> dict:
    return {
        "ost_step": {
            "1": "Think.",
            "1_querygeneration": ["Theorem Name: N\nTheorem Statement: S", None, None, None, {}, 1],
            "1_retrieval": ["N - S", scores, "Repllama", "17"],
        },
        "direct_answer": {"text": "\\boxed{5}", "value": 1},
    }


def test_scores_of_all_documents_tell_whose_negatives_they_are(tmp_path):
    """The lookup's best five of 100 are 17, 99, 98, 97, 96; of the rejected only those among them are its own."""
    scores = {str(n): float(n) for n in range(100)} | {"17": 1000.0}
    given = {"3_5": {"query": "N", "scores": scores}}
    official(tmp_path, [lookup(given)], [label("99", 0), label("17", 1), label("4", 0), label("97", 0)])
    ((_, one),) = read_official(tmp_path)
    ((_, found),) = one.found.items()
    assert [(each.doc_id, each.verdict) for each in found] == [
        ("17", "kept"), ("99", "rejected"), ("98", "failed"), ("97", "rejected"), ("96", "failed")
    ]  # fmt: skip
    assert one.problem == Problem("3", "q?", ""), "no answer file was there"
    assert one.solved and one.tree.nodes[-1].content == {"text": "\\boxed{5}", "answer": "5", "rewards": [1.0]}


def test_without_scores_all_that_the_question_rejected_stands_there(tmp_path):
    answer = {"id": "3", "problem": "q?", "gold_answer": "\\frac{1}{2}"}
    official(tmp_path, [lookup({})], [label(99, 0), label(17, 1), label(4, 0), label(5, 0), label(5, 1)], answer)
    ((_, one),) = read_official(tmp_path)
    ((_, found),) = one.found.items()
    assert [(each.doc_id, each.verdict) for each in found] == [("17", "kept"), ("99", "rejected"), ("4", "rejected")]
    assert one.problem.answer == "\\frac{1}{2}"


def test_what_the_path_held_already_was_not_judged_again(tmp_path):
    """The second lookup lists 17 again, which the path holds since the first."""
    step = lookup({"3_5": {"query": "N", "scores": {"17": 2.0, "4": 1.0}}})
    scores = {"3_9": {"query": "M", "scores": {"17": 2.0, "8": 1.5, "4": 1.0}}}
    step["ost_step"] |= {"2": "More.", "2_querygeneration": ["M", None, None, None, {}, 1]}
    step["ost_step"] |= {"2_retrieval": ["M - T", scores, "BM25", "8"]}
    official(tmp_path, [step], [label("4", 0), label("17", 1), label("8", 1)])
    ((_, one),) = read_official(tmp_path)
    second = one.found[max(one.found)]
    assert [(each.doc_id, each.verdict) for each in second] == [("17", "used"), ("8", "kept"), ("4", "rejected")]


def test_a_node_is_as_old_as_its_oldest_path(tmp_path):
    """Traces of rollouts 2 and then 1 go through one thought: it was made in rollout 1."""
    official(tmp_path, [{"ost_step": {"1": "t"}, "direct_answer": {"text": text, "value": 0.2}} for text in ("a", "b")])
    path = tmp_path / "answer_sheets" / "Question 0003 - Final Solutions.json"
    entries = loaded(path)
    path.write_text(json.dumps([entry | {"rollout_id": 2 - place} for place, entry in enumerate(entries)]))
    (tmp_path / "answer_sheets" / "Question 0003 - Rollout Solutions.json").write_text("[]")
    ((_, one),) = read_official(tmp_path)
    assert [(node.kind, node.rollout) for node in one.tree.nodes] == [
        ("question", 0), ("thought", 1), ("solution", 2), ("solution", 1)
    ]  # fmt: skip


def test_gold_documents_come_back_without_judgements(tmp_path):
    one = grown("gold", "q?")
    hang(one.tree, 0, theorem("ring", "Rings add."))
    hang(one.tree, 1, solution("\\boxed{5}", 1.0))
    walk(one.tree, 2)
    one.found[0] = (Found("ring", 1.0, "kept", "Rings add."),)
    export_official([one], tmp_path)
    assert trace(one, 2)["0"]["ost_step"]["0_retrieval"] == ["Rings add.", {}, None, "ring"]
    ((_, back),) = read_official(tmp_path)
    assert [(each.doc_id, each.verdict) for each in back.found[0]] == [("ring", "kept")]
    assert not list((tmp_path / "hard_negatives").iterdir())


def test_what_is_broken_is_named(tmp_path):
    with pytest.raises(ValueError, match=r"has no file 'Question N - Final Solutions.json'; give the folder above"):
        list(read_official(tmp_path / "nothing"))
    official(tmp_path / "a", [{"ost_step": {"1": {"text": "no list"}}}])
    with pytest.raises(
        ValueError, match=r"Question 0003 - Final Solutions.json or its Rollout Solutions hold a broken trace"
    ):
        list(read_official(tmp_path / "a"))
    official(tmp_path / "b", [lookup({})])
    (tmp_path / "b" / "answer_sheets" / "Question 0003 - Rollout Solutions.json").unlink()
    with pytest.raises(ValueError, match=r"Rollout Solutions.json is missing"):
        list(read_official(tmp_path / "b"))
    official(tmp_path / "c", [lookup({})], [{"theorem_id": "1"}])
    with pytest.raises(ValueError, match=r"3.json:1 is no judgement \(KeyError"):
        list(read_official(tmp_path / "c"))
    official(tmp_path / "d", [], answer={"id": "3"})
    with pytest.raises(ValueError, match=r"Question 0003 - Answer.json is broken"):
        list(read_official(tmp_path / "d"))
    (tmp_path / "b" / "answer_sheets" / "Question 0003 - Final Solutions.json").write_text('[{"trace"')
    with pytest.raises(ValueError, match=r"Final Solutions.json is broken"):
        list(read_official(tmp_path / "b"))
