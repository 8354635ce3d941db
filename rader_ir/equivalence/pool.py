"""Processes that compare formulas, each ended and replaced when it takes too long or dies: a hang costs one answer, no more.

They are programs of their own over pipes, not forks and not threads: they start beside a server, in a notebook or under
torch alike, they never import the caller's main module, and no lock of the caller's reaches them.
"""

import json
import os
import queue
import subprocess
import sys
import threading
import weakref
from importlib.util import find_spec
from pathlib import Path

from rader_ir.equivalence.rules import ALGEBRA, CRASHED, TIMEOUT, UNREADABLE, Verdict

_START = 120.0  # seconds to import sympy on a busy machine
_ROOT = str(Path(__file__).parents[2])


class Pool:
    """Compares formulas in `processes` processes, each started when first needed; safe for threads.

    Args:
        processes: how many pairs may be compared at a time; more callers wait.
        timeout: seconds for one pair.

    Raises:
        ImportError: math-verify is not installed.
        ValueError: no processes, or no time.
    """

    def __init__(self, *, processes: int = 1, timeout: float = 10.0):
        if processes < 1 or timeout <= 0:
            raise ValueError(f"processes is {processes}, timeout {timeout}; give at least one process and some seconds")
        if find_spec("math_verify") is None:
            raise ImportError("math-verify compares answers and is not installed; pip install 'rader-ir[lm]'")
        self.processes, self.timeout = processes, timeout
        self._workers = [_Worker(timeout) for _ in range(processes)]
        self._idle: queue.LifoQueue[_Worker] = queue.LifoQueue()  # the last used is the likeliest to be warm
        for worker in self._workers:
            self._idle.put(worker)

    def compare(self, a: str, b: str, tolerance: float) -> Verdict:
        """The verdict on two formulas in LaTeX; a failure has the rule "unreadable", "timeout" or "crashed"."""
        worker = self._idle.get()
        try:
            return worker.ask(json.dumps({"a": a, "b": b, "tolerance": tolerance}))
        finally:
            self._idle.put(worker)

    def pids(self) -> list[int]:
        """The processes that run now."""
        return [worker.process.pid for worker in self._workers if worker.running()]

    def close(self) -> None:
        """Ends the processes; a later comparison starts them anew."""
        for worker in self._workers:
            worker.stop()


class _Worker:
    """One process, started when asked first and after every end."""

    def __init__(self, timeout: float):
        self.timeout = timeout
        self.process: subprocess.Popen | None = None
        self._at_exit: weakref.finalize | None = None

    def running(self) -> bool:
        return self.process is not None and self.process.poll() is None

    def ask(self, question: str) -> Verdict:
        if not self.running():
            self._start()
        line, late = self._exchange(question, self.timeout)
        if not line.endswith("\n"):
            self.stop()
            return Verdict(False, TIMEOUT if late else CRASHED)
        equal = json.loads(line)["equal"]
        return Verdict(False, UNREADABLE) if equal is None else Verdict(equal, ALGEBRA)

    def _start(self) -> None:
        path = os.pathsep.join(filter(None, [_ROOT, os.environ.get("PYTHONPATH")]))
        # A fixed hash seed: sympy walks through sets, and what it finds first must not change from run to run.
        environment = {**os.environ, "PYTHONPATH": path, "PYTHONHASHSEED": "0", "PYTHONIOENCODING": "utf-8"}
        self.process = subprocess.Popen(
            [sys.executable, "-P", "-m", "rader_ir.equivalence.worker", str(self.timeout)],
            **{"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "stderr": subprocess.DEVNULL},
            text=True,
            encoding="utf-8",
            env=environment,
        )
        self._at_exit = weakref.finalize(self, _end, self.process)
        if not self._exchange(None, _START)[0]:
            code = self.process.wait()
            raise RuntimeError(
                f"the process that compares formulas did not start (exit code {code}); "
                f"see why with: {sys.executable} -m rader_ir.equivalence.worker 10"
            )

    def _exchange(self, question: str | None, seconds: float) -> tuple[str, bool]:
        """Writes a line and reads one; ("", True) when the time is up, after which the process is dead."""
        late = threading.Event()
        timer = threading.Timer(seconds, _end, (self.process, late))
        timer.daemon = True
        timer.start()
        try:
            if question is not None:
                self.process.stdin.write(question + "\n")
                self.process.stdin.flush()
            return self.process.stdout.readline(), late.is_set()
        except BrokenPipeError:
            return "", late.is_set()
        finally:
            timer.cancel()

    def stop(self) -> None:
        if self.process is not None:
            self._at_exit()
            self.process = None


def _end(process: subprocess.Popen, late: threading.Event | None = None) -> None:
    if late is not None:
        late.set()
    process.kill()
    process.wait()
    if late is None:  # else another thread still reads; it closes the pipes
        for pipe in (process.stdin, process.stdout):
            try:
                pipe.close()
            except OSError:  # what was not written to a process that died
                continue
