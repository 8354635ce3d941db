"""The encoder classes against rader_ir's Encoder, in every way in which Pyserini calls them; no Pyserini, no Java."""

import subprocess
import sys

import numpy as np
import pandas as pd
import pytest

from rader_ir.encoder import Encoder
from rader_ir.pyserini import RaDeRDocumentEncoder, RaDeRQueryEncoder

TEXTS = ["a graph has no odd cycle", "every field is a domain, and every finite domain is a field"]


def close(left, right):
    return np.allclose(left, right, atol=1e-6, rtol=0)


@pytest.fixture(scope="module")
def checkpoint(tiny_qwen2):
    return str(tiny_qwen2)


@pytest.fixture(scope="module")
def encoder(checkpoint):
    return Encoder(checkpoint, device="cpu")


@pytest.fixture(scope="module")
def documents(checkpoint):
    return RaDeRDocumentEncoder(checkpoint, "cpu")


@pytest.fixture(scope="module")
def queries(checkpoint):
    return RaDeRQueryEncoder(checkpoint, device="cpu")


def test_importing_the_package_is_cheap():
    program = "import sys, rader_ir.pyserini as p; p.RaDeRQueryEncoder; p.register; print(*sys.modules)"
    loaded = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True).stdout.split()
    assert not {"torch", "transformers", "faiss", "pandas", "pyserini", "jnius", "jnius_config"} & set(loaded)


def test_unknown_names_are_refused_with_the_known_ones():
    import rader_ir.pyserini

    with pytest.raises(AttributeError, match="RaDeRQueryEncoder, prepare, register"):
        _ = rader_ir.pyserini.RaderEncoder


def test_documents_as_pyserini_hands_them_over(documents, encoder):
    handed = documents.encode(texts=TEXTS, fp16=False, max_length=encoder.checkpoint.max_doc_length, add_sep=False)
    assert handed.dtype == np.float32 and handed.shape == (2, encoder.dimension)
    assert close(handed, encoder.encode_docs(TEXTS))


def test_titles_stand_before_texts_on_their_own_line(documents, encoder):
    vectors = documents.encode(texts=[*TEXTS, None], titles=["Cycles", None, "Alone"])
    assert close(vectors, encoder.encode_docs(["Cycles\n" + TEXTS[0], TEXTS[1], "Alone"]))
    with pytest.raises(ValueError, match="1 titles were given for 2 texts"):
        documents.encode(texts=TEXTS, titles=["Cycles"])


def test_none_is_an_empty_text(documents, queries, encoder):
    """Pyserini turns an empty field into None, and its own classes then fail in the tokenizer."""
    assert close(documents.encode([None]), encoder.encode_docs([""]))
    assert close(queries.encode(None), encoder.encode_queries([""])[0])


@pytest.mark.parametrize("call", [{"query": TEXTS[0]}, {"qid": 7, "query": TEXTS[0]}])
def test_one_query_by_text_and_as_raw_jsonl(queries, encoder, call):
    vector = queries.encode(**call)
    assert vector.shape == (encoder.dimension,)
    assert close(vector, encoder.encode_queries([TEXTS[0]])[0])
    assert close(queries.encode(TEXTS[0]), vector)


def test_batches_of_texts_and_of_mappings(queries, encoder):
    expected = encoder.encode_queries(TEXTS)
    assert close(queries.encode_batch(TEXTS), expected)
    assert close(queries.encode_batch([{"qid": "a", "query": TEXTS[0]}, {"qid": "b", "query": TEXTS[1]}]), expected)


def test_the_instruction_goes_into_the_query(checkpoint, encoder):
    told = RaDeRQueryEncoder(checkpoint, device="cpu", instruction="Find a theorem: ")
    assert close(told.encode(TEXTS[0]), encoder.encode_queries([TEXTS[0]], ["Find a theorem: "])[0])
    assert not close(told.encode(TEXTS[0]), encoder.encode_queries([TEXTS[0]])[0])


def test_half_precision_is_half_precision(checkpoint, encoder):
    documents = RaDeRDocumentEncoder(checkpoint, "cpu")
    half = documents.encode(TEXTS, fp16=True)
    assert documents.encoder.dtype == "float16"
    assert half.dtype == np.float32
    assert close(half, Encoder(checkpoint, device="cpu", dtype="float16").encode_docs(TEXTS))
    assert not close(half, encoder.encode_docs(TEXTS))


