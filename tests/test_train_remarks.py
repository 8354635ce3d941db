"""What a run is told of: options that defeat each other, and figures that say that nothing was gained."""

import json
import logging

import pytest

from rader_ir.train.callbacks import Schedule, read_log
from rader_ir.train.curve import FEW, picture
from rader_ir.train.model_card import readme
from rader_ir.train.remarks import after, before
from rader_ir.train.retriever import train_retriever
from rader_ir.train.settings import RetrieverOptions
from tests.toy_training import QUICK, examples

pytestmark = pytest.mark.usefixtures("one_thread")


def options(base, **changed) -> RetrieverOptions:
    return RetrieverOptions(str(base), **{**QUICK, **changed})


def card(**figures) -> dict:
    return {"figures": figures, "options": {"measure": "RR"}}


def test_a_warm_up_that_is_as_long_as_the_run():
    assert before(options("minilm", warmup_steps=27), 28) == [] == before(options("minilm", schedule="constant"), 1)
    (told,) = before(options("minilm", warmup_steps=28), 28)
    assert "warmup_steps is 28 and the run has 28 steps" in told and "lower warmup_steps, to 2 " in told


def test_what_says_that_nothing_was_gained():
    (told,) = after(card(RR={"before": 0.5, "chosen": 0.4, "last": 0.3}, first_loss=2.0, last_loss=1.0))
    assert told.startswith(
        "no state was better than the base: RR on the development set was 0.5000 before training and 0.4000"
    )
    assert after(card(RR={"before": 0.5, "chosen": 0.6, "last": 0.3}, first_loss=1.0, last_loss=2.0)) == []
    (told,) = after(card(first_loss=1.0, last_loss=2.0))
    assert told.startswith("the loss was 1.0000 at first and 2.0000 at last: it did not fall")
    assert after(card(last_loss=2.0)) == after(card(first_loss=2.0, last_loss=1.0)) == after(card()) == []


def test_a_run_that_learns_nothing_says_so_on_stderr_and_in_its_card(tiny_qwen2, tmp_path, caplog):
    """A rate so small that no ranking changes; all of the run is its warm-up."""
    idle = options(tiny_qwen2, learning_rate=1e-12, warmup_steps=9, max_steps=2)
    with caplog.at_level(logging.WARNING, "rader_ir"):
        folder = train_retriever(idle, examples=examples(), out=tmp_path / "made", dev=examples(8))
    told = [record.getMessage() for record in caplog.records if record.name == "rader_ir.train.runtime"]
    assert "warmup_steps is 9 and the run has 2 steps" in told[0] and len(told) == 2
    assert told[1].startswith("rader train: no state was better than the base: nDCG@10")
    assert "\nNo state was better than the base: nDCG@10" in (folder / "README.md").read_text()


def test_the_first_and_the_last_step_are_logged(tiny_qwen2, tmp_path):
    """Seven steps under log_steps = 10."""
    seven = options(tiny_qwen2, max_steps=7, epochs=9, log_steps=10)
    folder = train_retriever(seven, examples=examples(), out=tmp_path / "made")
    assert [line["step"] for line in read_log(folder / "training" / "log.jsonl") if "loss" in line] == [1, 7]


@pytest.mark.parametrize(("steps", "expected"), [(3, 5), (18, 5), (51, 6), (100, 10), (375, 38)])
def test_a_tenth_of_the_run_but_not_every_step(steps, expected):
    assert Schedule(options("minilm"), steps, measured=True).eval_steps == expected
    assert Schedule(options("minilm", eval_steps=2), steps, measured=True).eval_steps == 2


def test_the_curve_of_a_short_run_has_marks_and_whole_steps():
    def drawn(count):
        left = picture([{"step": i, "loss": 1 / i} for i in range(1, count + 1)], "RR").axes[0]
        return left.lines[0].get_marker(), left.get_xticks()

    marker, ticks = drawn(3)
    assert marker == "." and all(tick == int(tick) for tick in ticks)
    assert drawn(FEW + 1)[0] == "None"


def test_the_card_says_what_was_adapted_and_trained_on(tiny_bert, tmp_path):
    """BERT has none of the layers that lora_targets names by default; the second run trains the first one's adapter on."""
    first = options(tiny_bert, max_steps=1, merged=False)
    adapter = train_retriever(first, examples=examples(), out=tmp_path / "first")
    again = train_retriever(options(adapter, max_steps=1), examples=examples(), out=tmp_path / "second")
    told = json.loads((adapter / "training" / "run_card.json").read_text())
    text = (adapter / "README.md").read_text()
    assert told["adapted_layers"] == ["dense", "key", "query", "value"]
    assert (
        "- lora_targets: ['dense', 'key', 'query', 'value']\n" in text and f"Trained from `{tiny_bert.name}` by" in text
    )
    assert f"Trained from `first`, an adapter over `{tiny_bert.name}` by" in (again / "README.md").read_text()
    assert told["data"]["dev"] == {"examples": 0} and "data, dev" not in text and "flatters" not in text
    assert " at last" in text and "at first" not in text
    assert readme(told) == text


def test_parameters_are_a_whole_number(tmp_path):
    from rader_ir.checkpoints import find_checkpoint, write_config

    write_config(tmp_path, find_checkpoint("minilm"))
    assert '"parameters": 22700000\n' in (tmp_path / "rader_config.json").read_text()
