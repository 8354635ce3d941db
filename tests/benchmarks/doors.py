"""One vector, five doors: how far the doors' vectors differ, and whether their searches rank alike.

    python -m tests.benchmarks.doors [--docs 354]

rader_ir, PyTerrier, Pyserini's class, sentence-transformers and plain transformers encode the same texts of the packaged
TheoremQA; then one index folder is searched by rader_ir, PyTerrier, faiss, pyterrier_dr's FlexIndex and, where there is a Java
that can run it, Pyserini's FaissSearcher.
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np
import pandas as pd

from rader_ir.encoder import Encoder
from rader_ir.index import Index
from rader_ir.index_writer import build_index
from rader_ir.java import find_java
from rader_ir.weights import fetch

DEPTH = 10


def vectors_by_door(checkpoint: str, texts: list[str]) -> dict[str, np.ndarray]:
    """Document vectors [n, d] by each door that opens `checkpoint`, which must be a sentence-transformers one."""
    from pyterrier_rader import RaDeREncoder
    from rader_ir.pyserini import RaDeRDocumentEncoder

    encoder = Encoder(checkpoint)
    frame = pd.DataFrame({"docno": [str(i) for i in range(len(texts))], "text": texts})
    return {
        "rader_ir": encoder.encode_docs(texts),
        "PyTerrier": np.stack(RaDeREncoder(checkpoint)(frame)["doc_vec"].tolist()),
        "Pyserini class": RaDeRDocumentEncoder(checkpoint).encode(texts),
        **by_libraries(fetch(encoder.settled()).folder, encoder.settled().max_doc_length, texts),
    }


def by_libraries(folder: Path, max_length: int, texts: list[str]) -> dict[str, np.ndarray]:
    """The same by sentence-transformers and by plain transformers, one text at a time, mean pooled."""
    import torch
    from sentence_transformers import SentenceTransformer
    from transformers import AutoModel, AutoTokenizer

    tokenizer, model = AutoTokenizer.from_pretrained(folder), AutoModel.from_pretrained(folder).eval()
    plain = []
    for text in texts:
        with torch.inference_mode():
            inputs = tokenizer(text, truncation=True, max_length=max_length, return_tensors="pt")
            plain.append(torch.nn.functional.normalize(model(**inputs).last_hidden_state[0].mean(dim=0), dim=-1))
    return {
        "sentence-transformers": SentenceTransformer(str(folder), device="cpu").encode(texts),
        "transformers": torch.stack(plain).numpy(),
    }


def rankings_by_door(folder: Path, queries: dict[str, str], checkpoint: str) -> dict[str, dict[str, list[str]]]:
    """The first DEPTH doc ids of each query by each way to search the index in `folder`."""
    import faiss
    from pyterrier_dr import FlexIndex

    from pyterrier_rader import RaDeREncoder, RaDeRRetriever

    topics = pd.DataFrame({"qid": list(queries), "query": list(queries.values())})
    encoder = RaDeREncoder(checkpoint)
    vectors = Encoder(checkpoint).encode_queries(list(queries.values()))
    ours = Index(folder).retrieve(queries, Encoder(checkpoint), depth=DEPTH)
    _, positions = faiss.read_index(str(folder / "index")).search(vectors, DEPTH)
    doc_ids = (folder / "docid").read_text().splitlines()
    flex = encoder.query_encoder() >> FlexIndex(str(folder)).np_retriever(num_results=DEPTH)
    found = {
        "rader_ir": {query_id: list(docs) for query_id, docs in ours.items()},
        "PyTerrier": _lists(RaDeRRetriever(folder, encoder, num_results=DEPTH)(topics)),
        "faiss": {q: [doc_ids[p] for p in row] for q, row in zip(queries, positions, strict=True)},
        "FlexIndex": _lists(flex(topics)),
    }
    return {**found, **_by_pyserini(folder, queries, checkpoint)}


def _lists(frame: pd.DataFrame) -> dict[str, list[str]]:
    return {qid: rows.sort_values("rank")["docno"].tolist() for qid, rows in frame.groupby("qid")}


_SEARCH = """
import json, sys
folder, checkpoint, depth = sys.argv[1:]
from rader_ir.pyserini import RaDeRQueryEncoder, prepare
prepare()
from pyserini.search.faiss import FaissSearcher
queries = json.load(sys.stdin)
hits = FaissSearcher(folder, RaDeRQueryEncoder(checkpoint)).batch_search(list(queries.values()), list(queries), k=int(depth))
print(json.dumps({query_id: [hit.docid for hit in found] for query_id, found in hits.items()}))
"""


def _by_pyserini(folder: Path, queries: dict[str, str], checkpoint: str) -> dict:
    """In a process of its own, for it starts a JVM; empty where there is no Java for it."""
    try:
        find_java()
    except FileNotFoundError:
        return {}
    command = [sys.executable, "-c", _SEARCH, str(folder), checkpoint, str(DEPTH)]
    done = subprocess.run(command, input=json.dumps(queries), capture_output=True, text=True, env=dict(os.environ))
    if done.returncode:
        raise RuntimeError(f"FaissSearcher failed:\n{done.stderr[-2000:]}")
    return {"FaissSearcher": json.loads(done.stdout.splitlines()[-1])}


def main() -> None:
    """Print both tables."""
    from rader_ir.quickstart import load

    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--docs", type=int, default=354)
    options = parser.parse_args()
    documents, queries, _ = load()
    documents = list(documents.items())[: options.docs]
    vectors = vectors_by_door("minilm", [text for _, text in documents])
    for door, made in vectors.items():
        print(f"{door:22} largest difference from rader_ir {np.abs(made - vectors['rader_ir']).max():.1e}")
    with tempfile.TemporaryDirectory() as folder:
        build_index(folder, documents, Encoder("minilm"))
        rankings = rankings_by_door(Path(folder), queries, "minilm")
    for door, lists in rankings.items():
        equal = sum(lists[query_id] == first for query_id, first in rankings["rader_ir"].items())
        print(f"{door:22} first {DEPTH} documents equal to rader_ir's for {equal} of {len(lists)} queries")


if __name__ == "__main__":
    main()
