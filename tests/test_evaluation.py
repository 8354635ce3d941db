import gzip
import json
import math
import random

import numpy as np
import pytest

from rader_ir.bright import TASKS, has_long, load
from rader_ir.evaluation import (
    bootstrap_interval,
    evaluate,
    intervals,
    macro_interval,
    missing_queries,
    per_query,
    remarks,
)
from rader_ir.runs import read_qrels, read_run

QRELS = {"1": {"a": 1, "b": 1}, "2": {"a": 1}, "3": {"c": 0}}
RUN = {"1": {"x": 3.0, "a": 2.0}, "9": {"a": 1.0}}


def test_values_by_hand_with_every_judged_query_counted():
    # Query 1: the one hit of two stands second, so DCG = 1 / log2(3) of an ideal 1 + 1 / log2(3). Query 2 is not in the
    # run and query 3 has nothing relevant: 0 each. Query 9 is not judged.
    ndcg = (1 / math.log2(3)) / (1 + 1 / math.log2(3))
    values = per_query(RUN, QRELS, "nDCG@10 R@100")
    assert list(values) == ["nDCG@10", "R@100"]
    assert values["nDCG@10"] == pytest.approx({"1": ndcg, "2": 0, "3": 0})
    assert values["R@100"] == {"1": 0.5, "2": 0, "3": 0}
    assert evaluate(RUN, QRELS, ["R@100", "RR@10"]) == pytest.approx({"R@100": 0.5 / 3, "RR@10": 0.5 / 3})


def test_ties_stand_in_trec_evals_order_for_every_measure():
    """By hand: of equal scores the later doc_id stands first, x b a, so a and b are at 2 and 3.

    1 + 1e-9 is 1 in 32 bits and ties with it, so that a cannot pass b by it.
    """
    tied = {"1": {"b": 1.0, "a": 1.0 + 1e-9, "x": 1.0}}
    found = evaluate(tied, {"1": QRELS["1"]}, "RR RR@10 P@1 P@2 AP nDCG@10")
    ndcg = (1 / math.log2(3) + 1 / math.log2(4)) / (1 + 1 / math.log2(3))
    expected = {"RR": 1 / 2, "RR@10": 1 / 2, "P@1": 0, "P@2": 1 / 2, "AP": (1 / 2 + 2 / 3) / 2, "nDCG@10": ndcg}
    assert found == pytest.approx(expected)


def test_scores_that_32_bits_cannot_hold_tie_at_infinity():
    assert evaluate({"1": {"a": 1e300, "x": 1e200}}, {"1": {"a": 1}}, "RR@10") == {"RR@10": 0.5}  # x before a


@pytest.mark.parametrize("name", ["run.trec", "run.trec.gz"])
def test_a_run_with_ties_has_the_same_figures_whatever_the_order_of_its_rows(tmp_path, name):
    """Files of the same rows, shuffled, against trec_eval's own code (pytrec_eval), which sorts by itself.

    20 queries of 60 documents with three scores, so that every cut falls among equals.
    """
    import pytrec_eval

    chance = random.Random(7)
    doc_ids = [f"d{number}" for number in range(60)]
    qrels = {
        f"q{query}": {doc_id: chance.choice([0, 1, 2]) for doc_id in chance.sample(doc_ids, 12)} for query in range(20)
    }
    rows = [(query_id, doc_id, chance.choice([0.5, 1.0, 2.0])) for query_id in qrels for doc_id in doc_ids]
    measures = {"nDCG@10": "ndcg_cut_10", "R@10": "recall_10", "R@100": "recall_100", "AP": "map", "P@10": "P_10"}
    run = {query_id: {doc_id: score for q, doc_id, score in rows if q == query_id} for query_id in qrels}
    oracle = pytrec_eval.RelevanceEvaluator(qrels, {*measures.values(), "recip_rank"}).evaluate(run)
    for _ in range(3):
        chance.shuffle(rows)
        text = "".join(f"{query_id} Q0 {doc_id} 1 {score} t\n" for query_id, doc_id, score in rows)
        content = text.encode()
        (tmp_path / name).write_bytes(gzip.compress(content) if name.endswith(".gz") else content)
        values = per_query(read_run(tmp_path / name), qrels, [*measures, "RR", "RR@10"])
        for query_id in qrels:
            for measure, called in measures.items():
                assert values[measure][query_id] == pytest.approx(oracle[query_id][called], abs=1e-12)
            whole = oracle[query_id]["recip_rank"]
            assert values["RR"][query_id] == pytest.approx(whole)
            assert values["RR@10"][query_id] == pytest.approx(whole if whole >= 0.1 else 0)


