"""The simulated solver in a process of its own, so that a benchmark measures its client and not the two together."""

import asyncio
import multiprocessing
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from multiprocessing.connection import Connection
from typing import Any

from rader_ir.synth.simulated.faults import Faults
from rader_ir.synth.simulated.replies import Skill
from rader_ir.synth.simulated.server import MODEL, SimulatedSolver

_SECONDS = 60.0  # until a new process has started, or an old one ended


@dataclass(frozen=True)
class Served:
    """A simulated solver in another process.

    Attributes:
        url: its base URL.
        model: the name that it goes by.
    """

    url: str
    model: str
    _pipe: Connection

    def counts(self) -> dict[str, Any]:
        """As `SimulatedSolver.counts`."""
        self._pipe.send("counts")
        return self._pipe.recv()


@contextmanager
def serve_in_process(
    *,
    skill: Skill | None = None,
    faults: Faults | None = None,
    latency: float = 0.0,
    slots: int = 64,
    context: int | None = None,
    model: str = MODEL,
) -> Iterator[Served]:
    """A `SimulatedSolver` of these arguments in a new process, for as long as the block lasts; it ends with this one too.

    The process is spawned: a script that calls this needs `if __name__ == "__main__"`, as for all of multiprocessing.

    Raises:
        RuntimeError: the process did not start.
    """
    here, there = multiprocessing.Pipe()
    options = dict(skill=skill, faults=faults, latency=latency, slots=slots, context=context, model=model)
    SimulatedSolver(**options)  # what is wrong with them is said here
    process = multiprocessing.get_context("spawn").Process(target=_serve, args=(there, options), daemon=True)
    process.start()
    there.close()
    try:
        yield Served(_url(here), model, here)
    finally:
        here.close()
        process.join(_SECONDS)
        if process.is_alive():
            process.kill()


def _url(pipe: Connection) -> str:
    try:
        if pipe.poll(_SECONDS):
            return pipe.recv()
    except EOFError:
        pass
    raise RuntimeError("the simulated solver's process did not start; call this below `if __name__ == '__main__'`")


def _serve(pipe: Connection, options: dict[str, Any]) -> None:
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is for the program that started this one
    asyncio.run(_until_closed(pipe, SimulatedSolver(**options)))


async def _until_closed(pipe: Connection, solver: SimulatedSolver) -> None:
    closed = asyncio.Event()

    def heard() -> None:
        try:
            pipe.recv()
            pipe.send(solver.counts())
        except (EOFError, OSError):
            asyncio.get_running_loop().remove_reader(pipe.fileno())
            closed.set()

    async with solver:
        pipe.send(solver.url)
        asyncio.get_running_loop().add_reader(pipe.fileno(), heard)
        await closed.wait()
