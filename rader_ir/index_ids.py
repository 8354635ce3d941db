"""Doc ids of an index: judged one by one, told apart at 8 bytes each, and read from disk without loading them all.

An id ends up as a line of a text file, a field of a TREC run and a fixed-width record of another tool, so what would
break one of these is refused. Equality is decided by 64-bit hashes of this process and confirmed by the ids
themselves.
"""

import mmap
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

import numpy as np

BLOCK = 1 << 22  # bytes of the id file looked at in one go
_IDS_AT_ONCE = 1 << 13


def id_problem(doc_id: str, *, blanks: bool = False) -> str | None:
    """What makes a doc id unfit for an index, in words, or None. Inner blanks pass where `blanks` is true."""
    if not isinstance(doc_id, str):
        return f"is a {type(doc_id).__name__}, not a string; convert it"
    if not doc_id:
        return "is empty; give every document a doc id"
    if doc_id.isprintable() and " " not in doc_id:
        return None
    if any(character < " " or character == "\x7f" for character in doc_id):
        return "holds a tab, a line break or another control character; take it out"
    if any("\ud800" <= character <= "\udfff" for character in doc_id):
        return "cannot be written as UTF-8; repair the text that it was read from"
    if doc_id != doc_id.strip():
        return "begins or ends with a blank; strip it"
    if not blanks and any(character.isspace() for character in doc_id):
        return (
            "holds a blank, which breaks TREC runs of other tools; replace it, or keep it by blank_ids='allow' "
            "(on a command line: --allow-blank-ids)"
        )
    return None


class SeenIds:
    """Doc ids met so far, as sorted runs of 64-bit hashes; runs of like size are merged, so there are few."""

    def __init__(self):
        self._runs: list[np.ndarray] = []

    def add(self, doc_ids: Sequence[str]) -> list[str]:
        """Remember the ids; return those that an earlier call held, or (once in 10^13 documents) seems to have held."""
        new = _hashes(doc_ids)
        again = np.zeros(len(new), bool)
        for run in self._runs:
            at = np.searchsorted(run, new)
            again |= run[np.minimum(at, len(run) - 1)] == new
        if len(new):
            self._runs.append(np.sort(new))
        while len(self._runs) > 1 and len(self._runs[-2]) <= 2 * len(self._runs[-1]):
            last = self._runs.pop()
            self._runs[-1] = np.sort(np.concatenate([self._runs[-1], last]), kind="stable")
        return [doc_ids[position] for position in np.flatnonzero(again)]


class DocIds(Sequence):
    """The doc ids of an index in order, read from its id file (one per line) only where they are asked for.

    `ids[3]` is a string; `ids[2:5]` and `ids[array of positions]` are numpy arrays of strings. Costs 8 bytes per document,
    and 16 more after the first `positions`.
    """

    def __init__(self, path: str | Path, count: int):
        self.path = Path(path)
        self._ends = _line_ends(self.path, count) if count else np.zeros(0, np.int64)
        self._text = _mapped(self.path) if count else b""
        self._bytes = np.frombuffer(self._text, np.uint8)
        self._order = self._sorted = None

    def __len__(self) -> int:
        return len(self._ends)

    def __getitem__(self, key):
        if isinstance(key, int | np.integer):
            return self._read(range(len(self))[key])
        if isinstance(key, slice):
            key = range(len(self))[key]
        positions = np.asarray(key, np.int64)
        positions = np.where(positions < 0, positions + len(self), positions)
        starts = np.where(positions > 0, self._ends[positions - 1] + 1, 0)
        return _texts(self._bytes, starts, self._ends[positions] - starts)

    def __iter__(self) -> Iterator[str]:
        for start in range(0, len(self), _IDS_AT_ONCE):
            yield from self[start : start + _IDS_AT_ONCE].tolist()

    def __array__(self, dtype=None, copy=None) -> np.ndarray:
        return self[:] if dtype is None else self[:].astype(dtype)

    def __repr__(self) -> str:
        return f"<{len(self)} doc ids>"

    def positions(self, doc_ids: Iterable[str]) -> np.ndarray:
        """Where each doc id stands, int64 [n]; -1 for one that is not here."""
        doc_ids = list(doc_ids)
        if not doc_ids or not len(self):
            return np.full(len(doc_ids), -1)
        if self._sorted is None:
            hashes = _hashes(self)
            self._order = np.argsort(hashes, kind="stable")
            self._sorted = hashes[self._order]
        wanted = _hashes(doc_ids)
        starts = np.searchsorted(self._sorted, wanted)
        known = np.flatnonzero(self._sorted[np.minimum(starts, len(self) - 1)] == wanted)
        firsts, positions = self._order[starts[known]], np.full(len(doc_ids), -1)
        for row, first, held in zip(known.tolist(), firsts.tolist(), self[firsts].tolist(), strict=True):
            positions[row] = first if held == doc_ids[row] else self._match(doc_ids[row], starts[row])
        return positions

    def _match(self, doc_id: str, start: int) -> int:
        while start < len(self) and self._sorted[start] == hash(doc_id):
            if self._read(self._order[start]) == doc_id:
                return self._order[start]
            start += 1
        return -1

    def _read(self, position: int) -> str:
        start = self._ends[position - 1] + 1 if position else 0
        return self._text[start : self._ends[position]].decode()


def _mapped(path: Path) -> mmap.mmap:
    with open(path, "rb") as file:
        return mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)


def _texts(data: np.ndarray, starts: np.ndarray, sizes: np.ndarray) -> np.ndarray:
    """Pieces of UTF-8 bytes as a numpy array of strings; all bytes are gathered, and widened, at once."""
    width = int(sizes.max(initial=1))
    gaps = starts - np.cumsum(sizes) + sizes
    rows = np.zeros((len(starts), width), np.uint8)
    rows[np.arange(width) < sizes[:, None]] = data[np.repeat(gaps, sizes) + np.arange(sizes.sum())]
    if (rows < 128).all():
        return rows.astype(np.uint32).view(f"U{width}").ravel()
    return np.array([piece.decode() for piece in rows.view(f"S{width}").ravel().tolist()], dtype=str)


def _hashes(doc_ids: Sequence[str]) -> np.ndarray:
    return np.fromiter(map(hash, doc_ids), np.int64, len(doc_ids))


def _line_ends(path: Path, count: int) -> np.ndarray:
    """Positions of the first `count` line feeds of a file, int64 [count]."""
    ends, found, read = [np.zeros(0, np.int64)], 0, 0
    with open(path, "rb") as file:
        while found < count and (block := file.read(BLOCK)):
            ends.append(np.flatnonzero(np.frombuffer(block, np.uint8) == ord("\n")) + read)
            found, read = found + len(ends[-1]), read + len(block)
    if found < count:
        raise ValueError(f"{path} holds {found} doc ids where {count} belong; the index is damaged: build it again")
    return np.concatenate(ends)[:count]
