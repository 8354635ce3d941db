import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from rader_ir.bright import TASKS
from rader_ir.evaluation import evaluate
from rader_ir.fusion import PUBLISHED, interpolate, minmax, published_setting, reciprocal_rank, zscore
from rader_ir.runs import read_qrels, read_run

RUNS = st.dictionaries(
    st.sampled_from("pqr"), st.dictionaries(st.sampled_from("abcdef"), st.floats(-100, 100)), max_size=3
)


def test_zscore_divides_by_the_population_deviation():
    # mean 2, deviations -1 0 1, variance 2/3
    np.testing.assert_allclose(zscore(np.array([1.0, 2.0, 3.0])), [-np.sqrt(1.5), 0, np.sqrt(1.5)])
    np.testing.assert_array_equal(minmax(np.array([1.0, 2.0, 5.0])), [0, 0.25, 1])


@pytest.mark.parametrize("normalise", [zscore, minmax])
@pytest.mark.parametrize("scores", [[], [7.0], [0.1, 0.1, 0.1], [0.1] * 10])
def test_equal_scores_become_zeros(normalise, scores):
    np.testing.assert_array_equal(normalise(np.array(scores)), np.zeros(len(scores)))


def test_spreads_at_the_edge_of_float_stay_finite():
    np.testing.assert_allclose(zscore(np.array([0.0, 5e-324])), [-1, 1])
    np.testing.assert_allclose(zscore(np.array([1e307, 2e307])), [-1, 1])


def test_interpolation_by_hand():
    first = {"q": {"a": 3.0, "b": 1.0}}  # z: a 1, b -1
    second = {"q": {"b": 10.0, "c": 30.0}}  # z: b -1, c 1
    fused = interpolate(first, second, alpha=0.75)
    # a: .75 * 1 + .25 * -1 (lacked: the lowest); b: -.75 - .25; c: .75 * -1 (lacked) + .25 * 1
    assert fused == {"q": {"a": 0.5, "c": -0.5, "b": -1.0}}
    assert list(fused["q"]) == ["a", "c", "b"]
    assert interpolate(first, second, alpha=0.75, missing="drop") == {"q": {"b": -1.0}}
    assert interpolate(first, second, alpha=0.75, missing="first") == {"q": {"a": 0.5, "b": -1.0}}
    assert interpolate(first, second, alpha=0.75, normalise="none") == {"q": {"a": 4.75, "b": 3.25, "c": 8.25}}


def test_statistics_over_the_cut_list_or_over_all():
    first = {"q": {"a": 3.0, "b": 1.0, "c": -1.0}}
    second = {"q": {"a": 0.0}}  # one score: 0, and 0 for those it lacks
    assert interpolate(first, second, alpha=1.0, depth=2) == {"q": {"a": 1.0, "b": -1.0}}
    spread = np.sqrt(1.5)
    assert interpolate(first, second, alpha=1.0, depth=2, over="all")["q"] == pytest.approx(
        {"a": spread, "b": 0, "c": -spread}
    )


def test_the_cut_takes_ties_by_doc_id():
    assert interpolate({"q": {"c": 1.0, "b": 1.0, "a": 1.0}}, {}, depth=2) == {"q": {"a": 0.0, "b": 0.0}}


def test_a_query_of_one_list_is_fused_with_zeros():
    fused = interpolate({"p": {"a": 1.0, "b": 0.0}}, {"q": {"a": 5.0, "b": 3.0}, "p": {}}, alpha=0.8)
    assert list(fused) == ["p", "q"]
    assert fused["p"] == pytest.approx({"a": 0.8, "b": -0.8})
    assert fused["q"] == pytest.approx({"a": 0.2, "b": -0.2})
    assert interpolate({"p": {"a": 1.0}}, {}, missing="drop") == {"p": {}}
    # "first" keeps the first list's documents, whether or not the second has the query, and nothing else
    assert interpolate({"p": {"a": 1.0, "b": 0.0}}, {"q": {"a": 1.0}}, alpha=0.8, missing="first") == {
        "p": pytest.approx({"a": 0.8, "b": -0.8}),
        "q": {},
    }


