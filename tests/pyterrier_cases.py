"""One case for every public transformer: how to make it, and a frame that it takes.

The traps (test_pyterrier_traps.py) and the contract with PyTerrier (test_pyterrier_contract.py) are run over all of them; a
new transformer needs a line here, which `test_every_public_transformer_is_a_case` holds it to.
"""

import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import pandas as pd
import pyterrier as pt

from pyterrier_rader import (
    Bm25Index,
    CachedScores,
    DeARListwiseReranker,
    DeARReranker,
    ExcludeDocuments,
    ICRReranker,
    IDCMReranker,
    LLMRatingReranker,
    ProRankLMReranker,
    ProRankReranker,
    RaDeREncoder,
    RaDeRFusion,
    RaDeRIndex,
    RaDeRReranker,
    RankGPTReranker,
    RankR1Reranker,
    ReasoningQuery,
    ReciprocalRankFusion,
    SafeQueries,
    TextLoader,
)
from tests import tiny
from tests.judging import WordJudge
from tests.reasoning_cases import Thinker
from tests.toys import WordEncoder, WordOverlap, WordReader

TEXTS = {
    "d1": "every finite integral domain is a field",
    "d2": "a graph is bipartite if it has no odd cycle",
    "d3": "the determinant of a product is the product of determinants",
    "d4": "odd cycle",
    "d10": "a finite field has a prime power of elements",
}
QUERIES = {"q1": "is every finite domain a field?", "q2": "odd cycle of a graph", "q10": "zebra"}


def topics() -> pd.DataFrame:
    return pd.DataFrame({"qid": list(QUERIES), "query": list(QUERIES.values()), "difficulty": [1, 2, 3]})


def documents() -> pd.DataFrame:
    return pd.DataFrame({"docno": list(TEXTS), "text": list(TEXTS.values()), "pages": range(len(TEXTS))})


def results() -> pd.DataFrame:
    """Every query with every document, as a first stage leaves them: scores fall with the rank, one column of its own."""
    rows = [
        (qid, query, docno, text, float(-rank), rank, f"{qid}/{docno}")
        for qid, query in QUERIES.items()
        for rank, (docno, text) in enumerate(TEXTS.items())
    ]
    return pd.DataFrame(rows, columns=["qid", "query", "docno", "text", "score", "rank", "note"])


def two_scores() -> pd.DataFrame:
    frame = results()
    return frame.assign(
        dense=[len(text) / 7 for text in frame["text"]], sparse=[len(text) % 5 for text in frame["text"]]
    )


@dataclass(frozen=True)
class Case:
    """A transformer, a frame for it, and what it does with rows: "rank" (reranks), "keep" (adds a column) or "find"."""

    make: Callable[[], pt.Transformer]
    frame: Callable[[], pd.DataFrame]
    kind: str
    text_field: str | None = None  # the column of texts that it cannot do without


ENCODER, SCORER, READER, JUDGE, THINKER = WordEncoder(), WordOverlap(), WordReader(), WordJudge(), Thinker()


@cache
def folder() -> Path:
    return Path(tempfile.mkdtemp(prefix="pyterrier-cases-"))


@cache
def dense_index() -> RaDeRIndex:
    return (RaDeREncoder(ENCODER) >> RaDeRIndex(folder() / "dense")).index(documents().to_dict("records"))


@cache
def bm25_index() -> Bm25Index:
    return Bm25Index(folder() / "bm25").index(documents().to_dict("records"))


@cache
def instruct() -> str:
    """A folder with a tiny model that has a chat template."""
    return str(tiny.qwen2_chat(folder() / "instruct"))


def with_vectors() -> pd.DataFrame:
    return RaDeREncoder(ENCODER).query_encoder()(topics())


EXCLUDED = {"q1": ["d1"], "q2": ["d9"]}

