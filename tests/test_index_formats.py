"""The files that other tools read, against those tools: faiss, Pyserini's writer and searcher, npids, FlexIndex."""

import json
import os
import subprocess
import sys

import faiss
import numpy as np
import pytest

from rader_ir.index import Index
from rader_ir.index_formats import (
    faiss_flat_header,
    pt_meta,
    write_embeddings_jsonl,
    write_encoded_queries,
    write_npids,
)
from rader_ir.index_writer import build_index, write_index
from rader_ir.java import find_java
from tests.toy_index import Toy, documents, vector

COUNT, DIMENSION = 60, 12


@pytest.fixture(scope="module")
def index(tmp_path_factory) -> Index:
    return build_index(tmp_path_factory.mktemp("index") / "both", documents(COUNT), Toy(DIMENSION), chunk=16)


@pytest.fixture(scope="module")
def queries() -> np.ndarray:
    return np.stack([vector(f"query {number}", DIMENSION) for number in range(8)])


@pytest.mark.parametrize(("count", "dimension"), [(0, 384), (1, 1), (3, 384), (7, 3584)])
def test_the_header_is_the_one_that_faiss_writes(tmp_path, count, dimension):
    flat = faiss.IndexFlatIP(dimension)
    flat.add(np.ones((count, dimension), np.float32))
    faiss.write_index(flat, str(tmp_path / "flat"))
    assert (tmp_path / "flat").read_bytes() == faiss_flat_header(count, dimension) + b"\0\0\x80\x3f" * count * dimension


def test_index_and_docid_have_the_bytes_of_pyserinis_writer(tmp_path, index):
    """Its FaissRepresentationWriter fills an IndexFlatIP, saves it as `index`, and prints one id a line into `docid`."""
    flat = faiss.IndexFlatIP(DIMENSION)
    flat.add(np.ascontiguousarray(index.vectors))
    faiss.write_index(flat, str(tmp_path / "index"))
    with open(tmp_path / "docid", "w", encoding="utf-8") as file:
        file.writelines(f"{doc_id}\n" for doc_id, _ in documents(COUNT))
    for name in ("index", "docid"):
        assert (index.folder / name).read_bytes() == (tmp_path / name).read_bytes()


@pytest.mark.parametrize("ids", [["a"], ["b", "é", "longer id"], [f"doc{n}" for n in range(20000)], ["7", "007", "70"]])
def test_npids_looks_up_both_ways(tmp_path, ids):
    npids = pytest.importorskip("npids")
    encoded = [doc_id.encode() for doc_id in ids]
    write_npids(tmp_path / "ids", len(ids), lambda: [encoded[:3], encoded[3:]])
    lookup = npids.Lookup(tmp_path / "ids")
    assert (len(lookup), list(lookup)) == (len(ids), ids)
    assert lookup.fwd[np.arange(len(ids))].tolist() == ids
    assert lookup.inv[ids] == list(range(len(ids)))
    assert lookup.inv[["absent", ids[0]]] == [-1, 0]


def test_flexindex_opens_the_folder_and_ranks_alike(index, queries):
    pytest.importorskip("pyterrier_dr")
    import pandas as pd
    import pyterrier as pt
    from pyterrier_dr import FlexIndex

    flex = FlexIndex(str(index.folder), verbose=False)
    frame = pd.DataFrame({"qid": [str(number) for number in range(8)], "query": "", "query_vec": list(queries)})
    ours = [(index.doc_ids[positions].tolist(), scores) for positions, scores in index.search(queries, depth=20)]
    for retriever in (flex.np_retriever(num_results=20), flex.faiss_flat_retriever() % 20):
        found = retriever(frame).sort_values(["qid", "rank"])
        for number, (doc_ids, scores) in enumerate(ours):
            rows = found[found["qid"] == str(number)]
            assert rows["docno"].tolist() == doc_ids
            assert np.allclose(rows["score"], scores, atol=1e-6)
    assert flex.docnos().inv[index.doc_ids[7]] == 7
    assert isinstance(pt.Artifact.load(str(index.folder)), FlexIndex)


