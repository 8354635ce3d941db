"""Indexes written as a stream: of texts through an encoder, of ready vectors, or of the shards that several processes wrote.

Documents are encoded and kept in chunks, each by itself, so a call that was killed can be made again: chunks that are
whole are only compared with the stream, and the result is byte for byte that of an unbroken call. Memory stays
bounded by one chunk and some 30 bytes for each document.
"""

import json
import shutil
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import replace
from itertools import chain
from pathlib import Path

import numpy as np

from rader_ir.index import Index
from rader_ir.index_folder import (
    DOC_IDS,
    FAISS,
    FORMATS,
    LEDGER,
    META,
    NPIDS,
    PT_META,
    UNFINISHED,
    VECTORS,
    Plan,
    explained,
    locked,
    read_json,
    read_ledger,
)
from rader_ir.index_ids import SeenIds
from rader_ir.index_shards import Share, merged_chunks, merged_plan, shard_folders
from rader_ir.index_stage import Stage, publish, recover
from rader_ir.index_stream import Chunk, Kept, Stream, encoded, text_reader, vector_reader

_CHUNK = 1024
_IDS_AT_ONCE = 8192


def build_index(
    folder: str | Path,
    documents: Iterable[tuple[str, str]],
    encoder,
    *,
    append: bool = False,
    shard: tuple[int, int] | None = None,
    chunk: int = _CHUNK,
    formats: Sequence[str] | None = None,
    blank_ids: str = "refuse",
    empty_texts: str = "refuse",
    total: int | None = None,
    verbose: bool = False,
) -> Index:
    """Encode documents and write them to an index folder; made again after an interruption, the call goes on.

    Args:
        folder: where the index is, or shall be. A finished index of these very documents is returned as it is.
        documents: stream of (doc_id, text), the same in every call.
        encoder: anything with `dimension`, `encode_docs(texts) -> [n, d]` and `describe() -> dict`.
        append: put the documents behind those of the finished index that the folder holds, if it holds one. Its vectors are
            those of an index written in one go, but for rounding where the encoder's batches fall differently.
        shard: (i, n) writes only every n-th chunk, from the i-th, into a folder below `folder`; n processes may do so at
            once, with i = 0 ... n - 1, and `merge_shards` makes the index of their work.
        chunk: number of documents encoded and kept together; what an interruption can cost.
        formats: "pyserini" and "flex" say who can read the folder; with both, the default, vectors lie on the disk twice.
            What is appended to an index keeps the index's formats.
        blank_ids: "refuse" or "allow" blanks inside doc ids (BRIGHT has them; such TREC runs need tabs).
        empty_texts: "refuse" or "allow" texts without a visible character.
        total: number of documents if known, for the progress bar and to see beforehand whether the disk has room.
        verbose: show a progress bar.

    Returns:
        The index; with `shard`, the index of the shard alone.

    Raises:
        ValueError: no documents at all, a bad doc id, text or vector (named), other documents or settings than those of the
            half-written index.
        OSError: no room on the disk, or a folder that cannot be written; says what to do.
        RuntimeError: another process writes this folder.
    """
    _choose("blank_ids", blank_ids, ("refuse", "allow"))
    _choose("empty_texts", empty_texts, ("refuse", "allow"))
    plan = _plan(encoder.dimension, encoder.describe(), chunk, _formats(folder, formats, append))
    reader = text_reader(empty=empty_texts == "allow")
    documents, total = _watched(documents, total, verbose)
    stream = Stream(documents, chunk, blank_ids == "allow", reader, encoder.encode_docs)
    return _write(Path(folder), plan, stream, append=append, shard=shard, total=total)


