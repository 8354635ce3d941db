"""The client of language-model servers against a real server on loopback that misbehaves on demand (`lm_server`).

What must come back follows from what the server was told to do: its answers are a function of the request, its faults of the
request and the number of the attempt.
"""

import asyncio
import base64
import json
import math
import shutil
import socket
import ssl
import subprocess
import sys
import time
from email.utils import formatdate

import pytest

pytest.importorskip("aiohttp")

from rader_ir.lm import Failure, Reply, Sampling, open_lm
from rader_ir.lm.server import Server
from rader_ir.lm.wire import read_reply, wait_asked
from tests.lm_server import MODEL, Fault, LMServer, echo

SAMPLING = Sampling(temperature=0.5, max_tokens=50)
QUICK = dict(pause=0.001, longest_pause=0.05, timeout=10.0)


def ask(server: LMServer, *prompts: str, sampling=SAMPLING, seed=7, **options):
    """Replies to `prompts`, asked side by side, and the client."""

    async def run():
        async with Server(server.url, MODEL, **{**QUICK, **options}) as lm:
            calls = (lm.generate(prompt, sampling=sampling, seed=seed) for prompt in prompts)
            return await asyncio.gather(*calls), lm

    return asyncio.run(run())


def once(*faults: Fault):
    """Commits these faults at the first attempts of every call, then answers well."""
    return lambda body, times: faults[times] if times < len(faults) else None


def always(fault: Fault):
    return lambda body, times: fault


def expected(prompt: str, *, seed=7, temperature=0.5) -> str:
    return echo({"messages": [{"role": "user", "content": prompt}], "seed": seed, "temperature": temperature})


def test_a_reply_is_the_servers_with_its_tokens():
    with LMServer() as server:
        (reply,), lm = ask(server, "two words")
    text = expected("two words")
    assert reply.text == text and reply.failure is None and reply.finish == "stop" and reply.attempts == 1
    assert (reply.tokens_in, reply.tokens_out) == (2, len(text.split()))
    assert lm.meter.totals() | {"seconds": 0} == {
        "calls": 1,
        "attempts": 1,
        "tokens_in": 2,
        "tokens_out": len(text.split()),
        "peak_in_flight": 1,
        "seconds": 0,
        "cost": 0.0,
        "retried": {},
        "failed": {},
    }


def test_the_body_says_what_was_asked_and_no_more():
    sampling = Sampling(temperature=0.8, top_p=0.9, max_tokens=5, stop=("\n", "Q:"))
    with LMServer() as server:
        ask(server, "plain", sampling=sampling, seed=3)
        ask(
            server,
            "k",
            sampling=Sampling(top_k=40, schema='{"type": "object"}'),
            extra={"priority": 1},
            api_key="sesame",
        )
    first, second = server.requests
    assert first == {
        "model": MODEL,
        "messages": [{"role": "user", "content": "plain"}],
        "temperature": 0.8,
        "top_p": 0.9,
        "max_tokens": 5,
        "seed": 3,
        "stop": ["\n", "Q:"],
    }
    assert (second["top_k"], second["priority"]) == (40, 1)
    assert second["response_format"]["json_schema"]["schema"] == {"type": "object"}
    assert "authorization" not in server.headers[0] and server.headers[1]["authorization"] == "Bearer sesame"


def test_a_conversation_is_sent_as_it_is():
    messages = [{"role": "system", "content": "Be brief."}, {"role": "user", "content": "Why \u2203?"}]
    with LMServer() as server:

        async def run():
            async with Server(server.url, MODEL) as lm:
                return await lm.generate(messages, sampling=SAMPLING, seed=0)

        assert asyncio.run(run()).text is not None
    assert server.requests[0]["messages"] == messages


RETRIED = {
    "429": (Fault("status", 429), Failure.RATE_LIMIT),
    "500": (Fault("status", 500), Failure.SERVER_ERROR),
    "503": (Fault("status", 503), Failure.SERVER_ERROR),
    "drop": (Fault("drop"), Failure.CONNECTION),
    "short": (Fault("short"), Failure.CONNECTION),
    "cut JSON": (Fault("cut"), Failure.BROKEN),
    "no JSON": (Fault("raw", message="<html>busy</html>"), Failure.BROKEN),
    "error with status 200": (Fault("raw", message='{"error": {"message": "overloaded"}}'), Failure.BROKEN),
    "endless": (Fault("endless"), Failure.ENDLESS),
    "empty": (Fault("empty"), Failure.EMPTY),
    "cut off": (Fault("length"), Failure.CUT_OFF),
}


