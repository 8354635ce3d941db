"""How a half-written index grows until it is whole, so that a process killed at any moment loses at most one chunk.

New rows, ids and a ledger of whole chunks lie in FOLDER/unfinished, where torn ends are cut off when the writing goes
on. Once all is there the stage is sealed by a rader_index.json of its own and published: every step of that can be
repeated, and rader_index.json moves last. Rows added to a finished index go behind its last row, where its readers do
not look.
"""

import os
import shutil
from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from dataclasses import asdict
from itertools import islice
from pathlib import Path

import numpy as np

from rader_ir.index_folder import (
    DOC_IDS,
    FAISS,
    LEDGER,
    META,
    NPIDS,
    PT_META,
    RECORD,
    UNFINISHED,
    VECTORS,
    Plan,
    new_meta,
    read_json,
    read_ledger,
    require_room,
    write_json,
)
from rader_ir.index_formats import FAISS_HEADER, faiss_flat_header, pt_meta, write_npids
from rader_ir.index_ids import DocIds

PLAN = "plan.json"
_COPIED_AT_ONCE = 1 << 22  # bytes
_IDS_AT_ONCE = 8192
_ID_BYTES = 64  # a guess at what one document takes on disk besides its vector


class Stage:
    """New rows of an index: begun here, or taken up where an interrupted call left them.

    Attributes:
        parts: how many documents the finished index held after each of its writings; empty for a new one.
        ledger: the chunks that lay here whole when the stage was opened, structured array of RECORD.
        documents: how many documents lie here whole.
    """

    def __init__(self, folder: Path, plan: Plan, parts: Sequence[int]):
        self.folder, self.path, self.plan, self.parts = folder, folder / UNFINISHED, plan, list(parts)
        self.path.mkdir(exist_ok=True)
        self.ledger = read_ledger(self.path)
        begun = read_json(self.path / PLAN)
        if begun is None or not len(self.ledger):
            sizes = {name: (folder / name).stat().st_size for name in (plan.rows[0], DOC_IDS, LEDGER)} if parts else {}
            write_json(self.path / PLAN, {**asdict(plan), "parts": self.parts, "sizes": sizes})
        elif difference := Plan.of(begun).difference(plan):
            raise ValueError(
                f"{folder} was begun with other settings (begun / now): {difference}; repeat the first call, "
                f"or delete {self.path} to start anew"
            )
        self.documents, self._id_bytes = (
            self.ledger[["documents", "id_bytes"]][-1].item() if len(self.ledger) else (0, 0)
        )
        self._files: dict[str, object] = {}

    def __enter__(self) -> "Stage":
        """Cut off what an interrupted call left torn, and go on behind it."""
        rows, start = self.plan.rows
        sizes = {rows: start + self.documents * self.plan.row_bytes, DOC_IDS: self._id_bytes}
        with ExitStack() as opened:
            for name, size in {**sizes, LEDGER: self.ledger.nbytes}.items():
                file = self._files[name] = opened.enter_context(open(self.path / name, "ab"))
                if len(self.ledger) and file.tell() < size:
                    raise ValueError(
                        f"{self.path / name} is shorter than its ledger says; delete {self.path} to start anew"
                    )
                file.truncate(size)
            self._closing = opened.pop_all()
        return self

    def __exit__(self, error, *_):
        self._closing.close()
        if error and not self.documents:
            _drop(self.path)

    def require_room(self, documents: int) -> None:
        """Raise OSError unless the disk can take `documents` more and the copy that finishing makes."""
        needed = documents * (self.plan.row_bytes + _ID_BYTES)
        if len(self.plan.formats) > 1:
            needed += (self.documents + documents) * self.plan.row_bytes
        require_room(self.folder, needed)

    def commit(self, doc_ids: Sequence[str], vectors: np.ndarray, digest: bytes) -> None:
        """Keep one chunk: its ids, its rows [n, d], and in the ledger the digest that it is known by."""
        self.require_room(len(doc_ids))
        lines = "".join(f"{doc_id}\n" for doc_id in doc_ids).encode()
        self.documents += len(doc_ids)
        self._id_bytes += len(lines)
        record = np.array([(self.documents, self._id_bytes, digest)], RECORD)  # written last: it makes the chunk whole
        for name, content in ((self.plan.rows[0], vectors), (DOC_IDS, lines), (LEDGER, record)):
            self._files[name].write(content)
            self._files[name].flush()

    def seal(self, **more) -> None:
        """Write what is made of all rows together, then the seal. more: further fields of rader_index.json."""
        for file in self._files.values():
            os.fsync(file.fileno())
        count = self.documents + (self.parts[-1] if self.parts else 0)
        if "flex" in self.plan.formats:
            write_npids(self.path / NPIDS, count, self._id_blocks)
        if self.plan.formats:
            write_json(self.path / PT_META, pt_meta(count, self.plan.dimension, self.plan.formats))
        write_json(self.path / META, new_meta(self.plan, [*self.parts, count], **more))

    def doc_ids(self) -> list[DocIds]:
        """The ids of the finished index, and those that lie here whole."""
        staged = DocIds(self.path / DOC_IDS, self.documents)
        return [DocIds(self.folder / DOC_IDS, self.parts[-1]), staged] if self.parts else [staged]

    def _id_blocks(self) -> Iterator[list[bytes]]:
        for folder in [self.folder, self.path] if self.parts else [self.path]:
            with open(folder / DOC_IDS, "rb") as file:
                while block := [line[:-1] for line in islice(file, _IDS_AT_ONCE)]:
                    yield block


