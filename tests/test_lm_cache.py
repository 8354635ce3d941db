"""The file of earlier replies: what is kept, for whom, across processes and kills.

The language model behind it is a loopback server, which knows how often it was asked.
"""

import asyncio
import math
import os
import signal
import sqlite3
import subprocess
import sys
from itertools import count
from pathlib import Path

import pytest

pytest.importorskip("aiohttp")

from rader_ir.lm import Failure, Sampling, open_lm
from rader_ir.lm.cache import Cached
from rader_ir.lm.server import Server
from tests.lm_server import MODEL, Fault, LMServer

ROOT = Path(__file__).parents[1]
SAMPLING = Sampling(max_tokens=20)
QUICK = dict(pause=0.001, retries=0, answer_retries=0)


def run(url: str, path, calls, model=MODEL, **options):
    """Outcomes of `calls(lm)`, a list of awaitables that go side by side, and the closed cache."""

    async def inside():
        async with Cached(Server(url, model, **{**QUICK, **options}), path) as lm:
            return await asyncio.gather(*calls(lm)), lm

    return asyncio.run(inside())


def one(prompt="p", sampling=SAMPLING, seed=1):
    return lambda lm: [lm.generate(prompt, sampling=sampling, seed=seed)]


def numbered() -> LMServer:
    """A server that never says the same twice."""
    numbers = count()
    return LMServer(answer=lambda body: f"answer {next(numbers)}")


def test_a_kept_reply_is_the_same_and_costs_nothing(tmp_path):
    with numbered() as server:
        (first,), before = run(server.url, tmp_path / "sub" / "replies.db", one())
        (again,), after = run(server.url, tmp_path / "sub" / "replies.db", one())
    assert first.text == again.text == "answer 0" and len(server.requests) == 1
    assert (first.tokens_out, first.finish) == (again.tokens_out, again.finish)
    assert (first.attempts, again.attempts) == (1, 0)
    assert (before.hits, before.misses, before.meter.calls) == (0, 1, 1)
    assert (after.hits, after.misses, after.meter.calls) == (1, 0, 0)


CHANGED = {
    "prompt": one("q"),
    "seed": one(seed=2),
    "temperature": one(sampling=Sampling(max_tokens=20, temperature=0.1)),
    "top_k": one(sampling=Sampling(max_tokens=20, top_k=5)),
    "stop": one(sampling=Sampling(max_tokens=20, stop=("\n",))),
    "schema": one(sampling=Sampling(max_tokens=20, schema="{}")),
    "role": one([{"role": "system", "content": "p"}]),
}


@pytest.mark.parametrize("what", CHANGED)
def test_whatever_decides_a_reply_is_in_its_key(tmp_path, what):
    with numbered() as server:
        run(server.url, tmp_path / "replies.db", one())
        (reply,), lm = run(server.url, tmp_path / "replies.db", CHANGED[what])
    assert reply.text == "answer 1" and lm.misses == 1


def test_the_model_and_its_extras_are_in_the_key_and_its_address_is_not(tmp_path):
    path = tmp_path / "replies.db"
    with LMServer(models=(MODEL, "big")) as server:
        run(server.url, path, one())
        run(server.url, path, one(), model="big")
        run(server.url, path, one(), extra={"min_p": 0.1})
        assert len(server.requests) == 3
    with LMServer() as elsewhere:
        run(elsewhere.url, path, one())
        assert elsewhere.requests == []


def test_a_string_and_its_message_are_one_key(tmp_path):
    with numbered() as server:
        replies, _ = run(server.url, tmp_path / "replies.db", lambda lm: one("p")(lm) + one(_user("p"))(lm))
    assert [reply.text for reply in replies] == ["answer 0"] * 2


def _user(text):
    return [{"role": "user", "content": text}]


def test_failures_of_the_call_are_asked_again_and_those_of_the_model_are_kept(tmp_path):
    faults = {
        "429": (Fault("status", 429), None),
        "broken": (Fault("cut"), None),
        "empty": (Fault("empty"), None),
        "long": (Fault("status", 400, "maximum context length is 9"), Failure.CONTEXT_OVERFLOW),
        "cut off": (Fault("length"), Failure.CUT_OFF),
    }
    with LMServer(fault=lambda body, times: faults[body["messages"][0]["content"]][0] if not times else None) as server:
        for name, (_, kept) in faults.items():
            (first,), _ = run(server.url, tmp_path / "replies.db", one(name))
            (second,), _ = run(server.url, tmp_path / "replies.db", one(name))
            assert first.failure is not None and second.failure is kept, name
            assert isinstance(second.failure, Failure) == (kept is not None)


def test_equal_calls_under_way_are_one(tmp_path):
    with numbered() as server:
        server.latency = 0.05
        replies, lm = run(server.url, tmp_path / "replies.db", lambda lm: [one()(lm)[0] for _ in range(5)])
    assert {reply.text for reply in replies} == {"answer 0"} and len(server.requests) == 1
    assert (lm.misses, lm.joined, lm.meter.calls) == (1, 4, 1)


def test_who_gives_up_takes_the_reply_from_nobody(tmp_path):
    async def inside(server):
        async with Cached(Server(server.url, MODEL, **QUICK), tmp_path / "replies.db") as lm:
            first, second = (asyncio.create_task(one()(lm)[0]) for _ in range(2))
            while not server.busy:
                await asyncio.sleep(0.005)
            first.cancel()
            return (await second).text, first.cancelled()

    with numbered() as server:
        server.latency = 0.1
        assert asyncio.run(inside(server)) == ("answer 0", True)


