"""Growing many trees: kept after each rollout, resumed to the same bytes, ended by a budget or by a server that is gone.

A problem's children are a function of its id and the path, as a deterministic language model would give them.
"""

import asyncio
import json
import random

import pytest

from rader_ir.equivalence import Equivalence
from rader_ir.lm.steady import Spent
from rader_ir.mcts import Child, Rules
from rader_ir.problems import Problem
from rader_ir.synth.grow import Standing, grow_all, vote
from rader_ir.synth.grown import Found, Grown
from rader_ir.synth.store import RUN, Store, file_name

RULES = Rules(rollouts=6, max_depth=4)
PROBLEMS = [Problem(f"p/{number}", f"question {number}", str(number)) for number in range(7)]


async def children(grown, request):
    """Two thoughts, a solution, a query with two theorems, by chance that follows from the path; some theorems rejected."""
    chance = random.Random(f"{grown.problem.problem_id} {request.node.id}")
    await asyncio.sleep(chance.random() * 0.003)
    made = []
    for ask in request.asks:
        if ask.kind == "thought":
            made += [Child("thought", {"text": f"step {chance.randint(0, 99)}"}) for _ in range(ask.n)]
        elif ask.kind == "solution":
            reward = chance.choice([0.0, 0.2, 1.0])
            made.append(Child("solution", {"text": "…", "answer": str(reward), "rewards": [reward]}, reward))
        elif ask.kind == "query":
            made.append(Child("query", {"text": f"theorem {chance.randint(0, 9)}"}))
        else:
            ids = [f"d{chance.randint(0, 9)}", f"d{chance.randint(0, 9)}"]
            grown.found[request.node.id] = tuple(Found(i, 1.0, "rejected" if i < "d5" else "kept") for i in ids)
            made += [Child("theorem", {"doc_id": i, "text": "…"}) for i in dict.fromkeys(ids) if i >= "d5"]
            grown.count("lookups")
    return made


def opened(folder):
    return Store(folder, RULES, 3, {"model": "a"}).open()


def grown_in(folder, problems=PROBLEMS, children=children, **options):
    standing = Standing(problems=len(problems), rollouts=len(problems) * RULES.rollouts)
    options = {"under_way": 3} | options
    with opened(folder) as store:
        asyncio.run(grow_all(problems, store, children, standing, **options))
    return standing


def files(folder):
    return {path.name: path.read_bytes() for path in sorted((folder / "trees").iterdir())}


def test_trees_do_not_depend_on_what_grows_beside_them(tmp_path):
    standing = grown_in(tmp_path / "a", under_way=3)
    assert (standing.problems_done, standing.rollouts_done, standing.kept, standing.under_way) == (7, 42, 0, 0)
    grown_in(tmp_path / "b", under_way=1, problems=PROBLEMS[::-1])
    assert len(files(tmp_path / "a")) == 7
    assert files(tmp_path / "a") == files(tmp_path / "b")
    assert standing.solved == sum(Grown.read(path).solved for path in (tmp_path / "a" / "trees").iterdir()) > 0


def test_a_tree_reads_back_as_it_was_written(tmp_path):
    grown_in(tmp_path, PROBLEMS[:1])
    path = tmp_path / "trees" / f"{file_name('p/0')}.json"
    grown = Grown.read(path)
    assert (grown.problem, grown.rules, grown.seed, grown.finished) == (PROBLEMS[0], RULES, 3, True)
    assert grown.found and grown.counts["lookups"] == len(grown.found)
    grown.write(tmp_path / "again.json")
    assert (tmp_path / "again.json").read_bytes() == path.read_bytes()


@pytest.mark.parametrize("broken_at", [1, 10, 25, 60])
def test_a_run_that_breaks_off_goes_on_to_the_same_bytes(tmp_path, broken_at):
    calls = 0

    async def breaking(grown, request):
        nonlocal calls
        calls += 1
        if calls > broken_at:
            raise KeyError("pulled out")
        return await children(grown, request)

    grown_in(tmp_path / "whole")
    with pytest.raises(KeyError, match="pulled out"):
        grown_in(tmp_path / "broken", children=breaking)
    before = sum(len(json.loads(text)["tree"]["rollouts"]) for text in files(tmp_path / "broken").values())
    standing = grown_in(tmp_path / "broken")
    assert standing.kept == before < 42
    assert files(tmp_path / "broken") == files(tmp_path / "whole")


def test_a_budget_ends_growth_and_nothing_of_a_broken_rollout_is_kept(tmp_path):
    asked = 0

    async def limited(grown, request):
        nonlocal asked
        if asked == 20:
            raise Spent("20 calls")
        asked += 1
        return await children(grown, request)

    standing = grown_in(tmp_path / "a", children=limited, under_way=2)
    assert (standing.stopped, asked) == ("20 calls", 20)
    assert 0 < standing.rollouts_done < 42
    standing = grown_in(tmp_path / "a")
    assert (standing.problems_done, standing.stopped) == (7, "")
    grown_in(tmp_path / "b")
    assert files(tmp_path / "a") == files(tmp_path / "b")


def test_a_folder_of_another_run_is_refused(tmp_path):
    grown_in(tmp_path, PROBLEMS[:1])
    for rules, model, said in (
        (RULES, "b", "model 'a', this call has 'b'"),
        (Rules(), "a", "max_depth 4, this call has 6"),
    ):
        refused = pytest.raises(ValueError, match=f"made with {said}")
        with refused, Store(tmp_path, rules, 3, {"model": model}).open():
            pass
    with pytest.raises(ValueError, match="holds another problem than 'p/0' is now"):
        grown_in(tmp_path, [Problem("p/0", "question 0", "another answer")])
    with opened(tmp_path), pytest.raises(RuntimeError, match="another process"), opened(tmp_path):
        pass
    (tmp_path / RUN).write_text("{")
    with pytest.raises(ValueError, match=r"run\.json is broken"):
        grown_in(tmp_path)


def test_a_damaged_tree_is_named(tmp_path):
    grown_in(tmp_path, PROBLEMS[:1])
    path = tmp_path / "trees" / f"{file_name('p/0')}.json"
    path.write_text(path.read_text()[:-40])
    with pytest.raises(ValueError, match=r"is no tree of rader synthesize .* move it away"):
        grown_in(tmp_path, PROBLEMS[:1])


def test_the_vote_counts_each_node_once(tmp_path):
    """Answers 1.0 of one solution, visited often, against 0.0 of three: the three have it; by reward the one has."""
    grown = Grown(PROBLEMS[0], RULES, 0)
    answers = [("1.0", 1.0), ("0", 0.0), ("0.0", 0.0), (None, 0.0), ("0.00", 0.2)]
    made = [
        Child("solution", {"text": "…", "answer": answer, "rewards": [reward]}, reward) for answer, reward in answers
    ]
    grown.tree.expand(grown.tree.root, made, [True] * 5)
    grown.tree.nodes[1].visits = 50
    with Equivalence() as equal:
        counted, weighed = vote(grown, equal), vote(grown, equal, weighted=True)
    assert (counted.keys, counted.weight, counted.total) == ((2, 3, 5), 3.0, 5.0)
    assert (weighed.keys, weighed.weight) == ((1,), 1.0)
