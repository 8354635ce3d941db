"""kill -9 while an index is created, added to or merged: the same call goes on, and ends with the same bytes.

First before every single call that opens, writes, renames or removes a file, which takes in the finishing steps; then, in
a process that imports no model library, at random moments, so also in the middle of a call.
"""

import random
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from rader_ir.index import Index
from tests import index_kill_worker as worker
from tests.killing import killed_at
from tests.toy_index import contents

TOUCHES_FILES = {"open", "mkdir", "write", "flush", "fsync", "truncate", "replace", "unlink", "rmdir"}


@pytest.fixture
def few(monkeypatch):
    """Three chunks of documents instead of many; to be asked for before `job`."""
    monkeypatch.setattr(worker, "COUNT", 90)
    monkeypatch.setattr(worker, "FIRST", 50)


@pytest.fixture(params=worker.JOBS)
def job(request, tmp_path):
    """(name of the work, folder before it, bytes after it), on as many documents as the worker module says."""
    prepare, work = worker.JOBS[request.param]
    before, whole = tmp_path / "before", tmp_path / "whole"
    before.mkdir()
    if prepare:
        prepare(before)
    shutil.copytree(before, whole)
    work(whole)
    return request.param, before, contents(whole)


def killed(moment: int, work, folder: Path) -> bool:
    """Do the work in a child process that ends itself at its n-th touch of a file; whether it got that far."""
    return killed_at(moment, lambda: work(folder), lambda function: function.__name__ in TOUCHES_FILES)


def assert_old_or_absent(folder: Path, before: int, after: int) -> None:
    """Whoever opens the folder now finds the index as it was before, or the new one, whole."""
    try:
        assert len(Index(folder)) in (before, after)
    except FileNotFoundError:
        assert before == 0


@pytest.mark.filterwarnings("ignore:documents are being added")
def test_killed_at_any_touch_of_a_file(few, job, tmp_path):
    name, before, whole = job
    work, moment, folder = worker.JOBS[name][1], 0, tmp_path / "killed"
    alive = False
    while not alive:
        moment += 1
        shutil.rmtree(folder, ignore_errors=True)
        shutil.copytree(before, folder)
        alive = not killed(moment, work, folder)
        assert_old_or_absent(folder, worker.FIRST if name == "append" else 0, worker.COUNT)
        work(folder)
        assert contents(folder) == whole, moment
    assert moment > 20


def test_killed_again_and_again(few, job, tmp_path):
    """Every call is killed a little later than the one before, so the recovery is killed as well."""
    name, before, whole = job
    folder, moment = tmp_path / "killed", 1
    shutil.copytree(before, folder)
    while killed(moment, worker.JOBS[name][1], folder):
        moment += 1
    assert contents(folder) == whole


def killed_after(seconds: float, name: str, folder: Path) -> bool:
    """Start the worker, kill it so long after it began to write; whether it was still at it."""
    command = [sys.executable, "-m", "tests.index_kill_worker", name, str(folder)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout.readline() == "writing\n"
        time.sleep(seconds)
        process.kill()
    return process.returncode == -signal.SIGKILL


@pytest.mark.parametrize("moments", [3, pytest.param(50, marks=pytest.mark.slow)])
def test_killed_at_random_moments(job, tmp_path, moments):
    name, before, whole = job
    folder, chance, kills = tmp_path / "killed", random.Random(name), 0
    shutil.copytree(before, folder)
    start = time.perf_counter()
    worker.JOBS[name][1](tmp_path / "timed" if name == "create" else shutil.copytree(before, tmp_path / "timed"))
    length = time.perf_counter() - start
    while kills < moments:
        if killed_after(chance.uniform(0, length), name, folder):
            kills += 1
        else:
            assert contents(folder) == whole
            shutil.rmtree(folder)
            shutil.copytree(before, folder)
    worker.JOBS[name][1](folder)
    assert contents(folder) == whole
