"""A finished retriever opens in every door with equal vectors, merged or as an adapter, texts beyond its limits included."""

import json

import numpy as np
import pytest
import torch
from sentence_transformers import SentenceTransformer
from transformers import AutoModel, AutoTokenizer

from rader_ir.checkpoints import find_checkpoint
from rader_ir.encoder import Encoder
from rader_ir.prompts import fill
from rader_ir.pyserini import RaDeRDocumentEncoder, RaDeRQueryEncoder
from rader_ir.train.retriever import train_retriever
from rader_ir.train.settings import RetrieverOptions
from tests import tiny
from tests.toy_training import QUICK, examples

TEXTS = ["a prime", " two lines,\nand blanks ", "every finite integral domain is a field " * 20, "{text} <|im_end|>"]
LENGTHS = {"max_query_length": 12, "max_doc_length": 24}


def base(name: str, folder):
    """One of the architectures, with what could go wrong for it."""
    if name == "bidirectional gte":
        return tiny.qwen2(folder, eos="<|endoftext|>", pad="<|endoftext|>", is_causal=False)
    return {"qwen2": tiny.qwen2, "llama": tiny.llama, "bert": tiny.bert}[name](folder)


CASES = [
    ("qwen2", {"merged": True}),
    ("qwen2", {"merged": False}),
    ("qwen2", {"lora": False}),
    ("llama", {"merged": True}),
    ("llama", {"merged": False}),
    ("bert", {"merged": True}),
    ("bert", {"merged": False, "max_doc_length": 12}),
    ("bidirectional gte", {"merged": True}),
    ("bidirectional gte", {"merged": False}),
]


@pytest.fixture(scope="module", params=CASES, ids=lambda case: f"{case[0]} {case[1]}")
def made(request, tmp_path_factory):
    """A trained folder, and what the base alone would give."""
    name, changed = request.param
    folder = tmp_path_factory.mktemp("made")
    start = base(name, folder / "base")
    options = RetrieverOptions(str(start), **{**QUICK, **LENGTHS, "max_steps": 2, **changed})
    return name, train_retriever(options, examples=examples(), out=folder / "out"), Encoder(start).encode_docs(TEXTS)


def both(encoder: Encoder) -> np.ndarray:
    return np.concatenate([encoder.encode_queries(TEXTS), encoder.encode_docs(TEXTS)])


def test_the_engine_reads_what_was_trained(made):
    _, folder, before = made
    encoder = Encoder(folder)
    assert np.abs(encoder.encode_docs(TEXTS) - before).max() > 0.01
    own = find_checkpoint(folder)
    assert (own.max_query_length, own.max_doc_length) in ((12, 24), (12, 12))
    encoder.encode_queries(TEXTS)
    assert encoder.truncated >= 2  # one document, and at least that one as a query


def test_sentence_transformers(made):
    _, folder, _ = made
    model = SentenceTransformer(str(folder), device="cpu")
    found = np.concatenate([model.encode_query(TEXTS), model.encode_document(TEXTS)])
    assert np.abs(found - both(Encoder(folder))).max() < 1e-5


def test_pyserini(made):
    _, folder, _ = made
    queries = np.stack([RaDeRQueryEncoder(str(folder), device="cpu").encode(text) for text in TEXTS])
    docs = RaDeRDocumentEncoder(str(folder), "cpu").encode(texts=TEXTS)
    assert np.abs(np.concatenate([queries, docs]) - both(Encoder(folder))).max() < 1e-5


def test_pyterrier(made):
    pytest.importorskip("pyterrier")
    import pandas as pd

    from pyterrier_rader import RaDeREncoder

    _, folder, _ = made
    encoder, ids = RaDeREncoder(folder), [str(i) for i in range(len(TEXTS))]
    queries = encoder(pd.DataFrame({"qid": ids, "query": TEXTS}))["query_vec"]
    docs = encoder(pd.DataFrame({"docno": ids, "text": TEXTS}))["doc_vec"]
    assert np.abs(np.stack([*queries, *docs]) - both(Encoder(folder))).max() < 1e-5


def test_plain_transformers(made):
    name, folder, _ = made
    if name == "bidirectional gte" and (folder / "adapter_config.json").exists():
        pytest.skip("plain transformers goes by the base's own is_causal, as the option `merged` says")
    tokenizer, model = AutoTokenizer.from_pretrained(folder), AutoModel.from_pretrained(folder).eval()
    own = find_checkpoint(folder)
    forms = [(own.query_form, own.max_query_length), (own.doc_form, own.max_doc_length)]
    found = []
    for form, length in forms:
        for text in TEXTS:
            filled = fill(form, instruction="", text=text)
            inputs = tokenizer(filled, truncation=True, max_length=length, return_tensors="pt")
            with torch.inference_mode():
                hidden = model(**inputs).last_hidden_state[0]
            vector = hidden.mean(dim=0) if own.pooling == "mean" else hidden[-1]
            found.append((vector / vector.norm()).numpy())
    assert np.abs(np.stack(found) - both(Encoder(folder))).max() < 1e-5


def test_weights_may_be_read_by_whom_the_umask_lets(made):
    """As the configuration beside them, which Python wrote."""
    _, folder, _ = made
    modes = {path.name: path.stat().st_mode & 0o777 for path in folder.iterdir() if path.is_file()}
    weights = {mode for name, mode in modes.items() if name.endswith(".safetensors")}
    assert weights == {modes["rader_config.json"]}


def test_the_files_tell_nothing_of_this_machine_but_an_adapters_base(made, tmp_path_factory):
    _, folder, _ = made
    root = str(tmp_path_factory.getbasetemp())
    told = {
        path.name
        for path in folder.rglob("*")
        if path.suffix in (".json", ".md", ".jsonl") and root in path.read_text()
    }
    assert told <= {"adapter_config.json", "rader_config.json"}
    if (folder / "model.safetensors").exists():
        assert not told


def test_a_tokenizer_of_a_class_of_its_own(tmp_path):
    """Qwen2's own class builds its tokenizer anew from the vocabulary; the end token must come through that."""
    start = tiny.qwen2(tmp_path / "base")
    path = start / "tokenizer_config.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), "tokenizer_class": "Qwen2Tokenizer"}))
    options = RetrieverOptions(str(start), **{**QUICK, **LENGTHS, "max_steps": 1})
    folder = train_retriever(options, examples=examples(), out=tmp_path / "out")
    tokenizer = AutoTokenizer.from_pretrained(folder)
    assert type(tokenizer).__name__ == "Qwen2Tokenizer"
    assert tokenizer("document: a prime")["input_ids"][-1] == tokenizer.eos_token_id
    found = SentenceTransformer(str(folder), device="cpu").encode_document(TEXTS)
    assert np.abs(found - Encoder(folder).encode_docs(TEXTS)).max() < 1e-5


def test_an_adapter_over_minilm_finds_the_package(tmp_path):
    options = RetrieverOptions("minilm", **{**QUICK, "max_steps": 1, "merged": False, "lora_rank": 2})
    folder = train_retriever(options, examples=examples(), out=tmp_path / "out")
    config = json.loads((folder / "adapter_config.json").read_text())
    assert config["base_model_name_or_path"] == "sentence-transformers/all-MiniLM-L6-v2"
    assert find_checkpoint(folder).base == "minilm"
    assert Encoder(folder).encode_docs(TEXTS).shape == (len(TEXTS), 384)
