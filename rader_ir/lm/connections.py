"""Connections to one HTTP server for many calls side by side, each answered whole or failed with a kind.

aiohttp keeps them, the asyncio client whose parser is compiled: at a thousand calls a second that tells. A deadline covers a call
from its first byte to the last of the answer.
"""

import asyncio
import json
import ssl
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit
from urllib.request import getproxies, proxy_bypass

from rader_ir.lm.meter import Meter
from rader_ir.lm.replies import Failure

try:
    import aiohttp
    import certifi
    from yarl import URL
except ModuleNotFoundError as error:
    raise ModuleNotFoundError("a language-model server needs aiohttp; run pip install 'rader-ir[lm]'") from error

_LOOPBACK = frozenset({"localhost", "127.0.0.1", "::1"})
_IDLE = 60.0  # seconds for which an idle connection is kept


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
    """A number of slots, each a call under way, over connections that are opened when they are first needed and kept.

    To be made where an event loop runs.

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
        self._proxy = proxy or _environment_proxy(urlsplit(url).scheme, host)
        headers = {"Accept": "application/json", "Accept-Encoding": "identity", "Content-Type": "application/json"}
        if api_key:
            if not (api_key.isascii() and api_key.isprintable() and api_key == api_key.strip()):
                raise ValueError(
                    "the API key holds a line break, a blank at an end or a sign beyond ASCII; give it as it was issued"
                )
            headers["Authorization"] = f"Bearer {api_key}"
        self._free = asyncio.Semaphore(slots)
        self._session = aiohttp.ClientSession(
            connector=aiohttp.TCPConnector(limit=0, ssl=_trusted(), keepalive_timeout=_IDLE),
            timeout=aiohttp.ClientTimeout(total=None),  # ours covers a call
            cookie_jar=aiohttp.DummyCookieJar(),
            auto_decompress=False,
            headers=headers,
        )

    async def close(self) -> None:
        """Close what is open; no call may be under way."""
        await self._session.close()

    async def fetch(self, method: str, path: str, body: Any = None, *, seconds: float) -> Answer:
        """The answer to one request, whose body goes out as JSON; the time begins when a slot is free.

        Raises:
            NoAnswer: the connection failed, the time was up, or the body went on for ever.
        """
        content = None if body is None else json.dumps(body).encode()
        url = URL(self.url + path, encoded=True)
        async with self._free:
            began, headed = time.perf_counter(), []
            with self.meter.under_way(), _failures(began, headed, seconds):
                async with (
                    asyncio.timeout(seconds),
                    self._session.request(
                        method, url, data=content, proxy=self._proxy, allow_redirects=False
                    ) as response,
                ):
                    headed.append(True)
                    raw = await self._whole(response)
            headers = {name.lower(): value for name, value in response.headers.items()}
            return Answer(response.status, headers, raw, time.perf_counter() - began)

    async def _whole(self, response: aiohttp.ClientResponse) -> bytes:
        parts, size = [], 0
        async for part in response.content.iter_any():
            parts.append(part)
            size += len(part)
            if size > self.largest:
                response.close()
                raise NoAnswer(Failure.ENDLESS, f"a body of more than {self.largest} bytes")
        return b"".join(parts)


@contextmanager
def _failures(began: float, headed: list, seconds: float) -> Iterator[None]:
    """Whatever goes wrong inside as `NoAnswer`; once `headed` holds something, time running out means a body without end."""
    try:
        try:
            yield
        except TimeoutError as error:
            kind = Failure.ENDLESS if headed else Failure.TIMEOUT
            raise NoAnswer(kind, f"no whole answer within {seconds:g} s") from error
        except (aiohttp.ClientError, OSError) as error:
            cause = getattr(error, "os_error", error)  # what the system said, where it did
            raise NoAnswer(Failure.CONNECTION, f"{type(cause).__name__}: {cause}") from error
    except NoAnswer as failed:
        failed.seconds = time.perf_counter() - began
        raise


def _trusted() -> ssl.SSLContext:
    """The authorities that the system and certifi know, and those of the file that SSL_CERT_FILE names."""
    context = ssl.create_default_context()
    context.load_verify_locations(certifi.where())
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
