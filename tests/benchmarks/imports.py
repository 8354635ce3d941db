"""How long the imports take, beside those of the packages that do the same work.

    python -m tests.benchmarks.imports [--rounds 7] [--quick] [--json FILE]

Each figure is the median of fresh interpreters that take the CPU seconds of one import statement inside the process, after
everything that it is measured beyond has been imported. Statements take turns; the first turn, which fills the disk cache, is
not counted. Pyserini needs a Java and, for its import, any OPENAI_API_KEY.
"""

import os
import statistics
import subprocess
import sys
from collections.abc import Iterable

from rader_ir.java import installed
from tests.benchmarks import rows
from tests.benchmarks.rows import Row

NOTHING, PYTERRIER = "pass", "import pyterrier"
PLAIN = ["import sentence_transformers", "import pyserini.encode", "import torch; from transformers import AutoModel"]
# (ours, what has been imported before it, its bound in seconds, the peers' imports)
COMPARED = [
    ("import rader_ir", NOTHING, 0.2, PLAIN),
    ("import rader_ir.cli", NOTHING, None, PLAIN),
    ("from rader_ir import Encoder", NOTHING, None, PLAIN),  # the names open lazily: this opens torch and transformers
    ("import pyterrier_rader", PYTERRIER, 0.3, ["import pyterrier_dr"]),
    ("from pyterrier_rader import *", PYTERRIER, 0.3, ["import pyterrier_dr"]),  # opens every class of the door
]


def environment() -> dict[str, str]:
    """One thread, no network, and what Pyserini asks for."""
    java = next(({"JAVA_HOME": str(java.home)} for java in installed() if java.suits), {})
    return os.environ | {"OMP_NUM_THREADS": "1", "HF_HUB_OFFLINE": "1", "OPENAI_API_KEY": "unused"} | java


def seconds(statement: str, before: str, settings: dict[str, str]) -> float | None:
    """CPU seconds that `statement` takes in a fresh interpreter, after `before`; None where it cannot be imported."""
    script = f"import time; {before}; start = time.process_time(); {statement}; print(time.process_time() - start)"
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, env=settings, check=False)
    if done.returncode:
        print(f"{statement!r} fails: {done.stderr.strip().splitlines()[-1]}", file=sys.stderr)
        return None
    return float(done.stdout.split()[-1])


def medians(asked: Iterable[tuple[str, str]], rounds: int) -> dict[tuple[str, str], float]:
    """Median seconds of each (statement, before) that can be imported, over `rounds` turns after one that is not counted."""
    settings = environment()
    taken = {pair: [] for pair in asked if seconds(*pair, settings) is not None}
    for _ in range(rounds):
        for pair, values in taken.items():
            values.append(seconds(*pair, settings))
    return {pair: statistics.median(values) for pair, values in taken.items()}


def main() -> None:
    """Print a row for each bound and each peer, and write them where it is asked for."""
    options = rows.arguments(__doc__, rounds=7).parse_args()
    asked = dict.fromkeys((one, before) for ours, before, _, peers in COMPARED for one in (ours, *peers))
    took = medians(asked, min(options.rounds, 3) if options.quick else options.rounds)
    table = []
    for statement, before, bound, peers in COMPARED:
        ours = took[statement, before]
        name = f"{statement}, CPU s" if before == NOTHING else f"{statement} after {before}, CPU s"
        beside = [] if bound is None else [("the bound", bound, 1.0)]
        beside += [(peer, took[peer, before], None) for peer in peers if (peer, before) in took]
        table += [Row(name, ours, s, peer, s / ours, goal, "an import only", None, 1) for peer, s, goal in beside]
    rows.report(table, options.json)


if __name__ == "__main__":
    main()
