"""Every command of rader_ir.pyserini in one process with one JVM: `python -m tests.pyserini_loop FOLDER CHECKPOINT`.

FOLDER holds docs.jsonl, topics.jsonl and excluded.txt. The runs and vectors that the commands write are left there, and beside
them what Pyserini's own searchers say, for test_pyserini_commands.py to compare.
"""

import json
import sys
from pathlib import Path

from rader_ir.files import numbered_lines
from rader_ir.pyserini import RaDeRQueryEncoder
from rader_ir.pyserini.__main__ import main
from rader_ir.pyserini.topics import read_topics

DEEP = 60


def run(*argv: str) -> None:
    """One command, which must go well."""
    if code := main(argv):
        sys.exit(code)


def encode(folder: Path, checkpoint: str) -> None:
    """The corpus with Pyserini and without it, as FAISS index; one of them as JSONL too."""
    corpus = ["input", "--corpus", f"{folder}/docs.jsonl", "--fields", "title", "text"]
    encoder = ["encoder", "--encoder", checkpoint, "--fields", "title", "text", "--device", "cpu", "--batch-size", "7"]
    run("encode", *corpus, "output", "--embeddings", f"{folder}/stock", "--to-faiss", *encoder)
    run("encode", "--native", *corpus, "output", "--embeddings", f"{folder}/native", "--to-faiss", *encoder)
    run("encode", "--native", *corpus, "output", "--embeddings", f"{folder}/jsonl", *encoder)
    run("encode", *corpus, "output", "--embeddings", f"{folder}/stock-jsonl", *encoder)
    run("lucene", "--index", f"{folder}/stock", "--output", f"{folder}/lucene-vectors")


def search(folder: Path, checkpoint: str) -> None:
    """Dense runs: with Pyserini, without it, from encoded queries, one query at a time."""
    needed = ["--topics", f"{folder}/topics.jsonl", "--topics-format", "raw_jsonl", "--hits", "10"]
    model = ["--encoder", checkpoint, "--device", "cpu"]
    named = folder / "bright-aops"  # a name by which Pyserini would ask the hub for excluded ids
    named.symlink_to(folder / "native")
    run("search", "--index", str(named), *needed, *model, "--output", f"{folder}/dense.trec")
    run("search", "--index", f"{folder}/native", *needed, *model, "--output", f"{folder}/dense-native.trec", "--native")
    task = [*needed, *model, "--task", "theoremqa_questions"]
    run("search", "--index", f"{folder}/native", *task, "--output", f"{folder}/task.trec")
    run("search", "--index", f"{folder}/native", *task, "--output", f"{folder}/task-native.trec", "--native")
    single = ["--batch-size", "1", "--excluded-ids", f"{folder}/excluded.txt"]
    run("search", "--index", f"{folder}/stock", *needed, *model, *single, "--output", f"{folder}/dense-single.trec")
    run("queries", "--topics", f"{folder}/topics.jsonl", *model, "--output", f"{folder}/queries")
    encoded = ["--index", f"{folder}/native", *needed, "--encoded-queries", f"{folder}/queries"]
    run("search", *encoded, "--output", f"{folder}/dense-encoded.trec")
    run("search", *encoded, "--output", f"{folder}/dense-encoded-native.trec", "--native")


def hybrid(folder: Path, checkpoint: str) -> None:
    """Lucene's BM25 index, the fused run, and the two lists that Pyserini's searchers give for it."""
    from pyserini.index.lucene import LuceneIndexer
    from pyserini.search.faiss import FaissSearcher
    from pyserini.search.hybrid import HybridSearcher
    from pyserini.search.lucene import LuceneSearcher

    indexer = LuceneIndexer(f"{folder}/bm25")
    for _, line in numbered_lines(folder / "docs.jsonl"):
        record = json.loads(line)
        indexer.add_doc_dict({"id": record["id"], "contents": record["title"] + "\n" + record["text"]})
    indexer.close()
    fusion = ["fusion", "--alpha", "0.3", "--normalise", "minmax", "--hits", "20"]
    topics = ["run", "--topics", f"{folder}/topics.jsonl", "--hits", "10", "--output", f"{folder}/hybrid.trec"]
    dense = ["dense", "--index", f"{folder}/native", "--encoder", checkpoint, "--device", "cpu"]
    run("hybrid", *dense, "sparse", "--index", f"{folder}/bm25", *fusion, *topics)
    weighted = [*topics[:-1], f"{folder}/hybrid-weighted.trec", "--excluded-ids", f"{folder}/excluded.txt"]
    run("hybrid", *dense, "sparse", "--index", f"{folder}/bm25", "--bm25qs", *fusion, *weighted)
    faiss = FaissSearcher(f"{folder}/native", RaDeRQueryEncoder(checkpoint, device="cpu"))
    lucene = LuceneSearcher(f"{folder}/bm25")
    queries, _ = read_topics(f"{folder}/topics.jsonl")
    for name, searcher in {"faiss": faiss, "lucene": lucene}.items():
        dump(folder / f"{name}.json", {qid: searcher.search(text, DEEP) for qid, text in queries.items()})
    pyserini_hybrid = HybridSearcher(faiss, lucene)
    dump(folder / "pyserini-hybrid.json", {qid: pyserini_hybrid.search(text, 20, 10) for qid, text in queries.items()})


def lucene_vectors(folder: Path, checkpoint: str) -> None:
    """A flat Lucene index of our JSONL, searched by vectors written as text."""
    from pyserini.pyclass import autoclass
    from pyserini.search.lucene import LuceneFlatDenseSearcher

    where = ["-input", f"{folder}/lucene-vectors", "-index", f"{folder}/flat", "-threads", "1"]
    how = ["-collection", "JsonDenseVectorCollection", "-generator", "DenseVectorDocumentGenerator"]
    autoclass("io.anserini.index.IndexFlatDenseVectors").main([*how, *where])
    encoder, searcher = RaDeRQueryEncoder(checkpoint, device="cpu"), LuceneFlatDenseSearcher(f"{folder}/flat")
    queries, _ = read_topics(f"{folder}/topics.jsonl")
    vectors = {qid: json.dumps(encoder.encode(text).tolist()) for qid, text in queries.items()}
    dump(folder / "flat.json", {qid: searcher.search(vector, 10) for qid, vector in vectors.items()})


def dump(path: Path, hits: dict) -> None:
    """{query_id: {doc_id: score}} of Pyserini's hits as JSON."""
    run = {qid: {hit.docid: float(hit.score) for hit in found} for qid, found in hits.items()}
    path.write_text(json.dumps(run), encoding="utf-8")


if __name__ == "__main__":
    for step in (encode, search, hybrid, lucene_vectors):
        step(Path(sys.argv[1]), sys.argv[2])