@pytest.mark.parametrize("name", RETRIED)
def test_a_passing_fault_is_tried_again_and_counted(name):
    fault, failure = RETRIED[name]
    with LMServer(fault=once(fault)) as server:
        (reply,), lm = ask(server, "p", largest=50_000)
    assert (reply.text, reply.attempts) == (expected("p"), 2)
    assert (lm.meter.calls, lm.meter.attempts) == (1, 2)
    assert lm.meter.retried == {failure: 1} and lm.meter.failed == {}


@pytest.mark.parametrize("name", RETRIED)
def test_a_lasting_fault_is_a_failure_without_text(name):
    fault, failure = RETRIED[name]
    with LMServer(fault=always(fault)) as server:
        (reply,), lm = ask(server, "p", largest=50_000, retries=2, answer_retries=1)
    attempts = 2 if failure in (Failure.EMPTY, Failure.CUT_OFF) else 3
    assert (reply.text, reply.failure, reply.attempts) == (None, failure, attempts)
    assert len(server.requests) == attempts
    assert lm.meter.failed == {failure: 1} and lm.meter.retried == {failure: attempts - 1}


def test_a_hanging_server_is_given_up_and_its_slot_is_used_again():
    """One slot: the call after two that were broken off must still get through."""
    with LMServer(fault=once(Fault("hang"), Fault("endless"))) as server:
        replies, lm = ask(server, "a", "b", timeout=0.3, concurrency=1)
    assert [reply.text for reply in replies] == [expected("a"), expected("b")]
    assert lm.meter.retried == {Failure.TIMEOUT: 2, Failure.ENDLESS: 2}


TOO_LONG = {
    "vLLM": "This model's maximum context length is 4096 tokens. However, you requested 5000 tokens",
    "vLLM, longer prompt": "The decoder prompt (length 5000) is longer than the maximum model length of 4096.",
    "SGLang": "The input (5000 tokens) is longer than the model's context length (4096 tokens).",
    "llama.cpp": "the request exceeds the available context size, try increasing it",
    "TGI": "`inputs` tokens + `max_new_tokens` must be <= 4096. Given: 5000",
}
STANDING = {name: (message, Failure.CONTEXT_OVERFLOW) for name, message in TOO_LONG.items()}
STANDING["another"] = ("temperature must be non-negative", Failure.REFUSED)


@pytest.mark.parametrize("name", STANDING)
def test_what_is_wrong_with_the_request_is_not_tried_again(name):
    message, failure = STANDING[name]
    with LMServer(fault=always(Fault("status", 400, message))) as server:
        (reply,), lm = ask(server, "p")
    assert (reply.text, reply.failure, reply.attempts) == (None, failure, 1)
    assert message[:40] in reply.detail and len(server.requests) == 1 and lm.meter.failed == {failure: 1}


def test_a_withheld_reply_is_a_failure():
    with LMServer(fault=always(Fault("filter"))) as server:
        (reply,), _ = ask(server, "p")
    assert (reply.text, reply.failure, reply.attempts) == (None, Failure.FILTERED, 1)


def test_retry_after_is_kept_to_and_bounded():
    """The pauses asked of asyncio: the server's 2 s; its 999 s cut to 4 s; without its word half of 4 s or more."""
    faults = [Fault("status", 429, headers=(("Retry-After", value),)) for value in ("2", "999")]
    slept = []

    async def run(server):
        async with Server(server.url, MODEL, pause=1.0, longest_pause=4.0) as lm:
            real = asyncio.sleep

            async def sleep(seconds):
                slept.extend([seconds] if seconds else [])
                await real(0)

            asyncio.sleep = sleep
            try:
                return await lm.generate("p", sampling=SAMPLING, seed=7)
            finally:
                asyncio.sleep = real

    with LMServer(fault=once(*faults, Fault("status", 503))) as server:
        assert asyncio.run(run(server)).text == expected("p")
    assert slept[:2] == [2.0, 4.0] and len(slept) == 3 and 2.0 <= slept[2] <= 4.0


def test_retry_after_is_read_in_both_forms():
    assert wait_asked({"retry-after": "1.5"}) == 1.5
    assert 20 < wait_asked({"retry-after": formatdate(time.time() + 30, usegmt=True)}) <= 30
    for value in ("", "soon", "-3", "inf", "nan", "Wed, 21 Oct 2015 07:28:00 GMT"):
        assert wait_asked({"retry-after": value}) == 0.0


