"""Rerankers that ask a language model, in PyTerrier: agreement with the engine, details, one model for copies, servers."""

import numpy as np
import pandas as pd
import pytest

pt = pytest.importorskip("pyterrier")

from pyterrier_rader import (  # noqa: E402
    DeARListwiseReranker,
    ICRReranker,
    LLMRatingReranker,
    ProRankLMReranker,
    RaDeRFusion,
    RankGPTReranker,
    RankR1Reranker,
)
from pyterrier_rader.llm_rerankers import DETAILS  # noqa: E402
from rader_ir.rerank import open_reranker  # noqa: E402
from tests.judging import WordJudge  # noqa: E402
from tests.lm_server import MODEL, Fault, LMServer  # noqa: E402
from tests.pyterrier_cases import TEXTS, instruct, results, topics  # noqa: E402

EVERY = {
    "rank-r1": (RankR1Reranker, {"children": 2, "top": 3}),
    "rankgpt": (RankGPTReranker, {"window": 3, "stride": 2}),
    "dear-listwise": (DeARListwiseReranker, {"first": 3}),
    "llm-rating": (LLMRatingReranker, {}),
}
every = pytest.mark.parametrize(("system", "made"), EVERY.items(), ids=EVERY)


@every
def test_scores_are_those_of_the_engine(system, made):
    cls, options = made
    wanted = open_reranker(system, lm=WordJudge(), **options).score(topics()["query"], [list(TEXTS.values())] * 3)
    out = cls(WordJudge(), **options)(results().sample(frac=1, random_state=1))
    scored = out.pivot(index="qid", columns="docno", values="score").loc[topics()["qid"], list(TEXTS)]
    np.testing.assert_array_equal(scored.to_numpy(), np.stack(wanted))


def test_by_hand():
    """Words shared with "odd cycle of a graph": d2 4, then d3, d4 and d10 with 2 in their order, d1 with 1."""
    out = RankGPTReranker(WordJudge())(results())
    asked = out[out["qid"] == "q2"]
    assert list(zip(asked["docno"], asked["score"], strict=True)) == [
        ("d2", 5),
        ("d3", 4),
        ("d4", 3),
        ("d10", 2),
        ("d1", 1),
    ]


@every
def test_details_say_what_was_written_and_what_it_cost(system, made):
    cls, options = made
    plain, out = cls(WordJudge(), **options)(results()), cls(WordJudge(), details=True, **options)(results())
    pd.testing.assert_frame_equal(out.drop(columns=list(DETAILS)), plain)
    assert {name: str(out[name].dtype) for name in DETAILS} == DETAILS
    assert out.groupby("qid")["llm_calls"].nunique().eq(1).all() and (out["llm_calls"] > 0).all()
    assert (out["llm_tokens_in"] > 0).all() and (out["llm_malformed"] == 0).all() and (out["llm_seconds"] >= 0).all()
    seen = out["reasoning"] != ""
    assert seen.sum() == {"dear-listwise": 9}.get(system, 15)
    again = cls(WordJudge(), details=True, **options)(out)  # the columns of an earlier one are replaced
    assert list(again.columns) == list(out.columns)
    empty = cls(WordJudge(), details=True, **options)(results().iloc[:0])
    assert list(empty.columns) == list(out.columns) and empty["llm_calls"].dtype == np.int64


@pytest.mark.parametrize(
    ("cls", "answer"),
    [(LLMRatingReranker, "3"), (ProRankLMReranker, "3")]
    + [(cls, "I cannot say.") for cls in (LLMRatingReranker, ProRankLMReranker, RankGPTReranker, RankR1Reranker)],
)
def test_a_model_that_tells_nothing_apart_leaves_the_earlier_order(cls, answer):
    """In the frame, and for whoever sorts by scores and breaks ties by document ids, as evaluation does; doubt is told."""
    first = results()
    with LMServer(
        answer=lambda body: answer, logprobs={"1": -1.0, "0": -1.0} if answer == "3" else {"no": -1.0}
    ) as server:
        reranker = cls(server.url, lm_model=MODEL, retries=0, timeout=30, details=True)
        if answer == "3":
            out = reranker(first)  # every answer was read
        else:
            with pytest.warns(
                UserWarning, match=rf"{cls.__name__}: 0 of \d+ calls got no reply, \d+ none that could be read"
            ):
                out = reranker(first)
        reranker.unload()
    order = first.sort_values(["qid", "rank"]).groupby("qid")["docno"].apply(list)
    assert order.tolist() != first.sort_values(["qid", "docno"]).groupby("qid")["docno"].apply(list).tolist()
    assert out.sort_values(["qid", "rank"]).groupby("qid")["docno"].apply(list).equals(order)
    by_score = out.sort_values(["qid", "score", "docno"], ascending=[True, False, False])
    assert by_score.groupby("qid")["docno"].apply(list).equals(order)
    assert (out["llm_further"] >= 0).all()


def test_calls_without_a_reply_are_told_with_the_servers_words():
    def fault(body, times):
        return Fault("status", 500, "the disk is full") if "cycle" in str(body["messages"]) else None

    with LMServer(answer=lambda body: "3", fault=fault) as server:
        reranker = LLMRatingReranker(server.url, lm_model=MODEL, retries=0)
        with pytest.warns(UserWarning, match=r"[1-9]\d* of 15 calls got no reply \(server_error: .*the disk is full"):
            reranker(results())
        reranker.unload()


