"""Connections to one HTTP server for many calls side by side, each answered whole or failed with a kind.

Each slot has one connection of its own: httpx's pool looks through all its connections at every call, which at 64 of them took
ten times the processor time of all the rest. A deadline covers a call from its first byte to the last of the answer.
"""

import asyncio
import time
from collections.abc import Iterator
from contextlib import contextmanager
from urllib.parse import urlsplit
from urllib.request import getproxies, proxy_bypass

from rader_ir.lm.http import Answer, NoAnswer
from rader_ir.lm.meter import Meter
from rader_ir.lm.plain import PlainConnection
from rader_ir.lm.replies import Failure

try:
    from rader_ir.lm.encrypted import LibraryConnection, trusted
except ModuleNotFoundError as error:
    raise ModuleNotFoundError("a language-model server needs httpcore; run pip install 'rader-ir[lm]'") from error

_LOOPBACK = frozenset({"localhost", "127.0.0.1", "::1"})
_HTTP_PORT = 80


class Connections:
    """A number of slots, each with a connection that is opened when it is first needed and kept.

    Args:
        url: put before the path of every call.
        slots: calls under way at a time; others wait their turn.
        api_key: sent as bearer token.
        proxy: URL of a proxy; None takes the environment's, and none for loopback addresses.
        largest: bytes of a body; one that goes on is endless.
        meter: told of calls under way.

    Raises:
        ValueError: `url` is no web address, or the key cannot be one.
    """

    def __init__(self, url: str, *, slots: int, api_key: str | None, proxy: str | None, largest: int, meter: Meter):
        self._host = _checked_host(url)
        self.url, self.largest, self.meter = url.rstrip("/"), largest, meter
        self._parts = urlsplit(self.url)
        self._tls = trusted() if self._parts.scheme == "https" else None
        self._proxy = proxy or _environment_proxy(self._parts.scheme, self._host)
        self._headers = {"Host": self._parts.netloc.rpartition("@")[2], "Accept": "application/json"}
        self._headers |= {"Accept-Encoding": "identity", "Content-Type": "application/json"}
        if api_key:
            if not (api_key.isascii() and api_key.isprintable() and api_key == api_key.strip()):
                raise ValueError(
                    "the API key holds a line break, a blank at an end or a sign beyond ASCII; give it as it was issued"
                )
            self._headers["Authorization"] = f"Bearer {api_key}"
        self._free: asyncio.LifoQueue = asyncio.LifoQueue()  # the connection used last is the likeliest to be open
        for _ in range(slots):
            self._free.put_nowait(self._connection())

    async def close(self) -> None:
        """Close what is open; no call may be under way."""
        while not self._free.empty():
            await self._free.get_nowait().aclose()

    async def fetch(self, method: str, path: str, content: bytes = b"", *, seconds: float) -> Answer:
        """The answer to one request with JSON as its content; the time begins when a slot is free.

        Raises:
            NoAnswer: the connection failed, the time was up, or the body went on for ever.
        """
        connection = await self._free.get()
        answer, began, whole = Answer(self.largest), time.perf_counter(), False
        try:
            if connection.spent:
                connection = self._connection()
            with self.meter.under_way(), _failures(answer, began, seconds):
                async with asyncio.timeout(seconds):
                    await connection.exchange(method, path, content, answer)
            answer.seconds = time.perf_counter() - began
            whole = True
            return answer
        finally:
            # What was broken off may leave a connection that never comes free
            self._free.put_nowait(connection if whole else self._connection())
            if not whole:
                await connection.aclose()

    def _connection(self) -> PlainConnection | LibraryConnection:
        """One that opens when it is first used."""
        if self._proxy or self._tls:
            return LibraryConnection(self.url, headers=self._headers, tls=self._tls, proxy=self._proxy)
        port = self._parts.port or _HTTP_PORT
        return PlainConnection(self._host, port, prefix=self._parts.path, headers=self._headers)


@contextmanager
def _failures(answer: Answer, began: float, seconds: float) -> Iterator[None]:
    """Whatever goes wrong inside as `NoAnswer`; once the head is here, time running out means a body without end."""
    try:
        try:
            yield
        except TimeoutError as error:
            kind = Failure.ENDLESS if answer.status else Failure.TIMEOUT
            raise NoAnswer(kind, f"no whole answer within {seconds:g} s") from error
        except OSError as error:
            raise NoAnswer(Failure.CONNECTION, f"{type(error).__name__}: {error}") from error
    except NoAnswer as failed:
        failed.seconds = time.perf_counter() - began
        raise


def _checked_host(url: str) -> str:
    try:
        parts = urlsplit(url)
        host, _ = parts.hostname, parts.port
    except ValueError as error:
        raise ValueError(f"URL {url!r} is broken ({error}); expected one such as http://127.0.0.1:8000/v1") from error
    if parts.scheme not in ("http", "https") or not host:
        raise ValueError(f"URL {url!r} is no web address; expected one such as http://127.0.0.1:8000/v1")
    return host


def _environment_proxy(scheme: str, host: str) -> str | None:
    if host in _LOOPBACK or proxy_bypass(host):
        return None
    return getproxies().get(scheme)
