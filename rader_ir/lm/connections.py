"""Connections to one HTTP server for many calls side by side, each answered whole or failed with a kind.

Each slot has one connection of httpcore's, the library that httpx stands on: httpx's pool looks through all its connections at
every call, which at 64 of them took 4.6 ms of processor time a call where this takes 0.4. A deadline covers a call from its
first byte to the last of the answer.
"""

import asyncio
import json
import os
import ssl
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any
from urllib.parse import unquote, urlsplit
from urllib.request import getproxies, proxy_bypass

from rader_ir.lm.meter import Meter
from rader_ir.lm.replies import Failure

try:
    import httpcore
except ModuleNotFoundError as error:
    raise ModuleNotFoundError("a language-model server needs httpcore; run pip install 'rader-ir[lm]'") from error

from rader_ir.lm.streams import PlainStreams

_LOOPBACK = frozenset({"localhost", "127.0.0.1", "::1"})
_HTTPCORE_ERRORS = (httpcore.NetworkError, httpcore.ProtocolError, httpcore.ProxyError, httpcore.TimeoutException)


@dataclass(frozen=True)
class Answer:
    """An HTTP answer, read to its end; header names in lower case, seconds from the request to the last byte."""

    status: int
    headers: dict[str, str]
    raw: bytes
    seconds: float


class NoAnswer(Exception):
    """No whole answer came: what kind of failure that is, in which words, after how many seconds."""

    def __init__(self, failure: Failure, detail: str):
        super().__init__(detail)
        self.failure, self.detail, self.seconds = failure, detail, 0.0


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
        host = _checked_host(url)
        self.url, self.largest, self.meter = url.rstrip("/"), largest, meter
        self._origin = httpcore.URL(self.url).origin
        self._tls = _trusted() if self._origin.scheme == b"https" else None
        self._proxy = proxy or _environment_proxy(urlsplit(url).scheme, host)
        self._headers = {"Host": urlsplit(url).netloc.rpartition("@")[2], "Accept": "application/json"}
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

    async def fetch(self, method: str, path: str, body: Any = None, *, seconds: float) -> Answer:
        """The answer to one request, whose body goes out as JSON; the time begins when a slot is free.

        Raises:
            NoAnswer: the connection failed, the time was up, or the body went on for ever.
        """
        content = b"" if body is None else json.dumps(body).encode()
        headers = self._headers | {"Content-Length": str(len(content))}
        request = httpcore.Request(method, self.url + path, headers=headers, content=content)
        connection = await self._free.get()
        whole = False
        try:
            if _spent(connection):
                connection = self._connection()
            with self.meter.under_way():
                answer = await self._exchange(connection, request, seconds)
            whole = True
            return answer
        finally:
            # What was broken off may leave a connection that never comes free
            self._free.put_nowait(connection if whole else self._connection())
            if not whole:
                await connection.aclose()

    async def _exchange(self, connection, request: httpcore.Request, seconds: float) -> Answer:
        began, headed = time.perf_counter(), []
        with _failures(began, headed, seconds):
            async with asyncio.timeout(seconds):
                response = await connection.handle_async_request(request)
                headed.append(True)
                try:
                    raw = await self._whole(response)
                finally:
                    await response.aclose()
        headers = {name.decode("latin-1").lower(): value.decode("latin-1") for name, value in response.headers}
        return Answer(response.status, headers, raw, time.perf_counter() - began)

    async def _whole(self, response: httpcore.Response) -> bytes:
        parts, size = [], 0
        async for part in response.stream:
            parts.append(part)
            size += len(part)
            if size > self.largest:
                raise NoAnswer(Failure.ENDLESS, f"a body of more than {self.largest} bytes")
        return b"".join(parts)

    def _connection(self) -> httpcore.AsyncHTTPConnection | httpcore.AsyncHTTPProxy:
        """One that opens when it is first used."""
        if self._proxy:
            parts = urlsplit(self._proxy)
            login = (unquote(parts.username), unquote(parts.password or "")) if parts.username else None
            address = f"{parts.scheme}://{parts.netloc.rpartition('@')[2]}"
            return httpcore.AsyncHTTPProxy(address, proxy_auth=login, ssl_context=self._tls, max_connections=1)
        streams = PlainStreams() if self._tls is None else None
        return httpcore.AsyncHTTPConnection(self._origin, ssl_context=self._tls, network_backend=streams)


def _spent(connection) -> bool:
    """Whether the server closed it; a proxy's pool renews its connection by itself."""
    return isinstance(connection, httpcore.AsyncHTTPConnection) and (connection.is_closed() or connection.has_expired())


@contextmanager
def _failures(began: float, headed: list, seconds: float) -> Iterator[None]:
    """Whatever goes wrong inside as `NoAnswer`; once `headed` holds something, time running out means a body without end."""
    try:
        try:
            yield
        except TimeoutError as error:
            kind = Failure.ENDLESS if headed else Failure.TIMEOUT
            raise NoAnswer(kind, f"no whole answer within {seconds:g} s") from error
        except (*_HTTPCORE_ERRORS, OSError) as error:
            raise NoAnswer(Failure.CONNECTION, f"{type(error).__name__}: {error}") from error
    except NoAnswer as failed:
        failed.seconds = time.perf_counter() - began
        raise


def _trusted() -> ssl.SSLContext:
    """The authorities that certifi knows, and those of the file that SSL_CERT_FILE names."""
    context = httpcore.default_ssl_context()
    if own := os.environ.get("SSL_CERT_FILE"):
        context.load_verify_locations(own)
    return context


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