def test_copies_share_a_model_and_a_cutoff_is_fused():
    judge = WordJudge()
    reranker = RankR1Reranker(judge)
    fused = (reranker % 2).compile()
    assert fused.num_results == 2 and fused.model() is reranker.model()
    assert RankR1Reranker(judge, details=True).model() is reranker.model()
    assert RankR1Reranker(judge, top=3).model() is not reranker.model()
    fused(results())
    assert [one.calls > 0 for one in reranker.statistics] == [True] * 3 and reranker.truncated == 0


def test_a_prompt_file_that_changed_is_read_again(tmp_path):
    import os

    path = tmp_path / "own.toml"
    path.write_text("[choose]\nmax_tokens = 5\nuser = '''search is: {query}\n{passages}\nby its label'''\n")
    first = RankR1Reranker(WordJudge(), prompt=str(path))
    assert first.model().judge.sampling.max_tokens == 5
    path.write_text(path.read_text().replace("5", "7"))
    os.utime(path, ns=(1, 1))
    assert first.model().judge.sampling.max_tokens == 7


@pytest.mark.parametrize(
    ("make", "told"),
    [
        (lambda: RankR1Reranker("http://x/v1", lm_model="m", children=0), "children is 0"),
        (lambda: RankGPTReranker("http://x/v1", method="guess"), "method 'guess'"),
        (lambda: LLMRatingReranker("http://x/v1", task="history"), "task 'history'"),
        (lambda: RankR1Reranker("http://x/v1", num_results=0), "num_results is 0"),
        (lambda: DeARListwiseReranker("http://x/v1", asks=0), "asks is 0"),
        (lambda: ICRReranker("organisation/x", method="guess"), "method 'guess'"),
        (lambda: ICRReranker("organisation/x", layers=[4, 2]), r"layers is \(4, 2\)"),
    ],
)
def test_settings_that_cannot_be_are_refused_when_it_is_made(make, told):
    with pytest.raises(ValueError, match=told):
        make()


def test_ratings_and_the_first_stage_make_the_papers_fusion():
    """.5 * rating + .5 * score of the first stage, not rescaled."""
    judge = WordJudge()
    fused = RaDeRFusion(LLMRatingReranker(judge), pt.Transformer.identity(), alpha=0.5, normalise="none")(results())
    rated = LLMRatingReranker(judge)(results()).set_index(["qid", "docno"])["score"]
    first = results().set_index(["qid", "docno"])["score"]
    got = fused.set_index(["qid", "docno"])["score"]
    np.testing.assert_allclose(got, 0.5 * rated.loc[got.index] + 0.5 * first.loc[got.index], rtol=1e-6)


def test_over_a_server_all_queries_side_by_side():
    pytest.importorskip("aiohttp")
    with LMServer(answer=lambda body: "[2] > [1]", latency=0.05) as server:
        reranker = RankGPTReranker(server.url, lm_model=MODEL)
        out = reranker(results())
        reranker.unload()
        assert (server.peak, len(server.requests)) == (3, 3)
    assert out.groupby("qid")["docno"].first().tolist() == ["d2"] * 3


@pytest.mark.parametrize("options", [{}, {"method": "qa", "layers": (0, 1)}, {"window": 3}])
def test_attention_gives_the_scores_of_the_engine(options):
    wanted = open_reranker("icr", checkpoint=instruct(), device="cpu", **options).score(
        topics()["query"], [list(TEXTS.values())] * 3
    )
    out = ICRReranker(instruct(), device="cpu", **options)(results().sample(frac=1, random_state=1))
    scored = out.pivot(index="qid", columns="docno", values="score").loc[topics()["qid"], list(TEXTS)]
    np.testing.assert_array_equal(scored.to_numpy(), np.stack(wanted))


def test_attention_tells_what_it_cost():
    """One prompt for five documents, two for windows of three; nothing is written."""
    for options, calls in (({}, 1), ({"window": 3, "stride": 2}, 2)):
        out = ICRReranker(instruct(), device="cpu", details=True, **options)(results())
        assert set(out["llm_calls"]) == {calls} and set(out["llm_tokens_out"]) == {0}
        assert (out["llm_tokens_in"] > 100).all() and set(out["reasoning"]) == {""}


def test_attention_is_shared_by_equal_transformers(tmp_path):
    """Lists are as good as tuples; a prompt file that changed, or other layers, make another model."""
    path = tmp_path / "own.toml"
    path.write_text("[ie]\nmax_tokens = 1\nuser = '{passages} {query}'\n")
    one = ICRReranker(instruct(), layers=[0, 1], prompt=str(path), device="cpu")
    other = (ICRReranker(instruct(), layers=(0, 1), prompt=str(path), device="cpu") % 2).compile()
    live = one.model()
    assert other.model() is live and other.num_results == 2
    assert ICRReranker(instruct(), prompt=str(path), device="cpu").model() is not live
    path.write_text("[ie]\nmax_tokens = 1\nuser = '{passages} and {query}'\n")
    assert one.model() is not live


def test_attention_of_an_object_with_scores():
    """Whatever ranks as the engine does may stand in its place."""
    engine = open_reranker("icr", checkpoint=instruct(), device="cpu")
    pd.testing.assert_frame_equal(ICRReranker(engine)(results()), ICRReranker(instruct(), device="cpu")(results()))
