"""`rader push` to a hub on this machine: every file arrives as it is, and what nobody could use is not pushed."""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from rader_ir.train.push import push
from rader_ir.train.retriever import train_retriever
from rader_ir.train.settings import RetrieverOptions
from tests import hub
from tests.toy_training import QUICK, examples

ROOT = Path(__file__).parents[1]


@pytest.fixture(scope="module")
def trained(tiny_qwen2, tmp_path_factory) -> Path:
    options = RetrieverOptions(str(tiny_qwen2), **{**QUICK, "max_steps": 1})
    return train_retriever(options, examples=examples(), out=tmp_path_factory.mktemp("trained") / "made")


def rader(tmp_path, *words, **environment) -> subprocess.CompletedProcess:
    """Weights go by git-lfs here, not by xet, whose servers are beyond a test."""
    plain = {"HF_HOME": str(tmp_path / "home"), "HF_HUB_OFFLINE": "0", "HF_HUB_DISABLE_XET": "1"}
    everything = {**os.environ, **plain, **environment}
    command = [sys.executable, "-m", "rader_ir.cli", *map(str, words)]
    return subprocess.run(command, cwd=ROOT, env=everything, capture_output=True, text=True, timeout=120)


def files(folder: Path) -> dict[str, bytes]:
    return {
        str(p.relative_to(folder)): p.read_bytes() for p in folder.rglob("*") if p.is_file() and p.name != ".private"
    }


def test_a_folder_arrives_as_it_is(trained, tmp_path):
    uploads = tmp_path / "uploads"
    uploads.mkdir()
    (trained / "training" / "tensorboard").mkdir(exist_ok=True)
    (trained / "training" / "tensorboard" / "events").write_text("stays here")
    with hub.serve({}, uploads=uploads, token="secret") as (address, requests):
        here = {"HF_ENDPOINT": address, "HF_TOKEN": "secret"}
        ended = rader(tmp_path, "push", trained, "me/made", "--json", tmp_path / "told.json", **here)
    assert ended.returncode == 0, ended.stderr
    shutil.rmtree(trained / "training" / "tensorboard")
    assert files(uploads / "me" / "made") == files(trained)
    assert (uploads / "me" / "made" / ".private").read_text() in ("private", "True")  # as the client's version says it
    assert json.loads((tmp_path / "told.json").read_text())["commit"].endswith(hub.COMMIT)
    assert sum("/commit/main" in request for request in requests) == 1


def test_a_stranger_is_told_to_log_in(trained, tmp_path):
    with hub.serve({}, uploads=tmp_path, token="secret") as (address, _):
        ended = rader(tmp_path, "push", trained, "me/made", HF_ENDPOINT=address, HF_TOKEN="wrong")
    assert ended.returncode == 2 and "(401: " in ended.stderr and "log in by `hf auth login`" in ended.stderr


def test_what_is_not_pushed(trained, tiny_qwen2, tmp_path):
    for name in ("adapter", "bare", "half"):
        shutil.copytree(trained, tmp_path / name)
    (tmp_path / "adapter" / "adapter_config.json").write_text(
        json.dumps({"peft_type": "LORA", "base_model_name_or_path": str(tiny_qwen2)})
    )
    (tmp_path / "adapter" / "adapter_model.safetensors").write_bytes((trained / "model.safetensors").read_bytes())
    (tmp_path / "bare" / "README.md").unlink()
    (tmp_path / "bare" / "training" / "run_card.json").unlink()
    weights = tmp_path / "half" / "model.safetensors"
    weights.write_bytes(weights.read_bytes()[:-1])
    cases = [
        (tmp_path / "adapter", "a folder of this machine, which nobody else has; train with merged = true"),
        (tmp_path / "bare", "has neither README.md nor training/run_card.json"),
        (tmp_path / "half", "model.safetensors is half-written"),
        (tmp_path / "none", "there is no folder"),
        (tmp_path, "is no checkpoint"),
    ]
    for folder, words in cases:
        with pytest.raises(ValueError, match=words):
            push(folder, "me/made")


def test_without_a_hub(trained, monkeypatch):
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    with pytest.raises(OSError, match="switched off by HF_HUB_OFFLINE; unset it to push"):
        push(trained, "me/made")


@pytest.mark.parametrize("name", ["made", "me/made/again", "me/", "/made", "me/a b", "me/-made-"])
def test_names_that_are_none(trained, monkeypatch, name):
    """The last one is for the hub's client to refuse, before it calls."""
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    with pytest.raises(ValueError, match=f"'{name}' is no name of a repository.*give 'organisation/name'"):
        push(trained, name)


def test_a_hub_that_does_not_answer(trained, tmp_path):
    """Nobody listens at the port of a hub that was closed."""
    with hub.serve({}) as (address, _):
        pass
    ended = rader(tmp_path, "push", trained, "me/made", HF_ENDPOINT=address, HF_TOKEN="secret")
    assert ended.returncode == 2 and ended.stderr.count("\n") == 1, ended.stderr
    assert f"rader push: the hub at {address} cannot be reached (ConnectError: " in ended.stderr


def test_a_card_is_written_again_from_the_runs(trained, tmp_path, monkeypatch):
    folder = shutil.copytree(trained, tmp_path / "copy")
    card = (folder / "README.md").read_text()
    (folder / "README.md").unlink()
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    with pytest.raises(OSError, match="HF_HUB_OFFLINE"):
        push(folder, "me/made")
    assert (folder / "README.md").read_text() == card
