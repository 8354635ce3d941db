"""How many threads a CPU model should use: as many as the process may run at once, where nothing else was asked for.

torch counts the machine's cores; a container or a batch system may allow fewer, and more threads than processors make every
operation wait for the slowest.
"""

import logging
import os
from pathlib import Path

import torch

logger = logging.getLogger(__name__)

_QUOTA = Path("/sys/fs/cgroup/cpu.max")
_ASKED = ("OMP_NUM_THREADS", "MKL_NUM_THREADS")


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
    processors = usable_processors()
    if torch.get_num_threads() > processors and not any(os.environ.get(name) for name in _ASKED):
        logger.info(
            "torch uses %d threads in place of %d: processors of this process", processors, torch.get_num_threads()
        )
        torch.set_num_threads(processors)