@pytest.mark.java
def test_pyserinis_faiss_searcher_opens_the_folder_and_ranks_alike(index, queries, tmp_path):
    pytest.importorskip("pyserini")
    try:
        home = find_java().home
    except FileNotFoundError as error:
        pytest.skip(str(error))
    np.save(tmp_path / "queries.npy", queries)
    script = (
        "import json, sys, numpy\n"
        "from rader_ir.pyserini.environment import prepare\n"
        "prepare()\n"
        "from pyserini.search.faiss import FaissSearcher\n"
        f"searcher = FaissSearcher({str(index.folder)!r}, None)\n"
        f"found = [searcher.search(query[None], k=20) for query in numpy.load({str(tmp_path / 'queries.npy')!r})]\n"
        "print(json.dumps([[(hit.docid, float(hit.score)) for hit in hits] for hits in found]))\n"
    )
    environment = {**os.environ, "JAVA_HOME": str(home), "OPENAI_API_KEY": "x"}
    command = [sys.executable, "-c", script]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout.splitlines()[-1])
    for hits, (positions, scores) in zip(found, index.search(queries, depth=20), strict=True):
        assert [doc_id for doc_id, _ in hits] == index.doc_ids[positions].tolist()
        assert np.allclose([score for _, score in hits], scores, atol=1e-6)


def test_pt_meta_tells_pyterrier_which_class_opens_the_folder():
    assert pt_meta(5, 3, ["pyserini"]) == {"type": "dense_index", "format": "rader", "package_hint": "rader-ir"}
    flex = pt_meta(5, 3, ["pyserini", "flex"])
    assert (flex["type"], flex["format"], flex["vec_size"], flex["doc_count"]) == ("dense_index", "flex", 3, 5)


def test_embeddings_jsonl_has_both_names_of_the_id(index, tmp_path):
    write_embeddings_jsonl(index, tmp_path / "embeddings.jsonl")
    records = [json.loads(line) for line in (tmp_path / "embeddings.jsonl").read_text("utf-8").splitlines()]
    assert [record["id"] for record in records] == [record["docid"] for record in records] == list(index.doc_ids)
    assert np.array_equal(np.array([record["vector"] for record in records], np.float32), index.vectors)


@pytest.mark.parametrize("dimension", [4096, 4097])
def test_lucene_takes_at_most_4096_dimensions(tmp_path, dimension):
    wide = write_index(tmp_path / "wide", [("a", np.ones(dimension))], dimension=dimension, made_by={})
    if dimension == 4096:
        write_embeddings_jsonl(wide, tmp_path / "embeddings.jsonl")
        return
    with pytest.raises(ValueError, match="4097 dimensions and Lucene indexes at most 4096"):
        write_embeddings_jsonl(wide, tmp_path / "embeddings.jsonl")
    assert os.listdir(tmp_path) == ["wide"]


def test_embedding_pkl_is_what_pyserinis_query_encoder_loads(tmp_path, queries):
    """Its loader: read_pickle, then dict(zip(df['text'].tolist(), df['embedding'].tolist()))."""
    pd = pytest.importorskip("pandas")
    texts = {str(number): f"query {number}" for number in range(8)}
    path = write_encoded_queries(texts, queries, tmp_path / "new")
    frame = pd.read_pickle(path)
    loaded = dict(zip(frame["text"].tolist(), frame["embedding"].tolist(), strict=True))
    assert list(loaded) == list(texts.values()) and frame["id"].tolist() == list(texts)
    assert np.array_equal(np.stack(list(loaded.values())), queries) and loaded["query 0"].dtype == np.float32
    assert os.listdir(tmp_path / "new") == ["embedding.pkl"]
    with pytest.raises(ValueError, match="8 queries came with 7 vectors"):
        write_encoded_queries(texts, queries[:7], tmp_path)
