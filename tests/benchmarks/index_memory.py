"""Peak memory of writing a large index of ready vectors: `python -m tests.benchmarks.index_memory`.

The vectors come from a generator, one at a time, in a process of its own whose peak the system counts. Both formats are
written, and doc ids are checked for repeats, as in any call.
"""

import argparse
import resource
import sys
import tempfile
import time
from collections.abc import Iterator

BOUND = 300  # MB


def rows(count: int, dimension: int) -> Iterator[tuple[str, object]]:
    """(doc_id, random vector), made a thousand at a time."""
    import numpy as np

    random = np.random.default_rng(0)
    for start in range(0, count, 1000):
        vectors = random.standard_normal((min(1000, count - start), dimension), np.float32)
        for number, vector in enumerate(vectors, start=start):
            yield f"document-{number}", vector


def main() -> int:
    """Print documents, seconds and peak resident memory; exit status 1 where the bound is passed."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--count", type=int, default=500_000)
    parser.add_argument("--dimension", type=int, default=384)
    args = parser.parse_args()
    from rader_ir.index_writer import write_index

    start = time.perf_counter()
    with tempfile.TemporaryDirectory(dir=".") as folder:
        index = write_index(folder, rows(args.count, args.dimension), dimension=args.dimension, made_by={})
        count, seconds = len(index), time.perf_counter() - start
    unit = 2**20 if sys.platform == "darwin" else 2**10  # the system counts in bytes there, in KiB elsewhere
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / unit * 2**20 / 1e6
    print(f"{count} vectors of {args.dimension} in {seconds:.1f} s; peak memory {peak:.0f} MB (bound {BOUND} MB)")
    return int(peak >= BOUND)


if __name__ == "__main__":
    raise SystemExit(main())
