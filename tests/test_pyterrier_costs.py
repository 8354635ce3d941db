"""What a reranker took: requests and tokens as a server counts them, pairs as the model reads them, None where nothing tells."""

import numpy as np
import pandas as pd
import pytest

pt = pytest.importorskip("pyterrier")

from pyterrier_rader import DeARReranker, ICRReranker, LLMRatingReranker, RaDeRReranker, RankGPTReranker  # noqa: E402
from pyterrier_rader.costs import measured, warmed  # noqa: E402
from rader_ir.cross_encoder import CrossEncoder  # noqa: E402
from tests import judging  # noqa: E402
from tests.lm_server import MODEL, LMServer  # noqa: E402
from tests.pyterrier_cases import TEXTS, instruct, results, topics  # noqa: E402

QUERIES, DOCS = topics()["query"].tolist(), [list(TEXTS.values())] * 3


def worthy(queries: int, documents: int) -> pd.DataFrame:
    """Rows of passages that say what they are worth."""
    rows = [
        (f"q{i}", f"query {i}", f"d{j}", text, float(-j), j)
        for i in range(queries)
        for j, text in enumerate(judging.passages(judging.worths(documents, i)))
    ]
    return pd.DataFrame(rows, columns=["qid", "query", "docno", "text", "score", "rank"])


class Silent:
    """A ready reranker that counts nothing."""

    def score(self, queries, docs):
        return [np.zeros(len(texts)) for texts in docs]


def words(server: LMServer) -> tuple[int, int]:
    """What the server has been sent, in words, which it takes for tokens; and the number of requests."""
    sent = sum(len(message["content"].split()) for body in server.requests for message in body["messages"])
    return sent, len(server.requests)


def test_requests_and_tokens_are_those_of_the_server():
    """Windows of 4 every 2 over 8 documents: 3 calls for each of 5 queries."""
    with LMServer(answer=judging.order) as server:
        found, cost = measured(RankGPTReranker(server.url, lm_model=MODEL, window=4, stride=2), worthy(5, 8))
        sent, requests = words(server)
    assert (cost.queries, cost.calls, cost.tokens_in) == (5, requests, sent) and requests == 15
    assert cost.tokens_out == 15 * 7 and cost.malformed == 0 and cost.seconds > 0  # "[1] > [2] > [3] > [4]"
    assert found["score"].max() == 8


def test_answers_that_cannot_be_read_count_with_all_that_was_asked_for_them():
    """One window, asked for three times in vain."""
    with LMServer(answer=lambda body: "I cannot say.") as server:
        _, cost = measured(RankGPTReranker(server.url, lm_model=MODEL), worthy(4, 5))
        assert (cost.calls, cost.malformed) == (len(server.requests), 4) and len(server.requests) == 12


def test_pairs_are_calls_and_nothing_is_written(tiny_qwen2_reranker):
    reranker, engine = RaDeRReranker(tiny_qwen2_reranker), CrossEncoder(tiny_qwen2_reranker)
    engine.score(QUERIES, DOCS)
    for _ in range(2):
        _, cost = measured(reranker, results())
        assert (cost.queries, cost.calls, cost.tokens_in, cost.tokens_out) == (3, *engine.work, 0)
        assert cost.calls == 15 and cost.malformed is None


def test_both_stages_of_dear_count_together_and_warming_asks_nothing(tiny_qwen2_reranker):
    with LMServer(answer=judging.order) as server:
        pointwise = DeARReranker(stage="pointwise", checkpoint=tiny_qwen2_reranker)
        both = DeARReranker(server.url, lm_model=MODEL, checkpoint=tiny_qwen2_reranker)
        pointwise.unload()
        warmed(both, worthy(2, 5))
        assert not server.requests and pointwise.stages()[0].model().model._loaded is not None
        alone = measured(pointwise, worthy(2, 5))[1]
        cost = measured(both, worthy(2, 5))[1]
        sent, requests = words(server)
    assert (alone.calls, requests, cost.calls) == (10, 2, 12)
    assert cost.tokens_in == alone.tokens_in + sent and alone.malformed is None and cost.malformed == 0


def test_prompts_of_attention_are_calls():
    _, cost = measured(ICRReranker(instruct()), results())
    assert cost.calls == 3 and cost.tokens_in > 100 and cost.tokens_out == 0 and cost.malformed is None


def test_what_nobody_tells_is_unknown(monkeypatch):
    """A server without counts of tokens; a transformer of another house."""
    monkeypatch.setattr(LMServer, "_completion", _without_usage(LMServer._completion))
    with LMServer(answer=lambda body: "Relevance score: 3") as server:
        _, cost = measured(LLMRatingReranker(server.url, lm_model=MODEL), worthy(2, 3))
    assert (cost.calls, cost.tokens_in, cost.tokens_out) == (6, None, None)
    found, cost = measured(pt.Transformer.identity(), results())
    assert len(found) == 15 and cost.queries == 3 and cost.seconds > 0
    assert cost.calls is cost.malformed is cost.tokens_in is cost.tokens_out is None
    _, cost = measured(RaDeRReranker(Silent()), results())
    assert cost.calls is cost.tokens_in is None


def test_rows_that_are_not_there_cost_nothing():
    with LMServer(answer=judging.order) as server:
        reranker = RankGPTReranker(server.url, lm_model=MODEL)
        measured(reranker, worthy(2, 3))
        _, cost = measured(reranker, worthy(2, 3).iloc[:0])
    assert (cost.queries, cost.calls, cost.malformed) == (0, 0, 0)


def _without_usage(complete):
    def completion(self, body, kind):
        return {name: value for name, value in complete(self, body, kind).items() if name != "usage"}

    return completion
