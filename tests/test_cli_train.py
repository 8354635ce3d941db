"""`rader train` from a configuration to a folder that is searched with, resumed, refused; `python -m rader_ir.cli` too."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

from rader_ir.cli import main
from rader_ir.encoder import Encoder
from rader_ir.examples import write_examples
from rader_ir.train.settings import Data, RerankerOptions
from tests.toy_training import QUICK, examples

ROOT = Path(__file__).parents[1]


def lines(options: dict) -> str:
    """Options as TOML."""
    return "".join(f"{name} = {json.dumps(value)}\n" for name, value in options.items() if value is not None)


@pytest.fixture
def config(tiny_qwen2, tmp_path):
    """A configuration beside its data; options as keywords."""
    write_examples(examples(), tmp_path / "train.jsonl")

    def write(data='dev_fraction = 0.25\nout = "made"', **changed) -> str:
        options = {"checkpoint": str(tiny_qwen2), **QUICK, "max_steps": 2, **changed}
        text = lines(options) + f'[data]\nexamples = "train.jsonl"\n{data}\n'
        (tmp_path / "x.toml").write_text(text)
        return str(tmp_path / "x.toml")

    return write


def test_a_retriever(config, tmp_path, capsys):
    assert main(["train", "retriever", "--config", config(), "--json", str(tmp_path / "told.json")]) == 0
    told = json.loads((tmp_path / "told.json").read_text())
    assert (told["examples"], told["development"], told["steps"]) == (12, 4, 2)
    assert 0 <= told["nDCG@10 after"] <= 1 and told["out"] == str(tmp_path / "made")
    assert Encoder(tmp_path / "made").encode_docs(["a"]).shape == (1, 32)
    stderr = capsys.readouterr().err
    assert "rader train: step 1 of 2: loss" in stderr and "rader train: step 2 of 2: nDCG@10" in stderr
    assert main(["train", "retriever", "--config", config()]) == 2
    assert "made exists; move it away, or give another folder" in capsys.readouterr().err
    assert main(["train", "retriever", "--config", config(), "--out", str(tmp_path / "other"), "--quiet"]) == 0
    assert capsys.readouterr().err == "" and (tmp_path / "other" / "rader_config.json").is_file()


def test_a_reranker(config, tmp_path):
    assert main(["train", "reranker", "--config", config(piece_size=None), "--quiet"]) == 0
    assert json.loads((tmp_path / "made" / "rader_config.json").read_text())["head"] == "score"


@pytest.mark.parametrize(
    ("changed", "words"),
    [
        ({"epoch": 3}, "x.toml: option 'epoch' is unknown; do you mean 'epochs'?"),
        ({"data": ""}, "names no folder to make; give --out"),
        ({"data": 'out = "made"\ndev = "none.jsonl"'}, "none.jsonl of examples; `rader mine` makes one"),
        ({"checkpoint": "./nowhere"}, "there is no checkpoint folder './nowhere'"),
        ({"negatives": 2, "data": 'out = "made"\ndev_fraction = 1.0'}, "data.dev_fraction is 1.0; give a share"),
    ],
)
def test_wrong_configurations(config, tmp_path, capsys, changed, words):
    assert main(["train", "retriever", "--config", config(**changed)]) == 2
    assert words in capsys.readouterr().err
    assert [entry.name for entry in tmp_path.iterdir() if entry.is_dir()] == []


@pytest.mark.parametrize("kind", ["retriever", "reranker"])
def test_examples_without_negatives_are_told_before_models_are_read(config, tmp_path, capsys, kind):
    """The checkpoint is not there either, which would be told of next."""
    path = config(checkpoint="./nowhere", piece_size=None, data='out = "made"')
    write_examples([*examples(2), *examples(1, negatives=0, first=2)], tmp_path / "train.jsonl")
    assert main(["train", kind, "--config", path]) == 2
    told = capsys.readouterr().err
    assert "1 of 3 examples have no negatives, first 'q2', and 2 are wanted" in told
    assert "--require-negatives" in told and "train a retriever with negatives = 0" in told


def test_the_start_of_a_run_is_told(config, capsys):
    assert main(["train", "retriever", "--config", config()]) == 0
    assert capsys.readouterr().err.startswith("rader train: 2 steps in one process on cpu\n")


def test_options_are_printed(capsys):
    assert main(["train", "reranker", "--options", "--quiet"]) == 0
    lines = capsys.readouterr().out.splitlines()
    top, data = lines[: lines.index("[data]") - 1], lines[lines.index("[data]") + 1 :]
    assert [line.partition(" ")[0].rstrip(",") for line in top] == list(RerankerOptions.__dataclass_fields__)
    assert [line.partition(" ")[0].rstrip(",") for line in data] == list(Data.__dataclass_fields__)
    assert all("  # " in line for line in lines if line.strip() not in ("", "[data]"))
    assert "batch_size = 4  # queries of one forward pass, over all devices together" in top
    assert main(["train", "mini", "--options"]) == 2


def test_what_only_a_retriever_has(config, capsys):
    path = config(data='out = "made"\ndev_docs = "train.jsonl"', piece_size=None)
    assert main(["train", "reranker", "--config", path]) == 2
    assert "data.dev_docs is for retrievers" in capsys.readouterr().err
    with pytest.raises(SystemExit):
        main(["train", "generator", "--config", path])


def test_the_module_is_the_command(config, tmp_path):
    words = [sys.executable, "-m", "rader_ir.cli", "train", "retriever", "--config", config(epochs=0)]
    ended = subprocess.run(words, cwd=ROOT, capture_output=True, text=True)
    assert ended.returncode == 2 and "option epochs is 0; give 1 or more" in ended.stderr
