"""A loopback server with OpenAI's interface for chat completions, over real HTTP, that misbehaves on demand.

What it answers is a function of the request; which fault it commits is a function of the request and of how often that very
request has come. It runs in a thread of its own (`with LMServer(...) as server`) or as a program: `python -m tests.lm_server
--latency 0.05 --slots 64` prints its URL and serves until its standard input ends.
"""

import argparse
import asyncio
import hashlib
import json
import ssl
import sys
import threading
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field

MODEL = "toy"


@dataclass(frozen=True)
class Fault:
    """One way to fail.

    `kind` is "status" (answers `status`, `message`, `code`, `headers`), "hang" (never answers), "drop" (closes the connection
    without a word), "short" (closes it in the middle of the body), "cut" (a whole body of cut-off JSON), "empty" (no text),
    "endless" (a body that never ends), "length" (text that ran into max_tokens), "filter", or "raw" (`message` is the body).
    Two are no faults: "chunked" (a good answer in pieces) and "leave" (a good answer, after which the connection closes).
    """

    kind: str
    status: int = 500
    message: str = "the server is unwell"
    code: str | None = None
    headers: tuple[tuple[str, str], ...] = ()


def echo(body: dict) -> str:
    """An answer that tells prompts, seeds and samplings apart."""
    if "prompt" in body:
        return f"{body['prompt'][-20:]} -> more"
    told = json.dumps([body["messages"], body.get("seed"), body.get("temperature")], sort_keys=True)
    return f"{body['messages'][-1]['content'][:40]} -> {hashlib.sha256(told.encode()).hexdigest()[:12]}"


