"""The simulated solver as a server: what a real client gets, through real HTTP, of its replies, its limits and its faults."""

import asyncio
import json
import os
from collections import Counter

import pytest

pytest.importorskip("aiohttp")

from rader_ir.answers import boxed
from rader_ir.lm import Failure, Sampling
from rader_ir.lm.server import Server
from rader_ir.synth.simulated import MODEL, Faults, SimulatedSolver, Skill, demo_problems, serve_in_process
from rader_ir.synth.simulated.faults import KINDS
from rader_ir.synth.simulated.replies import UNKNOWN, reply

PROMPTS = [f"Task: solution\n\nQuestion:\n{problem.question}\n\nSolution:" for problem in demo_problems(32, 2)]
QUICK = dict(pause=0.001, longest_pause=0.01, timeout=20.0)


async def generated(url, prompts, *, sampling=None, model=MODEL, **options):
    async with Server(url, model, **{**QUICK, **options}) as lm:
        sampling = sampling or Sampling()
        calls = [lm.generate(prompt, sampling=sampling, seed=seed) for seed, prompt in enumerate(prompts)]
        return await asyncio.gather(*calls)


def ask(*prompts, sampling=None, options=None, **solver):
    """The replies to prompts asked side by side with the seeds 0, 1, ..., and the server."""

    async def run():
        async with SimulatedSolver(**solver) as server:
            return await generated(server.url, prompts, sampling=sampling, **(options or {})), server

    return asyncio.run(run())


def expected(prompt, seed, skill=None):
    body = {"messages": [{"role": "user", "content": prompt}], "seed": seed, "temperature": 0.8}
    return reply(body, skill or Skill())[1]


def test_a_client_gets_the_replies_of_the_solver():
    replies, server = ask(*PROMPTS)
    assert [one.text for one in replies] == [expected(prompt, seed) for seed, prompt in enumerate(PROMPTS)]
    assert all(one.finish == "stop" and one.tokens_in > 10 and one.tokens_out > 10 for one in replies)
    assert server.counts() == {"asked": {"solution": 32}, "faulted": {}, "peak": server.peak}


def test_two_runs_are_equal_whatever_the_order():
    first, _ = ask(*PROMPTS, latency=0.002, slots=3)
    second, _ = ask(*PROMPTS, slots=64)
    assert [one.text for one in first] == [one.text for one in second]


def test_unknown_prompts_are_counted():
    (one,), server = ask("What is 1 + 1?")
    assert one.text == UNKNOWN and server.counts()["asked"] == {"unknown": 1}


def test_another_model_is_refused_by_name():
    with pytest.raises(ValueError, match=f"no model 'gpt'; it has {MODEL}"):
        ask("x", options={"model": "gpt"})


def test_no_more_than_the_slots_are_under_way():
    _, server = ask(*PROMPTS, latency=0.002, slots=5)
    assert server.peak == 5 and server.busy == 0


def test_a_client_that_gives_up_frees_its_slot():
    """Of two slots, one is held by a call that is never answered until its client has gone."""
    faults = Faults({"timeout": 1.0}, most=1)
    replies, server = ask(*PROMPTS[:6], faults=faults, slots=2, options={"timeout": 0.3, "retries": 20})
    assert [one.failure for one in replies] == [None] * 6 and all(one.attempts > 1 for one in replies)
    assert server.busy == 0 and server.faulted == {"timeout": 6}


def test_replies_end_at_a_stop_and_at_the_last_token():
    question = PROMPTS[0].replace("Task: solution", "Task: query")
    (whole, stopped), _ = ask(PROMPTS[0], PROMPTS[0], skill=Skill(messy=0))
    assert whole.text.count("\n") == stopped.text.count("\n") == 2
    (one,), _ = ask(PROMPTS[0], sampling=Sampling(stop=("\n",)))
    assert one.text == whole.text.partition("\n")[0] and one.failure is None
    (cut,), _ = ask(question, sampling=Sampling(max_tokens=2), options={"answer_retries": 0})
    assert cut.failure is Failure.CUT_OFF


def test_a_prompt_that_does_not_fit_is_a_context_overflow():
    (good,), _ = ask(PROMPTS[0], context=2000)
    (bad,), _ = ask(PROMPTS[0] + " filler" * 2000, context=2000)
    assert good.failure is None and bad.failure is Failure.CONTEXT_OVERFLOW


