"""Threads fit the processors that a process may use, and share work without waiting for each other."""

import os
import subprocess
import sys
import threading
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
import torch

from rader_ir.index_writer import write_index
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
    if usable_processors() < 2:
        pytest.skip("one processor has nobody to share with")
    together = threading.Barrier(2)

    def counts(task):
        together.wait(20)
        return task, torch.get_num_threads(), faiss.omp_get_max_threads(), threading.get_ident()

    before = torch.get_num_threads(), faiss.omp_get_max_threads()
    torch.set_num_threads(2)
    try:
        for _ in range(2):
            done = shared(counts, range(2))
            assert [task for task, *_ in done] == [0, 1]
            assert {(torchs, faisses) for _, torchs, faisses, _ in done} == {(1, 1)}
            assert len({thread for *_, thread in done}) == 2
        assert torch.get_num_threads() == 2 and faiss.omp_get_max_threads() == before[1]
        assert ThreadPoolExecutor(1).submit(torch.get_num_threads).result() == 2
    finally:
        torch.set_num_threads(before[0])


OVERLAPPING = """
import threading
import torch
from rader_ir.threads import shared

torch.set_num_threads(3)

def user():
    for _ in range(50):
        shared(lambda task: torch.ones(9).sum(), range(2))
    seen.append(torch.get_num_threads())

seen = []
users = [threading.Thread(target=user) for _ in range(4)]
for thread in users:
    thread.start()
for thread in users:
    thread.join()
users = [threading.Thread(target=user) for _ in range(2)]
for thread in users:
    thread.start()
for thread in users:
    thread.join()
print(*seen, torch.get_num_threads())
"""


def test_callers_that_overlap_keep_their_threads():
    done = subprocess.run([sys.executable, "-c", OVERLAPPING], capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["3"] * 7


def test_an_error_in_shared_work_comes_out_before_the_rest_is_done():
    go_on = threading.Event()

    def work(task):
        if task == 0:
            raise ValueError("the first")
        go_on.wait(30)

    try:
        with pytest.raises(ValueError, match="the first"):
            shared(work, range(2))
    finally:
        go_on.set()


FORKING = """
import os, signal, sys
import numpy as np
from rader_ir.index import Index

index = Index(sys.argv[1])
queries = np.eye(8, index.dimension, dtype=np.float32)
expected = [index.search(queries[:count], depth=3)[0][0].tolist() for count in (1, 8)]
child = os.fork()
if not child:
    signal.alarm(60)
    found = [index.search(queries[:count], depth=3)[0][0].tolist() for count in (1, 8)]
    os._exit(0 if found == expected else 1)
print(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))
"""


def test_a_forked_child_searches_as_its_parent_did(tmp_path):
    rows = ((str(number), vector) for number, vector in enumerate(np.random.default_rng(0).standard_normal((5000, 16))))
    write_index(tmp_path, rows, dimension=16, made_by={})
    environment = {name: value for name, value in os.environ.items() if not name.endswith("_NUM_THREADS")}
    script = [sys.executable, "-W", "ignore", "-c", FORKING, str(tmp_path)]
    done = subprocess.run(script, env=environment, capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["0"], done.stderr