@given(first=RUNS, second=RUNS, alpha=st.floats(0, 1), normalise=st.sampled_from(["zscore", "minmax", "none"]))
def test_neither_dict_order_nor_a_shift_of_scale_matters(first, second, alpha, normalise):
    fused = interpolate(first, second, alpha=alpha, normalise=normalise)
    turned = {query: dict(reversed(scores.items())) for query, scores in reversed(first.items())}
    assert interpolate(turned, second, alpha=alpha, normalise=normalise) == fused
    if normalise == "minmax":
        doubled = {query: {doc: 2 * score for doc, score in scores.items()} for query, scores in first.items()}
        again = interpolate(doubled, second, alpha=alpha, normalise=normalise)
        assert {query: pytest.approx(scores) for query, scores in again.items()} == fused
    for query, scores in fused.items():
        assert scores.keys() == first.get(query, {}).keys() | second.get(query, {}).keys()
        assert list(scores.items()) == sorted(scores.items(), key=lambda row: (-row[1], row[0]))


@pytest.mark.parametrize(
    ("options", "complaint"),
    [
        ({"normalise": "softmax"}, "normalise 'softmax' is unknown; choose 'zscore', 'minmax', 'none'"),
        ({"over": "some"}, "over 'some' is unknown; choose 'topk', 'all'"),
        ({"missing": "zero"}, "missing 'zero' is unknown; choose 'min', 'drop', 'first'"),
        ({"alpha": 1.01}, r"alpha 1.01 is outside \[0, 1\]"),
        ({"alpha": float("nan")}, r"alpha nan is outside \[0, 1\]"),
        ({"depth": 0}, "depth 0"),
    ],
)
def test_unknown_choices_are_refused(options, complaint):
    with pytest.raises(ValueError, match=complaint):
        interpolate({"q": {"a": 1.0}}, {"q": {"a": 1.0}}, **options)


@pytest.mark.parametrize("score", [float("nan"), float("inf"), float("-inf")])
def test_scores_that_are_not_finite_are_refused(score):
    broken = {"q7": {"d3": score, "a": 1.0}}
    for fuse in (lambda: interpolate({}, broken), lambda: reciprocal_rank([broken])):
        with pytest.raises(ValueError, match="query 'q7', document 'd3'"):
            fuse()


def test_reciprocal_rank_by_hand():
    runs = [{"q": {"a": 9.0, "b": 8.0, "c": 7.0}}, {"q": {"b": 0.2, "a": 0.1}, "p": {"a": 1.0}}]
    fused = reciprocal_rank(runs, k=1, depth=2)
    # a: 1/2 + 1/3, b: 1/3 + 1/2, a tie, so by doc_id; c lies below the depth
    assert fused == {"q": {"a": pytest.approx(5 / 6), "b": pytest.approx(5 / 6)}, "p": {"a": 0.5}}
    assert list(fused["q"]) == ["a", "b"]
    assert reciprocal_rank(runs)["p"] == {"a": 1 / 61}


def test_reciprocal_rank_refuses_nothing_to_fuse():
    with pytest.raises(ValueError, match="got no run"):
        reciprocal_rank([])
    with pytest.raises(ValueError, match="k -1 is below 0"):
        reciprocal_rank([{"q": {"a": 1.0}}], k=-1)


def test_a_half_of_rating_and_score_is_pinned():
    """.5 and no normalisation: (1 + .3) / 2 = .65 is above (.8 + .49) / 2 = .645, and (.4 + .61) / 2 = .505 above .5.

    The first two change places where .2 alpha < .19 (1 - alpha), below .4872; the others where .21 (1 - alpha) < .2 alpha,
    above .5122. A document without rating is not ranked, one that the run lacks has the run's lowest score.
    """
    ratings = {"q": {"a": 1.0, "b": 0.8, "c": 0.4, "d": 0.6, "unparsed": -1.0, "lacking": 0.0}}
    dense = {"q": {"a": 0.3, "b": 0.49, "c": 0.61, "d": 0.4, "unparsed": 0.9, "unrated": 0.99}}
    setting = PUBLISHED["bright-rating"]
    fused = interpolate(ratings, dense, **setting)["q"]
    assert fused == pytest.approx({"a": 0.65, "b": 0.645, "c": 0.505, "d": 0.5, "lacking": 0.15, "unparsed": -0.05})
    assert list(fused) == ["a", "b", "c", "d", "lacking", "unparsed"]
    for alpha, order in {0.48: "bacd", 0.52: "abdc"}.items():
        assert "".join(interpolate(ratings, dense, **setting | {"alpha": alpha})["q"])[:4] == order


