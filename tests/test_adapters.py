"""LoRA adapters merged at loading equal peft's own merge, and adapters of another base are refused."""

import json
import shutil

import numpy as np
import pytest
import torch
from peft import LoraConfig, PeftModel, get_peft_model
from transformers import AutoModel, AutoModelForCausalLM, AutoModelForSequenceClassification, AutoTokenizer

from rader_ir.cross_encoder import CrossEncoder
from rader_ir.encoder import Encoder
from tests import tiny

TARGETS = ["q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj"]


def adapter(model, folder, **options):
    """A LoRA adapter with random weights, saved by peft."""
    torch.manual_seed(1)
    options = {"r": 4, "lora_alpha": 64, "target_modules": TARGETS, "init_lora_weights": False, **options}
    made = get_peft_model(model, LoraConfig(**options))
    made.save_pretrained(folder)
    return folder


@pytest.mark.parametrize(
    "options",
    [
        {},
        {"use_rslora": True},
        {"rank_pattern": {"q_proj": 2}, "alpha_pattern": {r"layers\.1\.mlp\.up_proj": 8}},
        {"target_modules": ["q_proj"], "modules_to_save": ["norm"]},
    ],
    ids=["plain", "rslora", "patterns", "saved modules"],
)
def test_merged_vectors_equal_pefts(tiny_qwen2, tmp_path, options):
    folder = adapter(AutoModel.from_pretrained(tiny_qwen2), tmp_path / "adapter", **options)
    merged = PeftModel.from_pretrained(AutoModel.from_pretrained(tiny_qwen2), folder).merge_and_unload()
    merged.save_pretrained(tmp_path / "merged")
    AutoTokenizer.from_pretrained(tiny_qwen2).save_pretrained(tmp_path / "merged")
    expected = Encoder(tmp_path / "merged").encode_docs(tiny.SENTENCES)
    made = Encoder(folder).encode_docs(tiny.SENTENCES)
    assert np.abs(made - expected).max() < 1e-5
    assert np.abs(made - Encoder(tiny_qwen2).encode_docs(tiny.SENTENCES)).max() > 0.01


def test_an_adapter_made_under_a_language_model_head(tiny_qwen2, tmp_path):
    folder = adapter(AutoModelForCausalLM.from_pretrained(tiny_qwen2), tmp_path / "adapter")
    bare = adapter(AutoModel.from_pretrained(tiny_qwen2), tmp_path / "bare")
    assert np.array_equal(Encoder(folder).encode_docs(["a"]), Encoder(bare).encode_docs(["a"]))


def test_a_rerankers_head_comes_with_its_adapter(tiny_qwen2, tmp_path):
    base = AutoModelForSequenceClassification.from_pretrained(tiny_qwen2, num_labels=1)
    base.config.pad_token_id = 0
    folder = adapter(base, tmp_path / "adapter", task_type="SEQ_CLS", modules_to_save=["score"])
    tokenizer = AutoTokenizer.from_pretrained(tiny_qwen2)
    again = AutoModelForSequenceClassification.from_pretrained(tiny_qwen2, num_labels=1)
    merged = PeftModel.from_pretrained(again, folder).merge_and_unload().eval()
    ids = [*tokenizer("query: prove it document: x")["input_ids"], tokenizer.eos_token_id]
    with torch.inference_mode():
        expected = merged.score(merged.model(torch.tensor([ids])).last_hidden_state[0, -1]).item()
    assert abs(CrossEncoder(folder).score(["prove it"], [["x"]])[0][0] - expected) < 1e-5


def test_an_adapter_of_another_base(tiny_qwen2, tmp_path):
    other = tiny.qwen2(tmp_path / "other", hidden_size=48)
    deeper = tiny.qwen2(tmp_path / "deeper", num_hidden_layers=3)
    folder = adapter(AutoModel.from_pretrained(deeper), tmp_path / "adapter")
    for base, words in (
        (other, "of shape .* its base has .* trained for another base"),
        (tiny_qwen2, "its base lacks"),
    ):
        config = json.loads((folder / "adapter_config.json").read_text())
        (folder / "adapter_config.json").write_text(json.dumps({**config, "base_model_name_or_path": str(base)}))
        with pytest.raises(ValueError, match=words):
            Encoder(folder).encode_docs(["a"])


def test_other_kinds_are_refused_by_name(tiny_qwen2, tmp_path):
    folder = adapter(AutoModel.from_pretrained(tiny_qwen2), tmp_path / "adapter", use_dora=True)
    with pytest.raises(ValueError, match="adapters of kind 'DoRA' cannot be merged here; merge it with peft"):
        Encoder(folder).encode_docs(["a"])


def test_a_half_written_adapter(tiny_qwen2, tmp_path):
    folder = adapter(AutoModel.from_pretrained(tiny_qwen2), tmp_path / "adapter")
    path = folder / "adapter_model.safetensors"
    path.write_bytes(path.read_bytes()[:-1])
    with pytest.raises(ValueError, match=r"adapter_model.safetensors is half-written"):
        Encoder(folder).encode_docs(["a"])


def test_an_adapter_beside_its_base_moves_with_it(tiny_qwen2, tmp_path):
    folder = adapter(AutoModel.from_pretrained(tiny_qwen2), tmp_path / "adapter")
    expected = Encoder(folder).encode_docs(["a"])
    shutil.copytree(tiny_qwen2, folder / "base")
    config = json.loads((folder / "adapter_config.json").read_text())
    (folder / "adapter_config.json").write_text(json.dumps({**config, "base_model_name_or_path": "base"}))
    assert np.array_equal(Encoder(folder).encode_docs(["a"]), expected)
