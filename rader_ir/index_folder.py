"""What an index folder holds, and the care with which files in it are read, replaced, locked and run out of room.

vecs.f4 (or, without the flex format, `index`) holds the rows, docid the ids; `index` opens in faiss and Pyserini,
vecs.f4 with docnos.npids and pt_meta.json in pyterrier_dr; chunks.bin tells which documents were written together. A
folder is an index when it has rader_index.json, which is always written last.
"""

import errno
import fcntl
import json
import os
import shutil
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, fields
from pathlib import Path

import numpy as np

from rader_ir.index_formats import FAISS_HEADER

META, UNFINISHED = "rader_index.json", "unfinished"
VECTORS, FAISS, DOC_IDS, LEDGER = "vecs.f4", "index", "docid", "chunks.bin"
NPIDS, PT_META = "docnos.npids", "pt_meta.json"
FORMATS = ("pyserini", "flex")
RECORD = np.dtype([("documents", "<i8"), ("id_bytes", "<i8"), ("digest", "V16")])  # sums over the chunks up to this one
_VERSION = 1
_QUERY_SIDE = ("instruction", "device", "dtype")  # fields of an encoder's description that document vectors do not see
_WHEREABOUTS = ("checkpoint", "revision")  # of no account where the weights themselves are told apart


@dataclass(frozen=True)
class Plan:
    """What must stay the same while an index is written and added to; plain JSON values.

    Attributes:
        dimension: length of a vector.
        made_by: how the vectors were made, as `Encoder.describe` tells it.
        chunk: number of documents that are encoded, and kept, together.
        formats: which of FORMATS the folder serves.
        shard: [i, n] where this is the i-th of n shards, from 0.
    """

    dimension: int
    made_by: dict
    chunk: int
    formats: list[str]
    shard: list[int] | None = None

    @classmethod
    def of(cls, meta: dict) -> "Plan":
        """The plan within the contents of rader_index.json."""
        return cls(**{field.name: meta[field.name] for field in fields(cls)})

    @property
    def rows(self) -> tuple[str, int]:
        """The file of the vectors and the byte at which they begin: one copy is enough where only faiss reads them."""
        return (FAISS, FAISS_HEADER) if self.formats == ["pyserini"] else (VECTORS, 0)

    @property
    def row_bytes(self) -> int:
        return 4 * self.dimension

    def difference(self, other: "Plan") -> str:
        """The settings in which another plan would make other files, both sides named; empty if none."""
        mine, theirs = asdict(self), asdict(other)
        made = vector_difference(mine.pop("made_by"), theirs.pop("made_by"))
        return "; ".join(filter(None, (_differing(mine, theirs), made)))


def vector_difference(made_by: dict, other: dict) -> str:
    """The fields in which two descriptions of an encoder promise different vectors, as `name: one / other; ...`.

    What only queries or speed see is left out (instruction, device, dtype), and so are the checkpoint's name and revision
    where both sides give the hash of the weights: a copy in another folder is the same encoder.
    """
    ignored = set(_QUERY_SIDE)
    if made_by.get("weights") is not None and other.get("weights") is not None:
        ignored.update(_WHEREABOUTS)
    return _differing(*({name: side[name] for name in side if name not in ignored} for side in (made_by, other)))


def read_meta(folder: Path) -> dict:
    """The contents of rader_index.json.

    Raises:
        FileNotFoundError: the folder is no finished index; says whether one is half-written there.
        ValueError: a later version of this package wrote it.
    """
    meta = read_json(folder / META)
    if meta is not None:
        if meta["version"] != _VERSION:
            raise ValueError(f"{folder / META} has version {meta['version']}, expected {_VERSION}; update rader-ir")
        return meta
    if (folder / UNFINISHED).is_dir():
        raise FileNotFoundError(f"{folder} is half-written; make the call that was writing it again, and it goes on")
    if any(folder.glob("shard-*-of-*")):
        raise FileNotFoundError(
            f"{folder} holds shards that are not merged yet; call merge_shards when all are written"
        )
    raise FileNotFoundError(f"{folder} holds no index ({META} is missing); build one with build_index or `rader index`")


def new_meta(plan: Plan, parts: Sequence[int], **more) -> dict:
    """Contents for rader_index.json. parts: how many documents there were after each writing."""
    return {"version": _VERSION, "documents": parts[-1], **asdict(plan), "parts": list(parts), "kinds": {}, **more}


def read_ledger(folder: Path) -> np.ndarray:
    """The whole records of a folder's ledger, structured array of RECORD."""
    path = folder / LEDGER
    return (
        np.fromfile(path, RECORD, count=path.stat().st_size // RECORD.itemsize)
        if path.exists()
        else np.empty(0, RECORD)
    )


def read_json(path: Path) -> dict | None:
    """The object in a JSON file, or None where there is no file.

    Raises:
        ValueError: the file is cut short or damaged.
    """
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        return None
    except ValueError as error:
        raise ValueError(
            f"{path} is cut short or damaged ({error}); delete its folder and build the index again"
        ) from error


def write_json(path: Path, value: dict) -> None:
    """Write a JSON file that appears whole or not at all."""
    unfinished = path.with_name(f"{path.name}.part")
    with open(unfinished, "w", encoding="utf-8") as file:
        file.write(json.dumps(value, ensure_ascii=False, indent=1) + "\n")
        file.flush()
        os.fsync(file.fileno())
    os.replace(unfinished, path)


@contextmanager
def locked(folder: Path, *, shared: bool = False) -> Iterator[None]:
    """Hold the folder for one writer, or for several that share it; the system lets go when the process ends.

    Raises:
        RuntimeError: another process writes this folder.
    """
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        try:
            fcntl.flock(descriptor, (fcntl.LOCK_SH if shared else fcntl.LOCK_EX) | fcntl.LOCK_NB)
        except BlockingIOError as error:
            raise RuntimeError(f"another process is writing {folder}; let it end, or choose another folder") from error
        except OSError as error:
            if error.errno not in (errno.EBADF, errno.ENOLCK, errno.EOPNOTSUPP):  # some network disks lock no folders
                raise
        yield
    finally:
        os.close(descriptor)


def require_room(folder: Path, needed: int) -> None:
    """Raise OSError where the disk under `folder` has fewer than `needed` bytes free."""
    free = shutil.disk_usage(folder).free
    if free < needed:
        raise OSError(
            errno.ENOSPC,
            f"writing {folder} needs {needed / 1e9:.3f} GB more and its disk has {free / 1e9:.3f} GB free; "
            "make room, then make the same call again: it goes on from here",
        )


@contextmanager
def explained(folder: Path) -> Iterator[None]:
    """Turn the system's bare refusals to write below `folder` into errors that say what to do."""
    try:
        yield
    except OSError as error:
        if error.errno in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG) and "same call" not in str(error):
            advice = (
                f"no room left while writing {folder}; make room, then make the same call again: it goes on from here"
            )
            raise OSError(error.errno, advice) from error
        if error.errno in (errno.EACCES, errno.EPERM, errno.EROFS) and str(folder) in str(error.filename):
            advice = f"cannot write {error.filename} ({error.strerror}); make the folder writable or choose another one"
            raise PermissionError(error.errno, advice) from error
        raise


def _differing(mine: dict, other: dict) -> str:
    names = [name for name in {**mine, **other} if mine.get(name) != other.get(name)]
    return "; ".join(f"{name}: {mine.get(name)!r} / {other.get(name)!r}" for name in names)