def test_pauses_double_and_follow_from_the_seed():
    def pauses(seed):
        lm = Server("http://127.0.0.1:1/v1", MODEL, pause=1.0, seed=seed)
        return [lm._pause({"messages": []}, retry) for retry in range(4)]

    assert pauses(1) == pauses(1) != pauses(2)
    assert all(2**retry / 2 <= pause <= 2**retry for retry, pause in enumerate(pauses(1)))


def test_no_more_calls_than_asked_for_are_under_way():
    with LMServer(latency=0.02) as server:
        replies, lm = ask(server, *map(str, range(30)), concurrency=4)
    assert [reply.text for reply in replies] == [expected(str(n)) for n in range(30)]
    assert server.peak == lm.meter.peak_in_flight == 4 and lm.meter.in_flight == 0


def test_a_call_that_is_given_up_frees_its_slot():
    async def run(server):
        async with Server(server.url, MODEL, concurrency=1) as lm:
            task = asyncio.create_task(lm.generate("slow", sampling=SAMPLING, seed=7))
            while not server.busy:
                await asyncio.sleep(0.005)
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)
            return await lm.generate("next", sampling=SAMPLING, seed=7)

    hangs = Fault("hang")
    with LMServer(fault=lambda body, _: hangs if body["messages"][0]["content"] == "slow" else None) as server:
        assert asyncio.run(run(server)).text == expected("next")


def test_cost_counts_replies_that_were_thrown_away():
    """Three words read twice; the text of the reply that was cut off was paid for as well."""
    with LMServer(fault=once(Fault("length"))) as server:
        (reply,), lm = ask(server, "one two three", prices=(1e6, 10e6))
    assert reply.tokens_in == 3
    assert lm.meter.cost == 2 * 3 * 1 + 2 * reply.tokens_out * 10


