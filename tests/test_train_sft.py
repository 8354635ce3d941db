"""Learning from given answers: by heart, read back by the rerankers' readers; labels hold on new documents; runs go on."""

import json
from dataclasses import replace

import pytest
import torch
from transformers import AutoModelForCausalLM, AutoTokenizer

pytest.importorskip("trl")

from rader_ir.answers import label, permutation
from rader_ir.rerank.dear_listwise import DeARListwise
from rader_ir.train.language_models import language_model, read_log
from rader_ir.train.sft import (
    Lesson,
    SFTOptions,
    label_lessons,
    order_lessons,
    read_orders,
    train_labels,
    train_listwise,
    train_sft,
)
from tests import tiny
from tests.field_lessons import TOPICS, learned_fields, new_fields, written
from tests.toy_training import examples

QUICK = dict(
    batch_size=2, accumulation=1, warmup_steps=0, lora=False, gradient_checkpointing=False, schedule="constant"
)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tiny.qwen2_chat(tmp_path_factory.mktemp("chat"), max_position_embeddings=1024)


@pytest.fixture(scope="module")
def wording(tmp_path_factory):
    file = tmp_path_factory.mktemp("prompt") / "mine.toml"
    file.write_text("[order]\nmax_tokens = 60\nuser = '{query} {passages}'\n")
    return str(file)


def orders(tmp_path):
    records = [
        {"query": "odd?", "passages": ["even", "odd", "law"], "answer": "1. odd\nFinal Reranking: [2] > [3] > [1]"},
        {"query": "law?", "passages": ["law </answer>", "odd"], "answer": "1. law\nFinal Reranking: [1] > [2]"},
    ]
    file = tmp_path / "orders.jsonl"
    file.write_text("".join(json.dumps(record) + "\n" for record in records))
    return read_orders(file)


def test_orders_are_learned_by_heart(folder, wording, tmp_path):
    """What the folder writes, greedily, is the answer with its end, and the reranker's reader finds the order in it."""
    learned = orders(tmp_path)
    given = SFTOptions(str(folder), prompt=wording, epochs=40, learning_rate=5e-3, **QUICK)
    made = train_listwise(given, orders=learned, out=tmp_path / "made")
    found = read_log(made, "loss")
    assert len(found) == 40 and found[-1] < 0.1 < found[0]
    lessons = order_lessons(learned, language_model(str(folder)), given)
    assert written(made, [lesson.prompt for lesson in lessons], 50) == [order.answer for order in learned]
    assert [permutation(order.answer, len(order.passages)) for order in learned] == [[1, 2, 0], [0, 1]]
    assert "</answer>" not in lessons[1].prompt
    ranker = DeARListwise(f"local:{made}", prompt=wording)
    scores = ranker.score([order.query for order in learned], [order.passages for order in learned])
    assert [each.tolist() for each in scores] == [[1, 3, 2], [2, 1]] and sum(
        s.malformed for s in ranker.statistics
    ) == 0


def test_labels_are_learned_by_heart(folder, tmp_path):
    wording = tmp_path / "mine.toml"
    wording.write_text(
        "[choose]\nmax_tokens = 9\nuser = '{query} {passages}'\n[order]\nmax_tokens = 9\nuser = '{query}{passages}'\n"
    )
    learned = examples(4)
    given = SFTOptions(str(folder), prompt=str(wording), epochs=40, learning_rate=5e-3, **QUICK)
    made = train_labels(given, examples=learned, out=tmp_path / "made")
    lessons = label_lessons(learned, language_model(str(folder)), given)
    assert len({lesson.completion for lesson in lessons}) > 1
    for lesson, reply in zip(lessons, written(made, [lesson.prompt for lesson in lessons], 5), strict=True):
        assert label(reply, 4) == int(lesson.completion[1:-1]) - 1


