"""The simulated solver as a server with OpenAI's interface, over loopback, in this program's event loop.

It speaks HTTP on `asyncio.Protocol` rather than on streams, since benchmarks ask it thousands of times a second. Replies take
`latency` seconds, `slots` of them are under way at a time, and the others wait in line, as on a machine that is full.
"""

import asyncio
import hashlib
import json
import re
from collections import Counter, deque
from collections.abc import Mapping
from typing import Any

from rader_ir.lm.replies import Failure
from rader_ir.synth.simulated.faults import Faults
from rader_ir.synth.simulated.replies import Skill, reply

MODEL = "simulated-solver"
_LENGTH = re.compile(rb"^content-length:\s*(\d+)", re.I | re.M)
_HEAD_END = b"\r\n\r\n"
_PIECE = b"400\r\n" + b" " * 1024 + b"\r\n"
_CHARACTERS = 4  # of a token, about


class SimulatedSolver:
    """Serves at `url` while the `async with` block lasts. It is no language model, and its model's name says so.

    Args:
        skill: how well it does.
        faults: what goes wrong how often.
        latency: seconds that a reply takes, once it is its turn.
        slots: replies under way at a time.
        context: tokens of prompt and reply that fit, a token being taken for four characters; None: any.
        model: the name that it goes by.

    Attributes:
        asked: requests by task; under None those that were not understood.
        faulted: requests by fault.
        busy, peak: replies under way now, and at most so far.

    Raises:
        ValueError: no slots, or a negative latency.
    """

    def __init__(
        self,
        *,
        skill: Skill | None = None,
        faults: Faults | None = None,
        latency: float = 0.0,
        slots: int = 64,
        context: int | None = None,
        model: str = MODEL,
    ):
        if slots < 1 or latency < 0:
            raise ValueError(f"slots {slots}, latency {latency}; expected at least one slot and no negative time")
        self.skill, self.faults = skill or Skill(), faults or Faults()
        self.latency, self.slots, self.context, self.model = latency, slots, context, model
        self.asked: Counter[str | None] = Counter()
        self.faulted: Counter[str] = Counter()
        self.busy = self.peak = 0
        self._came: Counter[bytes] = Counter()
        self._waiting: deque[tuple[_Connection, bytes]] = deque()
        self._open: set[_Connection] = set()
        self._server: asyncio.Server | None = None

    def __repr__(self) -> str:
        return f"SimulatedSolver(skill={self.skill}, faults={self.faults}, latency={self.latency}, slots={self.slots})"

    async def __aenter__(self) -> "SimulatedSolver":
        self._loop = asyncio.get_running_loop()
        self._server = await self._loop.create_server(lambda: _Connection(self), "127.0.0.1", 0, backlog=1024)
        self.port = self._server.sockets[0].getsockname()[1]
        return self

    async def __aexit__(self, *_) -> None:
        self._server.close()
        self._waiting.clear()
        for connection in list(self._open):
            connection.transport.abort()
        await self._server.wait_closed()

    @property
    def url(self) -> str:
        """The base URL, as clients of OpenAI's interface want it."""
        return f"http://127.0.0.1:{self.port}/v1"

    def counts(self) -> dict[str, Any]:
        """What has come so far: `asked` by task ("unknown" for None), `faulted` by fault, `peak`."""
        asked = {task or "unknown": count for task, count in self.asked.items()}
        return {"asked": asked, "faulted": dict(self.faulted), "peak": self.peak}

    def _take(self, connection: "_Connection", raw: bytes) -> None:
        """A request has come: it begins, or waits for a slot."""
        if self.busy < self.slots:
            self._begin(connection, raw)
        else:
            self._waiting.append((connection, raw))

    def _begin(self, connection: "_Connection", raw: bytes) -> None:
        self.busy += 1
        self.peak = max(self.peak, self.busy)
        connection.holds_slot = True
        self._loop.call_later(self.latency, self._answer, connection, raw)

    def _answer(self, connection: "_Connection", raw: bytes) -> None:
        if not connection.holds_slot:  # it went away meanwhile
            return
        body = _checked(raw)
        if isinstance(body, str):
            return connection.send(400, _error(body))
        if body["model"] != self.model:
            told = f"The model `{body['model']}` does not exist; this server has {self.model}"
            return connection.send(404, _error(told, "model_not_found"))
        fault = self._fault(raw)
        if fault in _ODD:
            return _ODD[fault](connection)
        status, answer = self._completion(body, fault)
        whole = json.dumps(answer).encode()
        connection.send_bytes(status, whole[: len(whole) // 2] if fault == Failure.BROKEN else whole)

    def _fault(self, raw: bytes) -> Failure | None:
        if not self.faults.rates:
            return None
        call = hashlib.blake2b(raw, digest_size=16).digest()
        fault = self.faults.met(call.hex(), self._came[call])
        self._came[call] += 1
        if fault is not None:
            self.faulted[str(fault)] += 1
        return fault

    def _completion(self, body: Mapping[str, Any], fault: Failure | None) -> tuple[int, dict]:
        """The status and the body of an answer that is whole."""
        read = sum(len(message["content"]) for message in body["messages"]) // _CHARACTERS + 1
        most = body.get("max_tokens") or 1 << 20
        if self.context is not None and read + min(most, self.context // 8) > self.context:
            told = f"This model's maximum context length is {self.context} tokens; the prompt has {read}."
            return 400, _error(told, "context_length_exceeded")
        task, text = reply(body, self.skill)
        self.asked[task] += 1
        text, finish = _ended(text, body.get("stop") or (), most)
        if fault == Failure.EMPTY:
            text = ""
        elif fault == Failure.CUT_OFF:
            text, finish = text[: len(text) // 2], "length"
        elif fault == Failure.FILTERED:
            text, finish = "", "content_filter"
        choice = {"index": 0, "message": {"role": "assistant", "content": text}, "finish_reason": finish}
        usage = {"prompt_tokens": read, "completion_tokens": len(text) // _CHARACTERS + 1}
        usage["total_tokens"] = sum(usage.values())
        return 200, {"id": "simulated", "object": "chat.completion", "model": self.model, "choices": [choice]} | {
            "usage": usage
        }

    def _release(self, connection: "_Connection") -> None:
        """Its slot is free; the next in line begins."""
        connection.holds_slot = False
        self.busy -= 1
        while self._waiting and self.busy < self.slots:
            waiting, raw = self._waiting.popleft()
            if waiting in self._open:
                self._begin(waiting, raw)


def _checked(raw: bytes) -> dict[str, Any] | str:
    """The body of a request, or what is wrong with it."""
    try:
        body = json.loads(raw)
    except ValueError:
        return "the body is no JSON"
    if not isinstance(body, dict) or not isinstance(body.get("model"), str):
        return "no model was named"
    messages = body.get("messages")
    if not isinstance(messages, list) or not messages:
        return "no messages"
    if not all(isinstance(each, dict) and isinstance(each.get("content"), str) for each in messages):
        return "a message without a text"
    return body


def _ended(text: str, stops: list[str] | str, most: int) -> tuple[str, str]:
    """(text up to the first stop or the last token that is allowed, why it ended)."""
    for stop in [stops] if isinstance(stops, str) else stops:
        text = text.partition(stop)[0]
    if len(text) > most * _CHARACTERS:
        return text[: most * _CHARACTERS], "length"
    return text, "stop"


def _error(message: str, code: str | None = None) -> dict:
    return {"error": {"message": message, "code": code}}


class _Connection(asyncio.Protocol):
    """One client's connection: requests come one after the other, and a slot is held from the turn to the answer."""

    def __init__(self, solver: SimulatedSolver):
        self.solver, self.holds_slot, self._buffer = solver, False, bytearray()
        self._answering = self._paused = self._endless = False

    def connection_made(self, transport: asyncio.Transport) -> None:
        self.transport = transport
        self.solver._open.add(self)

    def connection_lost(self, error: Exception | None) -> None:
        self.solver._open.discard(self)
        self._endless = False
        if self.holds_slot:
            self.solver._release(self)

    def data_received(self, data: bytes) -> None:
        self._buffer += data
        self._next()

    def _next(self) -> None:
        """Take the next request, once it is whole and the last one is answered."""
        end = self._buffer.find(_HEAD_END)
        if self._answering or end < 0:
            return
        head = bytes(self._buffer[:end])
        length = _LENGTH.search(head)
        whole = end + len(_HEAD_END) + (int(length[1]) if length else 0)
        if len(self._buffer) < whole:
            return
        raw = bytes(self._buffer[end + len(_HEAD_END) : whole])
        del self._buffer[:whole]
        self._answering = True
        if head.startswith(b"POST") and b"/chat/completions " in head[:200]:
            self.solver._take(self, raw)
        elif head.startswith(b"GET") and b"/models " in head[:200]:
            self.send(200, {"object": "list", "data": [{"id": self.solver.model, "object": "model"}]})
        else:
            self.send(404, _error("no such path; this server has /v1/models and /v1/chat/completions"))

    def send(self, status: int, answer: dict, headers: str = "") -> None:
        """Answer with JSON."""
        self.send_bytes(status, json.dumps(answer).encode(), headers)

    def send_bytes(self, status: int, answer: bytes, headers: str = "") -> None:
        """Answer with a body; the slot is free again."""
        head = f"HTTP/1.1 {status} Simulated\r\nContent-Type: application/json\r\nContent-Length: {len(answer)}\r\n"
        self.transport.write(f"{head}{headers}\r\n".encode() + answer)
        self._answering = False
        if self.holds_slot:
            self.solver._release(self)
        self._next()

    def send_for_ever(self) -> None:
        """A body without end, as fast as the client takes it; the slot stays taken."""
        self.transport.write(b"HTTP/1.1 200 Simulated\r\nTransfer-Encoding: chunked\r\n\r\n")
        self._endless = True
        self._more()

    def _more(self) -> None:
        if self._endless and not self._paused:
            self.transport.write(_PIECE * 16)
            self.solver._loop.call_soon(self._more)

    def pause_writing(self) -> None:
        self._paused = True

    def resume_writing(self) -> None:
        self._paused = False
        self._more()


_ODD = {
    Failure.RATE_LIMIT: lambda connection: connection.send(429, _error("too many requests"), "Retry-After: 0\r\n"),
    Failure.SERVER_ERROR: lambda connection: connection.send(500, _error("the simulated server is unwell")),
    Failure.TIMEOUT: lambda connection: None,
    Failure.CONNECTION: lambda connection: connection.transport.close(),
    Failure.ENDLESS: lambda connection: connection.send_for_ever(),
}