def test_the_hybrid_of_the_nine_other_tasks_is_pinned():
    """z-scores of 1 and -1 at .8: a .8 - .2, c -.8 + .2; what lies below the first 1000 of a list changes nothing."""
    setting = PUBLISHED["bright-hybrid"]
    fused = interpolate({"q": {"a": 3.0, "b": 1.0}}, {"q": {"b": 10.0, "c": 30.0}}, **setting)
    assert fused["q"] == pytest.approx({"a": 0.6, "c": -0.6, "b": -1.0})
    long = {"q": {f"d{rank:04}": float(-rank) for rank in range(1000)}}
    longer = {"q": long["q"] | {"last": -1e6}}
    assert interpolate(longer, {"q": {"b": 1.0}}, **setting) == interpolate(long, {"q": {"b": 1.0}}, **setting)


def test_the_hybrid_of_mathematics_is_the_dense_run():
    dense = {"q": {"a": 0.51, "b": 0.5}, "p": {"c": 0.3}}
    assert interpolate(dense, {"q": {"b": 30.0, "c": 20.0}}, **PUBLISHED["bright-hybrid-math"]) == dense


def test_every_task_of_bright_has_its_setting():
    math = {"aops", "theoremqa_questions", "theoremqa_theorems"}
    names = {task: published_setting(task) for task in TASKS}
    assert names == {task: "bright-hybrid-math" if task in math else "bright-hybrid" for task in TASKS}
    with pytest.raises(ValueError, match="task 'algebra' is unknown; choose 'biology', "):
        published_setting("algebra")


@pytest.fixture(scope="module")
def theorems(shared):
    """BRIGHT's TheoT: qrels, RaDeR's released run, ratings / 5 of its first 100 by a language model, a BM25 run."""
    released = shared / "data/rader_runs/RaDeR-gte-Qwen2-LLMq_CoT_lexical/theoremqa_theorems"
    return (
        read_qrels(shared / "data/bright/qrels/theoremqa_theorems.tsv"),
        read_run(released / "hybrid_BM25_Rader.json.gz"),
        read_run(released / "gpt4_score.json.gz"),
        read_run(shared / "data/bright_theot_bow/bm25_original_queries.top1000.json.gz"),
    )


@pytest.mark.parametrize(
    ("alpha", "expected"), [(0.5, 0.2732), (0.65, 0.3907), (0.8, 0.4040), (0.9, 0.4329), (1, 0.4343)]
)
def test_bm25_with_the_released_dense_run_agrees_with_the_anchors(theorems, alpha, expected):
    qrels, dense, _, bm25 = theorems
    assert evaluate(interpolate(dense, bm25, alpha=alpha), qrels, "nDCG@10")["nDCG@10"] == pytest.approx(
        expected, abs=5e-5
    )


def test_ratings_with_the_released_run_give_the_published_figure(theorems):
    """Published is .51561; normalising both lists over the 100 rated documents gives other figures, measured elsewhere."""
    qrels, dense, ratings, _ = theorems
    setting = PUBLISHED["bright-rating"]
    for changed, expected, digit in (
        ({}, 0.51561, 1e-5),
        ({"normalise": "zscore", "over": "topk", "depth": 100}, 0.49865, 1e-5),
        ({"normalise": "minmax", "over": "topk", "depth": 100}, 0.4957, 1e-4),
    ):
        fused = interpolate(ratings, dense, **setting | changed)
        assert {query_id: set(scores) for query_id, scores in fused.items()} == {
            query_id: set(scores) for query_id, scores in ratings.items()
        }
        assert evaluate(fused, qrels, "nDCG@10")["nDCG@10"] == pytest.approx(expected, abs=0.51 * digit)


def test_the_released_files_do_not_pin_alpha(theorems):
    """Scores of a query lie so close that ratings decide from .3 to .99: why alpha is pinned by a made case above."""
    qrels, dense, ratings, _ = theorems
    setting = PUBLISHED["bright-rating"]
    figures = {
        alpha: evaluate(interpolate(ratings, dense, **setting | {"alpha": alpha}), qrels, "nDCG@10")["nDCG@10"]
        for alpha in (0.05, 0.3, 0.5, 0.99)
    }
    assert figures[0.3] == figures[0.5] == figures[0.99] > figures[0.05]
