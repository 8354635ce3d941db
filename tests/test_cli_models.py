"""The verbs that run models, on tiny checkpoints: their files hold what the engine computes directly."""

import json
import shlex
from pathlib import Path

import numpy as np
import pytest

from rader_ir.cli import main
from rader_ir.runs import read_run

DOCUMENTS = {
    "d1": "the law of large numbers",
    "d2": "every finite integral domain is a field",
    "d3": "a graph is bipartite if and only if it contains no odd cycle",
    "d4": "the determinant of a product is a product",
    "d5": "the sample average converges to the expected value",
}
QUERIES = {"q1": "what is the law of large numbers?", "q2": "how many ways to divide a set?"}
EXCLUDED = {"q2": ["d1", "d4"]}


def rader(command: str) -> int:
    """The exit status of `rader COMMAND --quiet`."""
    return main([*shlex.split(command), "--quiet"])


def figures() -> dict:
    return json.loads(Path("f.json").read_text())


@pytest.fixture
def files(tmp_path, monkeypatch):
    """The working folder of a call, with documents, queries and a run of all documents for each query."""
    monkeypatch.chdir(tmp_path)
    docs = [{"doc_id": doc_id, "title": "", "text": text} for doc_id, text in DOCUMENTS.items()]
    queries = [{"query_id": q, "text": t, "excluded_ids": EXCLUDED.get(q, ["N/A"])} for q, t in QUERIES.items()]
    Path("docs.jsonl").write_text("".join(json.dumps(record) + "\n" for record in docs))
    Path("queries.jsonl").write_text("".join(json.dumps(record) + "\n" for record in queries))
    Path("all.trec").write_text("".join(f"{q} Q0 {d} 1 1.0 x\n" for q in QUERIES for d in DOCUMENTS))
    return tmp_path


def best(scores: np.ndarray, *, depth: int = 1000) -> dict[str, dict[str, float]]:
    """{query: {document: score}} of a [queries, documents] array, without excluded documents, cut to depth."""
    run = {}
    for query_id, row in zip(QUERIES, scores, strict=True):
        kept = {d: float(s) for d, s in zip(DOCUMENTS, row, strict=True) if d not in EXCLUDED.get(query_id, [])}
        run[query_id] = dict(sorted(kept.items(), key=lambda item: (-item[1], item[0]))[:depth])
    return run


def assert_equal_runs(found: dict, expected: dict) -> None:
    assert {q: list(scores) for q, scores in found.items()} == {q: list(scores) for q, scores in expected.items()}
    for query_id, scores in expected.items():
        assert found[query_id] == pytest.approx(scores, abs=1e-5)


def inner_products(checkpoint, **options) -> np.ndarray:
    """The oracle of dense retrieval: every query's vector times every document's."""
    from rader_ir.encoder import Encoder

    encoder = Encoder(checkpoint, **options)
    return encoder.encode_queries(list(QUERIES.values())) @ encoder.encode_docs(list(DOCUMENTS.values())).T


def test_rerank_by_a_biencoder_is_its_inner_product(files, tiny_bert):
    command = f"rerank all.trec --docs docs.jsonl --queries queries.jsonl --system biencoder --checkpoint {tiny_bert}"
    assert rader(f"{command} --out reranked.trec --json f.json") == 0
    assert_equal_runs(read_run("reranked.trec"), best(inner_products(tiny_bert)))
    assert figures()["rows"] == 8


def test_rerank_by_a_cross_encoder_is_its_score(files, tiny_qwen2_reranker):
    from rader_ir.cross_encoder import CrossEncoder

    command = "rerank all.trec --docs docs.jsonl --queries queries.jsonl --system rader"
    assert rader(f"{command} --checkpoint {tiny_qwen2_reranker} --out reranked.trec") == 0
    texts = [list(DOCUMENTS.values())] * 2
    scores = np.stack(CrossEncoder(tiny_qwen2_reranker).score(list(QUERIES.values()), texts))
    assert_equal_runs(read_run("reranked.trec"), best(scores))


def test_rerank_cuts_to_the_depth_after_exclusion(files, tiny_bert):
    """Equal first-stage scores are ordered by doc_id: q1 keeps d1 and d2; q2, which excludes d1, keeps d2 and d3."""
    command = f"rerank all.trec --docs docs.jsonl --queries queries.jsonl --system biencoder --checkpoint {tiny_bert}"
    assert rader(f"{command} --depth 2 --out reranked.trec") == 0
    assert {q: sorted(scores) for q, scores in read_run("reranked.trec").items()} == {
        "q1": ["d1", "d2"],
        "q2": ["d2", "d3"],
    }


def test_a_long_document_counts_by_its_best_passage(files, tiny_bert):
    """With passages as long as any document nothing changes; with short ones no score is lower than a whole text's part."""
    from rader_ir.encoder import Encoder

    command = f"rerank all.trec --docs docs.jsonl --queries queries.jsonl --system biencoder --checkpoint {tiny_bert}"
    assert rader(f"{command} --passage-length 4 --passage-stride 2 --out passages.trec") == 0
    encoder = Encoder(tiny_bert)
    vectors = [encoder.encode_docs(parts) for parts in encoder.passages(list(DOCUMENTS.values()), 4, 2)]
    queries = encoder.encode_queries(list(QUERIES.values()))
    scores = np.array([[float((part @ query).max()) for part in vectors] for query in queries])
    assert_equal_runs(read_run("passages.trec"), best(scores))


def test_bm25_writes_what_the_engine_ranks(files):
    from rader_ir.bm25 import BM25

    for variant in ("lucene", "bright"):
        assert (
            rader(f"bm25 docs.jsonl queries.jsonl --variant {variant} --depth 3 --out {variant}.trec --json f.json")
            == 0
        )
        engine = BM25.build(DOCUMENTS.items(), variant=variant)
        expected = engine.retrieve(QUERIES, depth=3, excluded={q: set(ids) for q, ids in EXCLUDED.items()})
        assert read_run(f"{variant}.trec") == {q: scores for q, scores in expected.items() if scores}
        assert figures()["documents"] == 5
