"""Shards: every n-th chunk of a stream, written by n processes at once and put back in order afterwards.

Each shard is an index in a folder of its own below the one that it shall become part of. All processes read the whole
stream, and each keeps a digest of it, so that shards of different streams are not merged.
"""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from hashlib import blake2b
from pathlib import Path

import numpy as np

from rader_ir.index_folder import DOC_IDS, VECTORS, Plan, read_ledger, read_meta
from rader_ir.index_ids import DocIds
from rader_ir.index_stream import Chunk


def shard_folders(folder: Path, count: int) -> list[Path]:
    """Where the shards of an index lie."""
    return [folder / f"shard-{number}-of-{count}" for number in range(count)]


class Share:
    """The chunks of a stream that fall to shard `number` of `count`; it sums up the whole stream on the way."""

    def __init__(self, chunks: Iterable[Chunk], number: int, count: int):
        self._chunks, self._number, self._count = chunks, number, count
        self._documents, self._digest = 0, blake2b(digest_size=16)

    def __iter__(self) -> Iterator[Chunk]:
        for position, chunk in enumerate(self._chunks):
            self._documents += len(chunk.doc_ids)
            self._digest.update(chunk.digest)
            if position % self._count == self._number:
                yield chunk

    def told(self) -> dict:
        """Number of documents and digest of all chunks so far, of every shard."""
        return {"documents": self._documents, "digest": self._digest.hexdigest()}


def merged_plan(shards: Sequence[Path]) -> tuple[Plan, int]:
    """The plan of the index that the shards make, and its number of documents.

    Raises:
        FileNotFoundError: a shard is missing or half-written.
        ValueError: two shards come from different documents or settings.
    """
    metas = [_shard_meta(folder) for folder in shards]
    plans = [replace(Plan.of(meta), formats=meta["into"], shard=None) for meta in metas]
    for folder, plan, meta in zip(shards, plans, metas, strict=True):
        if difference := plans[0].difference(plan):
            raise ValueError(f"{shards[0].name} and {folder.name} differ: {difference}; write one of them again")
        if meta["stream"] != metas[0]["stream"]:
            raise ValueError(
                f"{shards[0].name} and {folder.name} were written from different documents "
                f"({metas[0]['stream']} / {meta['stream']}); delete one of them and write it again"
            )
    return plans[0], metas[0]["stream"]["documents"]


def merged_chunks(shards: Sequence[Path], plan: Plan) -> Iterator[Chunk]:
    """The chunks of all shards in the order of the stream that they were written from."""
    ledgers = [read_ledger(folder) for folder in shards]
    ids = [DocIds(folder / DOC_IDS, read_meta(folder)["documents"]) for folder in shards]
    start = 0
    for number in range(sum(map(len, ledgers))):
        shard, position = number % len(shards), number // len(shards)
        end, digest = ledgers[shard]["documents"][position].item(), ledgers[shard]["digest"][position].tobytes()
        begin = ledgers[shard]["documents"][position - 1].item() if position else 0

        def rows(path=shards[shard] / VECTORS, begin=begin, end=end) -> np.ndarray:
            return np.fromfile(path, "<f4", (end - begin) * plan.dimension, offset=begin * plan.row_bytes).reshape(
                end - begin, plan.dimension
            )

        yield Chunk(start, ids[shard][begin:end].tolist(), digest, rows)
        start += end - begin


def _shard_meta(folder: Path) -> dict:
    try:
        return read_meta(folder)
    except FileNotFoundError as error:
        raise FileNotFoundError(f"{folder.name} is not finished, so nothing is merged: {error}") from error
