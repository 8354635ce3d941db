"""Threads fit the processors that a process may use."""

import os
import subprocess
import sys

import pytest

from rader_ir.threads import usable_processors

SCRIPT = """
import torch
from rader_ir.threads import fit_threads

torch.set_num_threads(64)
fit_threads()
print(torch.get_num_threads())
"""


@pytest.mark.parametrize(
    ("quota", "processors"),
    [("max 100000\n", None), ("150000 100000\n", 1), ("50000 100000\n", 1), ("99900000 100000\n", None), ("", None)],
)
def test_a_quota_lowers_what_the_process_is_bound_to(tmp_path, quota, processors):
    file = tmp_path / "cpu.max"
    file.write_text(quota)
    bound = len(os.sched_getaffinity(0))
    assert usable_processors(file) == (processors or bound)
    assert usable_processors(tmp_path / "missing") == bound


@pytest.mark.parametrize(("asked", "threads"), [({}, None), ({"OMP_NUM_THREADS": "64"}, 64)])
def test_torch_gets_no_more_threads_than_processors_unless_asked(asked, threads):
    environment = {name: value for name, value in os.environ.items() if not name.endswith("_NUM_THREADS")} | asked
    done = subprocess.run([sys.executable, "-c", SCRIPT], env=environment, capture_output=True, text=True, check=True)
    assert int(done.stdout) == (threads or usable_processors())
