"""Training a reranker: it learns toy sets, batches change nothing, a kill changes nothing, and every door reads its folder."""

import json
import os
import shutil
import signal
import socket
import subprocess
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
from peft import PeftModel
from safetensors.torch import load_file, save_file
from transformers import AutoModelForSequenceClassification, AutoTokenizer, DistilBertConfig, DistilBertModel

from rader_ir.cross_encoder import CrossEncoder
from rader_ir.examples import Example, Passage
from rader_ir.train.reranker import train_reranker
from rader_ir.train.runtime import Diverged
from rader_ir.train.settings import RerankerOptions
from tests import tiny
from tests.toy_training import QUICK, examples

QUICK = {name: value for name, value in QUICK.items() if name in RerankerOptions.__dataclass_fields__} | {
    "accumulation": 1
}
QUERIES = ["what is prime 0?", "prove it"]
DOCS = [["the prime 0 is a thing", "x", "the determinant of a product " * 40], ["", *tiny.SENTENCES]]


pytestmark = pytest.mark.usefixtures("one_thread")


def options(checkpoint, **changed) -> RerankerOptions:
    return RerankerOptions(str(checkpoint), **{**QUICK, **changed})


def log_of(folder, what="loss") -> list[float]:
    lines = map(json.loads, (Path(folder) / "training" / "log.jsonl").read_text().splitlines())
    return [line[what] for line in lines if what in line]


def own_scores(folder, learned):
    """Each example's scores of its own passages, the positive first."""
    docs = [[passage.text for passage in (*example.positives, *example.negatives)] for example in learned]
    return CrossEncoder(folder).score([example.query for example in learned], docs)


@pytest.mark.parametrize(
    ("base", "changed"),
    [
        ("tiny_qwen2", {"epochs": 10}),
        ("tiny_qwen2", {"epochs": 10, "precision": "bfloat16", "workers": 1}),
        ("tiny_qwen2_eos_is_pad", {"epochs": 10, "gradient_checkpointing": True}),
        ("tiny_bert", {"epochs": 30, "lora": False, "learning_rate": 3e-3}),
        ("minilm", {"epochs": 4, "eval_steps": 4, "learning_rate": 2e-3, "max_doc_length": 32}),
    ],
)
def test_a_toy_set_is_learned_by_heart(request, tmp_path, base, changed):
    learned = examples()
    checkpoint = base if base == "minilm" else request.getfixturevalue(base)
    folder = train_reranker(options(checkpoint, **changed), examples=learned, out=tmp_path / "made", dev=learned)
    assert all(scores.argmax() == 0 for scores in own_scores(folder, learned))
    assert (
        max(log_of(folder, "dev_nDCG@10")) == 1
    )  # at first a new head's scores are all but equal, and rounding ranks them
    assert log_of(folder)[-1] < 0.3 < log_of(folder)[0]  # log(3) = 1.1 is what guessing among three costs


def test_heads_of_more_than_one_layer_are_saved_whole(tmp_path):
    """DistilBERT's head has a layer before its classifier, which its encoder lacks."""
    tokenizer = AutoTokenizer.from_pretrained(tiny.bert(tmp_path / "bert"))
    shape = dict(dim=32, hidden_dim=48, n_layers=2, n_heads=4, initializer_range=0.3)
    DistilBertModel(DistilBertConfig(vocab_size=len(tokenizer), **shape)).save_pretrained(tmp_path / "base")
    tokenizer.save_pretrained(tmp_path / "base")
    made = [
        train_reranker(
            options(tmp_path / "base", max_steps=3, merged=merged), examples=examples(), out=tmp_path / str(merged)
        )
        for merged in (True, False)
    ]
    assert np.abs(served(made[0]) - served(made[1])).max() < 1e-5
    saved = load_file(made[1] / "adapter_model.safetensors")
    assert {name.split(".")[2] for name in saved if "lora" not in name} == {"pre_classifier", "classifier"}


