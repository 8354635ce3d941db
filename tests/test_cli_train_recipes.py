"""`rader train` with the recipes of reasoning rerankers: from a configuration to a folder that its reranker opens."""

import json
import shlex
from dataclasses import replace

import pytest

pytest.importorskip("trl")

from rader_ir.cli import main
from rader_ir.examples import Passage, write_examples
from rader_ir.rerank.dear import DeARPointwise
from rader_ir.rerank.prorank import ProRank
from tests import tiny
from tests.toy_training import examples

PAIRS = dict(max_steps=2, batch_size=4, accumulation=1, warmup_steps=0, log_steps=1, gradient_checkpointing=False)
WRITING = dict(steps=2, prompts=2, group=2, max_tokens=2, max_length=400, gradient_checkpointing=False)
GIVEN = dict(max_steps=2, batch_size=2, accumulation=1, warmup_steps=0, gradient_checkpointing=False)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tiny.qwen2_chat(tmp_path_factory.mktemp("chat"))


@pytest.fixture
def rader(folder, tmp_path):
    """Write data, wording and a configuration, train, and give the status and what was told."""
    taught = [
        replace(
            example,
            positives=tuple(Passage(p.doc_id, p.text, 2.0) for p in example.positives),
            negatives=tuple(Passage(p.doc_id, p.text, 0.0) for p in example.negatives),
        )
        for example in examples(8)
    ]
    write_examples(taught, tmp_path / "train.jsonl")
    order = {"query": "odd?", "passages": ["even", "odd"], "answer": "Final Reranking: [2] > [1]"}
    (tmp_path / "orders.jsonl").write_text(json.dumps(order) + "\n")
    for name, section, user in (
        ("judge", "judge", "query: {query} document: {document}"),
        ("rank", "choose", "{query} {passages}"),
        ("order", "order", "{query} {passages}"),
    ):
        (tmp_path / f"{name}.toml").write_text(f"[{section}]\nmax_tokens = 4\nuser = '{user}'\n")

    def call(kind: str, out: str, *, data: str = "train.jsonl", words: str = "", checkpoint=folder, **options):
        told = {"checkpoint": str(checkpoint), **options}
        text = "".join(f"{name} = {json.dumps(value)}\n" for name, value in told.items())
        (tmp_path / "x.toml").write_text(f'{text}[data]\nexamples = "{data}"\n')
        line = f"train {kind} --config {tmp_path / 'x.toml'} --out {tmp_path / out} --quiet --json {tmp_path / 'told'}"
        status = main(shlex.split(f"{line} {words}"))
        return status, json.loads((tmp_path / "told").read_text()) if status == 0 else {}

    return call


def test_prorank_in_two_stages(rader, tmp_path):
    status, told = rader("prorank-grpo", "warm", prompt="judge.toml", **WRITING)
    assert (status, told["steps"], told["examples"]) == (0, 2, 8) and "last_reward" in told
    status, told = rader("prorank", "made", checkpoint=tmp_path / "warm", negatives=2, **PAIRS)
    assert (status, told["steps"]) == (0, 2)
    assert ProRank(tmp_path / "made").score(["a"], [["b", "c"]])[0].shape == (2,)
    assert "query: {query} document: {document}" in ProRank(tmp_path / "made").checkpoint.pair_form


def test_dear(rader, tmp_path):
    status, told = rader("dear", "made", main="hybrid", **PAIRS)
    assert (status, told["steps"]) == (0, 2)
    assert DeARPointwise(tmp_path / "made").model.checkpoint.pair_doc_tokens == 191


def test_rank_r1(rader, tmp_path):
    status, told = rader("rank-r1", "made", prompt="rank.toml", **WRITING)
    assert (status, told["steps"]) == (0, 2) and (tmp_path / "made" / "model.safetensors").is_file()


def test_given_answers(rader, tmp_path, capsys):
    status, told = rader("sft-listwise", "made", data="orders.jsonl", prompt="order.toml", **GIVEN)
    assert (status, told["orders"], told["steps"]) == (0, 1, 1) and told["last_loss"] > 0
    status, told = rader("rank-r1-sft", "other", max_length=512, prompt="rank.toml", **GIVEN)
    assert (status, told["examples"], told["steps"]) == (0, 8, 2)


@pytest.mark.parametrize(
    ("kind", "options", "message"),
    [
        ("prorank-grpo", {"group": 1}, "x.toml: option group is 1; give 2 or more"),
        ("rank-r1", {"steps": "many"}, "option steps is 'many'; give a whole number"),
        ("sft-listwise", {"epoch": 2}, "option 'epoch' is unknown; do you mean 'epochs'"),
        ("dear", {"alpha": 1.5}, "option alpha is 1.5"),
        ("prorank", {"loss": "distilled"}, "option loss is 'distilled'"),
    ],
)
def test_wrong_options(rader, capsys, kind, options, message):
    assert rader(kind, "made", **options)[0] == 2
    assert message in capsys.readouterr().err


def test_words_of_mini_are_refused(rader, capsys):
    assert rader("rank-r1", "made", words="--max-steps 3")[0] == 2
    assert "--max-steps is not for rader train rank-r1" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("kind", "line"),
    [
        ("dear", "alpha = 0.1  # of `distilled`: the weight of the soft labels"),
        ("prorank", "prompt, none  # a TOML file of your own wording"),
        ("prorank-grpo", "group = 8  # answers drawn to each prompt"),
        ("rank-r1", "negatives = 19  # passages beside the positive"),
        ("sft-listwise", "batch_size = 2  # answers of one forward pass"),
    ],
)
def test_options_are_listed(capsys, kind, line):
    assert main(["train", kind, "--options"]) == 0
    assert line in capsys.readouterr().out
