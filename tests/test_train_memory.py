"""Training against every document of a source: the loss by hand, what is no candidate, and a run that is killed."""

import math

import numpy as np
import pytest
import torch
from sentence_transformers import SentenceTransformer
from torch import nn

from rader_ir.examples import Example, Passage
from rader_ir.prompts import fill
from rader_ir.train import memory
from rader_ir.train.memory import Documents, Memory, MemoryGroups
from rader_ir.train.models import open_base, open_model
from rader_ir.train.retriever import Reader, plan, train_retriever
from rader_ir.train.runtime import Diverged
from rader_ir.train.settings import RetrieverOptions
from tests.test_train_retriever import right_first
from tests.test_train_runtime import same
from tests.toy_training import QUICK, broken_off, examples

pytestmark = pytest.mark.usefixtures("one_thread")


def options(base, **changed) -> RetrieverOptions:
    return RetrieverOptions(str(base), **{**QUICK, "memory": True, "temperature": 0.1, **changed})


class Given(nn.Module):
    """A model whose vectors are given; features name them."""

    def __init__(self, vectors):
        super().__init__()
        self.vectors = nn.Parameter(torch.tensor(vectors))

    def forward(self, features):
        return {"sentence_embedding": self.vectors[features["input_ids"]]}


def test_the_loss_by_hand():
    """One query, a document of the batch, one from memory and one that is out: log(1 + e^(3 - 2)) where the first is right."""
    model = Given([[0.0, 1.0], [1.0, 0.0]])  # a document that is read, then the query
    loss = Memory(model, size=4, width=2, temperature=0.5)
    loss.vectors[1:] = torch.tensor([[9.0, 9.0], [1.5, 0.0], [50.0, 0.0]])
    with torch.no_grad():
        model.vectors[0] = torch.tensor([1.0, 0.0])
    label = {"order": torch.tensor([1, 0]), "places": torch.tensor([0]), "candidates": torch.tensor([1, 2, 3])}
    label |= {"targets": torch.tensor([[1.0, 0, 0]]), "out": torch.tensor([[False, False, True]])}
    found = loss([{"input_ids": torch.tensor([0])}, {"input_ids": torch.tensor([1])}], label)
    assert found.item() == pytest.approx(math.log(1 + math.e), abs=1e-6)
    found.backward()
    assert model.vectors.grad.abs().sum(dim=1).min() > 0  # the query and the document that was read both learn
    assert torch.equal(loss.vectors[1], torch.tensor([1.0, 0.0]))  # remembered
    assert torch.equal(loss.vectors[0], torch.zeros(2))  # of another source


def of(name, query, positives, negatives=(), **provenance):
    return Example(name, query, positives, negatives, provenance=provenance)


A, B, C, D = (Passage(f"d{i}", text) for i, text in enumerate(["one", "two", "three", "four"]))


def test_targets_and_candidates():
    learned = [
        of("q1", "what is one", (A, B), (C,), source="s"),
        of("q2", "Three.", (A,), (Passage("d3", "four", 2.0), Passage("d1", "two", 1.0), C), source="s"),
        of("q3", "elsewhere", (Passage("e", "five"),), (Passage("f", "six"),)),
        of("q4", "what", (Passage("d1", "two", 0.0),), (Passage("d9", "four", 0.0),), source="s", excluded_ids=["d3"]),
    ]
    documents = Documents(learned)
    assert documents.texts == ["one", "two", "three", "four", "five", "six"]
    assert {name: found.tolist() for name, found in documents.members.items()} == {"s": [0, 1, 2, 3], "": [4, 5]}
    targets, out = documents.tables([0, 1, 3], label_weight=0.4)
    assert targets[0].tolist() == [0.5, 0.5, 0, 0]  # nobody scored its passages: its positives have all
    high = 0.6 / (1 + math.exp(-1))
    assert targets[1].tolist() == pytest.approx([0.4, 0.6 - high, 0, high], abs=1e-6)
    assert out.tolist() == [[False] * 4, [False, False, True, False], [False, False, False, True]]
    assert targets[2].tolist() == pytest.approx([0, 1, 0, 0])  # "four" is d3 as well, which is excluded
    assert documents.tables([2], 1.0)[0].tolist() == [[1, 0]]


def test_what_answers_an_equal_query_is_no_candidate():
    learned = [of("q1", "what", (A,), (C,)), of("q2", "what", (B,), (D,)), of("q3", "why", (C,))]
    targets, out = Documents(learned).tables([0, 1, 2], 1.0)
    # documents in order: one, three, two, four
    assert targets.tolist() == [[1, 0, 0, 0], [0, 0, 1, 0], [0, 1, 0, 0]]
    assert out.tolist() == [[False, False, True, False], [True, False, False, False], [False] * 4]


def test_sources_share_what_they_both_have():
    documents = Documents([of("q1", "what", (A,), (B, C), source="s"), of("q2", "what", (C,), (A, D), source="t")])
    assert documents.texts == ["one", "two", "three", "four"]
    assert {name: found.tolist() for name, found in documents.members.items()} == {"s": [0, 1, 2], "t": [2, 0, 3]}


def test_a_source_of_one_document_is_refused():
    with pytest.raises(ValueError, match="source 'alone' has a single document"):
        Documents([*examples(4), of("q", "what", (A,), source="alone")])