def test_nothing_is_loaded_before_the_first_text(checkpoint):
    program = (
        "import sys\nfrom rader_ir.pyserini import RaDeRDocumentEncoder\n"
        "import rader_ir.loading as loading\nloading.live = None\n"
        f"RaDeRDocumentEncoder({checkpoint!r}, 'cpu', pooling='last')\nprint('built')"
    )
    assert (
        subprocess.run([sys.executable, "-W", "ignore", "-c", program], capture_output=True, text=True).stdout
        == "built\n"
    )


@pytest.mark.parametrize(
    ("flags", "message"),
    [
        ({"pooling": "cls"}, "pooling 'cls' contradicts .* 'last'"),
        ({"pooling": "mean"}, "pooling 'mean' contradicts .* 'last'"),
        ({"l2_norm": False}, "l2_norm False contradicts .* True"),
        ({"prefix": "passage:"}, "prefix 'passage:' contradicts .* 'document:'"),
        ({"max_length": 256}, "max_length 256 contradicts .* 512"),
        ({"tokenizer_name": "bert-base-uncased"}, "tokenizer_name 'bert-base-uncased' contradicts"),
    ],
)
def test_flags_that_contradict_the_checkpoint_are_refused(checkpoint, flags, message):
    with pytest.raises(ValueError, match=message):
        RaDeRDocumentEncoder(checkpoint, **flags)


@pytest.mark.parametrize(
    "flags",
    [{"pooling": "last"}, {"pooling": "eos"}, {"l2_norm": True}, {"prefix": "document: "}, {"max_length": 512}],
)
def test_flags_that_repeat_the_checkpoint_are_a_warning(checkpoint, flags):
    with pytest.warns(UserWarning, match="is read from the checkpoint"):
        RaDeRDocumentEncoder(checkpoint, **flags)


def test_the_prefix_of_a_query_is_the_query_form(checkpoint):
    with pytest.warns(UserWarning, match="prefix is read from the checkpoint"):
        RaDeRQueryEncoder(checkpoint, prefix="query:")
    with pytest.raises(ValueError, match="prefix 'document:' contradicts"):
        RaDeRQueryEncoder(checkpoint, prefix="document:")


def test_another_length_at_a_call_is_refused(documents, queries):
    with pytest.raises(ValueError, match="max_length 256 contradicts"):
        documents.encode(TEXTS, max_length=256)
    with pytest.raises(ValueError, match="max_length 256 contradicts"):
        queries.encode(TEXTS[0], max_length=256)


def test_two_segments_are_refused(documents):
    with pytest.raises(ValueError, match="add_sep has no place"):
        documents.encode(TEXTS, add_sep=True)


def test_encoded_queries_come_third_by_position(tmp_path):
    """The frame is written as Pyserini's own `encode.query` writes it: columns id, text, embedding, float32 rows."""
    vectors = np.eye(2, 4, dtype=np.float32)
    pd.DataFrame({"id": ["1", "2"], "text": TEXTS, "embedding": list(vectors)}).to_pickle(tmp_path / "embedding.pkl")
    queries = RaDeRQueryEncoder(None, None, str(tmp_path))
    assert np.array_equal(queries.encode(TEXTS[1]), vectors[1])
    assert np.array_equal(queries.encode(query=TEXTS[0], qid="1"), vectors[0])
    assert np.array_equal(queries.encode_batch([{"query": TEXTS[1]}, TEXTS[0]]), vectors[::-1])
    with pytest.raises(ValueError, match="'another' is not among the 2 encoded ones"):
        queries.encode("another")


def test_encoded_queries_that_are_not_there(tmp_path):
    with pytest.raises(FileNotFoundError, match="encode queries by"):
        RaDeRQueryEncoder(None, None, str(tmp_path))


def test_a_query_encoder_needs_one_source(checkpoint, tmp_path):
    with pytest.raises(ValueError, match="give either a checkpoint"):
        RaDeRQueryEncoder()
    with pytest.raises(ValueError, match="give either a checkpoint"):
        RaDeRQueryEncoder(checkpoint, None, str(tmp_path))