@pytest.mark.parametrize("kind", KINDS)
def test_every_fault_is_what_the_client_counts(kind):
    options = {"retries": 0, "answer_retries": 0, "largest": 100_000, "timeout": 0.3 if kind == "timeout" else 20}
    (one,), server = ask(PROMPTS[0], faults=Faults({kind: 1.0}), options=options)
    assert one.failure is kind and one.text is None and server.faulted == {str(kind): 1}


def test_faults_pass_and_leave_the_same_replies():
    """A fifth of the attempts fail, each call at most twice, and the client tries again."""
    rates = dict.fromkeys(("rate_limit", "server_error", "connection", "broken", "endless"), 0.04)
    options = {"largest": 100_000, "concurrency": 4}
    good, _ = ask(*PROMPTS, options=options)
    bad, server = ask(*PROMPTS, faults=Faults(rates, most=2, seed=1), options=options)
    assert [one.text for one in bad] == [one.text for one in good]
    attempts = sum(one.attempts for one in bad)
    assert server.faulted.total() == attempts - 32 > 0 and set(server.faulted) <= set(rates)
    again, _ = ask(*PROMPTS, faults=Faults(rates, most=2, seed=1), options=options)
    assert [one.attempts for one in again] == [one.attempts for one in bad]


def test_faults_come_as_often_as_was_asked():
    faults = Faults({"rate_limit": 0.15, "broken": 0.05}, seed=3)
    met = Counter(faults.met(f"call {number}", 0) for number in range(4000))
    assert abs(met[Failure.RATE_LIMIT] / 4000 - 0.15) < 0.02 and abs(met[Failure.BROKEN] / 4000 - 0.05) < 0.015
    assert met[None] == 4000 - met[Failure.RATE_LIMIT] - met[Failure.BROKEN]


@pytest.mark.parametrize(
    "rates, told", [({"flood": 0.1}, "'flood' is unknown"), ({"empty": 0.7, "broken": 0.6}, "make 1 at most")]
)
def test_faults_are_checked(rates, told):
    with pytest.raises(ValueError, match=told):
        Faults(rates)


@pytest.mark.parametrize("options", [{"slots": 0}, {"latency": -1.0}])
def test_a_server_is_checked(options):
    with pytest.raises(ValueError, match="expected at least one slot and no negative time"):
        SimulatedSolver(**options)


@pytest.mark.parametrize(
    "line, body, status",
    [
        ("POST /v1/chat/completions", "{", 400),
        ("POST /v1/chat/completions", json.dumps({"model": MODEL, "messages": []}), 400),
        ("POST /v1/chat/completions", json.dumps({"model": MODEL, "messages": [{"content": 3}]}), 400),
        ("POST /v1/chat/completions", json.dumps({"model": "gpt", "messages": [{"content": "x"}]}), 404),
        ("POST /v1/embeddings", "{}", 404),
        ("GET /v1/models", "", 200),
    ],
)
def test_bare_requests_get_their_status(line, body, status):
    """Two on one connection, in pieces, each answered in turn."""

    async def run():
        async with SimulatedSolver() as server:
            reader, writer = await asyncio.open_connection("127.0.0.1", server.port)
            told = f"{line} HTTP/1.1\r\nHost: x\r\nContent-Length: {len(body)}\r\n\r\n{body}".encode()
            for piece in (told[:30], told[30:] + told):
                writer.write(piece)
                await writer.drain()
                await asyncio.sleep(0)
            heads = []
            for _ in range(2):
                head = (await reader.readuntil(b"\r\n\r\n")).decode()
                answer = json.loads(await reader.readexactly(int(head.partition("Content-Length: ")[2].split()[0])))
                heads.append((int(head.split()[1]), "error" in answer))
            writer.close()
            return heads

    assert asyncio.run(run()) == [(status, status != 200)] * 2


def test_it_serves_from_a_process_of_its_own():
    with serve_in_process(skill=Skill(right_plain=0.0), faults=Faults({"server_error": 1.0}, most=1)) as served:
        replies = asyncio.run(generated(served.url, PROMPTS))
        counts = served.counts()
        url = served.url
    wanted = [expected(prompt, seed, Skill(right_plain=0.0)) for seed, prompt in enumerate(PROMPTS)]
    assert [one.text for one in replies] == wanted and all(boxed(text) for text in wanted)
    assert counts["asked"] == {"solution": 32} and counts["faulted"] == {"server_error": 32}
    with pytest.raises(ConnectionError):
        asyncio.run(generated(url, PROMPTS[:1]))


def test_bad_options_of_a_process_are_told_at_once():
    with pytest.raises(ValueError, match="slots 0"), serve_in_process(slots=0):
        pytest.fail(f"process {os.getpid()} went on")
