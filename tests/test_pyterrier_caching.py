"""Cached scores: asked once, never mixed between models or settings, and the frames of the scorer itself."""

import sys

import pandas as pd
import pytest

pt = pytest.importorskip("pyterrier")
pytest.importorskip("pyterrier_caching")

from pyterrier_rader import CachedScores, RaDeREncoder, RaDeRReranker  # noqa: E402
from tests.pyterrier_cases import results  # noqa: E402
from tests.toys import WordEncoder, WordOverlap  # noqa: E402


def test_the_second_time_nothing_is_asked(tmp_path):
    scorer = WordOverlap()
    cached = CachedScores(RaDeRReranker(scorer), tmp_path)
    wanted = RaDeRReranker(WordOverlap())(results())
    pd.testing.assert_frame_equal(cached(results()), wanted)
    asked = len(scorer.pairs)
    pd.testing.assert_frame_equal(cached(results().sample(frac=1, random_state=1)), wanted)
    assert len(scorer.pairs) == asked == len(results())
    renamed = results().assign(qid="other-" + results()["qid"])  # the query's text is what counts
    cached(renamed)
    assert len(scorer.pairs) == asked


def test_only_new_pairs_are_asked(tmp_path):
    scorer = WordOverlap()
    cached = CachedScores(RaDeRReranker(scorer), tmp_path)
    cached(results()[results()["docno"] != "d3"])
    scorer.pairs.clear()
    out = cached(pd.concat([results(), results()]))
    assert len(scorer.pairs) == 3
    assert len(out) == 30


def test_all_scores_are_kept_whatever_the_cut(tmp_path):
    scorer = WordOverlap()
    cut = CachedScores(RaDeRReranker(scorer, num_results=1), tmp_path)
    assert cut(results())["rank"].max() == 0
    whole = CachedScores(RaDeRReranker(scorer), tmp_path)(results())
    assert len(whole) == len(scorer.pairs) == len(results())
    assert (CachedScores(RaDeRReranker(scorer), tmp_path) % 2).compile()(results())["rank"].max() == 1


def test_each_setting_has_its_own_cache(tmp_path):
    scorers = [
        RaDeRReranker(WordOverlap("a")),
        RaDeRReranker(WordOverlap("b")),
        RaDeRReranker(WordOverlap("a"), text_field="note"),
        RaDeREncoder(WordEncoder("a")).text_scorer(),
        RaDeREncoder(WordEncoder("a"), passage_length=3).text_scorer(),
        RaDeREncoder(WordEncoder("a"), instruction="Find: ").text_scorer(),
    ]
    paths = {CachedScores(scorer, tmp_path).path() for scorer in scorers}
    assert len(paths) == len(scorers)
    for scorer in scorers:
        pd.testing.assert_frame_equal(CachedScores(scorer, tmp_path)(results()), scorer(results()))


def test_real_checkpoints_are_told_apart_by_their_fingerprint(tmp_path, tiny_qwen2_reranker):
    short, long = (RaDeRReranker(tiny_qwen2_reranker, max_length=length) for length in (32, 64))
    assert CachedScores(short, tmp_path).path() != CachedScores(long, tmp_path).path()
    assert (
        CachedScores(short, tmp_path).path()
        == CachedScores(RaDeRReranker(tiny_qwen2_reranker, max_length=32), tmp_path).path()
    )
    pd.testing.assert_frame_equal(CachedScores(short, tmp_path)(results()), short(results()), rtol=1e-6)


def test_an_instruction_of_the_frame_is_a_part_of_the_query(tmp_path):
    scorer = RaDeREncoder(WordEncoder()).text_scorer()
    cached = CachedScores(scorer, tmp_path)
    told = results().assign(qinstruction="prime power elements")
    cached(results())
    pd.testing.assert_series_equal(cached(told)["score"], scorer(told)["score"])
    assert cached(told)["score"].tolist() != cached(results())["score"].tolist()


def test_a_row_without_an_instruction_is_kept_under_the_encoders_own(tmp_path):
    """A null takes the encoder's instruction and "" takes none: two scores, also where only part of a query is new."""
    scorer = RaDeREncoder(WordEncoder(), instruction="prime power elements").text_scorer()
    cached = CachedScores(scorer, tmp_path)
    told = results().assign(qinstruction=[None] * 10 + ["odd cycle"] + [None] * 4)
    for frame in (told[told["docno"] == "d1"], results().assign(qinstruction=""), told):
        pd.testing.assert_series_equal(cached(frame)["score"], scorer(frame)["score"])


def test_a_reranker_without_instructions_is_asked_once_whatever_the_frame_says(tmp_path):
    scorer = WordOverlap()
    cached = CachedScores(RaDeRReranker(scorer), tmp_path)
    cached(results())
    cached(results().assign(qinstruction="prime power elements"))
    assert len(scorer.pairs) == len(results())


def test_what_cannot_be_cached_is_refused(tmp_path):
    with pytest.raises(TypeError, match="has no fingerprint to key a cache by; give a RaDeRReranker or a text_scorer"):
        CachedScores(pt.Transformer.identity(), tmp_path)


def test_without_pyterrier_caching_it_says_what_to_install(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "pyterrier_caching", None)
    with pytest.raises(ModuleNotFoundError, match="pip install pyterrier-caching"):
        CachedScores(RaDeRReranker(WordOverlap()), tmp_path)(results())
