"""How long the imports take: `python -m tests.benchmarks.imports`.

Each figure is the median of fresh interpreters that time one import statement inside the process, after everything that
it is measured beyond has been imported. Files are in the disk cache after the first round, which is not counted.
"""

import argparse
import statistics
import subprocess
import sys

# (what is timed, what has been imported before it, the bound in seconds)
IMPORTS = [
    ("import rader_ir", "pass", 0.2),
    ("import rader_ir.cli", "pass", None),
    ("import pyterrier", "pass", None),
    ("import pyterrier_rader", "import pyterrier", 0.3),
    ("from pyterrier_rader import *", "import pyterrier", 0.3),  # its names open lazily: this opens them all
]


def seconds(statement: str, before: str) -> float:
    """Seconds that `statement` takes in a fresh interpreter, after `before`."""
    script = f"import time; {before}; start = time.perf_counter(); {statement}; print(time.perf_counter() - start)"
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    return float(done.stdout.split()[-1])


def median(statement: str, before: str, rounds: int) -> float:
    """Median seconds of `rounds` fresh interpreters, one warming round left out."""
    return statistics.median([seconds(statement, before) for _ in range(rounds + 1)][1:])


def main() -> None:
    """Print a Markdown table of the medians and the bounds that they are held to."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=15)
    rounds = parser.parse_args().rounds
    print("| import | after | median s | bound s |\n|---|---|---|---|")
    for statement, before, bound in IMPORTS:
        earlier = "nothing" if before == "pass" else before
        print(f"| `{statement}` | {earlier} | {median(statement, before, rounds):.4f} | {bound or '-'} |")


if __name__ == "__main__":
    main()