@pytest.mark.parametrize("measures", ["nDCG@ten", "Goodness@10", "import os", ["nDCG@10", "Nothing"]])
def test_an_unknown_measure_is_refused(measures):
    with pytest.raises(ValueError, match="is unknown: "):
        evaluate(RUN, QRELS, measures)


def test_runs_and_qrels_that_do_not_meet_are_refused():
    with pytest.raises(ValueError, match="no query in common: '9' in the run, '1', '2', '3' in the qrels"):
        evaluate({"9": {"a": 1.0}}, QRELS, "AP")
    with pytest.raises(
        ValueError, match="no document of the run is judged: 'A' in the run, 'a', 'b', 'c' in the qrels"
    ):
        evaluate({"1": {"A": 1.0}}, QRELS, "AP")
    for empty in ({}, {"1": {}}):
        with pytest.raises(ValueError, match="the run is empty; look at what should have written it"):
            evaluate(empty, QRELS, "AP")
    with pytest.raises(ValueError, match="query '1', document 'a': score nan is not a finite number"):
        evaluate({"1": {"a": math.nan}}, QRELS, "AP")
    with pytest.raises(ValueError, match="no measure given"):
        evaluate(RUN, QRELS, "")


def test_only_lists_that_are_scored_can_meet_the_judgements():
    """Query 9 has the one judged document, but is not judged itself."""
    with pytest.raises(ValueError, match="no document of the run is judged: 'x' in the run"):
        evaluate({"1": {"x": 1.0}, "9": {"a": 1.0}}, QRELS, "AP")


def test_remarks_count_what_is_missing_and_what_is_too_much():
    assert missing_queries(RUN, QRELS) == ["2", "3"]
    assert missing_queries({"1": {}}, QRELS) == ["1", "2", "3"]
    assert remarks(RUN, QRELS) == ["2 of 3 queries missing, scored 0", "1 query without judgements, left out"]
    assert remarks({query_id: {"a": 1.0, "c": 0.0} for query_id in QRELS}, QRELS) == []
    strange = remarks({query_id: {"c": 1.0} for query_id in ("1", "2")}, QRELS)
    assert len(strange) == 2 and strange[1].startswith("no list holds a document that is judged for its query;")


@pytest.fixture(scope="module")
def bright(shared):
    """{task: ReasonIR's run}, and {task or task and " pages": judgements}."""
    data = shared / "data"
    runs = {task: read_run(data / f"reasonir_runs/{task}.trec.gz") for task in TASKS}
    qrels = {task: read_qrels(data / f"bright/qrels/{task}.tsv") for task in TASKS}
    pages = {f"{task} pages": load(task, source=data / "bright", long=True).qrels for task in filter(has_long, TASKS)}
    return runs, qrels | pages


def test_the_judgements_of_another_split_or_of_pages_are_refused(bright):
    """12 runs against 12 splits and 8 splits of pages: the 12 that belong together pass, the 228 others do not.

    Ids alone do not tell: nine splits number their queries from 0, aops and theoremqa_questions share their corpus, both
    splits of TheoremQA name their queries alike, and pages are named like their passages.
    """
    runs, qrels = bright
    passed = []
    for run in runs:
        for judgements in qrels:
            try:
                per_query(runs[run], qrels[judgements], "P@1")
            except ValueError as error:
                assert "take the judgements of this run's collection and variant" in str(error)
            else:
                passed.append((run, judgements))
    assert len(qrels) == 20 and passed == [(task, task) for task in TASKS]


