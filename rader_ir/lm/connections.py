"""Connections to one HTTP server for many calls side by side, each answered whole or failed with a kind.

Each slot has an httpx transport with one connection of its own: httpx's shared pool looks through all its connections at every
call, which at 64 of them costs about seven times as much. A deadline covers a call from its first byte to the last of the answer.
"""

import asyncio
import json
import ssl
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any
from urllib.request import getproxies, proxy_bypass

from rader_ir.lm.meter import Meter
from rader_ir.lm.replies import Failure

try:
    import httpx
except ModuleNotFoundError as error:
    raise ModuleNotFoundError("a language-model server needs httpx; run pip install 'rader-ir[lm]'") from error

_LOOPBACK = frozenset({"localhost", "127.0.0.1", "::1"})


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
        ValueError: `url` is no web address.
    """

    def __init__(self, url: str, *, slots: int, api_key: str | None, proxy: str | None, largest: int, meter: Meter):
        parsed = _parsed(url)
        self.url, self.largest, self.meter = url.rstrip("/"), largest, meter
        self._tls = httpx.create_ssl_context() if parsed.scheme == "https" else ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        self._proxy = proxy or _environment_proxy(parsed)
        self._headers = {
            "Accept": "application/json",
            "Accept-Encoding": "identity",
            "Content-Type": "application/json",
        }
        if api_key:
            self._headers["Authorization"] = f"Bearer {api_key}"
        self._free: asyncio.LifoQueue = asyncio.LifoQueue()  # the connection used last is the likeliest to be open
        for _ in range(slots):
            self._free.put_nowait(self._transport())

    async def close(self) -> None:
        """Close what is open; no call may be under way."""
        while not self._free.empty():
            await self._free.get_nowait().aclose()

    async def fetch(self, method: str, path: str, body: Any = None, *, seconds: float) -> Answer:
        """The answer to one request, whose body goes out as JSON; the time begins when a slot is free.

        Raises:
            NoAnswer: the connection failed, the time was up, or the body went on for ever.
        """
        content = None if body is None else json.dumps(body).encode()
        request = httpx.Request(method, self.url + path, headers=self._headers, content=content)
        transport = await self._free.get()
        whole = False
        try:
            with self.meter.under_way():
                answer = await self._exchange(transport, request, seconds)
            whole = True
            return answer
        finally:
            # What was broken off may leave a connection that never comes free
            self._free.put_nowait(transport if whole else self._transport())
            if not whole:
                await transport.aclose()

    async def _exchange(self, transport: httpx.AsyncHTTPTransport, request: httpx.Request, seconds: float) -> Answer:
        began, headed = time.perf_counter(), []
        with _failures(began, headed, seconds):
            async with asyncio.timeout(seconds):
                response = await transport.handle_async_request(request)
                headed.append(True)
                try:
                    raw = await self._whole(response)
                finally:
                    await response.aclose()
        headers = {name.lower(): value for name, value in response.headers.items()}
        return Answer(response.status_code, headers, raw, time.perf_counter() - began)

    async def _whole(self, response: httpx.Response) -> bytes:
        parts, size = [], 0
        async for part in response.aiter_raw():
            parts.append(part)
            size += len(part)
            if size > self.largest:
                raise NoAnswer(Failure.ENDLESS, f"a body of more than {self.largest} bytes")
        return b"".join(parts)

    def _transport(self) -> httpx.AsyncHTTPTransport:
        limits = httpx.Limits(max_connections=1, max_keepalive_connections=1)
        return httpx.AsyncHTTPTransport(verify=self._tls, proxy=self._proxy, limits=limits)


@contextmanager
def _failures(began: float, headed: list, seconds: float) -> Iterator[None]:
    """Whatever goes wrong inside as `NoAnswer`; once `headed` holds something, time running out means a body without end."""
    try:
        try:
            yield
        except (TimeoutError, httpx.TimeoutException) as error:
            kind = Failure.ENDLESS if headed else Failure.TIMEOUT
            raise NoAnswer(kind, f"no whole answer within {seconds:g} s") from error
        except (httpx.TransportError, OSError) as error:
            raise NoAnswer(Failure.CONNECTION, f"{type(error).__name__}: {error}") from error
    except NoAnswer as failed:
        failed.seconds = time.perf_counter() - began
        raise


def _parsed(url: str) -> httpx.URL:
    try:
        parsed = httpx.URL(url)
    except httpx.InvalidURL as error:
        raise ValueError(f"URL {url!r} is broken ({error}); expected one such as http://127.0.0.1:8000/v1") from error
    if parsed.scheme not in ("http", "https") or not parsed.host:
        raise ValueError(f"URL {url!r} is no web address; expected one such as http://127.0.0.1:8000/v1")
    return parsed


def _environment_proxy(url: httpx.URL) -> str | None:
    if url.host in _LOOPBACK or proxy_bypass(url.host):
        return None
    return getproxies().get(url.scheme)