CASES = {
    "encoder, queries": Case(lambda: RaDeREncoder(ENCODER), topics, "keep"),
    "encoder, documents": Case(lambda: RaDeREncoder(ENCODER), documents, "keep", "text"),
    "encoder, results": Case(lambda: RaDeREncoder(ENCODER), results, "rank", "text"),
    "query encoder": Case(lambda: RaDeREncoder(ENCODER, task="biology").query_encoder(), results, "keep"),
    "doc encoder": Case(lambda: RaDeREncoder(ENCODER).doc_encoder(), results, "keep", "text"),
    "text scorer": Case(lambda: RaDeREncoder(ENCODER).text_scorer(), results, "rank", "text"),
    "text scorer, passages": Case(
        lambda: RaDeREncoder(ENCODER, passage_length=3).text_scorer(), results, "rank", "text"
    ),
    "reranker": Case(lambda: RaDeRReranker(SCORER), results, "rank", "text"),
    "idcm": Case(lambda: IDCMReranker(READER), results, "rank", "text"),
    "idcm, no snippets": Case(lambda: IDCMReranker(READER, snippets=False), results, "rank", "text"),
    "prorank": Case(lambda: ProRankReranker(SCORER), results, "rank", "text"),
    "prorank, asked": Case(lambda: ProRankLMReranker(JUDGE), results, "rank", "text"),
    "rank-r1": Case(lambda: RankR1Reranker(JUDGE, children=2, top=3), results, "rank", "text"),
    "rankgpt": Case(lambda: RankGPTReranker(JUDGE, window=3, stride=2), results, "rank", "text"),
    "rankgpt, shown by chance": Case(
        lambda: RankGPTReranker(JUDGE, method="setwise", shuffle=True), results, "rank", "text"
    ),
    "dear, listwise": Case(lambda: DeARListwiseReranker(JUDGE, first=4), results, "rank", "text"),
    "dear, both": Case(lambda: DeARReranker(JUDGE, checkpoint=SCORER, first=4), results, "rank", "text"),
    "dear, pointwise": Case(lambda: DeARReranker(stage="pointwise", checkpoint=SCORER), results, "rank", "text"),
    "llm rating": Case(lambda: LLMRatingReranker(JUDGE), results, "rank", "text"),
    "icr": Case(lambda: ICRReranker(instruct(), device="cpu"), results, "rank", "text"),
    "icr, windows": Case(
        lambda: ICRReranker(instruct(), method="bare", window=3, layers=(0, 1), device="cpu"), results, "rank", "text"
    ),
    "cached scores": Case(lambda: CachedScores(RaDeRReranker(SCORER), folder() / "scores"), results, "rank", "text"),
    "exclusions": Case(lambda: ExcludeDocuments(EXCLUDED), results, "rank"),
    "fusion of systems": Case(
        lambda: RaDeRFusion(RaDeRReranker(SCORER), RaDeREncoder(ENCODER).text_scorer()), results, "rank", "text"
    ),
    "fusion of retrievers": Case(
        lambda: RaDeRFusion(dense_index().retriever(encoder=RaDeREncoder(ENCODER)), bm25_index().retriever()),
        topics,
        "find",
    ),
    "fusion of columns": Case(lambda: RaDeRFusion("dense", "sparse"), two_scores, "rank"),
    "reciprocal rank": Case(
        lambda: ReciprocalRankFusion(RaDeRReranker(SCORER), RaDeREncoder(ENCODER).text_scorer()),
        results,
        "rank",
        "text",
    ),
    "safe queries": Case(lambda: SafeQueries(), results, "keep"),
    "reasoning query, topics": Case(lambda: ReasoningQuery(THINKER), topics, "keep"),
    "reasoning query, results": Case(lambda: ReasoningQuery(THINKER, expand=True), results, "keep"),
    "text loader": Case(lambda: TextLoader(TEXTS), lambda: results().drop(columns="text"), "keep"),
    "bm25 retriever": Case(lambda: bm25_index().retriever(), topics, "find"),
    "dense retriever": Case(lambda: dense_index().retriever(encoder=RaDeREncoder(ENCODER)), topics, "find"),
    "dense retriever, vectors": Case(lambda: dense_index().retriever(), with_vectors, "find"),
    "vector loader": Case(lambda: dense_index().vec_loader(), results, "keep"),
}
