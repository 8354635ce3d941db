"""Reranking: agreement with the engine, what is asked of it, fields, passages, cuts, and the cost of the plumbing."""

import numpy as np
import pandas as pd
import pytest

pt = pytest.importorskip("pyterrier")

from pyterrier_rader import Bm25Retriever, RaDeRReranker, TextLoader  # noqa: E402
from rader_ir.checkpoints import DEFAULT_RERANKER, DEFAULT_RETRIEVER  # noqa: E402
from tests.pyterrier_cases import TEXTS, documents, results, topics  # noqa: E402
from tests.toys import WordOverlap  # noqa: E402


def test_scores_are_those_of_the_engine(tiny_qwen2_reranker):
    from rader_ir.cross_encoder import CrossEncoder

    wanted = CrossEncoder(tiny_qwen2_reranker, max_length=64).score(topics()["query"], [list(TEXTS.values())] * 3)
    out = RaDeRReranker(tiny_qwen2_reranker, max_length=64)(results())
    scored = out.pivot(index="qid", columns="docno", values="score").loc[topics()["qid"], list(TEXTS)]
    np.testing.assert_allclose(scored.to_numpy(), np.stack(wanted), atol=1e-5)
    small = RaDeRReranker(tiny_qwen2_reranker, max_length=64, batch_tokens=1)(results())
    pd.testing.assert_frame_equal(small, out, rtol=1e-4, atol=1e-5)


def test_passages_of_the_engine(tiny_qwen2_reranker):
    from rader_ir.rerank import open_reranker

    options = dict(passage_length=4, passage_stride=2)
    engine = open_reranker("rader", checkpoint=tiny_qwen2_reranker, **options)
    wanted = engine.score(topics()["query"], [list(TEXTS.values())] * 3)
    out = RaDeRReranker(tiny_qwen2_reranker, **options)(results())
    scored = out.pivot(index="qid", columns="docno", values="score").loc[topics()["qid"], list(TEXTS)]
    np.testing.assert_allclose(scored.to_numpy(), np.stack(wanted), atol=1e-5)


def test_pairs_that_were_cut_are_counted(tiny_qwen2_reranker):
    reranker = RaDeRReranker(tiny_qwen2_reranker, max_length=64)
    before = reranker.truncated
    rows = {"qid": ["1"] * 3, "query": ["odd"] * 3, "docno": list("abc"), "text": ["a", "b", "long " * 80]}
    reranker(pd.DataFrame(rows))
    assert reranker.truncated == before + 1
    assert RaDeRReranker(WordOverlap()).truncated is None


def test_pairs_that_were_read_are_counted(tiny_qwen2_reranker):
    """Three documents for one query, of which two are equal."""
    reranker = RaDeRReranker(tiny_qwen2_reranker, max_length=96)
    before = reranker.work
    rows = {"qid": ["1"] * 3, "query": ["odd"] * 3, "docno": list("abc"), "text": ["a", "b", "b"]}
    reranker(pd.DataFrame(rows))
    assert reranker.work[0] - before[0] == 2
    read = reranker.model().model._tokens.pairs(["odd", "odd"], ["a", "b"], "", 96)
    assert reranker.work[1] - before[1] == sum(map(len, read.rows))
    assert RaDeRReranker(WordOverlap()).work is None


def test_by_hand():
    """Words that each document shares with "odd cycle of a graph", counted by hand; ties by docno."""
    out = RaDeRReranker(WordOverlap())(results())
    asked = out[out["qid"] == "q2"]
    counted = [("d2", 4.0, 0), ("d10", 2.0, 1), ("d3", 2.0, 2), ("d4", 2.0, 3), ("d1", 1.0, 4)]
    assert list(zip(asked["docno"], asked["score"], asked["rank"], strict=True)) == counted


def test_called_with_nothing_it_names_the_published_checkpoint():
    from pyterrier_rader import RaDeREncoder

    assert RaDeRReranker().checkpoint == DEFAULT_RERANKER == "reranker_Qwen25_7B_NuminaMath_MATH_allquerytypes"
    assert RaDeREncoder().checkpoint == DEFAULT_RETRIEVER == "RaDeR_gte_Qwen2-7B_MATH_LLMq_CoT_lexical"


