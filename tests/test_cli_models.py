"""The verbs that run models, on tiny checkpoints: their files hold what the engine computes directly."""

import json
import shlex
from pathlib import Path

import numpy as np
import pytest

from rader_ir.cli import main
from rader_ir.rerank import ASKING, UNPUBLISHED
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


def test_index_and_search_rank_by_inner_product(files, tiny_bert):
    assert rader(f"index docs.jsonl --checkpoint {tiny_bert} --out index --json f.json") == 0
    assert figures()["documents"] == 5
    assert rader("search index queries.jsonl --depth 2 --out dense.trec --json f.json") == 0
    assert_equal_runs(read_run("dense.trec"), best(inner_products(tiny_bert), depth=2))
    assert (figures()["queries"], figures()["rows"], figures()["truncated"]) == (2, 4, 0)


def test_an_index_is_searched_with_the_text_path_it_records(files, tiny_qwen2):
    """Forms and lengths given to `index` need not be given again, and cut texts are counted."""
    options = f"--checkpoint {tiny_qwen2} --forms tevatron --max-doc-length 8"
    assert rader(f"index docs.jsonl {options} --out index --json f.json") == 0
    assert figures()["truncated"] == 5
    assert rader("search index queries.jsonl --out dense.trec") == 0
    expected = inner_products(tiny_qwen2, forms="tevatron", max_doc_length=8)
    assert_equal_runs(read_run("dense.trec"), best(expected))


def test_an_instruction_stands_before_each_query(files, tiny_qwen2):
    assert rader(f"index docs.jsonl --checkpoint {tiny_qwen2} --out index") == 0
    assert rader("search index queries.jsonl --instruction 'Find it: ' --out dense.trec") == 0
    assert_equal_runs(read_run("dense.trec"), best(inner_products(tiny_qwen2, instruction="Find it: ")))
    assert rader("search index queries.jsonl --task theoremqa_theorems --out task.trec") == 0
    instruction = "Instruct: Given a Math problem, retrieve relevant theorems that help answer the problem\nQuery: "
    assert_equal_runs(read_run("task.trec"), best(inner_products(tiny_qwen2, instruction=instruction)))


def test_a_search_with_another_encoder_is_refused_unless_allowed(files, tiny_bert, tiny_qwen2, capsys):
    assert rader(f"index docs.jsonl --checkpoint {tiny_bert} --out index") == 0
    assert rader(f"search index queries.jsonl --checkpoint {tiny_qwen2} --out x.trec") == 2
    err = capsys.readouterr().err
    assert "pooling: 'mean' / 'last'" in err and "--allow-mismatch" in err
    assert rader(f"search index queries.jsonl --checkpoint {tiny_qwen2} --allow-mismatch --out x.trec") == 0


def test_shards_merge_into_the_same_index(files, tiny_bert):
    assert rader(f"index docs.jsonl --checkpoint {tiny_bert} --out whole") == 0
    for number in (1, 0):
        assert rader(f"index docs.jsonl --checkpoint {tiny_bert} --out parts --shard {number}/2") == 0
    assert rader("merge parts --shards 2 --json f.json") == 0
    assert figures()["documents"] == 5
    for folder in ("whole", "parts"):
        assert rader(f"search {folder} queries.jsonl --out {folder}.trec") == 0
    assert_equal_runs(read_run("parts.trec"), read_run("whole.trec"))


@pytest.mark.parametrize("kind", ["hnsw", "sq8", "fp16"])
def test_other_structures_are_built_and_searched(files, tiny_bert, capsys, kind):
    """On five documents every structure sees all of them, and scores are those of the vectors themselves."""
    build = f"index docs.jsonl --checkpoint {tiny_bert} --out index"
    assert rader(build) == 0
    assert rader(f"search index queries.jsonl --kind {kind} --out x.trec") == 2
    assert f"--kinds {kind}" in capsys.readouterr().err
    assert rader(f"{build} --kinds {kind}") == 0
    assert rader(f"search index queries.jsonl --kind {kind} --out x.trec") == 0
    assert_equal_runs(read_run("x.trec"), best(inner_products(tiny_bert)))


@pytest.mark.parametrize("verb", ["index docs.jsonl --out index", "merge index --shards 2"])
def test_an_unknown_structure_is_refused_before_anything_is_encoded(files, capsys, verb):
    with pytest.raises(SystemExit) as end:
        rader(f"{verb} --kinds hnsw,foo")
    assert end.value.code == 2 and not Path("index").exists()
    assert "foo cannot be built; choose from hnsw, sq8, fp16" in capsys.readouterr().err


