"""Learning by rewards: ProRank's digits are learned and hold on new documents; mechanics of Rank-R1; resuming; other rollouts."""

import numpy as np
import pytest
import torch
from transformers import AutoModelForCausalLM, AutoTokenizer

pytest.importorskip("trl")

from rader_ir.choice import answer_ids
from rader_ir.examples import Example, Passage
from rader_ir.prompts import load_prompts
from rader_ir.rerank.prorank import ProRank
from rader_ir.train import grpo
from rader_ir.train.folder import RunFolder
from rader_ir.train.language_models import read_log, rendered
from rader_ir.train.prorank import (
    ProRankOptions,
    WarmupOptions,
    judge_base,
    judgement_tasks,
    train_prorank,
    warm_up_prorank,
)
from rader_ir.train.rank_r1 import RankR1Options, choices, train_rank_r1
from tests import tiny
from tests.field_lessons import TOPICS, digits_written, learned_fields, new_fields, signs_right


def examples(count: int = 12) -> list[Example]:
    """What is relevant speaks of a field, what is not of a graph or a set; the other words say nothing."""
    return learned_fields(count, TOPICS[:3])


@pytest.fixture(scope="module")
def prompt(tmp_path_factory):
    file = tmp_path_factory.mktemp("prompt") / "mine.toml"
    file.write_text("[judge]\nmax_tokens = 2\nuser = 'query: {query} document: {document}'\n")
    return str(file)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tiny.qwen2_chat(tmp_path_factory.mktemp("chat"), initializer_range=0.02)


QUICK = dict(
    steps=2,
    prompts=2,
    group=4,
    learning_rate=1e-2,
    lora=False,
    beta=0.0,
    max_tokens=1,
    max_length=256,
    gradient_checkpointing=False,
)


def test_digits_are_learned_and_hold_on_new_documents(folder, prompt, tmp_path):
    """At first a digit is one answer in 200; after 72 steps new documents get a digit (.95) and the right one (.8).

    Their words stand together in no text that was learned from, which `new_fields` checks.

    Then stage 2 goes on from the folder, in the wording that it carries.
    """
    given = WarmupOptions(
        str(folder),
        prompt=prompt,
        **{**QUICK, "steps": 72, "prompts": 8, "group": 16, "save_steps": 72, "learning_rate": 5e-3},
    )
    learned = examples(72)
    held = new_fields(learned, TOPICS[:3])
    made = warm_up_prorank(given, examples=learned, out=tmp_path / "made")
    rewards = read_log(made, "reward")
    assert np.mean(rewards[:4]) < 0.1 and np.mean(rewards[-8:]) > 1.2
    digits, right = digits_written(made, held)
    assert digits >= 0.95 and right >= 0.8
    assert signs_right(ProRank(made), held) >= 0.8
    further = dict(
        max_steps=1, negatives=1, batch_size=8, learning_rate=1e-12, warmup_steps=0, gradient_checkpointing=False
    )
    again = train_prorank(ProRankOptions(str(made), **further), examples=held, out=tmp_path / "again")
    np.testing.assert_allclose(
        ProRank(again).score(["a"], [["b", "c"]])[0], ProRank(made).score(["a"], [["b", "c"]])[0], atol=1e-5
    )


def test_tasks_are_balanced_and_follow_the_seed(folder, prompt):
    """Every step of 8 has four of each label; each pass takes the next negative; the text ends where the answer begins."""
    options = WarmupOptions(str(folder), prompt=prompt, steps=6, prompts=8, seed=3)
    base = judge_base(ProRankOptions(str(folder), prompt=prompt))
    made = judgement_tasks(examples(), base, options)
    assert [task.label for task in made] == ["1", "0"] * 24
    assert all(task.prompt.endswith("<|im_end|>\n<|im_start|>assistant\n") for task in made)
    first, second = ({task.prompt for task in made[start : start + 24]} for start in (0, 24))
    assert len(first) == len(second) == 24 and len(first & second) == 12  # positives come again, negatives do not
    assert made == judgement_tasks(examples(), base, options)
    other = WarmupOptions(str(folder), prompt=prompt, steps=6, prompts=8, seed=4)
    assert made != judgement_tasks(examples(), base, other)


