"""The ratings that RaDeR published, in their own order and fused: nDCG@10 by the formula, for all 12 tasks of BRIGHT."""

import json
import math

import pytest

from rader_ir.bright import TASKS
from rader_ir.evaluation import evaluate
from rader_ir.fusion import interpolate
from rader_ir.rerank.llm_rating import MOST, UNREADABLE
from rader_ir.runs import read_qrels, read_run

# nDCG@10 of the ratings alone, ties as trec_eval breaks them: by doc_id from high to low
OWN_ORDER = {
    "biology": 0.5023,
    "earth_science": 0.4885,
    "economics": 0.2608,
    "psychology": 0.3806,
    "robotics": 0.2628,
    "stackoverflow": 0.2836,
    "sustainable_living": 0.3330,
    "leetcode": 0.2645,
    "pony": 0.2745,
    "aops": 0.0704,
    "theoremqa_questions": 0.2349,
    "theoremqa_theorems": 0.4579,
}


def files(shared, task):
    folder = shared / "data/rader_runs/RaDeR-gte-Qwen2-LLMq_CoT_lexical" / task
    return read_run(folder / "gpt4_score.json.gz"), read_qrels(shared / f"data/bright/qrels/{task}.tsv")


def ndcg(run, qrels) -> float:
    """Mean over the judged queries of DCG / ideal DCG of the first 10, gain = relevance."""

    def dcg(gains) -> float:
        return sum(gain / math.log2(place + 2) for place, gain in enumerate(gains[:10]))

    values = []
    for query_id, judged in qrels.items():
        ideal = dcg(sorted((max(0, gain) for gain in judged.values()), reverse=True))
        order = sorted(run.get(query_id, {}).items(), key=lambda item: (item[1], item[0]), reverse=True)
        found = dcg([judged.get(doc_id, 0) for doc_id, _ in order])
        values.append(found / ideal if ideal else 0.0)
    return sum(values) / len(values)


@pytest.mark.parametrize("task", TASKS)
def test_the_ratings_own_order(shared, task):
    ratings, qrels = files(shared, task)
    values = {value for scores in ratings.values() for value in scores.values()}
    assert {round(MOST * value, 6) for value in values} <= {MOST * UNREADABLE, *range(MOST + 1)}
    measured = evaluate(ratings, qrels, "nDCG@10")["nDCG@10"]
    assert measured == pytest.approx(ndcg(ratings, qrels), abs=1e-9)
    assert measured == pytest.approx(OWN_ORDER[task], abs=6e-5)


def test_half_of_a_rating_and_half_of_the_first_stage_is_the_published_figure(shared):
    ratings, qrels = files(shared, "theoremqa_theorems")
    folder = shared / "data/rader_runs"
    dense = read_run(folder / "RaDeR-gte-Qwen2-LLMq_CoT_lexical/theoremqa_theorems/hybrid_BM25_Rader.json.gz")
    fused = interpolate(ratings, dense, alpha=0.5, normalise="none", over="all", missing="drop")
    published = json.loads((folder / "expected.json").read_text())["splits"]["theoremqa_theorems"]["published_nDCG@10"]
    assert evaluate(fused, qrels, "nDCG@10")["nDCG@10"] == pytest.approx(published, abs=1e-5)
