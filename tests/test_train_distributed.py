"""Two processes (gloo, on CPUs) train what one does: the same losses and measurements, and weights equal beyond rounding."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from safetensors.torch import load_file

from rader_ir.train.callbacks import read_log
from tests import train_two_worker as worker

ROOT = Path(__file__).parents[1]


@pytest.fixture(scope="module")
def two(tiny_qwen2, tmp_path_factory) -> Path:
    """The folder in which two processes have trained, with whole batches and with cached ones."""
    folder = tmp_path_factory.mktemp("two")
    run = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node=2"]
    words = [*run, str(ROOT / "tests" / "train_two_worker.py"), str(folder), str(tiny_qwen2)]
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "HF_HUB_OFFLINE": "1"}
    ended = subprocess.run(words, cwd=ROOT, capture_output=True, text=True, env=environment, timeout=300)
    assert ended.returncode == 0, ended.stderr[-3000:]
    return folder


@pytest.mark.parametrize("name", worker.PIECES)
def test_two_processes_are_one(one_thread, tiny_qwen2, tmp_path, two, name):
    one = worker.train(tmp_path / name, tiny_qwen2, worker.PIECES[name])
    for figure in ("loss", "grad_norm", "dev_nDCG@10"):
        found, wanted = (
            [line[figure] for line in read_log(folder / "training" / "log.jsonl") if figure in line]
            for folder in (two / name, one)
        )
        assert found == pytest.approx(wanted, rel=1e-4) and len(found) >= 3
    ours, theirs = load_file(one / "model.safetensors"), load_file(two / name / "model.safetensors")
    before = load_file(tiny_qwen2 / "model.safetensors")
    assert max((ours[key] - theirs[key]).abs().max().item() for key in ours) < 1e-5
    assert max((ours[key] - before[key]).abs().max().item() for key in ours) > 1e-3
    card = json.loads((two / name / "training" / "run_card.json").read_text())
    assert card["machine"]["processes"] == 2
