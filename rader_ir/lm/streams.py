"""Plain TCP for httpcore through asyncio's own streams, with head and body of a request sent at once.

httpcore goes through anyio, which gives every read and write a scope of its own, and sends head and body apart: a third of a
call's processor time, which tells at a thousand calls a second. Encrypted connections and proxies are left to httpcore's own
streams.
"""

import asyncio

import httpcore


class PlainStreams(httpcore.AsyncNetworkBackend):
    """Opens plain TCP connections; deadlines are the caller's, so httpcore's own timeouts are not kept."""

    async def connect_tcp(self, host, port, timeout=None, local_address=None, socket_options=None) -> "PlainStream":
        """A connection to a host, by name or address."""
        return PlainStream(*await asyncio.open_connection(host, port))

    async def sleep(self, seconds: float) -> None:
        """Wait."""
        await asyncio.sleep(seconds)


class PlainStream(httpcore.AsyncNetworkStream):
    """One connection; what is written goes out when the answer is read."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter):
        self._reader, self._writer = reader, writer
        self._unsent: list[bytes] = []

    async def read(self, max_bytes: int, timeout: float | None = None) -> bytes:
        """Send what was written, then wait for at least one byte; empty at the end."""
        if self._unsent:
            self._writer.write(b"".join(self._unsent))
            self._unsent.clear()
            await self._writer.drain()
        return await self._reader.read(max_bytes)

    async def write(self, buffer: bytes, timeout: float | None = None) -> None:
        """Keep `buffer` for the next read."""
        self._unsent.append(buffer)

    async def aclose(self) -> None:
        """Close without waiting for the other side."""
        self._writer.close()

    def get_extra_info(self, info: str):
        """Whether something lies here unasked for, which for an idle connection means that the server closed it."""
        return self._reader.at_eof() if info == "is_readable" else None
