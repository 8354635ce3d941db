"""The process that the kill tests end: it writes one index, or a part of one, and imports no model library.

`python -m tests.index_kill_worker WORK FOLDER` prints a line when it begins to write. WORK is one of `JOBS`.
"""

import sys

from rader_ir.index_writer import build_index, merge_shards
from tests.toy_index import Toy, documents

COUNT, CHUNK, FIRST = 6000, 32, 4000


def create(folder) -> None:
    build_index(folder, documents(COUNT), Toy(batchy=True), chunk=CHUNK)


def append(folder) -> None:
    build_index(folder, documents(COUNT - FIRST, start=FIRST), Toy(batchy=True), chunk=CHUNK, append=True)


def begin(folder) -> None:
    """What `append` goes on from."""
    build_index(folder, documents(FIRST), Toy(batchy=True), chunk=CHUNK)


def shards(folder) -> None:
    for number in range(3):
        build_index(folder, documents(COUNT), Toy(batchy=True), chunk=CHUNK, shard=(number, 3))


def merge(folder) -> None:
    merge_shards(folder, 3)


JOBS = {"create": (None, create), "append": (begin, append), "merge": (shards, merge)}

if __name__ == "__main__":
    work, target = sys.argv[1:]
    assert "torch" not in sys.modules
    print("writing", flush=True)
    JOBS[work][1](target)
