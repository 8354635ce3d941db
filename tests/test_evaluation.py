import math

import numpy as np
import pytest

from rader_ir.evaluation import bootstrap_interval, evaluate, intervals, per_query, table

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


def test_the_order_of_dicts_decides_no_tie():
    tied = {"1": {"b": 1.0, "a": 1.0, "x": 1.0}}
    turned = {"1": dict(reversed(tied["1"].items()))}
    measures = "nDCG@10 RR@10 RR P@1 AP"
    assert evaluate(tied, QRELS, measures) == evaluate(turned, QRELS, measures)


def test_measures_of_ir_measures_are_taken_as_they_are():
    from ir_measures import AP, nDCG

    assert evaluate(RUN, QRELS, [nDCG @ 10, AP]) == evaluate(RUN, QRELS, "nDCG@10 AP")


@pytest.mark.parametrize("measures", ["nDCG@ten", "Goodness@10", "import os", ["nDCG@10", "Nothing"]])
def test_an_unknown_measure_is_refused(measures):
    with pytest.raises(ValueError, match="hold an unknown one"):
        evaluate(RUN, QRELS, measures)


def test_runs_and_qrels_that_do_not_meet_are_refused():
    with pytest.raises(ValueError, match="no query in common: '9' in the run, '1', '2', '3' in the qrels"):
        evaluate({"9": {"a": 1.0}}, QRELS, "AP")
    with pytest.raises(
        ValueError, match="no document of the run is judged: 'A' in the run, 'a', 'b', 'c' in the qrels"
    ):
        evaluate({"1": {"A": 1.0}}, QRELS, "AP")
    with pytest.raises(ValueError, match="none in the run"):
        evaluate({}, QRELS, "AP")
    with pytest.raises(ValueError, match="query '1', document 'a': score nan is not a finite number"):
        evaluate({"1": {"a": math.nan}}, QRELS, "AP")
    with pytest.raises(ValueError, match="no measure given"):
        evaluate(RUN, QRELS, "")


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


def test_the_table_lines_up():
    text = table({"bm25": {"AP": {"1": 0.5, "2": 0.5}}, "dense retriever": {"AP": {"1": 1.0}, "R@10": {"1": 0.25}}})
    assert text.splitlines() == [
        "| system          | AP                      | R@10                    |",
        "| --------------- | ----------------------- | ----------------------- |",
        "| bm25            | 0.5000 [0.5000, 0.5000] |                         |",
        "| dense retriever | 1.0000 [1.0000, 1.0000] | 0.2500 [0.2500, 0.2500] |",
    ]


def test_the_released_run_has_its_published_figures(shared):
    import json

    from rader_ir.runs import read_qrels, read_run

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
