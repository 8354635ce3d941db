"""Peak memory of a way to do something: a fresh interpreter imports it, does it once, and says what it needed at most.

Linux hands a process's `ru_maxrss` down to what it starts, so the high-water mark of the child's own memory is read instead.
"""

import json
import resource
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

ROOT = Path(__file__).parents[2]
_CHILD = """
import importlib, json, sys
import torch
from tests.benchmarks.memory import highest
module, way, folder, inputs, threads = sys.argv[1:]
torch.set_num_threads(int(threads))
importlib.import_module(module).WAYS[way](folder)(*json.load(open(inputs, encoding="utf-8")))
print(highest())
"""


def highest() -> float:
    """Megabytes that this process held at most so far."""
    try:
        status = Path("/proc/self/status").read_text(encoding="ascii")
        return int(status.partition("VmHWM:")[2].split()[0]) * 1024 / 1e6
    except (OSError, IndexError):
        unit = 1 if sys.platform == "darwin" else 1024
        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit / 1e6


def peak(module: str, way: str, folder: Path, inputs: Sequence, *, threads: int, scratch: Path) -> float:
    """Megabytes that `module.WAYS[way](folder)(*inputs)` needs at most in a process of its own, imports included.

    Args:
        module: whose `WAYS` maps a name to a function that opens a checkpoint folder and returns what is called.
        inputs: its arguments, which JSON can carry.
        scratch: a folder to put them in.

    Raises:
        RuntimeError: the process failed; its last words are in the message.
    """
    file = scratch / "inputs.json"
    file.write_text(json.dumps(inputs), encoding="utf-8")
    command = [sys.executable, "-c", _CHILD, module, way, str(folder), str(file), str(threads)]
    done = subprocess.run(command, capture_output=True, text=True, cwd=ROOT)
    if done.returncode:
        raise RuntimeError(f"{way} failed in a process of its own:\n{done.stderr[-2000:]}")
    return float(done.stdout.split()[-1])