@dataclass
class LMServer:
    """Serves at `url` while the `with` block lasts.

    Args:
        answer: from a request's body to the text of the reply, or to what a reasoning model thought and that text.
        about: more fields of every model that `/v1/models` lists.
        fault: from a request's body and how often it has come before (0, 1, ...) to a fault, or None for a good answer.
        models: ids that `/v1/models` lists; None makes that path a 404, as some servers do.
        latency: seconds that an answer takes.
        slots: answers under way at a time; others wait.
        tls: a context with a certificate makes it an https server on localhost.
        logprobs: of the first token of an answer, by token, given where a request asks for them.
    """

    answer: Callable[[dict], str | tuple[str, str]] = echo
    fault: Callable[[dict, int], Fault | None] = lambda body, times: None
    models: tuple[str, ...] | None = (MODEL,)
    latency: float = 0.0
    slots: int = 1024
    logprobs: dict[str, float] = field(default_factory=dict)
    about: dict = field(default_factory=dict)
    tls: ssl.SSLContext | None = None

    def __enter__(self) -> "LMServer":
        self.requests: list[dict] = []
        self.headers: list[dict[str, str]] = []
        self.busy = self.peak = 0
        self._came: Counter = Counter()
        self._loop = asyncio.new_event_loop()
        ready = threading.Event()
        self._thread = threading.Thread(target=self._serve, args=(ready,), daemon=True)
        self._thread.start()
        ready.wait()
        return self

    def __exit__(self, *_) -> None:
        self._loop.call_soon_threadsafe(self._stop.set)
        self._thread.join()

    @property
    def url(self) -> str:
        """The base URL, as clients of OpenAI's interface want it."""
        return f"https://localhost:{self.port}/v1" if self.tls else f"http://127.0.0.1:{self.port}/v1"

    def _serve(self, ready: threading.Event) -> None:
        asyncio.set_event_loop(self._loop)
        self._loop.run_until_complete(self._until_stopped(ready))
        self._loop.close()

    async def _until_stopped(self, ready: threading.Event) -> None:
        self._stop, self._free, self._open = asyncio.Event(), asyncio.Semaphore(self.slots), set()
        server = await asyncio.start_server(self._connection, "127.0.0.1", 0, backlog=1024, ssl=self.tls)
        self.port = server.sockets[0].getsockname()[1]
        ready.set()
        await self._stop.wait()
        server.close()
        for task in self._open:
            task.cancel()
        await asyncio.gather(*self._open, return_exceptions=True)

    async def _connection(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        self._open.add(task)
        try:
            while await self._exchange(reader, writer):
                pass
        except (ConnectionError, asyncio.IncompleteReadError, asyncio.CancelledError):
            pass
        finally:
            self._open.discard(task)
            writer.close()

    async def _exchange(self, reader, writer) -> bool:
        """One request and its answer; whether the connection stays open."""
        head = (await reader.readuntil(b"\r\n\r\n")).decode().split("\r\n")
        headers = {name.lower(): value for name, _, value in (line.partition(": ") for line in head[1:] if line)}
        raw = await reader.readexactly(int(headers.get("content-length", 0)))
        if head[0].startswith("GET"):
            return await self._list_models(head[0], writer)
        body = json.loads(raw)
        self.requests.append(body)
        self.headers.append(headers)
        key = json.dumps([body.get("messages", body.get("prompt")), body.get("seed")])
        self._came[key] += 1
        async with self._free:
            self.busy += 1
            self.peak = max(self.peak, self.busy)
            try:
                await asyncio.sleep(self.latency)
                return await self._complete(body, self.fault(body, self._came[key] - 1), writer)
            finally:
                self.busy -= 1

    async def _list_models(self, line: str, writer) -> bool:
        if self.models is None or "/v1/models" not in line:
            return await _send(writer, 404, {"error": {"message": "no such path"}})
        return await _send(
            writer, 200, {"object": "list", "data": [{"id": name, **self.about} for name in self.models]}
        )

    async def _complete(self, body: dict, fault: Fault | None, writer) -> bool:
        if fault is None and self.models is not None and body["model"] not in self.models:
            fault = Fault("status", 404, f"The model `{body['model']}` does not exist.", "model_not_found")
        kind = fault.kind if fault else ""
        if kind == "status":
            error = {"error": {"message": fault.message, "code": fault.code}}
            return await _send(writer, fault.status, error, fault.headers)
        if kind == "hang":
            await asyncio.sleep(3600)
        if kind == "drop":
            return False
        if kind == "endless":
            return await _stream_for_ever(writer)
        if kind == "raw":
            return await _send_bytes(writer, 200, fault.message.encode())
        whole = json.dumps(self._completion(body, kind)).encode()
        if kind == "cut":
            return await _send_bytes(writer, 200, whole[: len(whole) // 2])
        if kind == "short":
            writer.write(_head(200, len(whole)) + whole[: len(whole) // 2])
            await writer.drain()
            return False
        if kind == "chunked":
            return await _send_in_pieces(writer, whole)
        return await _send_bytes(writer, 200, whole) and kind != "leave"

    def _completion(self, body: dict, kind: str) -> dict:
        answer = "" if kind == "empty" else self.answer(body)
        thoughts, text = answer if isinstance(answer, tuple) else (None, answer)
        finish = {"length": "length", "filter": "content_filter"}.get(kind, "stop")
        choice = {"index": 0, "finish_reason": finish}
        if "prompt" in body:
            choice |= {"text": text, "logprobs": {"top_logprobs": [self.logprobs]}}
            asked = len(body["prompt"].split())
        else:
            choice["message"] = {"role": "assistant", "content": text}
            choice["message"] |= {} if thoughts is None else {"reasoning_content": thoughts}
            top = [{"token": token, "logprob": value} for token, value in self.logprobs.items()]
            choice["logprobs"] = {"content": [{"token": text, "logprob": -1.0, "top_logprobs": top}]}
            asked = sum(len(message["content"].split()) for message in body["messages"])
        if not body.get("logprobs"):
            choice.pop("logprobs")
        usage = {"prompt_tokens": asked, "completion_tokens": len(text.split())}
        return {"id": "1", "object": "chat.completion", "model": body["model"], "choices": [choice], "usage": usage}


def _head(status: int, length: int, headers=()) -> bytes:
    more = "".join(f"{name}: {value}\r\n" for name, value in headers)
    return f"HTTP/1.1 {status} X\r\nContent-Type: application/json\r\nContent-Length: {length}\r\n{more}\r\n".encode()


async def _send(writer, status: int, body: dict, headers=()) -> bool:
    return await _send_bytes(writer, status, json.dumps(body).encode(), headers)


async def _send_bytes(writer, status: int, body: bytes, headers=()) -> bool:
    writer.write(_head(status, len(body), headers) + body)
    await writer.drain()
    return True


_CHUNKED = b"HTTP/1.1 200 X\r\nContent-Type: application/json\r\nTransfer-Encoding: chunked\r\n\r\n"


async def _send_in_pieces(writer, body: bytes) -> bool:
    writer.write(_CHUNKED)
    for start in range(0, len(body), 20):
        piece = body[start : start + 20]
        writer.write(f"{len(piece):x}\r\n".encode() + piece + b"\r\n")
        await writer.drain()
        await asyncio.sleep(0)
    writer.write(b"0\r\n\r\n")
    await writer.drain()
    return True


async def _stream_for_ever(writer) -> bool:
    writer.write(_CHUNKED)
    while True:
        writer.write(b"400\r\n" + b" " * 1024 + b"\r\n")
        await writer.drain()
        await asyncio.sleep(0.001)


def main() -> None:
    """Serve good answers until standard input ends."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--latency", type=float, default=0.0)
    parser.add_argument("--slots", type=int, default=1024)
    with LMServer(**vars(parser.parse_args())) as server:
        print(server.url, flush=True)
        sys.stdin.read()


if __name__ == "__main__":
    main()
