"""How many threads to use: as many as the process may run at once, where nothing else was asked for; and sharing work among them.

torch counts the machine's cores; a container or a batch system may allow fewer, and more threads than processors make every
operation wait for the slowest.
"""

import logging
import os
import sys
import threading
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from functools import cache
from pathlib import Path

logger = logging.getLogger(__name__)

_QUOTA = Path("/sys/fs/cgroup/cpu.max")
_ASKED = ("OMP_NUM_THREADS", "MKL_NUM_THREADS")
_LIMITS = {"faiss": "omp_set_num_threads", "torch": "set_num_threads"}
_alone = threading.local()


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


def shared(work: Callable, tasks: Iterable, threads: int) -> list:
    """`[work(task) for task in tasks]` by so many threads, each of which computes alone.

    faiss and torch start no threads of their own in these, so that none waits, busily, for the others of an operation.
    """
    if threads == 1:
        return [work(task) for task in tasks]

    def alone(task):
        for library in _LIMITS.keys() & sys.modules.keys() - _alone.__dict__.keys():
            if limit := getattr(sys.modules[library], _LIMITS[library], None):  # None: another thread is importing it
                limit(1)
                setattr(_alone, library, True)
        return work(task)

    done = list(_workers(threads).map(alone, tasks))
    if "torch" in sys.modules:  # what a thread sets for itself holds for threads yet to come, too
        torch = sys.modules["torch"]
        torch.set_num_threads(torch.get_num_threads())
    return done


@cache
def _workers(count: int) -> ThreadPoolExecutor:
    return ThreadPoolExecutor(count, "rader")


os.register_at_fork(after_in_child=_workers.cache_clear)  # a child has none of its parent's threads