def test_documents_are_appended(files, tiny_bert):
    lines = Path("docs.jsonl").read_text().splitlines(keepends=True)
    Path("first.jsonl").write_text("".join(lines[:3]))
    Path("rest.jsonl").write_text("".join(lines[3:]))
    assert rader(f"index first.jsonl --checkpoint {tiny_bert} --out index") == 0
    assert rader(f"index rest.jsonl --checkpoint {tiny_bert} --out index --append --json f.json") == 0
    assert rader("search index queries.jsonl --out dense.trec") == 0
    assert_equal_runs(read_run("dense.trec"), best(inner_products(tiny_bert)))


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


def test_a_biencoder_is_told_which_lengths_it_has(files, tiny_bert, capsys):
    command = f"rerank all.trec --docs docs.jsonl --queries queries.jsonl --system biencoder --checkpoint {tiny_bert}"
    assert rader(f"{command} --max-length 8 --out x.trec") == 2
    assert "with --system biencoder give --max-query-length or --max-doc-length" in capsys.readouterr().err


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


def test_bm25_takes_ids_with_blanks_on_request(files, capsys):
    Path("docs.jsonl").write_text('{"doc_id": "a b", "text": "the law of numbers"}\n')
    assert rader("bm25 docs.jsonl queries.jsonl --out x.trec") == 2
    told = capsys.readouterr().err
    assert "doc id 'a b' holds a blank" in told and "--allow-blank-ids" in told
    assert rader("bm25 docs.jsonl queries.jsonl --out x.trec --allow-blank-ids") == 0
    assert list(read_run("x.trec")["q1"]) == ["a b"]


BROKEN = {
    "broken JSON": (b'{"doc_id": "a", "text": "x"}\n{"doc_id": "b"', "docs.jsonl:2: broken JSON"),
    "not UTF-8": (b'{"doc_id": "a", "text": "\xff"}\n', "docs.jsonl:1: not UTF-8"),
    "null text": (b'{"doc_id": "a", "text": null}\n', "docs.jsonl:1"),
    "empty text": (b'{"doc_id": "a", "text": " "}\n', "docs.jsonl:1"),
    "a document twice": (b'{"doc_id": "a", "text": "x"}\n{"doc_id": "a", "text": "y"}\n', "'a'"),
    "a blank in an id": (b'{"doc_id": "a b", "text": "x"}\n', "'a b'"),
}


@pytest.mark.parametrize(("content", "message"), BROKEN.values(), ids=BROKEN)
def test_bad_documents_end_with_2_and_no_index(files, tiny_bert, capsys, content, message):
    Path("docs.jsonl").write_bytes(content)
    assert rader(f"index docs.jsonl --checkpoint {tiny_bert} --out index") == 2
    err = capsys.readouterr().err
    assert message in err and err.count("\n") == 1
    assert rader("search index queries.jsonl --out x.trec") == 2, "what was written is not taken for an index"


def test_rerank_by_idcm_is_its_score(files, tiny_qwen2_reranker):
    """With one passage read of each document, and with as many as there are, against the system itself."""
    from rader_ir.rerank.idcm import IDCM
    from tests.idcm_folder import made

    folder = made(files / "idcm", tiny_qwen2_reranker, core=3, overlap=1)
    command = f"rerank all.trec --docs docs.jsonl --queries queries.jsonl --system idcm --checkpoint {folder}"
    for passages in (1, 9):
        assert rader(f"{command} --passages {passages} --out {passages}.trec") == 0
        texts = [list(DOCUMENTS.values())] * 2
        scores = np.stack(IDCM(folder, passages=passages).score(list(QUERIES.values()), texts))
        assert_equal_runs(read_run(f"{passages}.trec"), best(scores))
    assert read_run("1.trec") != read_run("9.trec")
    assert rader(f"{command} --passage-length 5 --out no.trec") == 2


@pytest.mark.parametrize("system", [*ASKING, *UNPUBLISHED])
def test_a_model_that_must_be_named_is_asked_for_by_its_flag(files, capsys, system):
    assert rader(f"rerank all.trec --docs docs.jsonl --queries queries.jsonl --out new.trec --system {system}") == 2
    err = capsys.readouterr().err
    assert ("give --lm URL" if system in ASKING else "give --checkpoint FOLDER, one that `rader train") in err
    assert err.count("\n") == 1 and not Path("new.trec").exists()