def recover(folder: Path) -> None:
    """Bring a folder out of an interrupted publication; what is merely half-written is left to be taken up."""
    path = folder / UNFINISHED
    if not path.is_dir():
        return
    begun = read_json(path / PLAN)
    if (path / META).exists():
        publish(folder)
    elif begun is None or begun["parts"] != (read_json(folder / META) or {"parts": []})["parts"]:
        _drop(path)  # nothing was kept in it yet, or all of it is published


def publish(folder: Path) -> None:
    """Move a sealed stage into its folder. Any step may be repeated; until the last one readers see the old index."""
    path = folder / UNFINISHED
    begun, meta = read_json(path / PLAN), read_json(path / META)
    plan, count, base = Plan.of(meta), meta["documents"], begun["parts"][-1] if begun["parts"] else 0
    rows, start = plan.rows
    for name, skip in ((rows, start), (DOC_IDS, 0), (LEDGER, 0)):
        if name in begun["sizes"]:
            _copy(path / name, skip, folder / name, begun["sizes"][name])
        elif (path / name).exists():
            os.replace(path / name, folder / name)
    for name in (NPIDS, PT_META):
        if (path / name).exists():
            os.replace(path / name, folder / name)
    if "pyserini" in plan.formats:
        if rows == VECTORS:
            at = base * plan.row_bytes
            _copy(folder / VECTORS, at, folder / FAISS, FAISS_HEADER + at)
        _set_header(folder / FAISS, faiss_flat_header(count, plan.dimension))
    os.replace(path / META, folder / META)
    _drop(path)


def _drop(path: Path) -> None:
    (path / PLAN).unlink(missing_ok=True)  # a stage without a plan is rubbish, however much of it is left
    shutil.rmtree(path)


def _copy(source: Path, start: int, target: Path, at: int) -> None:
    """Make the bytes of `source` from `start` on the end of `target` from `at` on."""
    target.touch()
    require_room(target.parent, at + source.stat().st_size - start - target.stat().st_size)
    with open(source, "rb") as reader, open(target, "r+b") as writer:
        reader.seek(start)
        writer.seek(at)
        shutil.copyfileobj(reader, writer, _COPIED_AT_ONCE)
        writer.truncate()
        writer.flush()
        os.fsync(writer.fileno())


def _set_header(path: Path, header: bytes) -> None:
    """Tell faiss how many rows there are; until then it sees those of the old index, or none."""
    with open(path, "r+b") as file:
        file.write(header)