def test_labels_hold_on_new_documents(folder, tmp_path):
    """Of two passages the one about a field, whatever its place: chance is a half; of new documents nine in ten are named."""
    wording = tmp_path / "mine.toml"
    wording.write_text("[choose]\nmax_tokens = 9\nuser = '{query} {passages}'\n")
    learned = learned_fields(72, TOPICS[:2])
    held = new_fields(learned, TOPICS[:2])
    many = [replace(example, query_id=f"{example.query_id} {i}") for i in range(3) for example in learned]
    options = {**QUICK, "batch_size": 8}
    given = SFTOptions(str(folder), prompt=str(wording), epochs=4, learning_rate=5e-3, **options)
    made = train_labels(given, examples=many, out=tmp_path / "made")
    lessons = label_lessons(held, language_model(str(folder)), given)
    right = [lesson.completion for lesson in lessons]
    assert 9 < right.count("[1]") < 21 and set(right) == {"[1]", "[2]"}
    replies = written(made, [lesson.prompt for lesson in lessons], 5)
    assert sum(reply == label for reply, label in zip(replies, right, strict=True)) >= 27


def test_the_loss_is_of_the_answer_alone(folder, tmp_path):
    """The first step's loss, by hand: the mean over the answer's tokens and the end token, none of the prompt's."""
    lesson = Lesson("what is an odd cycle?\n", "a graph")
    given = SFTOptions(str(folder), max_steps=1, **{**QUICK, "batch_size": 1})
    made = train_sft(given, base=language_model(str(folder)), lessons=[lesson], out=tmp_path / "made", facts={})
    tokenizer, model = AutoTokenizer.from_pretrained(folder), AutoModelForCausalLM.from_pretrained(folder).eval()
    prompt = tokenizer(lesson.prompt)["input_ids"]
    answer = [*tokenizer(lesson.completion)["input_ids"], tokenizer.eos_token_id]
    with torch.inference_mode():
        logits = model(torch.tensor([prompt + answer])).logits[0].log_softmax(dim=-1)
    expected = -sum(float(logits[len(prompt) - 1 + i, token]) for i, token in enumerate(answer)) / len(answer)
    assert read_log(made, "loss")[0] == pytest.approx(expected, rel=1e-3)


def test_long_lessons_are_left_out_and_told(folder, tmp_path, caplog):
    lessons = [Lesson("odd", "even"), Lesson("graph " * 300, "x")]
    given = SFTOptions(str(folder), max_steps=1, max_length=100, **QUICK)
    train_sft(given, base=language_model(str(folder)), lessons=lessons, out=tmp_path / "made", facts={})
    assert "1 of 2 prompts are left out" in caplog.text
    with pytest.raises(ValueError, match="none of 1 prompts"):
        train_sft(given, base=language_model(str(folder)), lessons=lessons[1:], out=tmp_path / "none", facts={})


def test_an_unfinished_run_of_other_lessons_is_not_gone_on_with(folder, tmp_path, monkeypatch):
    """As many lessons under the same options, of other words; the first run is broken off behind its first state."""
    given = SFTOptions(str(folder), max_steps=2, save_steps=1, **QUICK)
    train = lambda lessons: train_sft(  # noqa: E731
        given, base=language_model(str(folder)), lessons=lessons, out=tmp_path / "made", facts={"kind": "listwise"}
    )
    with monkeypatch.context() as patched, pytest.raises(KeyboardInterrupt):
        patched.setattr("rader_ir.train.sft.trained", _broken_off)
        train([Lesson("odd", "even")])
    with pytest.raises(FileExistsError, match=r"other options or data \(sha256"):
        train([Lesson("odd", "graph")])
    assert train([Lesson("odd", "even")]) == tmp_path / "made"


def _broken_off(trainer, *_, **__):
    trainer.args.max_steps = 1
    trainer.train()
    raise KeyboardInterrupt


@pytest.mark.parametrize(
    ("line", "words"),
    [
        ('{"query": "a"}', "1: no record with query, passages and answer"),
        ('{"query": "a", "passages": ["b", "c"], "answer": "[2] is best"}', "is to name each of 2 passages"),
        ("nonsense", "1: no record"),
    ],
)
def test_broken_orders_are_told(tmp_path, line, words):
    (tmp_path / "orders.jsonl").write_text(line + "\n")
    with pytest.raises(ValueError, match=words):
        read_orders(tmp_path / "orders.jsonl")
