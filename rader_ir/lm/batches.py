"""Calls that arrive one by one, done in batches by one thread.

Whoever asks waits for its own result; what is asked while a batch is under way makes up the next one. The thread is the only one
that touches the model, and the event loop goes on meanwhile.
"""

import asyncio
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Generic, TypeVar

Job = TypeVar("Job")
Result = TypeVar("Result")
_LINGER = 0.002  # seconds that the first call of a batch waits for others


class Batches(Generic[Job, Result]):
    """Turns `work(jobs) -> results`, which blocks, into a call for one job.

    Args:
        work: results of up to `size` jobs, in their order; what it raises is raised to all who wait for that batch.
        size: jobs of one batch at most.
        thread: an executor of one thread.
    """

    def __init__(self, work: Callable[[list[Job]], Sequence[Result]], *, size: int, thread: ThreadPoolExecutor):
        self.work, self.size, self.thread = work, size, thread
        self._waiting: list[tuple[Job, asyncio.Future]] = []
        self._worker: asyncio.Task | None = None

    async def result(self, job: Job) -> Result:
        """Of one job, once a batch with it is done."""
        waits = asyncio.get_running_loop().create_future()
        self._waiting.append((job, waits))
        if self._worker is None:
            self._worker = asyncio.create_task(self._work())
        return await waits

    async def _work(self) -> None:
        await asyncio.sleep(_LINGER)
        while self._waiting:
            batch, self._waiting = self._waiting[: self.size], self._waiting[self.size :]
            batch = [(job, waits) for job, waits in batch if not waits.done()]  # those given up meanwhile are left out
            if batch:
                await self._do(batch)
        self._worker = None

    async def _do(self, batch: list[tuple[Job, asyncio.Future]]) -> None:
        jobs = [job for job, _ in batch]
        try:
            results = await asyncio.get_running_loop().run_in_executor(self.thread, self.work, jobs)
        except Exception as error:
            for _, waits in batch:
                if not waits.done():
                    waits.set_exception(error)
            return
        for (_, waits), result in zip(batch, results, strict=True):
            if not waits.done():
                waits.set_result(result)
