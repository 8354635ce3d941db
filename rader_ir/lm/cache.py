"""A file of earlier replies, so that what was asked once is neither paid nor waited for again.

The key is whatever decides a reply: the model, the messages, the sampling and the seed. The file is an SQLite database in WAL
mode, which several processes of one machine may share and which a killed process leaves whole; it must not lie on a network
drive. Equal calls that are under way at the same time become one.
"""

import asyncio
import hashlib
import json
import sqlite3
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from rader_ir.lm.before import Before
from rader_ir.lm.replies import Failure, Message, Outcome, Reply, Sampling, TokenScores, as_messages

_VERSION = 1  # of keys and rows; raise it when either changes its meaning
_BUSY_SECONDS = 60.0  # that another process may hold the file
_INSERT = "INSERT OR IGNORE INTO outcomes VALUES (?, ?)"
# The model's own doing, and the same next time; any other failure is asked again
_KEPT = frozenset({None, Failure.CUT_OFF, Failure.CONTEXT_OVERFLOW})


class Cached(Before):
    """A back-end with a cache before it, which keeps the back-end's protocols; `async with` opens both.

    Replies are kept, and of the failures those that are the model's own: cut off, context overflow. Where two processes ask the
    same at once, both get the reply that was kept first, so that what comes later agrees with either.

    Args:
        lm: keeps `Generates`, `ScoresTokens` or both.
        path: the file, made with its folder if it is not there.
    """

    def __init__(self, lm, path: str | Path):
        super().__init__(lm)
        self.path = Path(path)
        self.hits = self.misses = self.joined = 0
        self._file: sqlite3.Connection | None = None
        self._under_way: dict[bytes, asyncio.Task] = {}
        self._unwritten: list[tuple[bytes, Outcome, asyncio.Future]] = []

    def __repr__(self) -> str:
        return f"Cached({self.lm!r}, {str(self.path)!r})"

    async def __aenter__(self) -> "Cached":
        self._file = _open(self.path)
        try:
            await self.lm.__aenter__()
        except BaseException:
            self._file.close()
            raise
        return self

    async def __aexit__(self, *error) -> None:
        for task in self._under_way.values():
            task.cancel()
        await asyncio.gather(*self._under_way.values(), return_exceptions=True)
        try:
            await self.lm.__aexit__(*error)
        finally:
            self._file.close()
            self._file = None

    async def generate(self, messages: str | Sequence[Message], *, sampling: Sampling, seed: int) -> Reply:
        """The reply kept for this call, or else the back-end's, which is kept."""
        messages = as_messages(messages)
        key = _key(self.identity, "reply", messages, vars(sampling), seed)
        return await self._answer(key, Reply, lambda: self.lm.generate(messages, sampling=sampling, seed=seed))

    async def score_tokens(self, messages: str | Sequence[Message], *, tokens: Sequence[str]) -> TokenScores:
        """The scores kept for this call, or else the back-end's, which are kept."""
        messages = as_messages(messages)
        key = _key(self.identity, "scores", messages, list(tokens))
        return await self._answer(key, TokenScores, lambda: self.lm.score_tokens(messages, tokens=tokens))

    async def _answer(self, key: bytes, kind: type[Outcome], ask) -> Any:
        if self._file is None:
            raise RuntimeError(f"{self!r} is not open; use it inside `async with`")
        if key in self._under_way:
            self.joined += 1
        elif (kept := self._read(key, kind)) is not None:
            self.hits += 1
            await asyncio.sleep(0)  # so that a run made of hits alone leaves the others their turn
            return kept
        else:
            self.misses += 1
            task = asyncio.ensure_future(self._ask(key, kind, ask))
            self._under_way[key] = task
            task.add_done_callback(lambda _: self._under_way.pop(key, None))
        # Shielded: a caller that gives up must not take the reply from those who joined it
        return await asyncio.shield(self._under_way[key])

    async def _ask(self, key: bytes, kind: type[Outcome], ask) -> Outcome:
        outcome = await ask()
        if outcome.failure not in _KEPT:
            return outcome
        return outcome if await self._written(key, outcome) else self._read(key, kind)

    async def _written(self, key: bytes, outcome: Outcome) -> bool:
        """Keep an outcome, unless one is kept already; whether it was kept. Those of one turn of the loop are one transaction."""
        waits = asyncio.get_running_loop().create_future()
        self._unwritten.append((key, outcome, waits))
        if len(self._unwritten) == 1:
            waits.get_loop().call_soon(self._write)
        return await waits

    def _write(self) -> None:
        rows, self._unwritten = self._unwritten, []
        try:
            self._file.execute("BEGIN IMMEDIATE")
            written = [
                self._file.execute(_INSERT, (key, json.dumps(vars(outcome)))).rowcount for key, outcome, _ in rows
            ]
            self._file.execute("COMMIT")
        except sqlite3.Error as error:
            if self._file.in_transaction:
                self._file.execute("ROLLBACK")
            for _, _, waits in rows:
                if not waits.done():
                    waits.set_exception(error)
            return
        for (_, _, waits), kept in zip(rows, written, strict=True):
            if not waits.done():
                waits.set_result(bool(kept))

    def _read(self, key: bytes, kind: type[Outcome]) -> Outcome | None:
        row = self._file.execute("SELECT outcome FROM outcomes WHERE key = ?", (key,)).fetchone()
        if row is None:
            return None
        fields = json.loads(row[0])
        fields["failure"] = Failure(fields["failure"]) if fields["failure"] else None
        if fields.get("logprobs") is not None:
            fields["logprobs"] = tuple(fields["logprobs"])
        return kind(**fields | {"attempts": 0})


def _key(*parts: Any) -> bytes:
    return hashlib.sha256(json.dumps([_VERSION, *parts], sort_keys=True).encode()).digest()


def _open(path: Path) -> sqlite3.Connection:
    """The file with its table, opened so that every statement is a transaction.

    Raises:
        ValueError: it is not such a file, or one of another version.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    file = sqlite3.connect(path, timeout=_BUSY_SECONDS, isolation_level=None)
    try:
        _prepare(file)
    except (sqlite3.DatabaseError, _Foreign) as error:
        file.close()
        raise ValueError(f"{path} cannot hold replies ({error}); move it away or name another file") from error
    return file


class _Foreign(ValueError):
    """A database of something else."""


def _prepare(file: sqlite3.Connection) -> None:
    file.execute("BEGIN IMMEDIATE")  # so that of several processes one makes the table
    version = file.execute("PRAGMA user_version").fetchone()[0]
    tables = {name for (name,) in file.execute("SELECT name FROM sqlite_master WHERE type = 'table'")}
    if tables and (tables != {"outcomes"} or version != _VERSION):
        raise _Foreign(
            f"version {version} with the tables {', '.join(sorted(tables))}; expected version {_VERSION} with outcomes"
        )
    file.execute("CREATE TABLE IF NOT EXISTS outcomes (key BLOB PRIMARY KEY, outcome TEXT NOT NULL) WITHOUT ROWID")
    file.execute(f"PRAGMA user_version = {_VERSION}")
    file.execute("COMMIT")
    _write_ahead(file)
    file.execute("PRAGMA synchronous = NORMAL")  # a kill loses nothing; a power cut may lose the last replies


def _write_ahead(file: sqlite3.Connection) -> None:
    """Switch to WAL, for which SQLite does not wait for other processes as it does elsewhere."""
    until = time.monotonic() + _BUSY_SECONDS
    while True:
        try:
            file.execute("PRAGMA journal_mode = WAL")
            return
        except sqlite3.OperationalError:
            if time.monotonic() > until:
                raise
            time.sleep(0.02)
