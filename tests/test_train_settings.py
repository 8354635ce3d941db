"""Options of training: RaDeR's values as defaults, wrong ones refused with what to do, files read from where they lie."""

import json

import pytest

from rader_ir.train.settings import Data, RerankerOptions, RetrieverOptions, from_toml, make


def test_defaults_are_raders():
    options = RetrieverOptions("minilm")
    assert (options.temperature, options.negatives, options.learning_rate, options.warmup_steps) == (0.01, 11, 1e-4, 28)
    assert (options.lora_alpha, options.lora_dropout, options.epochs, options.schedule) == (64.0, 0.1, 1, "linear")
    assert options.lora_targets == ("q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj")


def test_what_is_told_makes_the_same_options_again():
    options = RetrieverOptions("minilm", learning_rate=1, lora_targets=["query"], piece_size=None, shares={"a": 1})
    assert make(RetrieverOptions, json.loads(json.dumps(options.told()))) == options


@pytest.mark.parametrize(
    ("values", "words"),
    [
        ({"learnig_rate": 1e-3}, "option 'learnig_rate' is unknown; do you mean 'learning_rate'"),
        ({"epochs": 1.5}, "option epochs is 1.5; give a whole number"),
        ({"epochs": True}, "option epochs is True; give a whole number"),
        ({"lora": "yes"}, "option lora is 'yes'; give true or false"),
        ({"batch_size": 0}, "option batch_size is 0; give 1 or more"),
        ({"learning_rate": float("nan")}, "option learning_rate is nan; give a number above 0"),
        ({"temperature": 0}, "option temperature is 0.0; give a number above 0"),
        ({"schedule": "steps"}, "option schedule is 'steps'; choose 'linear', 'cosine'"),
        ({"precision": "float16"}, "option precision is 'float16'; choose 'float32', 'bfloat16'"),
        ({"lora_targets": [1]}, "option lora_targets is .1.; give a list of texts"),
        ({"lora_dropout": 1}, "option lora_dropout is 1.0; give a share"),
        ({"max_query_length": 2}, "max_query_length is 2; give a whole number of tokens, 4 or more"),
        ({"checkpoint": None}, "option checkpoint is None; give a text"),
        ({"dropout": -0.1}, "option dropout is -0.1; give a share"),
        ({"label_weight": 1.1}, "option label_weight is 1.1; give a share, from 0 to 1"),
        ({"shares": {"a": 0}}, "option shares gives 'a' 0.0; give a number above 0"),
        ({"shares": {"a": "b"}}, "option shares.a is 'b'; give a number"),
        ({"shares": 0.5}, "option shares is 0.5; give a table"),
    ],
)
def test_wrong_options(values, words):
    with pytest.raises(ValueError, match=words):
        make(RetrieverOptions, {"checkpoint": "minilm", **values})


def test_a_file(tmp_path):
    (tmp_path / "run").mkdir()
    path = tmp_path / "run" / "x.toml"
    path.write_text(
        'checkpoint = "minilm"\nepochs = 2\n[data]\nexamples = ["a.jsonl", "/b.jsonl"]\ndev = "c.jsonl"\nout = "../made"\n'
        "[shares]\na = 0.5\n"
    )
    options, data = from_toml(path, "reranker")
    assert options == RerankerOptions("minilm", epochs=2, shares={"a": 0.5})
    here = str(tmp_path / "run")
    assert data == Data((f"{here}/a.jsonl", "/b.jsonl"), out=f"{here}/../made", dev=(f"{here}/c.jsonl",))


def test_temperature_and_label_weight_of_a_reranker_are_of_kl():
    for name in ("temperature", "label_weight"):
        with pytest.raises(ValueError, match=f"option {name} is 0.5, and loss 'softmax' has none; it is of loss 'kl'"):
            RerankerOptions("minilm", **{name: 0.5})
        assert getattr(RerankerOptions("minilm", loss="kl", **{name: 0.5}), name) == 0.5


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("checkpoint = ", "x.toml: Invalid value"),
        ('checkpoint = "minilm"', r"x.toml: it has no table \[data\]"),
        ('[data]\nexamples = ["a"]', "x.toml: an option is missing: 'checkpoint', above all tables"),
        ('checkpoint = "a"\n[data]', r"x.toml: an option is missing: 'examples', in the table \[data\]"),
        ('checkpoint = "a"\n[data]\nexamples = []', "data.examples is empty"),
        ('checkpoint = "a"\n[data]\nexamples = "b"\ndev = "c"\ndev_fraction = 0.1', "both given; keep one"),
        ('checkpoint = "a"\npair_form = "b"\n[data]\nexamples = "b"', "'pair_form' is of rerankers only"),
        ('checkpoint = "a"\nloss = "kl"\n[data]\nexamples = "b"', "option 'loss' is of rerankers only; leave it out"),
        ('checkpoint = "a"\nout = "c"\n[data]\nexamples = "b"', r"option 'out' is of the table \[data\]; put it there"),
        ('checkpoint = "a"\n[data]\nexamples = "b"\nepochs = 2', "'epochs' has no place in .*put it above all tables"),
        (
            'checkpoint = "a"\nmemory = true\npiece_size = 8\n[data]\nexamples = "b"',
            "memory and piece_size are both given",
        ),
    ],
)
def test_wrong_files(tmp_path, text, words):
    (tmp_path / "x.toml").write_text(text)
    with pytest.raises(ValueError, match=words):
        from_toml(tmp_path / "x.toml", "retriever")


def test_a_file_of_the_other_kind_and_one_that_is_not_there(tmp_path):
    (tmp_path / "x.toml").write_text('checkpoint = "a"\npiece_size = 8\n[data]\nexamples = "b"\n')
    with pytest.raises(ValueError, match=r"x\.toml: option 'piece_size' is of retrievers only; leave it out"):
        from_toml(tmp_path / "x.toml", "reranker")
    with pytest.raises(FileNotFoundError, match=r"there is no file .*none\.toml of options; write one"):
        from_toml(tmp_path / "none.toml", "retriever")