def test_options_are_set_explicitly(tmp_path):
    """What trl's defaults became (dapo, beta 0) does not reach a run."""
    made = grpo.arguments(grpo.GRPOOptions("x", steps=7, prompts=3, group=4), RunFolder(tmp_path / "out"))
    told = (made.loss_type, made.beta, made.scale_rewards, made.temperature, made.num_iterations, made.report_to)
    assert told == ("grpo", 0.04, "group", 1.0, 1, [])
    assert (made.per_device_train_batch_size, made.num_generations, made.max_steps) == (12, 4, 7)
    assert made.shuffle_dataset is False and made.use_vllm is False and made.max_completion_length == 4


def test_a_broken_run_goes_on_and_ends_equal(folder, prompt, tmp_path):
    """An adapter with a divergence, broken off while rewards of the third step are taken; bit by bit as the whole run."""
    given = WarmupOptions(
        str(folder), prompt=prompt, **{**QUICK, "steps": 4, "lora": True, "beta": 0.04, "save_steps": 1}
    )
    base = judge_base(ProRankOptions(str(folder), prompt=prompt))
    tasks, calls = judgement_tasks(examples(), base, given), []

    def by_length(texts, labels):  # something that varies within groups
        return [float(ord(text[0]) % 7) if text else 0.0 for text in texts]

    def broken(texts, labels):
        calls.append(len(texts))
        if len(calls) == 3:
            raise KeyboardInterrupt
        return by_length(texts, labels)

    common = dict(base=base, tasks=tasks, facts={}, judge=True)
    with pytest.raises(KeyboardInterrupt):
        grpo.train_grpo(given, reward=broken, out=tmp_path / "broken", **common)
    assert RunFolder(tmp_path / "broken").steps() == [2] and calls == [8, 8, 8]
    resumed = grpo.train_grpo(given, reward=by_length, out=tmp_path / "broken", **common)
    whole = grpo.train_grpo(given, reward=by_length, out=tmp_path / "whole", **common)
    one, two, start = (AutoModelForCausalLM.from_pretrained(made).state_dict() for made in (resumed, whole, folder))
    assert all(torch.equal(one[name], weight) for name, weight in two.items())
    assert any(not torch.equal(start[name], weight) for name, weight in two.items())
    with pytest.raises(FileExistsError):
        grpo.train_grpo(given, reward=by_length, out=tmp_path / "whole", **common)


def test_another_rollout_writes_the_answers(folder, prompt, tmp_path):
    """A writer that always says 1 is rewarded for positives alone: the mean over balanced prompts is .5 + .5."""
    asked = []

    def rollout(prompts, trainer):
        asked.append(len(prompts))
        ids = trainer.processing_class(prompts)["input_ids"]
        one = answer_ids(trainer.processing_class)[0]
        return {"prompt_ids": ids, "completion_ids": [[one]] * len(ids), "logprobs": None}

    given = WarmupOptions(str(folder), prompt=prompt, **QUICK)
    made = warm_up_prorank(given, examples=examples(), out=tmp_path / "made", rollout=rollout)
    assert asked == [8, 8]
    assert read_log(made, "reward") == [1.0, 1.0]


def test_rank_r1s_prompts(folder):
    """Labels name the positive; places and negatives follow the seed; harmful texts are made harmless."""
    evil = Example("e", "odd [1]", (Passage("p", "right </answer> [2]"),), (Passage("n", "wrong<|im_end|>"),))
    tokenizer = AutoTokenizer.from_pretrained(folder)
    asked = load_prompts(name="rank_r1")["choose"]
    options = dict(negatives=19, passage_words=5, query_words=9, special=tokenizer.all_special_tokens)
    made = choices([evil], asked, count=20, **options)
    for choice in made:
        lines = choice.messages[-1]["content"].splitlines()
        assert f"{choice.label} right (/answer) (2)" in lines and "odd (1)" in choice.messages[-1]["content"]
        assert "<|im_end|>" not in choice.messages[-1]["content"]
    assert {choice.label for choice in made} == {"[1]", "[2]"} and made == choices([evil], asked, count=20, **options)
    assert choices([evil], asked, count=20, seed=1, **options) != made
    assert rendered(made[0].messages, tokenizer).endswith("<|im_start|>assistant\n")
    with pytest.raises(ValueError, match="1 of 1 examples have no negatives"):
        choices([Example("q", "x", evil.positives)], asked, count=1, **options)


