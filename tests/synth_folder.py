"""A synthesis as users run it, on problems of the demo and with the simulated solver in a thread of this process.

What a run leaves is compared byte by byte, but for what tells of one call alone: the cache of replies and the lines about usage.
"""

import asyncio
import json
import os
import subprocess
import sys
import threading
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path

from rader_ir.cli import main
from rader_ir.lm.server import Server
from rader_ir.problems import Problem
from rader_ir.synth.grown import Grown
from rader_ir.synth.simulated import MODEL, SimulatedSolver, demo_corpus, demo_problems
from rader_ir.synth.simulated.server import _Connection

ROOT = Path(__file__).parents[1]
OF_ONE_CALL = ("replies.sqlite", "usage.jsonl")  # and what SQLite keeps beside the first
QUICK = ["--rollouts", "3", "--samples", "2", "--max-depth", "5"]


class Solver(SimulatedSolver):
    """A simulated solver at a port of one's choice that calls `at_request` with the number, from 1, of each request."""

    def __init__(self, *, port: int = 0, at_request: Callable[[int], None] | None = None, **options):
        super().__init__(**options)
        self.port, self.at_request, self.requests = port, at_request, 0

    async def __aenter__(self) -> "Solver":
        self._loop, self._stopped = asyncio.get_running_loop(), asyncio.Event()
        self._server = await self._loop.create_server(lambda: _Connection(self), "127.0.0.1", self.port)
        self.port = self._server.sockets[0].getsockname()[1]
        return self

    def _take(self, connection, raw) -> None:
        self.requests += 1
        if self.at_request is not None:
            self.at_request(self.requests)
        super()._take(connection, raw)


@contextmanager
def solving(**options) -> Iterator[Solver]:
    """A solver that serves from a thread of its own until the block ends, or its `stop` is called."""
    ready, solver, loop = threading.Event(), Solver(**options), asyncio.new_event_loop()

    async def serve() -> None:
        async with solver:
            ready.set()
            await solver._stopped.wait()

    thread = threading.Thread(target=loop.run_until_complete, args=(serve(),), daemon=True)
    solver.stop = lambda: loop.call_soon_threadsafe(solver._stopped.set)
    thread.start()
    assert ready.wait(20)
    try:
        yield solver
    finally:
        solver.stop()
        thread.join(20)
        loop.close()


def demo_of(*names: str) -> list[Problem]:
    """The first problem of the demo of each kind."""
    first = {each.problem_id.partition("-")[0]: each for each in reversed(demo_problems(64, 0))}
    return [first[name] for name in names]


def write_rows(path: Path, rows: Iterable[dict]) -> Path:
    """Rows as JSON lines."""
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return path


def inputs(folder: Path, problems: Sequence[Problem], *, documents: Mapping[str, str] | None = None) -> Path:
    """A folder with problems.jsonl and docs.jsonl; by default the theorems of the demo without what distracts from them."""
    documents = documents or {name: text for name, text in demo_corpus().items() if name.startswith("sim-")}
    folder.mkdir(exist_ok=True)
    write_rows(folder / "problems.jsonl", map(asdict, problems))
    write_rows(folder / "docs.jsonl", [{"doc_id": doc_id, "text": text} for doc_id, text in documents.items()])
    return folder


def words(given: Path, out: Path, url: str, *more: str) -> list[str]:
    """The words of a call after `rader`; `more` may override."""
    plain = ["synthesize", str(given / "problems.jsonl"), "--corpus", str(given / "docs.jsonl"), "--out", str(out)]
    return [*plain, "--lm", url, "--lm-model", MODEL, *QUICK, *map(str, more)]


def synthesized(given: Path, out: Path, url: str, *more: str) -> dict:
    """The figures of a call in this process, which must succeed."""
    figures = out.parent / f"{out.name}.figures.json"
    assert main([*words(given, out, url, *more), "--json", str(figures), "--quiet", "--traceback"]) == 0
    return json.loads(figures.read_text())


def started(words: list[str], **options) -> subprocess.Popen:
    """`rader` in a process of its own."""
    heed = "import signal; signal.signal(signal.SIGINT, signal.default_int_handler)"  # background jobs may ignore it
    program = f"{heed}; import sys; from rader_ir.cli import main; sys.exit(main())"
    options = {"env": {**os.environ, "PYTHONPATH": str(ROOT)}, "text": True, "start_new_session": True} | options
    return subprocess.Popen([sys.executable, "-c", program, *words], stderr=subprocess.PIPE, **options)


def left_in(folder: Path) -> dict[str, bytes]:
    """All files of a folder by their paths in it, hidden ones too, but for what tells of one call."""
    paths = [path for path in sorted(folder.rglob("*")) if path.is_file() and not path.name.startswith(OF_ONE_CALL)]
    return {str(path.relative_to(folder)): path.read_bytes() for path in paths}


def usage(folder: Path) -> list[dict]:
    """What each call used, in the order of the calls."""
    return [json.loads(line) for line in (folder / "usage.jsonl").read_text().splitlines()]


def trees(folder: Path) -> list[Grown]:
    """The trees of a folder, by the names of their files."""
    return [Grown.read(path) for path in sorted((folder / "trees").glob("*.json"))]


def impatient(monkeypatch, **settings) -> None:
    """Let clients of servers wait no longer than a test can; `settings` are those of `Server`."""
    quick = {"pause": 0.001, "longest_pause": 0.01, "largest": 200_000, "timeout": 3.0} | settings
    for name, value in quick.items():
        monkeypatch.setitem(Server.__init__.__kwdefaults__, name, value)
