"""How many threads to use: as many as the process may run at once, where nothing else was asked for; and sharing work among them.

torch counts the machine's cores; a container or a batch system may allow fewer, and more threads than processors make every
operation wait for the slowest.
"""

import logging
import os
import sys
import threading
from collections.abc import Callable, Iterable
from concurrent.futures import FIRST_EXCEPTION, ThreadPoolExecutor, wait
from functools import cache
from pathlib import Path

logger = logging.getLogger(__name__)

_QUOTA = Path("/sys/fs/cgroup/cpu.max")
_ASKED = ("OMP_NUM_THREADS", "MKL_NUM_THREADS")
_LIMITS = {
    "faiss": ("omp_get_max_threads", "omp_set_num_threads"),
    "torch": ("get_num_threads", "set_num_threads"),
}  # by module: what asks for the threads of the calling thread's operations, and what sets them
_setting = threading.Lock()


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


def shared(work: Callable, tasks: Iterable) -> list:
    """`[work(task) for task in tasks]`, all at once, each task on a thread that computes alone.

    faiss and torch start no threads of their own there, so that none waits, busily, for the others of an operation, and a forked
    child, which has none of its parent's threads, can go on. The caller's own numbers of threads stay as they are. The first
    error comes out at once; other tasks may still be running then.
    """
    tasks = list(tasks)
    if len(tasks) == 1 and _is_alone():
        return [work(tasks[0])]
    futures = [_workers().submit(_alone, work, task) for task in tasks]
    ended, _ = wait(futures, return_when=FIRST_EXCEPTION)
    for future in ended:
        future.result()
    return [future.result() for future in futures]


def _libraries() -> list[tuple[Callable[[], int], Callable[[int], None]]]:
    """Of each library that is loaded, what asks for the calling thread's number of threads, and what sets it."""
    modules = [(sys.modules.get(name), *names) for name, names in _LIMITS.items()]
    return [
        (getattr(module, ask), getattr(module, tell))
        for module, ask, tell in modules
        if hasattr(module, ask) and hasattr(module, tell)
    ]


def _is_alone() -> bool:
    return all(ask() == 1 for ask, _ in _libraries())


def _alone(work: Callable, task: object):
    for ask, tell in _libraries():
        if ask() == 1:
            continue
        with _setting:
            number = ask()
            tell(1)
            # torch begins every new thread with what some thread has last set for itself
            restoring = threading.Thread(target=tell, args=(number,))
            restoring.start()
            restoring.join()
    return work(task)


@cache
def _workers() -> ThreadPoolExecutor:
    return ThreadPoolExecutor(usable_processors(), "rader")


def _begin_anew() -> None:
    global _setting
    _workers.cache_clear()
    _setting = threading.Lock()


os.register_at_fork(after_in_child=_begin_anew)
