"""DeAR's pointwise training: its text path; the loss falls, the right new document is first; what is saved scores alike."""

import json
from dataclasses import replace

import numpy as np
import pytest
import torch
from transformers import AutoModelForSequenceClassification, AutoTokenizer

from rader_ir.checkpoints import find_checkpoint
from rader_ir.examples import Example, Passage
from rader_ir.rerank.dear import DeARPointwise
from rader_ir.train.dear import DeAROptions, dear_base, train_dear
from tests.field_lessons import first_right, learned_fields, new_fields
from tests.toy_training import examples

QUICK = dict(
    batch_size=8,
    accumulation=1,
    warmup_steps=0,
    log_steps=1,
    lora_dropout=0.0,
    gradient_checkpointing=False,
    learning_rate=1e-2,
)


def taught(example: Example) -> Example:
    """With a teacher's scores: 3 for the positive, 1, 0, -1 for the negatives."""
    negatives = tuple(Passage(p.doc_id, p.text, 1.0 - i) for i, p in enumerate(example.negatives))
    return replace(
        example, positives=(Passage(example.positives[0].doc_id, example.positives[0].text, 3.0),), negatives=negatives
    )


def losses(folder) -> list[float]:
    lines = (folder / "training" / "log.jsonl").read_text().splitlines()
    return [record["loss"] for record in map(json.loads, lines) if "loss" in record]


@pytest.mark.parametrize("main", ["softmax", "ranknet", "hybrid"])
def test_the_loss_falls_and_the_teachers_first_is_first_of_new_documents(tiny_llama, tmp_path, main):
    """The divergence alone would need the teacher's margins; with any main part the right one of five new ones is first."""
    learned = learned_fields(72)
    held = new_fields(learned)
    given = DeAROptions(str(tiny_llama), main=main, epochs=4, negatives=3, **{**QUICK, "learning_rate": 1.5e-2})
    folder = train_dear(given, examples=learned, out=tmp_path / "made")
    found = losses(folder)
    assert found[-1] < 0.75 * found[0] and first_right(DeARPointwise(folder), held) >= 0.9


def test_what_is_saved_scores_alike_in_every_form(tiny_llama, tmp_path):
    """Merged weights, an adapter, and the library's own head over the merged folder, whose padding id it is told."""
    learned = [taught(example) for example in examples(8)]
    query, docs = learned[0].query, [passage.text for example in learned for passage in example.negatives]
    made = {
        merged: train_dear(
            DeAROptions(str(tiny_llama), max_steps=4, merged=merged, **QUICK),
            examples=learned,
            out=tmp_path / str(merged),
        )
        for merged in (True, False)
    }
    scores = {merged: DeARPointwise(folder).score([query], [docs])[0] for merged, folder in made.items()}
    np.testing.assert_allclose(scores[True], scores[False], atol=1e-5)
    tokenizer = AutoTokenizer.from_pretrained(made[True])
    model = AutoModelForSequenceClassification.from_pretrained(made[True]).eval()
    assert model.config.pad_token_id is not None  # so that no head looks for a text's end in its padding
    texts = [f"query: {query}<|begin_of_text|>document: {doc}" for doc in docs]
    with torch.inference_mode():
        logits = [model(**tokenizer(text, return_tensors="pt")).logits[0, 0].item() for text in texts]
    np.testing.assert_allclose(scores[True], logits, atol=2e-5)
    assert np.ptp(logits) > 0.05


def test_the_text_path_is_dears(tiny_llama, tiny_qwen2, tmp_path):
    """A Llama's beginning token stands before the document too; a Qwen2 has none. The folder carries it all."""
    given = DeAROptions(str(tiny_llama), max_steps=1, **QUICK)
    folder = train_dear(given, examples=[taught(e) for e in examples(8)], out=tmp_path / "made")
    found = find_checkpoint(folder)
    assert found.pair_form == "query: {query}<|begin_of_text|>document: {document}"
    assert (found.pair_query_tokens, found.pair_doc_tokens, found.max_doc_length, found.eos) == (
        30,
        191,
        228,
        "tokenizer",
    )
    form = dear_base(DeAROptions(str(tiny_qwen2))).checkpoint.pair_form
    assert form == "query: {query} document: {document}"


def test_examples_need_a_teacher(tiny_llama, tmp_path):
    with pytest.raises(ValueError, match="loss 'distilled' learns from a teacher's scores"):
        train_dear(DeAROptions(str(tiny_llama), **QUICK), examples=examples(2), out=tmp_path / "made")


@pytest.mark.parametrize(
    ("changed", "words"),
    [({"main": "ce"}, "main is 'ce'"), ({"alpha": 2.0}, "alpha"), ({"loss": "softmax"}, "temperature is 2.0")],
)
def test_options_that_do_not_fit(changed, words):
    with pytest.raises(ValueError, match=words):
        DeAROptions("x", **changed)
