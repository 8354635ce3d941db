"""A plain connection to an HTTP server for calls one after the other, on asyncio's own transports.

httpcore sends head and body apart and reads through anyio and h11, which took half of a call's processor time, and that tells at
a thousand calls a second. Encrypted connections and proxies are left to it.
"""

import asyncio
from collections.abc import Mapping

from rader_ir.lm.http import Answer, NoAnswer, Reading
from rader_ir.lm.replies import Failure


class PlainConnection(asyncio.Protocol):
    """Opened at its first call and kept; one whose call was broken off must be closed.

    Args:
        host, port: of the server.
        prefix: put before the path of every call.
        headers: of every call.
    """

    def __init__(self, host: str, port: int, *, prefix: str, headers: Mapping[str, str]):
        self.host, self.port, self.prefix = host, port, prefix
        self._head = "".join(f"{name}: {value}\r\n" for name, value in headers.items())
        self._transport: asyncio.Transport | None = None
        self._reading: Reading | None = None
        self._whole: asyncio.Future | None = None

    @property
    def spent(self) -> bool:
        """Whether it was open and is not any more."""
        return self._transport is not None and self._transport.is_closing()

    async def exchange(self, method: str, path: str, content: bytes, answer: Answer) -> None:
        """One call; `answer` is filled as it comes.

        Raises:
            NoAnswer: the connection ended early, this is no HTTP, or the body is too long.
            OSError: the connection failed.
        """
        loop = asyncio.get_running_loop()
        if self._transport is None:
            await loop.create_connection(lambda: self, self.host, self.port)
        head = f"{method} {self.prefix}{path} HTTP/1.1\r\n{self._head}Content-Length: {len(content)}\r\n\r\n"
        self._reading, self._whole = Reading(answer), loop.create_future()
        self._transport.write(head.encode("latin-1") + content)
        await self._whole

    async def aclose(self) -> None:
        """Close without waiting for the other side."""
        if self._transport is not None:
            self._transport.abort()

    # What asyncio calls.

    def connection_made(self, transport: asyncio.Transport) -> None:
        self._transport = transport

    def data_received(self, data: bytes) -> None:
        if self._waited_for():
            self._read(lambda: self._reading.feed(data))
        else:
            self._transport.abort()  # nobody asked for it

    def eof_received(self) -> None:
        if self._waited_for():
            self._read(self._reading.end)

    def connection_lost(self, error: Exception | None) -> None:
        if self._waited_for():
            told = "the connection was lost" if error is None else f"{type(error).__name__}: {error}"
            self._whole.set_exception(NoAnswer(Failure.CONNECTION, told))

    def _waited_for(self) -> bool:
        return self._whole is not None and not self._whole.done()

    def _read(self, step) -> None:
        try:
            step()
        except NoAnswer as error:
            self._transport.abort()
            self._whole.set_exception(error)
            return
        if self._reading.last and self._reading.done:
            self._transport.abort()
        if self._reading.done:
            self._whole.set_result(None)
