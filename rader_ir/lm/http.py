"""Answers of HTTP/1.1 as pure parsing: from bytes, in whatever pieces they come, to a status, headers and a whole body.

Only what an answer to a call of ours may be is read (RFC 9112): a body of a told length, in chunks, or up to the end of the
connection. Whatever else comes is an error, and so is a body that goes on for ever.
"""

import re
from collections.abc import Callable
from dataclasses import dataclass, field

from rader_ir.lm.replies import Failure

_LONGEST_HEAD = 1 << 16  # bytes of a head, of the line before a chunk, or of what may follow the last one
_HEAD_END = re.compile(rb"\r?\n\r?\n")
_STATUS = re.compile(rb"HTTP/1\.([01]) (\d{3})(?: [^\r\n]*)?")
# A name is a token, with no blank before the colon
_HEADER = re.compile(r"([!#$%&'*+.^_`|~0-9a-z-]+):[ \t]*(.*)", re.I)
_CHUNK = re.compile(rb"([0-9a-fA-F]{1,12})[ \t]*(?:;[^\r\n]*)?\r?\n")
_WITHOUT_BODY = frozenset({204, 304})


class NoAnswer(Exception):
    """No whole answer came: what kind of failure that is, in which words, after how many seconds."""

    def __init__(self, failure: Failure, detail: str):
        super().__init__(detail)
        self.failure, self.detail, self.seconds = failure, detail, 0.0


@dataclass
class Answer:
    """An answer, as far as it has come.

    Attributes:
        largest: bytes of a body; one that goes on is endless.
        status: 0 before the head is here.
        headers: names in lower case; values of one name that came apart are joined by commas.
        body: so far.
        seconds: from the request to the last byte, once that is here.
    """

    largest: int
    status: int = 0
    headers: dict[str, str] = field(default_factory=dict)
    body: bytearray = field(default_factory=bytearray)
    seconds: float = 0.0

    def add(self, piece: bytes) -> None:
        """More of the body.

        Raises:
            NoAnswer: it is too long.
        """
        self.body += piece
        if len(self.body) > self.largest:
            raise NoAnswer(Failure.ENDLESS, f"a body of more than {self.largest} bytes")


class Reading:
    """Reads one answer piece by piece.

    Args:
        answer: is filled.

    Attributes:
        done: whether the answer is whole.
        last: whether the connection cannot be used again.
    """

    def __init__(self, answer: Answer):
        self.answer, self.done, self.last = answer, False, False
        self._buffer = bytearray()
        self._left = 0  # bytes of the body, or of the chunk, that are still to come
        self._step = self._head

    def feed(self, data: bytes) -> None:
        """Read on; what comes after a whole answer makes the connection unfit for another call.

        Raises:
            NoAnswer: this is no HTTP, or the body is too long.
        """
        self._buffer += data
        while not self.done and self._step():
            pass
        if self.done and self._buffer:
            self.last = True

    def end(self) -> None:
        """The connection has ended.

        Raises:
            NoAnswer: before the answer did.
        """
        if not self.done and self._step != self._up_to_end:
            raise NoAnswer(Failure.CONNECTION, "the server closed the connection before the end of its answer")
        self.done = self.last = True

    # Each step reads one part, sets the next step, and says whether it got far enough for that.

    def _head(self) -> bool:
        if not (end := _HEAD_END.search(self._buffer)):
            return self._wait("a head")
        status, *lines = bytes(self._buffer[: end.start()]).splitlines()
        del self._buffer[: end.end()]
        if not (told := _STATUS.fullmatch(status)):
            raise _broken(f"the answer begins {status[:60]!r}")
        if told[2].startswith(b"1"):  # says that an answer will come
            return True
        headers = _headers(lines)
        options = [option.strip().lower() for option in headers.get("connection", "").split(",")]
        self.last = told[1] == b"0" or "close" in options
        self._step = self._body(int(told[2]), headers)
        self.answer.status, self.answer.headers = int(told[2]), headers
        return True

    def _body(self, status: int, headers: dict[str, str]) -> Callable[[], bool]:
        """The step that reads the body which such a head announces."""
        coding, length = headers.get("transfer-encoding"), headers.get("content-length")
        if status in _WITHOUT_BODY:
            return self._told_length
        if coding is not None:
            if coding.strip().lower() != "chunked":
                raise _broken(f"the transfer encoding {coding!r:.60}")
            return self._chunk_line
        if length is None:
            return self._up_to_end
        lengths = {each.strip() for each in length.split(",")}
        told = lengths.pop()
        if lengths or not (told.isascii() and told.isdigit()):
            raise _broken(f"the length {length!r:.60}")
        self._left = int(told)
        return self._told_length

    def _told_length(self) -> bool:
        self.done = self._taken()
        return self.done

    def _up_to_end(self) -> bool:
        self._left = len(self._buffer)
        self._taken()
        return False

    def _chunk_line(self) -> bool:
        end = self._buffer.find(b"\n") + 1
        if not end:
            return self._wait("a line before a chunk")
        line = bytes(self._buffer[:end])
        if not (told := _CHUNK.fullmatch(line)):
            raise _broken(f"a chunk begins {line[:60]!r}")
        del self._buffer[:end]
        self._left = int(told[1], 16)
        self._step = self._chunk if self._left else self._trailer
        return True

    def _chunk(self) -> bool:
        if not self._taken():
            return False
        end = self._buffer.find(b"\n") + 1
        if not end and len(self._buffer) < 2:
            return False
        if bytes(self._buffer[:end]) not in (b"\r\n", b"\n"):
            raise _broken("a chunk is longer than it says")
        del self._buffer[:end]
        self._step = self._chunk_line
        return True

    def _trailer(self) -> bool:
        end = self._buffer.find(b"\n") + 1
        if not end:
            return self._wait("what follows the last chunk")
        self.done = not self._buffer[:end].strip()
        del self._buffer[:end]
        return True

    def _taken(self) -> bool:
        """Move what has come of the body, or of a chunk, to it; whether that is all."""
        piece = self._buffer[: self._left]
        self._left -= len(piece)
        del self._buffer[: len(piece)]
        self.answer.add(piece)
        return not self._left

    def _wait(self, what: str) -> bool:
        if len(self._buffer) > _LONGEST_HEAD:
            raise _broken(f"{what} of more than {_LONGEST_HEAD} bytes")
        return False


def _headers(lines: list[bytes]) -> dict[str, str]:
    headers: dict[str, str] = {}
    name = ""
    for line in (line.decode("latin-1") for line in lines):
        if name and line[:1] in " \t":  # an old way to go on with the header before
            headers[name] += " " + line.strip()
            continue
        if not (told := _HEADER.fullmatch(line)):
            raise _broken(f"the header {line[:60]!r}")
        name, value = told[1].lower(), told[2].strip()
        headers[name] = f"{headers[name]}, {value}" if name in headers else value
    return headers


def _broken(what: str) -> NoAnswer:
    return NoAnswer(Failure.CONNECTION, f"no proper HTTP: {what}")