def test_leaving_ends_what_is_under_way(tmp_path):
    async def inside(server):
        async with Cached(Server(server.url, MODEL, **QUICK), tmp_path / "replies.db") as lm:
            task = asyncio.create_task(one()(lm)[0])
            while not server.busy:
                await asyncio.sleep(0.005)
        return (await asyncio.gather(task, return_exceptions=True))[0]

    with LMServer(fault=lambda body, times: Fault("hang")) as server:
        assert isinstance(asyncio.run(inside(server)), asyncio.CancelledError)


def test_scores_are_kept_with_their_infinities(tmp_path):
    with LMServer(logprobs={"yes": -0.1}) as server:

        def calls(lm):
            return [lm.score_tokens("p", tokens=("yes", "no"))]

        (first,), _ = run(server.url, tmp_path / "replies.db", calls)
        (again,), _ = run(server.url, tmp_path / "replies.db", calls)
        (other,), _ = run(server.url, tmp_path / "replies.db", lambda lm: [lm.score_tokens("p", tokens=("no", "yes"))])
    assert first.logprobs == again.logprobs == (-0.1, -math.inf) and other.logprobs == (-math.inf, -0.1)
    assert len(server.requests) == 2


def test_a_reply_that_cannot_be_kept_is_an_error_of_its_calls_alone(tmp_path):
    """Replies of one turn are one transaction; where that fails nobody waits for ever, and the next one does not."""

    async def inside(server):
        async with Cached(Server(server.url, MODEL, **QUICK), tmp_path / "replies.db") as lm:
            lm._file.execute("CREATE TRIGGER no BEFORE INSERT ON outcomes BEGIN SELECT RAISE(ABORT, 'full'); END")
            failed = await asyncio.gather(*(one(name)(lm)[0] for name in "abc"), return_exceptions=True)
            lm._file.execute("DROP TRIGGER no")
            return failed, [(await one(name)(lm)[0]).text for name in "ab"], [(await one("a")(lm)[0]).attempts]

    with numbered() as server:
        failed, texts, attempts = asyncio.run(inside(server))
    assert [str(error) for error in failed] == ["full"] * 3
    assert texts == ["answer 3", "answer 4"] and attempts == [0]


WORKER = """
import asyncio, sys
from rader_ir.lm import Sampling
from rader_ir.lm.cache import Cached
from rader_ir.lm.server import Server
async def main(url, path, calls):
    async with Cached(Server(url, "toy"), path) as lm:
        async def ask(n):
            reply = await lm.generate(str(n), sampling=Sampling(max_tokens=20), seed=1)
            print(n, reply.text, sep=chr(9), flush=True)
        await asyncio.gather(*map(ask, range(calls)))
asyncio.run(main(sys.argv[1], sys.argv[2], int(sys.argv[3])))
"""


def worker(*arguments) -> subprocess.Popen:
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    command = [sys.executable, "-c", WORKER, *map(str, arguments)]
    return subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=environment)


def told(lines: str) -> dict[str, str]:
    """What a worker was answered, by call."""
    return dict(line.split("\t") for line in lines.splitlines())


def kept(server: LMServer, path, calls) -> dict[str, str]:
    """What the file holds for these calls, and that nothing else had to be asked."""
    replies, lm = run(server.url, path, lambda lm: [one(call)(lm)[0] for call in calls])
    assert (lm.hits, lm.misses) == (len(replies), 0)
    return {call: reply.text for call, reply in zip(calls, replies, strict=True)}


def test_processes_share_a_file_and_agree(tmp_path):
    """Four processes open a new file at once and ask the same of a server that never repeats itself."""
    with numbered() as server:
        workers = [worker(server.url, tmp_path / "replies.db", 100) for _ in range(4)]
        outputs = [told(one.communicate()[0]) for one in workers]
        assert [one.returncode for one in workers] == [0] * 4
        assert outputs == [kept(server, tmp_path / "replies.db", [str(n) for n in range(100)])] * 4


def test_a_kill_loses_nothing_that_was_answered(tmp_path):
    with numbered() as server:
        server.latency, server.slots = 0.01, 4
        process = worker(server.url, tmp_path / "replies.db", 5000)
        lines = "".join(process.stdout.readline() for _ in range(40))
        os.kill(process.pid, signal.SIGKILL)
        lines += process.communicate()[0]
        answered = told(lines[: lines.rindex("\n") + 1])
        with sqlite3.connect(tmp_path / "replies.db") as file:
            assert file.execute("PRAGMA integrity_check").fetchone() == ("ok",)
        file.close()
        assert 40 <= len(answered) < 5000
        assert kept(server, tmp_path / "replies.db", list(answered)) == answered


def test_a_file_of_something_else_is_left_alone(tmp_path):
    notes, other = tmp_path / "notes.txt", tmp_path / "other.db"
    notes.write_text("These are my notes, and they are longer than the header of a database.\n" * 20)
    with sqlite3.connect(other) as file:
        file.execute("CREATE TABLE mine (a)")
    file.close()
    before = notes.read_bytes(), other.read_bytes()
    for path in (notes, other):
        with pytest.raises(ValueError, match=f"{path.name} cannot hold replies .*move it away or name another file"):
            run("http://127.0.0.1:1/v1", path, one())
    assert (notes.read_bytes(), other.read_bytes()) == before


def test_an_address_with_a_cache_opens_both(tmp_path):
    with numbered() as server:

        async def inside():
            async with open_lm(server.url, model=MODEL, cache=tmp_path / "replies.db") as lm:
                await one()(lm)[0]
                return await one()(lm)[0]

        assert asyncio.run(inside()).text == "answer 0"
    lm = open_lm(server.url, model=MODEL, cache=tmp_path / "replies.db")
    assert lm.identity == lm.lm.identity
    with pytest.raises(RuntimeError, match="use it inside `async with`"):
        asyncio.run(one()(lm)[0])
