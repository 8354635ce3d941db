"""Threads fit the processors that a process may use, and share work without waiting for each other."""

import os
import signal
import subprocess
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor

import pytest
import torch

from rader_ir.threads import shared, usable_processors

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


def test_shared_work_is_done_alone_and_leaves_the_threads_as_they_were():
    faiss = pytest.importorskip("faiss")

    def counts(task):
        return task, torch.get_num_threads(), faiss.omp_get_max_threads(), threading.get_ident()

    before = torch.get_num_threads(), faiss.omp_get_max_threads()
    for threads in (1, 3):
        done = shared(counts, range(5), threads)
        assert [task for task, *_ in done] == list(range(5))
        assert {(torchs, faisses) for _, torchs, faisses, _ in done} == {(1, 1)}
        assert (len({thread for *_, thread in done}) > 1) == (threads > 1)
    new = ThreadPoolExecutor(1).submit(torch.get_num_threads).result()
    assert (torch.get_num_threads(), faiss.omp_get_max_threads()) == before and new == before[0]


def test_an_error_in_shared_work_comes_out_once_all_is_done():
    finished = []

    def work(task):
        if task == 0:
            raise ValueError("the first")
        time.sleep(0.05)
        finished.append(task)

    before = torch.get_num_threads()
    with pytest.raises(ValueError, match="the first"):
        shared(work, range(3), 2)
    assert sorted(finished) == [1, 2] and torch.get_num_threads() == before


def test_work_is_shared_in_a_forked_child():
    shared(abs, range(4), 2)
    child = os.fork()
    if not child:
        signal.alarm(30)
        os._exit(0 if shared(abs, range(-4, 0), 2) == [4, 3, 2, 1] else 1)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