def test_a_batch_is_what_all_documents_read_anew_would_give(tiny_qwen2):
    """At the first step the memory holds what the model gives, so the loss is that of plain cross-entropy over all documents."""
    opened = options(tiny_qwen2, negatives=1)
    base = open_base(opened, "vector")
    torch.manual_seed(0)
    reader = Reader(open_model(base, opened), base.checkpoint.pooling).eval()
    model = SentenceTransformer(modules=[reader])
    learned = examples(6)
    groups = MemoryGroups(learned, base, opened)
    texts = groups.documents.texts

    def encode(texts, kind):
        checkpoint = base.checkpoint
        form = checkpoint.query_form if kind == "query" else checkpoint.doc_form
        rows = [base.tokens.texts([fill(form, instruction="", text=text)], 256).rows[0] for text in texts]
        ones = [
            {"input_ids": torch.tensor([row]), "attention_mask": torch.ones(1, len(row), dtype=torch.int64)}
            for row in rows
        ]
        with torch.no_grad():
            return np.concatenate([reader(one)["sentence_embedding"].numpy() for one in ones])

    loss = Memory(model, len(texts), model[0].model.config.hidden_size, opened.temperature)
    memory.remember(loss, groups.documents, encode)
    batch = groups.read([8, 6, 11])
    names = sorted(name.removesuffix("_input_ids") for name in batch if name.endswith("_input_ids"))
    parts = [{key: batch[f"{name}_{key}"] for key in ("input_ids", "attention_mask")} for name in names]
    asked = [learned[place] for place in (2, 0, 5)]
    scores = torch.tensor(encode([e.query for e in asked], "query") @ encode(texts, "document").T) / opened.temperature
    right = torch.tensor([texts.index(e.positives[0].text) for e in asked])
    wanted = nn.functional.cross_entropy(scores, right).item()
    assert loss(parts, batch["label"]).item() == pytest.approx(wanted, rel=1e-5)
    assert len(batch["label"]["places"]) == 6  # a positive and a negative each


def taught(count=16):
    """The toy examples in two sources, with a teacher that likes the right answer."""
    return [
        Example(
            e.query_id,
            e.query,
            tuple(Passage(p.doc_id, p.text, 3.0) for p in e.positives),
            tuple(Passage(p.doc_id, p.text, -1.0 - i) for i, p in enumerate(e.negatives)),
            provenance={"source": "even" if i % 2 else "odd"},
        )
        for i, e in enumerate(examples(count))
    ]


@pytest.mark.parametrize("precision", ["float32", "bfloat16"])
def test_a_toy_set_is_learned_by_heart(tiny_qwen2, tmp_path, precision):
    learned = taught()
    assert right_first(tiny_qwen2, learned) < 0.5
    made = options(tiny_qwen2, epochs=20, label_weight=0.5, precision=precision)
    assert right_first(train_retriever(made, examples=learned, out=tmp_path / "made", dev=learned), learned) == 1


def test_a_run_that_is_broken_off_ends_with_equal_weights(tiny_qwen2, tmp_path):
    made = options(tiny_qwen2, epochs=3, batch_size=4, lora_dropout=0.2, save_steps=2, negatives=1)
    unbroken = train_retriever(made, examples=taught(), out=tmp_path / "unbroken")
    with broken_off(MemoryGroups, batch=10):
        train_retriever(made, examples=taught(), out=tmp_path / "made")
    resumed = train_retriever(made, examples=taught(), out=tmp_path / "made")
    assert same(resumed, unbroken)


def test_a_document_without_numbers_is_named_before_training(tiny_qwen2, tmp_path, monkeypatch):
    encode = memory.remember

    def spoilt(loss, documents, given):
        def made(texts, kind):
            vectors = given(texts, kind)
            vectors[2] = np.nan
            return vectors

        encode(loss, documents, made)

    monkeypatch.setattr(memory, "remember", spoilt)
    text = MemoryGroups(examples(), open_base(options(tiny_qwen2), "vector"), options(tiny_qwen2)).documents.texts[2]
    with pytest.raises(Diverged, match=f"no numbers for 1 of 34 documents, first '{text}'"):
        train_retriever(options(tiny_qwen2), examples=examples(), out=tmp_path / "made")


def test_a_loss_that_is_no_number_leaves_the_memory_as_it_was():
    model = Given([[math.nan, 1.0], [1.0, 0.0]])
    loss = Memory(model, size=2, width=2, temperature=1.0)
    label = {"order": torch.tensor([1, 0]), "places": torch.tensor([0]), "candidates": torch.tensor([0, 1])}
    label |= {"targets": torch.tensor([[1.0, 0]]), "out": torch.tensor([[False, False]])}
    assert loss([{"input_ids": torch.tensor([0])}, {"input_ids": torch.tensor([1])}], label).isnan()
    assert torch.equal(loss.vectors, torch.zeros(2, 2))


@pytest.mark.parametrize("mode", [True, False])
def test_shares_that_leave_nothing_are_refused(tiny_qwen2, mode):
    small = options(tiny_qwen2, shares={"": 0.1}, memory=mode)
    with pytest.raises(
        ValueError, match=r"nothing is left to train on: option shares, \{'': 0\.1\}, takes no example in 1 ep"
    ):
        plan(examples(4), small, 1)


def test_each_device_would_remember_something_else(tiny_qwen2):
    with pytest.raises(ValueError, match="trains on one device, and this run has 2"):
        memory.plan(examples(), options(tiny_qwen2), 2)


def test_soft_labels_need_a_memory():
    with pytest.raises(ValueError, match=r"label_weight is 0\.5; a retriever learns from scores with memory = true"):
        RetrieverOptions("minilm", label_weight=0.5)
    assert RetrieverOptions("minilm", piece_size=0).piece_size is None