def test_many_faults_at_once_give_the_same_replies_as_none():
    """Every fifth call or so meets one of nine faults; with retries the replies are those of a server that never fails."""
    kinds = [fault for fault, _ in RETRIED.values()]

    def fault(body, times):
        number = int(body["messages"][0]["content"])
        return kinds[number // 5 % len(kinds)] if number % 5 == 0 and times == 0 else None

    prompts = [str(n) for n in range(300)]
    with LMServer() as server:
        calm, _ = ask(server, *prompts)
    with LMServer(fault=fault) as server:
        stormy, lm = ask(server, *prompts, largest=20_000)
    assert [reply.text for reply in stormy] == [reply.text for reply in calm]
    assert lm.meter.retried.total() == 60 and lm.meter.failed == {} and lm.meter.attempts == 360


def scores(server: LMServer, tokens):
    async def run():
        async with Server(server.url, MODEL, **QUICK) as lm:
            return await lm.score_tokens("Relevant?", tokens=tokens)

    return asyncio.run(run())


def test_scores_of_tokens_come_in_their_order():
    with LMServer(logprobs={"yes": -0.25, "no": -1.5}) as server:
        outcome = scores(server, ("no", "yes", "maybe"))
    assert outcome.logprobs == (-1.5, -0.25, -math.inf)
    assert server.requests[0]["logprobs"] is True and server.requests[0]["max_tokens"] == 1


def test_a_server_without_log_probabilities_is_a_failure():
    silent = json.dumps({"choices": [{"message": {"content": "yes"}, "finish_reason": "length"}]})
    with LMServer(fault=always(Fault("raw", message=silent))) as server:
        outcome = scores(server, ("yes", "no"))
    assert (outcome.logprobs, outcome.failure) == (None, Failure.BROKEN)
    with LMServer() as server, pytest.raises(ValueError, match="21 tokens to score; a server tells 1 to 20"):
        scores(server, [str(n) for n in range(21)])


def test_a_wrong_model_is_told_at_once():
    words = r"has no model 'big'; it has toy, other"
    with LMServer(models=(MODEL, "other")) as server, pytest.raises(ValueError, match=words):
        asyncio.run(_open(server.url, "big"))
    assert server.requests == []


def test_a_wrong_model_is_told_at_once_where_models_are_not_listed():
    refuses = always(Fault("status", 404, "The model `big` does not exist."))
    words = r"no chat completion of 'big' .*`big` does not exist.*mend"
    with LMServer(models=None, fault=refuses) as server, pytest.raises(ValueError, match=words):
        asyncio.run(_open(server.url, "big"))
    assert len(server.requests) == 1


async def _open(url, model, **options):
    async with Server(url, model, **options):
        pass


def test_an_answer_in_pieces_is_one():
    with LMServer(fault=always(Fault("chunked"))) as server:
        replies, lm = ask(server, "a", "b", concurrency=1)
    assert [reply.text for reply in replies] == [expected("a"), expected("b")] and lm.meter.retried == {}


def test_a_connection_that_the_server_closed_is_opened_anew_without_a_retry():
    async def run(server):
        async with Server(server.url, MODEL, concurrency=1, retries=0) as lm:
            texts = []
            for prompt in "abc":
                texts.append((await lm.generate(prompt, sampling=SAMPLING, seed=7)).text)
                await asyncio.sleep(0.2)  # for the end of the connection to arrive
            return texts

    with LMServer(fault=always(Fault("leave"))) as server:
        assert asyncio.run(run(server)) == [expected(prompt) for prompt in "abc"]


def test_a_proxy_is_gone_through_with_its_login():
    """The host has no address, so what answers is the proxy, which here is the server itself."""
    with LMServer() as server:
        proxy = f"http://me:p%40ss@127.0.0.1:{server.port}"

        async def run():
            async with Server("http://model.invalid:8000/v1", MODEL, proxy=proxy) as lm:
                return await lm.generate("p", sampling=SAMPLING, seed=7)

        assert asyncio.run(run()).text == expected("p")
    assert server.headers[0]["host"] == "model.invalid:8000"
    assert base64.b64decode(server.headers[0]["proxy-authorization"].removeprefix("Basic ")) == b"me:p@ss"


def test_the_environments_proxy_is_for_other_hosts_only(monkeypatch):
    """First a proxy that is not there, which a loopback address must not need; then one that another host needs."""
    monkeypatch.delenv("no_proxy", raising=False)
    monkeypatch.delenv("NO_PROXY", raising=False)
    with LMServer() as server:
        monkeypatch.setenv("http_proxy", "http://127.0.0.1:9")
        assert ask(server, "p")[0][0].text == expected("p")
        monkeypatch.setenv("http_proxy", f"http://127.0.0.1:{server.port}")
        asyncio.run(_open("http://model.invalid/v1", MODEL))


def test_an_encrypted_server_is_trusted_only_if_its_certificate_is(tmp_path, monkeypatch):
    if not shutil.which("openssl"):
        pytest.skip("no openssl here to make a certificate")
    key, certificate = tmp_path / "key.pem", tmp_path / "certificate.pem"
    command = ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", "-subj", "/CN=localhost"]
    command += ["-addext", "subjectAltName=DNS:localhost", "-keyout", key, "-out", certificate]
    subprocess.run(command, capture_output=True, check=True)
    tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    tls.load_cert_chain(certificate, key)
    with LMServer(tls=tls) as server:
        with pytest.raises(ConnectionError, match="CERTIFICATE_VERIFY_FAILED"):
            ask(server, "p")
        monkeypatch.setenv("SSL_CERT_FILE", str(certificate))
        replies, _ = ask(server, *map(str, range(20)), concurrency=4)
    assert [reply.text for reply in replies] == [expected(str(n)) for n in range(20)]


def test_no_endpoint_is_told_at_once():
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{free.getsockname()[1]}/v1"
        with pytest.raises(ConnectionError, match=f"no language model answers at {url} .*start a server there"):
            asyncio.run(_open(url, MODEL))


def test_a_server_that_never_answers_is_told():
    with socket.socket() as deaf:
        deaf.bind(("127.0.0.1", 0))
        deaf.listen()
        with pytest.raises(ConnectionError, match=r"no whole answer within 0\.2 s"):
            asyncio.run(_open(f"http://127.0.0.1:{deaf.getsockname()[1]}/v1", MODEL, timeout=0.2))


@pytest.mark.parametrize(
    "status, error, words", [(401, ValueError, "the key"), (503, ConnectionError, "answers no call now")]
)
def test_a_server_that_lists_no_models_is_tried_out(status, error, words):
    with LMServer(models=None, fault=always(Fault("status", status))) as server, pytest.raises(error, match=words):
        asyncio.run(_open(server.url, MODEL))
    with LMServer(models=None, fault=always(Fault("length"))) as server:
        asyncio.run(_open(server.url, MODEL))


def test_a_page_that_is_no_model_is_told():
    words = r"gives no chat completion of 'toy'.*usually ends in /v1"
    page = always(Fault("raw", message="<html>"))
    with LMServer(models=None, fault=page) as server, pytest.raises(ValueError, match=words):
        asyncio.run(_open(server.url, MODEL))


@pytest.mark.parametrize("url", ["127.0.0.1:8000/v1", "ftp://here/v1", "http:///v1", "http://[::1/v1"])
def test_a_broken_url_is_told(url):
    with pytest.raises(ValueError, match="expected one such as http"):
        asyncio.run(_open(url, MODEL))


def test_a_client_that_is_not_connected_says_so():
    lm = Server("http://127.0.0.1:1/v1", MODEL)
    with pytest.raises(RuntimeError, match="use it inside `async with`"):
        asyncio.run(lm.generate("p", sampling=SAMPLING, seed=0))


def test_a_key_that_cannot_be_sent_is_refused():
    for key in ("sesame\n", "clé", "a\nb"):
        with pytest.raises(
            ValueError, match="the API key holds a line break, a blank at an end or a sign beyond ASCII"
        ):
            asyncio.run(_open("http://127.0.0.1:1/v1", MODEL, api_key=key))


def test_the_key_is_not_shown():
    assert "sesame" not in repr(Server("http://127.0.0.1:1/v1", MODEL, api_key="sesame"))


@pytest.mark.parametrize(
    "answer",
    [
        "[]",
        "null",
        '{"choices": []}',
        '{"choices": [7]}',
        '{"choices": [{"message": null}]}',
        '{"choices": [{"message": {"content": ["a"]}}]}',
        '{"choices": [{"message": {"content": "a"}, "finish_reason": ["stop"]}]}',
        '{"choices": [{"message": {"content": "a"}, "finish_reason": "tool_calls"}]}',
        '{"choices": [{"message": {"content": "\\ud800"}, "finish_reason": "stop"}]}',
        "[" * 100_000,
        "\x00",
    ],
    ids=range(11),
)
def test_whatever_a_server_says_is_read_or_is_broken(answer):
    reply = read_reply(200, answer.encode())
    assert (reply.text, reply.failure) == (None, Failure.BROKEN)


def test_thoughts_of_a_reasoning_model_are_no_text():
    message = {"content": None, "reasoning_content": "the answer is 4"}
    reply = read_reply(200, json.dumps({"choices": [{"message": message, "finish_reason": "stop"}]}).encode())
    assert (reply.text, reply.failure) == (None, Failure.EMPTY)


def test_odd_counts_of_tokens_are_none():
    choice = {"message": {"content": "a"}, "finish_reason": None}
    for usage in (None, 7, {"prompt_tokens": "9"}, {"prompt_tokens": True}, {"prompt_tokens": -4}):
        reply = read_reply(200, json.dumps({"choices": [choice], "usage": usage}).encode())
        assert (reply.text, reply.tokens_in, reply.tokens_out) == ("a", 0, 0)


@pytest.mark.parametrize(
    "field, value", [("temperature", -1), ("top_p", 0), ("top_k", 0), ("max_tokens", 0), ("stop", "\n")]
)
def test_impossible_samplings_are_refused(field, value):
    with pytest.raises(ValueError, match=f"{field} is "):
        Sampling(**{field: value})


def test_a_reply_is_a_text_or_a_failure():
    for fields in ({}, {"text": "a", "failure": Failure.EMPTY}):
        with pytest.raises(ValueError, match="a reply has a text or a failure"):
            Reply(**fields)


def test_addresses_open_what_they_name():
    lm = open_lm("http://127.0.0.1:8000/v1/", model="m", concurrency=3, prices=(1.0, 2.0))
    assert repr(lm) == "Server('http://127.0.0.1:8000/v1/', 'm', concurrency=3)" and lm.meter.prices == (1.0, 2.0)
    with pytest.raises(ValueError, match="no model was named"):
        open_lm("http://127.0.0.1:8000/v1")
    with pytest.raises(ValueError, match="of no known kind"):
        open_lm("gpt-4")
    with pytest.raises(ValueError, match="leave one of them out"):
        open_lm("local:/models/a", model="b")


@pytest.mark.parametrize("library, module", [("aiohttp", "server"), ("vllm", "vllm")])
def test_a_missing_library_is_named_with_its_remedy(library, module):
    script = f"import sys; sys.modules[{library!r}] = None\nfrom rader_ir.lm import open_lm\n"
    script += "import asyncio\nasync def run():\n    async with open_lm("
    script += "'http://127.0.0.1:1/v1', model='m'" if library == "aiohttp" else "'vllm:/nowhere'"
    script += "): pass\nasyncio.run(run())"
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=False)
    assert (
        done.returncode == 1 and "ModuleNotFoundError" in done.stderr and "pip install" in done.stderr.splitlines()[-1]
    )


def test_the_protocols_load_no_model_library():
    script = "import sys, rader_ir.lm; print([n for n in ('torch', 'transformers', 'aiohttp') if n in sys.modules])"
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
