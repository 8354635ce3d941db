"""ProRank's stage 2: the score holds on new documents, what is saved scores as in training and still is a language model."""

import json

import numpy as np
import pytest
import torch
from transformers import AutoModelForCausalLM, AutoTokenizer

from rader_ir.checkpoints import find_checkpoint
from rader_ir.rerank.prorank import ProRank
from rader_ir.train.prorank import ProRankOptions, train_prorank
from tests import tiny
from tests.field_lessons import first_right, learned_fields, new_fields
from tests.toy_training import examples

QUICK = dict(
    batch_size=8,
    accumulation=1,
    negatives=3,
    warmup_steps=0,
    log_steps=1,
    lora_dropout=0.0,
    gradient_checkpointing=False,
    learning_rate=1e-2,
)


@pytest.fixture(scope="module")
def prompt(tmp_path_factory):
    """A short wording, so that tiny models are quick."""
    file = tmp_path_factory.mktemp("prompt") / "mine.toml"
    file.write_text("[judge]\nmax_tokens = 2\nuser = 'query: {query} document: {document} 1 or 0?'\n")
    return str(file)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tiny.qwen2_chat(tmp_path_factory.mktemp("chat"))


@pytest.mark.parametrize(
    "changed",
    [{}, {"lora": False, "learning_rate": 3e-3}, {"loss": "preference"}, {"merged": False, "loss": "bce"}],
    ids=str,
)
def test_the_score_is_learned_and_holds_on_new_documents(folder, prompt, tmp_path, changed):
    """The right one of five documents is first for a fifth of new queries, as by chance, and after 18 steps for at least .9.

    The state that is kept is chosen on what was learned from.
    """
    learned = learned_fields(72)
    held = new_fields(learned)
    given = ProRankOptions(str(folder), prompt=prompt, **{**QUICK, "epochs": 2, **changed})
    assert first_right(ProRank(folder, prompt=prompt), held) < 0.4 and find_checkpoint(folder).head == "vector"
    made = train_prorank(given, examples=learned, out=tmp_path / "made", dev=learned[:24])
    assert first_right(ProRank(made), held) >= 0.9
    lines = map(json.loads, (made / "training" / "log.jsonl").read_text().splitlines())
    measured = [record["dev_nDCG@10"] for record in lines if "dev_nDCG@10" in record]
    assert measured[0] < 0.9 and max(measured) >= 0.95


def test_a_saved_model_scores_by_its_own_logits_and_writes(folder, prompt, tmp_path):
    """The folder is a plain language model with its template: no weight was added, and its two logits are the score."""
    given = ProRankOptions(str(folder), prompt=prompt, max_steps=3, **QUICK)
    made = train_prorank(given, examples=examples(8), out=tmp_path / "made")
    tokenizer, model = AutoTokenizer.from_pretrained(made), AutoModelForCausalLM.from_pretrained(made).eval()
    text = "query: odd document: cycle 1 or 0?"
    ids = tokenizer.apply_chat_template(
        [{"role": "user", "content": text}], add_generation_prompt=True, return_tensors="pt"
    )
    with torch.inference_mode():
        logits = model(ids["input_ids"]).logits[0, -1]
        assert model.generate(**ids, max_new_tokens=2, do_sample=False).shape[1] > ids["input_ids"].shape[1]
    one, zero = tokenizer.convert_tokens_to_ids(["1", "0"])
    assert float(ProRank(made).score(["odd"], [["cycle"]])[0][0]) == pytest.approx(
        float(logits[one] - logits[zero]), abs=2e-5
    )
    shapes = {name: tensor.shape for name, tensor in AutoModelForCausalLM.from_pretrained(folder).state_dict().items()}
    assert {name: tensor.shape for name, tensor in model.state_dict().items()} == shapes
    checkpoint = find_checkpoint(made)
    assert (checkpoint.head, checkpoint.eos) == ("choice", "tokenizer") and "1 or 0?" in checkpoint.pair_form


def test_an_adapter_and_merged_weights_score_alike_and_are_trained_on(folder, prompt, tmp_path):
    learned, made = examples(8), {}
    for merged in (True, False):
        given = ProRankOptions(str(folder), prompt=prompt, max_steps=3, merged=merged, **QUICK)
        made[merged] = train_prorank(given, examples=learned, out=tmp_path / str(merged))
        again = ProRankOptions(str(made[merged]), max_steps=1, merged=merged, **{**QUICK, "learning_rate": 1e-12})
        same = train_prorank(again, examples=learned, out=tmp_path / f"{merged} again")
        scores = [ProRank(place).score(["odd"], [["cycle", "even"]])[0] for place in (made[merged], same)]
        np.testing.assert_allclose(scores[0], scores[1], atol=1e-5)
    one, other = (ProRank(place).score(["odd"], [["cycle", "even"]])[0] for place in made.values())
    np.testing.assert_allclose(one, other, atol=1e-5)
    assert one[0] != ProRank(folder, prompt=prompt).score(["odd"], [["cycle"]])[0][0]
