"""The models of an experiment on tiny checkpoints: lengths, instructions, what a key tells, and that one is live at a time."""

from dataclasses import replace

import numpy as np
import pytest

from rader_ir import loading
from rader_ir.encoder import Encoder
from rader_ir.engines import Engines
from rader_ir.pipelines import parse
from rader_ir.rerank.rader import RaDeR
from rader_ir.runs import ranked, read_run
from tests.test_experiment import DOCUMENTS, PONY, QUERIES, assert_equal_runs, bm25, run


def cosines(checkpoint, *, instruction="", everything=False, **options):
    encoder = Encoder(checkpoint, **options)
    queries = encoder.encode_queries(list(QUERIES.values()), [instruction] * len(QUERIES))
    scores = queries @ encoder.encode_docs(list(DOCUMENTS.values())).T
    run = {q: dict(zip(DOCUMENTS, map(float, row), strict=True)) for q, row in zip(QUERIES, scores, strict=True)}
    if not everything:
        run["q2"].pop("d2")  # excluded
    return run


def test_a_dense_system_reads_the_instruction_and_a_collection_may_fix_lengths(tmp_path, tiny_bert):
    short = replace(PONY, max_query_length=6, max_doc_length=5)
    long = replace(PONY, max_query_length=10_000)  # beyond the model's 512 positions
    for name, collection, options, expected in (
        ("own", PONY, {}, {}),
        ("short", short, {}, {"max_query_length": 6, "max_doc_length": 5}),
        ("asked", short, {"max_doc_length": 7}, {"max_query_length": 6, "max_doc_length": 7}),
        ("long", long, {}, {"max_query_length": 512}),
    ):
        run(tmp_path / name, [f"dense:{tiny_bert}"], [collection], engines=Engines(**options))
        found = read_run(tmp_path / name / f"dense-{tiny_bert.name}" / "pony.trec.gz")
        assert_equal_runs(found, cosines(tiny_bert, instruction="Find: ", **expected), abs=1e-5)
    assert cosines(tiny_bert, instruction="Find: ") != cosines(tiny_bert)


def test_rerankers_read_what_they_were_trained_to_read(tmp_path, tiny_bert, tiny_qwen2_reranker):
    """A cross-encoder no instruction, vectors the collection's."""
    names = [f"cross=rerank:rader:{tiny_qwen2_reranker}", f"vectors=rerank:biencoder:{tiny_bert}"]
    run(tmp_path, names, engines=Engines(), rerank_depth=2)
    firsts = {query_id: [doc_id for doc_id, _ in ranked(scores, 2)] for query_id, scores in bm25().items()}
    cosine = cosines(tiny_bert, instruction="Find: ")
    expected = {query_id: {doc_id: cosine[query_id][doc_id] for doc_id in firsts[query_id]} for query_id in QUERIES}
    assert_equal_runs(read_run(tmp_path / "vectors/pony.trec.gz"), expected, abs=1e-5)
    texts = [[DOCUMENTS[doc_id] for doc_id in firsts[query_id]] for query_id in QUERIES]
    scores = RaDeR(tiny_qwen2_reranker).score(list(QUERIES.values()), texts)
    expected = {q: dict(zip(firsts[q], map(float, row), strict=True)) for q, row in zip(QUERIES, scores, strict=True)}
    assert_equal_runs(read_run(tmp_path / "cross/pony.trec.gz"), expected, abs=1e-5)


def test_reranking_by_vectors_takes_those_of_an_index_that_is_made_anyway(tmp_path, tiny_bert):
    """The scores are those without an index, and no document is encoded twice."""
    rerank, read = f"rerank:biencoder:{tiny_bert}", []

    class Watched(Engines):
        def encoder(self, system, collection, **options):
            encoder = super().encoder(system, collection, **options)
            encode = type(encoder).encode_docs
            encoder.encode_docs = lambda texts: read.append(len(texts)) or encode(encoder, texts)
            return encoder

    label = f"rerank-{tiny_bert.name}"
    run(tmp_path / "alone", [rerank], engines=Engines(), rerank_depth=3)
    run(tmp_path / "both", [rerank, f"hybrid:{tiny_bert}"], engines=Watched(), rerank_depth=3)
    alone, both = (read_run(tmp_path / name / label / "pony.trec.gz") for name in ("alone", "both"))
    assert sum(map(len, both.values())) == 6, "BM25 finds two documents for each query"
    assert_equal_runs(both, alone, abs=1e-5)
    assert sum(read) == len(DOCUMENTS)


def test_one_model_is_live_at_a_time(tmp_path, tiny_bert, tiny_qwen2, tiny_qwen2_reranker, monkeypatch):
    live, load = [], loading._load

    def counted(*args):
        live.append(len(loading._live))
        return load(*args)

    monkeypatch.setattr(loading, "_live", {})
    monkeypatch.setattr(loading, "_load", counted)
    names = [f"dense:{tiny_bert}", f"dense:{tiny_qwen2}", f"hybrid:{tiny_bert}", f"rerank:rader:{tiny_qwen2_reranker}"]
    run(tmp_path, names, engines=Engines(), first=names[1])
    assert live == [0, 0, 0], "each found the memory free"
    assert not loading._live


def test_a_key_tells_the_checkpoint_its_forms_and_the_dtype(tiny_bert):
    engines, (system,) = Engines(dtype="bfloat16", device="cpu"), parse([f"dense:{tiny_bert}"])
    told = engines.describe(engines.encoder(system, PONY))
    assert (told["checkpoint"], told["dtype"], told["query_form"]) == (
        str(tiny_bert),
        "bfloat16",
        "{instruction}{text}",
    )
    assert len(told["weights"]) == 16
    others = [Engines(device="cpu"), Engines(dtype="bfloat16", device="cpu", forms="tevatron")]
    assert all(other.describe(other.encoder(system, PONY)) != told for other in others)


def test_weights_that_change_in_place_are_run_again(tmp_path, tiny_bert):
    """Same folder, same name, other numbers: the vectors of the old ones are not searched."""
    import shutil

    from safetensors.numpy import load_file, save_file

    folder = tmp_path / "checkpoint"
    shutil.copytree(tiny_bert, folder)
    run(tmp_path / "out", [f"dense:{folder}"], engines=Engines())
    weights = load_file(folder / "model.safetensors")
    random = np.random.default_rng(0)
    changed = {name: random.normal(size=array.shape).astype(array.dtype) for name, array in weights.items()}
    save_file(changed, folder / "model.safetensors", metadata={"format": "pt"})
    again, _ = run(tmp_path / "out", [f"dense:{folder}"], engines=Engines())
    assert again.made == 1
    assert_equal_runs(
        read_run(tmp_path / "out/dense-checkpoint/pony.trec.gz"), cosines(folder, instruction="Find: "), 1e-5
    )


def test_a_checkpoint_of_the_wrong_kind_is_told(tmp_path, tiny_bert, tiny_qwen2_reranker):
    with pytest.raises(ValueError, match="scores pairs; open it with CrossEncoder"):
        run(tmp_path, [f"dense:{tiny_qwen2_reranker}"], engines=Engines())
    with pytest.raises(ValueError, match="makes vectors; open it with Encoder"):
        run(tmp_path, [f"rerank:rader:{tiny_bert}"], engines=Engines())
