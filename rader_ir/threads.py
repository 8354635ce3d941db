"""How many threads to use: as many as the process may run at once, where nothing else was asked for; and sharing work among them.

torch counts the machine's cores; a container or a batch system may allow fewer, and more threads than processors make every
operation wait for the slowest.
"""

import logging
import os
import sys
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor, wait
from functools import cache
from pathlib import Path

logger = logging.getLogger(__name__)

_QUOTA = Path("/sys/fs/cgroup/cpu.max")
_ASKED = ("OMP_NUM_THREADS", "MKL_NUM_THREADS")
_LIMITS = {
    "faiss": ("omp_get_max_threads", "omp_set_num_threads"),
    "torch": ("get_num_threads", "set_num_threads"),
}  # by module: what asks for the threads of the calling thread's operations, and what sets them


def usable_processors(quota: Path = _QUOTA) -> int:
    """Processors that this process may use: those it is bound to, or fewer where its control group (version 2) has a quota."""
    try:
        bound = len(os.sched_getaffinity(0))
    except AttributeError:  # not on Linux
        bound = os.cpu_count() or 1
    try:
        share, period = quota.read_text(encoding="utf-8").split()
        return max(1, min(bound, int(share) // int(period)))
    except (OSError, ValueError):  # no control group, or "max"
        return bound


def fit_threads() -> None:
    """Lower torch's threads to the usable processors, unless OMP_NUM_THREADS or MKL_NUM_THREADS sets them."""
    import torch

    processors = usable_processors()
    if torch.get_num_threads() > processors and not any(os.environ.get(name) for name in _ASKED):
        logger.info(
            "torch uses %d threads in place of %d: processors of this process", processors, torch.get_num_threads()
        )
        torch.set_num_threads(processors)


def shared(work: Callable, tasks: Sequence, threads: int) -> list:
    """`[work(task) for task in tasks]` by so many threads, of which the caller's is one; each computes alone.

    faiss and torch start no threads of their own in these, so that none waits, busily, for the others of an operation.
    """
    mine = tasks if threads == 1 else tasks[:1]
    before = _limited()
    others = [_workers(threads - 1).submit(_alone, work, task) for task in tasks[len(mine) :]]
    try:
        return [work(task) for task in mine] + [other.result() for other in others]
    finally:
        wait(others)
        for limit, number in before:  # last of all: torch begins new threads with what any thread has set for itself
            limit(number)


def _alone(work: Callable, task: object):
    _limited()
    return work(task)


def _limited() -> list[tuple[Callable[[int], None], int]]:
    """Hold the libraries that are loaded to the calling thread; what sets each, and what it was set to before."""
    libraries = [(sys.modules.get(name), *names) for name, names in _LIMITS.items()]
    # a library that another thread is importing has no limits yet
    found = [
        (getattr(module, tell), getattr(module, ask)()) for module, ask, tell in libraries if hasattr(module, tell)
    ]
    for limit, _ in found:
        limit(1)
    return found


@cache
def _workers(count: int) -> ThreadPoolExecutor:
    return ThreadPoolExecutor(count, "rader")


os.register_at_fork(after_in_child=_workers.cache_clear)  # a child has none of its parent's threads