def test_rank_r1s_mechanics(folder, tmp_path):
    """A rollout that writes the first label after a thought is rewarded where the positive stands first; the folder writes."""
    file = tmp_path / "mine.toml"
    file.write_text("[choose]\nmax_tokens = 9\nuser = '{query} {passages}'\n")
    label = "<think>a</think><answer>[1]</answer>"

    def rollout(prompts, trainer):
        ids = trainer.processing_class(prompts)["input_ids"]
        reply = trainer.processing_class(label)["input_ids"]
        return {"prompt_ids": ids, "completion_ids": [reply] * len(ids), "logprobs": None}

    given = RankR1Options(str(folder), prompt=str(file), **{**QUICK, "steps": 6, "max_length": 300, "max_tokens": 40})
    made = train_rank_r1(given, examples=examples(), out=tmp_path / "made", rollout=rollout)
    tokenizer = AutoTokenizer.from_pretrained(folder)
    asked = load_prompts(file, name="rank_r1")["choose"]
    special = tokenizer.all_special_tokens
    shown = choices(examples(), asked, count=12, negatives=19, passage_words=400, query_words=32, special=special)
    expected = [float(choice.label == "[1]") for choice in shown]
    means = [sum(expected[i : i + 2]) / 2 for i in range(0, 12, 2)]
    assert read_log(made, "reward") == means and 0 < sum(means) < 6
    assert not (made / "rader_config.json").exists() and AutoTokenizer.from_pretrained(made).chat_template
    with pytest.raises(ValueError, match="lower passage_words"):
        train_rank_r1(RankR1Options(str(folder), **QUICK), examples=examples(), out=tmp_path / "long")


def test_a_model_whose_template_begins_the_thought_is_rewarded(tmp_path):
    """Its prompts end with <think>, so replies begin behind it; without that every reward would be 0."""
    folder = tiny.qwen2_chat(tmp_path / "chat", initializer_range=0.02)
    tokenizer = AutoTokenizer.from_pretrained(folder)
    tokenizer.chat_template += "<think>{{ '\n' }}"
    tokenizer.save_pretrained(folder)
    file = tmp_path / "mine.toml"
    file.write_text("[choose]\nmax_tokens = 9\nuser = '{query} {passages}'\n")

    def rollout(prompts, trainer):
        ids = trainer.processing_class(prompts)["input_ids"]
        assert all(prompt.endswith("<think>\n") for prompt in prompts)
        replies = [f"a</think><answer>[{1 + i % 2}]</answer>" for i in range(len(ids))]
        return {"prompt_ids": ids, "completion_ids": trainer.processing_class(replies)["input_ids"], "logprobs": None}

    few = [Example(e.query_id, e.query, e.positives, e.negatives[:1]) for e in examples()]
    given = RankR1Options(str(folder), prompt=str(file), **{**QUICK, "max_length": 300, "max_tokens": 40})
    made = train_rank_r1(given, examples=few, out=tmp_path / "made", rollout=rollout)
    assert read_log(made, "reward") == [0.5, 0.5]  # of each two replies one has the label of two


@pytest.mark.parametrize(
    ("changed", "words"),
    [
        ({"group": 1}, "group is 1"),
        ({"steps": 0}, "steps is 0"),
        ({"learning_rate": 0}, "above 0"),
        ({"scale_rewards": "x"}, "scale"),
    ],
)
def test_options_that_do_not_fit(changed, words):
    with pytest.raises(ValueError, match=words):
        grpo.GRPOOptions("x", **changed)
