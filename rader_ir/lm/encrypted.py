"""Connections that are encrypted or go through a proxy, by httpcore, the library that httpx stands on.

They are used as plain ones are (`plain`): one call after the other, each filling an answer as it comes.
"""

import os
import ssl
from collections.abc import Mapping
from urllib.parse import unquote, urlsplit

import httpcore

from rader_ir.lm.http import Answer, NoAnswer
from rader_ir.lm.replies import Failure

_ERRORS = (httpcore.NetworkError, httpcore.ProtocolError, httpcore.ProxyError, httpcore.TimeoutException)


class LibraryConnection:
    """Opened at its first call and kept; one whose call was broken off must be closed.

    Args:
        url: put before the path of every call.
        headers: of every call.
        tls: the authorities that are trusted; None for a URL that is not encrypted.
        proxy: its URL, with a login where it wants one; None goes straight.
    """

    def __init__(self, url: str, *, headers: Mapping[str, str], tls: ssl.SSLContext | None, proxy: str | None):
        self.url, self.headers = url, dict(headers)
        if proxy is None:
            self._connection = httpcore.AsyncHTTPConnection(httpcore.URL(url).origin, ssl_context=tls)
            return
        parts = urlsplit(proxy)
        login = (unquote(parts.username), unquote(parts.password or "")) if parts.username else None
        address = f"{parts.scheme}://{parts.netloc.rpartition('@')[2]}"
        self._connection = httpcore.AsyncHTTPProxy(address, proxy_auth=login, ssl_context=tls, max_connections=1)

    @property
    def spent(self) -> bool:
        """Whether the server closed it; a proxy's pool renews its connection by itself."""
        straight = isinstance(self._connection, httpcore.AsyncHTTPConnection)
        return straight and (self._connection.is_closed() or self._connection.has_expired())

    async def exchange(self, method: str, path: str, content: bytes, answer: Answer) -> None:
        """As `PlainConnection.exchange`."""
        headers = self.headers | {"Content-Length": str(len(content))}
        request = httpcore.Request(method, self.url + path, headers=headers, content=content)
        try:
            response = await self._connection.handle_async_request(request)
            try:
                told = [(name.decode("latin-1").lower(), value.decode("latin-1")) for name, value in response.headers]
                answer.status, answer.headers = response.status, dict(told)
                async for piece in response.stream:
                    answer.add(piece)
            finally:
                await response.aclose()
        except _ERRORS as error:
            raise NoAnswer(Failure.CONNECTION, f"{type(error).__name__}: {error}") from error

    async def aclose(self) -> None:
        """Close it."""
        await self._connection.aclose()


def trusted() -> ssl.SSLContext:
    """The authorities that certifi knows, and those of the file that SSL_CERT_FILE names."""
    context = httpcore.default_ssl_context()
    if own := os.environ.get("SSL_CERT_FILE"):
        context.load_verify_locations(own)
    return context