def test_a_weak_run_and_a_part_of_one_are_measured(bright):
    """The last thirty of each list alone, and three queries of each: few hits, but of the right split."""
    runs, qrels = bright
    for task, run in runs.items():
        weak = {query_id: dict(sorted(scores.items(), key=lambda row: row[1])[:30]) for query_id, scores in run.items()}
        assert 0 <= evaluate(weak, qrels[task], "nDCG@10")["nDCG@10"] < 0.1
        assert remarks(weak, qrels[task]) == []
        part = dict(list(run.items())[:3])
        whole, few = (per_query(each, qrels[task], "R@100")["R@100"] for each in (run, part))
        assert {query_id: few[query_id] for query_id in part} == {query_id: whole[query_id] for query_id in part}
        assert sum(few.values()) == sum(few[query_id] for query_id in part)
        count = len(qrels[task])
        assert remarks(part, qrels[task]) == [f"{count - 3} of {count} queries missing, scored 0"]


def test_the_interval_is_that_of_the_mean():
    values = np.random.default_rng(1).normal(0.4, 0.2, 400)
    low, high = bootstrap_interval(values)
    # Over 400 values the mean is all but normal: 1.96 standard errors to either side.
    error = values.std() / math.sqrt(400)
    assert low == pytest.approx(values.mean() - 1.96 * error, abs=0.2 * error)
    assert high == pytest.approx(values.mean() + 1.96 * error, abs=0.2 * error)
    narrower = bootstrap_interval(values, confidence=0.5)
    assert low < narrower[0] < narrower[1] < high
    assert bootstrap_interval([0.3] * 5) == pytest.approx((0.3, 0.3))


def test_the_interval_of_a_mean_of_means_weighs_each_group_alike():
    """Two groups of 50 and 800 normal values: the error is sqrt(s1 + s2) / 2 of the squared errors of their means."""
    chance = np.random.default_rng(2)
    groups = [chance.normal(0.2, 0.2, 50), chance.normal(0.6, 0.2, 800)]
    middle = (groups[0].mean() + groups[1].mean()) / 2
    error = math.sqrt(sum(group.var() / group.size for group in groups)) / 2
    low, high = macro_interval(groups)
    assert (low, high) == pytest.approx((middle - 1.96 * error, middle + 1.96 * error), abs=0.2 * error)
    assert macro_interval(groups[::-1]) == (low, high)
    assert macro_interval(groups[:1]) == bootstrap_interval(groups[0])


def test_the_interval_depends_on_values_and_seed_only():
    values = [0.1, 0.9, 0.4, 0.7]
    assert bootstrap_interval(values) == bootstrap_interval(values[::-1])
    assert bootstrap_interval(values) != bootstrap_interval(values, seed=1)


@pytest.mark.parametrize(("values", "options"), [([], {}), ([0.1], {"confidence": 1.0})])
def test_an_interval_of_nothing_is_refused(values, options):
    with pytest.raises(ValueError):
        bootstrap_interval(values, **options)


def test_intervals_hold_the_mean_and_the_bounds_of_the_bootstrap():
    low, high = bootstrap_interval([0.0, 1.0, 1.0, 1.0])
    found = intervals({"AP": {"1": 1.0, "2": 0.0, "3": 1.0, "4": 1.0}})
    assert found == {"AP": {"mean": 0.75, "low": low, "high": high}}


def test_the_released_run_has_its_published_figures(shared):
    folder = shared / "data/rader_runs"
    run = read_run(folder / "RaDeR-gte-Qwen2-LLMq_CoT_lexical/theoremqa_theorems/hybrid_BM25_Rader.json.gz")
    qrels = read_qrels(shared / "data/bright/qrels/theoremqa_theorems.tsv")
    published = json.loads((folder / "expected.json").read_text())["theoremqa_theorems"]["retrieval_run"]
    names = {"NDCG": "nDCG", "MAP": "AP", "Recall": "R", "P": "P"}
    expected = {
        f"{names[measure]}@{depth}": value
        for measure, depth, value in ((*key.split("@"), value) for key, value in published.items() if "@" in key)
    }
    assert evaluate(run, qrels, list(expected)) == pytest.approx(expected, abs=6e-6)