def test_the_default_checkpoint_offline_says_what_is_missing(monkeypatch, tmp_path):
    with pytest.raises(FileNotFoundError, match="reranker_Qwen25_7B_NuminaMath_MATH_allquerytypes"):
        RaDeRReranker()(results())


def test_all_queries_go_to_the_model_in_one_call_and_a_pair_once():
    class Once(WordOverlap):
        calls = 0

        def score(self, queries, docs):
            self.calls += 1
            return super().score(queries, docs)

    scorer = Once()
    RaDeRReranker(scorer)(pd.concat([results(), results()]))
    assert scorer.calls == 1
    assert len(scorer.pairs) == len(set(scorer.pairs)) == len(results())


def test_texts_that_differ_behind_a_null_character_are_two():
    scorer = WordOverlap()
    frame = results().iloc[:2].assign(text=["page\0one odd cycle", "page\0two"], query="odd cycle")
    assert RaDeRReranker(scorer)(frame)["score"].tolist() == [2.0, 0.0]


def test_documents_are_given_in_the_order_of_the_first_stage():
    """Rerankers that compare documents begin with it; rows may stand in any order."""
    scorer = WordOverlap()
    frame = results().sample(frac=1, random_state=3)
    RaDeRReranker(scorer)(frame[frame["qid"] == "q1"])
    assert [doc for _, doc in scorer.pairs] == list(TEXTS.values())


def test_other_fields():
    frame = results().rename(columns={"text": "body"}).assign(question="prime power")
    out = RaDeRReranker(WordOverlap(), query_field="question", text_field="body")(frame)
    assert out.groupby("qid")["docno"].first().tolist() == ["d10"] * 3
    assert out["query"].tolist() != out["question"].tolist()


def test_num_results_cuts_each_query():
    whole, cut = RaDeRReranker(WordOverlap())(results()), RaDeRReranker(WordOverlap(), num_results=2)(results())
    pd.testing.assert_frame_equal(cut, whole[whole["rank"] < 2].reset_index(drop=True))


def test_unions_and_concatenations_before_it():
    """`|` and `^` repeat row labels; `|` drops scores and ranks."""
    bm25 = Bm25Retriever.from_documents(documents().to_dict("records"))
    union = (bm25 % 1 | bm25 % 3) >> TextLoader(TEXTS) >> RaDeRReranker(WordOverlap())
    joined = (bm25 % 1 ^ bm25 % 3) >> TextLoader(TEXTS) >> RaDeRReranker(WordOverlap())
    plain = bm25 % 3 >> TextLoader(TEXTS) >> RaDeRReranker(WordOverlap())
    columns = ["qid", "docno", "score", "rank"]
    pd.testing.assert_frame_equal(union(topics())[columns], plain(topics())[columns])
    pd.testing.assert_frame_equal(joined(topics())[columns], plain(topics())[columns])


def test_as_a_feature_beside_others():
    features = (RaDeRReranker(WordOverlap()) ** RaDeRReranker(WordOverlap("again")))(results())
    assert all(first == second for first, second in features["features"])


def test_a_model_that_answers_wrongly_is_named():
    class Short(WordOverlap):
        def score(self, queries, docs):
            return [scores[:-1] for scores in super().score(queries, docs)]

    class Nan(WordOverlap):
        def score(self, queries, docs):
            scores = super().score(queries, docs)
            return [s * np.nan if "odd" in query else s for query, s in zip(queries, scores, strict=True)]

    with pytest.raises(ValueError, match=r"gave \[4, 4, 4\] scores for \[5, 5, 5\] documents"):
        RaDeRReranker(Short())(results())
    with pytest.raises(ValueError, match="qid 'q2': the model's score is not a number"):
        RaDeRReranker(Nan())(results())


def test_a_row_without_qid_is_refused():
    with pytest.raises(ValueError, match="qid is missing on 5 of 15 rows"):
        RaDeRReranker(WordOverlap())(results().assign(qid=results()["qid"].where(results()["qid"] != "q1")))


def test_unload_reaches_the_model():
    scorer = WordOverlap()
    RaDeRReranker(scorer).unload()
    assert scorer.unloaded == 1