def write_index(
    folder: str | Path,
    rows: Iterable[tuple[str, np.ndarray]],
    *,
    dimension: int,
    made_by: dict,
    append: bool = False,
    shard: tuple[int, int] | None = None,
    chunk: int = _CHUNK,
    formats: Sequence[str] | None = None,
    blank_ids: str = "refuse",
    total: int | None = None,
    verbose: bool = False,
) -> Index:
    """Write ready vectors to an index folder, with the promises, options and errors of `build_index`.

    Args:
        folder: where the index is, or shall be.
        rows: stream of (doc_id, vector [dimension]); kept as float32.
        dimension: length of every vector.
        made_by: how the vectors were made, JSON values; `Encoder.describe()` where it was an Encoder, so that
            `Index.retrieve` knows which encoder fits.
        append, shard, chunk, formats, blank_ids, total, verbose: as in `build_index`.
    """
    _choose("blank_ids", blank_ids, ("refuse", "allow"))
    plan = _plan(dimension, made_by, chunk, _formats(folder, formats, append))
    rows, total = _watched(rows, total, verbose)
    stream = Stream(rows, chunk, blank_ids == "allow", vector_reader(dimension), np.stack)
    return _write(Path(folder), plan, stream, append=append, shard=shard, total=total)


def merge_shards(folder: str | Path, count: int, *, verbose: bool = False) -> Index:
    """Make the index of `count` finished shards below `folder`, byte for byte that of a single process; drop the shards.

    Raises:
        ValueError: the shards come from different documents or settings, or two of them hold the same doc id.
        FileNotFoundError: a shard is missing or half-written; says which.
    """
    folder = Path(folder)
    shards = shard_folders(folder, count)
    with explained(folder), locked(folder):
        recover(folder)
        if not (folder / META).exists():
            plan, total = merged_plan(shards)
            chunks, _ = _watched(merged_chunks(shards, plan), -(-total // plan.chunk), verbose, unit="chunk")
            _grow(folder, plan, [], iter(chunks), total)
        for shard in shards:
            if shard.exists():
                shutil.rmtree(shard)
    return Index(folder)


def _watched(stream: Iterable, total: int | None, verbose: bool, unit: str = "doc") -> tuple[Iterable, int | None]:
    """A stream under a progress bar, and its length where that is known."""
    from tqdm import tqdm

    total = len(stream) if total is None and hasattr(stream, "__len__") else total
    return tqdm(stream, desc="indexing", unit=unit, total=total, disable=not verbose), total


def _choose(option: str, value: str, choices: Sequence[str]) -> None:
    if value not in choices:
        raise ValueError(f"{option} {value!r} is unknown; choose {' or '.join(map(repr, choices))}")


def _formats(folder: str | Path, formats: Sequence[str] | None, append: bool) -> list[str]:
    if formats is None:
        there = read_json(Path(folder) / META) if append else None
        return there["formats"] if there else list(FORMATS)
    for name in formats:
        _choose("index format", name, FORMATS)
    if not formats:
        raise ValueError(f"formats is empty; choose at least one of {', '.join(FORMATS)}")
    return [name for name in FORMATS if name in formats]


def _plan(dimension: int, made_by: dict, chunk: int, formats: list[str]) -> Plan:
    if chunk < 1 or dimension < 1:
        raise ValueError(f"chunk is {chunk} and dimension {dimension}; both must be at least 1")
    return Plan(int(dimension), json.loads(json.dumps(made_by)), chunk, formats)


def _write(folder: Path, plan: Plan, chunks: Iterable[Chunk], *, append: bool, shard, total: int | None) -> Index:
    with explained(folder):
        _make(folder)
        if shard is not None:
            return _write_shard(folder, plan, chunks, append=append, shard=shard, total=total)
        with locked(folder):
            _continue(folder, plan, chunks, append=append, total=total)
    return Index(folder)


def _write_shard(folder: Path, plan: Plan, chunks: Iterable[Chunk], *, append: bool, shard, total: int | None) -> Index:
    number, count = shard
    if append or not 0 <= number < count:
        raise ValueError(f"shard {shard} with append={append}: expected (i, n) with 0 <= i < n, and append=False")
    target = shard_folders(folder, count)[number]
    with locked(folder, shared=True):
        if (folder / META).exists() or (folder / UNFINISHED).exists():
            raise FileExistsError(f"{folder} holds an index of its own, finished or not; write the shards elsewhere")
        _make(target)
        with locked(target):
            share, bare = Share(chunks, number, count), replace(plan, formats=[], shard=[number, count])
            share_total = None if total is None else total // count

            def more() -> dict:
                return {"into": plan.formats, "stream": share.told()}

            _continue(target, bare, share, append=False, total=share_total, more=more)
    return Index(target)


def _make(folder: Path) -> None:
    if folder.exists() and not folder.is_dir():
        raise NotADirectoryError(f"{folder} is a file; an index is a folder: choose another path")
    folder.mkdir(parents=True, exist_ok=True)


def _continue(folder: Path, plan: Plan, chunks: Iterable[Chunk], *, append: bool, total, more: Callable = dict) -> None:
    """Go on where the folder stands: empty, half-written, finished by this very call, or to be added to."""
    recover(folder)
    chunks = iter(chunks)
    meta, begun = read_json(folder / META), (folder / UNFINISHED).exists()
    if meta is None:
        if not begun:
            _require_vacant(folder)
        return _grow(folder, plan, [], chunks, total, more)
    if difference := Plan.of(meta).difference(plan):
        raise ValueError(f"{folder} holds an index made otherwise (there / now): {difference}; choose another folder")
    if begun and not append:
        raise ValueError(
            f"an append to {folder} was interrupted; repeat it, or delete {folder / UNFINISHED} to drop it"
        )
    if not append and len(meta["parts"]) > 1:
        raise ValueError(f"{folder} holds a finished index that was added to; choose another folder, or append=True")
    if append and not begun:
        first = next(chunks, None)
        if first is None:
            return None
        chunks, begun = chain([first], chunks), not _last_part(folder, meta).repeated_by(first)
    if begun:
        return _grow(folder, plan, meta["parts"], chunks, total, lambda: {"kinds": meta["kinds"]})
    return _last_part(folder, meta).require_all(chunks)


def _grow(folder: Path, plan: Plan, parts: list[int], chunks: Iterator[Chunk], total, more: Callable = dict) -> None:
    """Write the chunks behind the documents that the folder holds, from where an interrupted call left off."""
    with Stage(folder, plan, parts) as stage:
        stage.require_room(max(0, (total or 0) - stage.documents))
        seen = SeenIds()
        for ids in stage.doc_ids():
            for start in range(0, len(ids), _IDS_AT_ONCE):
                seen.add(ids[start : start + _IDS_AT_ONCE].tolist())
        Kept(stage.path, stage.ledger).skip(chunks)
        for chunk in chunks:
            _require_new(chunk, seen, stage)
            stage.commit(chunk.doc_ids, encoded(chunk, plan.dimension), chunk.digest)
        if not (stage.documents or parts or plan.shard):
            raise ValueError(f"there are no documents to put into {folder}; look at the file that they come from")
        stage.seal(**more())
    publish(folder)


def _require_new(chunk: Chunk, seen: SeenIds, stage: Stage) -> None:
    """Raise ValueError where a doc id of the chunk came before, in it, in the stage or in the index that is added to."""
    first: dict[str, int] = {}
    for number, doc_id in enumerate(chunk.doc_ids, start=chunk.start + 1):
        if first.setdefault(doc_id, number) != number:
            raise ValueError(f"doc id {doc_id!r} comes twice: documents {first[doc_id]} and {number}; drop one of them")
    for doc_id in seen.add(chunk.doc_ids):
        for ids in stage.doc_ids():
            if (position := ids.positions([doc_id])[0]) >= 0:
                raise ValueError(
                    f"doc id {doc_id!r} comes twice: document {first[doc_id]} has it, and so has line {position + 1} of "
                    f"{ids.path}; drop one of them"
                )


def _last_part(folder: Path, meta: dict) -> Kept:
    """The documents that the latest writing brought to a finished index."""
    base = meta["parts"][-2] if len(meta["parts"]) > 1 else 0
    chunks = -(-(meta["documents"] - base) // meta["chunk"])
    ledger = read_ledger(folder)
    return Kept(folder, ledger[len(ledger) - chunks :], base)


def _require_vacant(folder: Path) -> None:
    """Raise FileExistsError where files of another origin would be taken for the index's."""
    names = (VECTORS, FAISS, DOC_IDS, NPIDS, PT_META, LEDGER)
    foreign = [name for name in names if (folder / name).exists()]
    foreign += [path.name for path in folder.glob("shard-*-of-*")]
    if foreign:
        raise FileExistsError(
            f"{folder} holds {', '.join(foreign)}, but no index that this package finished; choose an empty folder"
            + (", or merge_shards" if foreign[-1].startswith("shard-") else "")
        )