@pytest.mark.parametrize("loss", ["softmax", "ranknet"])
def test_a_batch_of_8_is_8_batches_of_1(tiny_qwen2, tmp_path, loss):
    """36 queries in steps of 8, the last of 4: the same losses to 1e-5 of them or 1e-6, and the same weights to 1e-4."""
    learned = [taught(example) for example in examples(18)]
    made = {
        size: train_reranker(
            options(tiny_qwen2, epochs=2, loss=loss, batch_size=size, accumulation=8 // size),
            examples=learned,
            out=tmp_path / str(size),
        )
        for size in (8, 4, 1)
    }
    expected, weights = log_of(made[8]), load_file(made[8] / "model.safetensors")
    assert len(expected) == 5 and max(expected) - min(expected) > 0.1
    for size in (4, 1):
        assert log_of(made[size]) == pytest.approx(expected, rel=1e-5, abs=1e-6)
        other = load_file(made[size] / "model.safetensors")
        assert max((other[name] - weight).abs().max() for name, weight in weights.items()) < 1e-4


def taught(example: Example) -> Example:
    """With scores of a teacher who likes the first negative best, then the positive, and holds the others equal."""
    first, *others = example.negatives
    return Example(
        example.query_id,
        example.query,
        tuple(Passage(p.doc_id, p.text, 1.0) for p in example.positives),
        (Passage(first.doc_id, first.text, 2.5), *(Passage(p.doc_id, p.text, -1.0) for p in others)),
    )


@pytest.mark.parametrize("loss", ["kl", "margin_mse", "ranknet"])
def test_a_teachers_scores_are_learned(tiny_qwen2, tmp_path, loss):
    """Softmax cross-entropy would put the positive first; these losses put it second, as the teacher does. Margins of 3.5 and
    1.5 come out within .5 where the loss has a scale."""
    learned = [taught(example) for example in examples(8)]
    given = options(tiny_qwen2, loss=loss, epochs=30, negatives=3)
    folder = train_reranker(given, examples=learned, out=tmp_path / "made")
    for positive, first, *others in own_scores(folder, learned):
        assert first > positive > max(others)
        if loss != "ranknet":
            assert abs(first - positive - 1.5) < 0.5 and abs(first - others[0] - 3.5) < 0.5


@pytest.fixture(scope="module", params=["tiny_qwen2", "tiny_qwen2_eos_is_pad", "tiny_bert"])
def folders(request, tmp_path_factory):
    """A few steps from each base, saved as an adapter and merged; `True` is the merged one."""
    base, place = request.getfixturevalue(request.param), tmp_path_factory.mktemp("made")
    return {
        merged: train_reranker(
            options(base, epochs=2, merged=merged, max_doc_length=64), examples=examples(), out=place / str(merged)
        )
        for merged in (True, False)
    }


def served(folder):
    return np.concatenate(CrossEncoder(folder).score(QUERIES, DOCS))


def pairs():
    return [(query, doc) for query, docs in zip(QUERIES, DOCS, strict=True) for doc in docs]


def by_transformers(model, tokenizer, bert: bool):
    """One padded batch of formed texts, tokenised plainly; long ones are cut."""
    if bert:
        queries, docs = zip(*pairs(), strict=True)
        inputs = tokenizer(queries, docs, truncation="only_second", padding=True, return_tensors="pt")
    else:
        texts = [f"query: {query} document: {doc}" for query, doc in pairs()]
        inputs = tokenizer(texts, truncation=True, padding=True, return_tensors="pt")
    assert inputs["attention_mask"].sum(dim=1).max() == 64 and (inputs["attention_mask"] == 0).any()
    with torch.inference_mode():
        return model.eval()(**inputs).logits[:, 0].numpy()


def is_bert(folder) -> bool:
    return json.loads((folder / "rader_config.json").read_text())["pair_form"] is None


def test_an_adapter_and_merged_weights_are_one_model(folders):
    assert np.abs(served(folders[True]) - served(folders[False])).max() < 1e-5
    assert np.ptp(served(folders[True])) > 0.1
    for merged, folder in folders.items():
        assert (folder / "model.safetensors").is_file() == merged
        assert (folder / "adapter_model.safetensors").is_file() != merged


def test_plain_transformers_reads_the_same(folders):
    """The adapter's base has neither head nor padding: these two are given, as the card says."""
    for merged, folder in folders.items():
        tokenizer = AutoTokenizer.from_pretrained(folder)
        given = {} if merged else {"num_labels": 1, "pad_token_id": tokenizer.pad_token_id}
        model = AutoModelForSequenceClassification.from_pretrained(folder, **given)
        assert np.abs(by_transformers(model, tokenizer, is_bert(folder)) - served(folder)).max() < 2e-5


def test_peft_reads_the_same(folders):
    folder = folders[False]
    tokenizer = AutoTokenizer.from_pretrained(folder)
    base = json.loads((folder / "adapter_config.json").read_text())["base_model_name_or_path"]
    model = AutoModelForSequenceClassification.from_pretrained(base, num_labels=1, pad_token_id=tokenizer.pad_token_id)
    model = PeftModel.from_pretrained(model, folder)
    assert np.abs(by_transformers(model, tokenizer, is_bert(folder)) - served(folder)).max() < 2e-5


def test_pyterrier_reads_the_same(folders):
    from pyterrier_rader import RaDeRReranker

    frame = pd.DataFrame(
        [(str(q), query, f"d{q}.{d}", doc, 0, 0.0) for q, query in enumerate(QUERIES) for d, doc in enumerate(DOCS[q])],
        columns=["qid", "query", "docno", "text", "rank", "score"],
    )
    for folder in folders.values():
        ranked = RaDeRReranker(str(folder)).transform(frame).set_index("docno").loc[frame["docno"]]
        assert np.abs(ranked["score"].to_numpy() - served(folder)).max() < 1e-6


def test_sentence_transformers_reads_the_same(folders):
    """It joins texts as a BERT's tokenizer does; scores, not their sigmoids, and documents alone are cut."""
    from sentence_transformers import CrossEncoder as Theirs

    for merged, folder in folders.items():
        assert (folder / "config_sentence_transformers.json").is_file() == is_bert(folder)
        if is_bert(folder):
            theirs = Theirs(str(folder), device="cpu", **({} if merged else {"num_labels": 1}))
            assert np.abs(theirs.predict(pairs()) - served(folder)).max() < 2e-5


def test_a_head_that_is_not_saved_is_found_out(folders, tmp_path):
    for merged, folder in folders.items():
        copy = tmp_path / str(merged)
        shutil.copytree(folder, copy)
        name = "model.safetensors" if merged else "adapter_model.safetensors"
        weights = load_file(copy / name)
        kept = {
            key: tensor for key, tensor in weights.items() if not key.endswith(("score.weight", "classifier.weight"))
        }
        assert len(kept) == len(weights) - 1
        save_file(kept, copy / name, metadata={"format": "pt"})
        with pytest.raises(ValueError, match=r"lacks weights that a 'score' head needs: (score|classifier).weight"):
            served(copy)


def test_a_reranker_is_trained_on(folders, tmp_path):
    """Its head too: one step of no length gives the same scores, from an adapter and from merged weights."""
    for merged, folder in folders.items():
        again = options(folder, max_steps=1, learning_rate=1e-12, merged=merged, max_doc_length=64)
        made = train_reranker(again, examples=examples(), out=tmp_path / str(merged))
        assert np.abs(served(made) - served(folder)).max() < 1e-5


def worker(given: RerankerOptions, out, *step, **environment) -> subprocess.Popen:
    words = [sys.executable, "-m", "tests.reranker_worker", json.dumps(given.told()), str(out), *map(str, step)]
    folder = Path(__file__).parents[1]
    paths = os.pathsep.join([str(folder), *filter(None, [os.environ.get("PYTHONPATH")])])
    known = {**os.environ, "PYTHONPATH": paths, "CUDA_VISIBLE_DEVICES": "", **environment}
    return subprocess.Popen(words, cwd=folder, env=known, stderr=subprocess.PIPE, text=True)


def test_a_killed_run_goes_on_and_ends_equal(tiny_bert, tmp_path):
    """With dropout, in its second epoch, between two states: bit by bit the weights of the run that was not killed."""
    given = options(tiny_bert, epochs=2, batch_size=2, accumulation=2, lora_dropout=0.1, save_steps=3, eval_steps=4)
    killed = worker(given, tmp_path / "killed", 13)  # in the seventh of eight steps
    assert killed.wait(timeout=120) == -signal.SIGKILL
    assert (tmp_path / "killed.unfinished" / "states" / "checkpoint-6").is_dir()
    runs = [train_reranker(given, examples=examples(), dev=examples(4), out=tmp_path / n) for n in ("killed", "whole")]
    resumed, whole = (load_file(folder / "model.safetensors") for folder in runs)
    assert all(torch.equal(resumed[name], weight) for name, weight in whole.items())
    assert log_of(runs[0]) == log_of(runs[1]) and len(log_of(runs[0])) == 8


def test_two_processes_equal_one(tiny_qwen2, tmp_path):
    given = options(tiny_qwen2, epochs=2, batch_size=6, accumulation=2)  # steps of 12, 12 and 8 queries
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = str(free.getsockname()[1])
    shared = dict(
        WORLD_SIZE="2", MASTER_ADDR="127.0.0.1", MASTER_PORT=port, ACCELERATE_USE_CPU="true", OMP_NUM_THREADS="1"
    )
    both = [worker(given, tmp_path / "two", RANK=str(i), LOCAL_RANK=str(i), **shared) for i in range(2)]
    alone = train_reranker(given, examples=examples(), dev=examples(4), out=tmp_path / "one")
    errors = [process.communicate(timeout=200)[1] for process in both]
    assert [process.returncode for process in both] == [0, 0], errors
    assert log_of(tmp_path / "two") == pytest.approx(log_of(alone), rel=1e-5)
    assert log_of(tmp_path / "two", "dev_nDCG@10") == log_of(alone, "dev_nDCG@10")
    one, two = (load_file(tmp_path / name / "model.safetensors") for name in ("one", "two"))
    assert max((two[name] - weight).abs().max() for name, weight in one.items()) < 1e-4


def test_a_loss_that_is_no_number_names_its_examples(tiny_qwen2, tmp_path):
    words = r"Lower learning_rate, which is 1e\+30, or look at these .*delete .*made\.unfinished first"
    with pytest.raises(Diverged, match=rf"step \d: the .*, with the examples 'q\d+', .*{words}"):
        train_reranker(options(tiny_qwen2, learning_rate=1e30), examples=examples(), out=tmp_path / "made")


def test_wrong_input_is_told_before_anything_is_made(tiny_qwen2, tmp_path):
    cases = [
        (options(tiny_qwen2), [], [], "no examples to train on"),
        (options(tiny_qwen2), examples(2, negatives=0), [], "2 of 2 examples have no negatives"),
        (options(tiny_qwen2, loss="kl"), examples(2), [], "learns from a teacher's scores, and 8 passages have none"),
        (options(tiny_qwen2), examples(2), examples(2, negatives=0), "nothing to rank"),
        (options(tiny_qwen2, lora_targets=["query"]), examples(), [], "none of lora_targets .* it has .*q_proj"),
        (options(tiny_qwen2, max_doc_length=513), examples(), [], "positions for 512 tokens; lower it"),
    ]
    for given, learned, dev, words in cases:
        with pytest.raises(ValueError, match=words):
            train_reranker(given, examples=learned, dev=dev, out=tmp_path / "made")
