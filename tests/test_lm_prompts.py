"""What a reranker needs of a language model beyond a chat: a turn gone on with, a plain text, thoughts, the context."""

import asyncio

import pytest
from transformers import AutoTokenizer

pytest.importorskip("aiohttp")

from rader_ir.lm import Failure, Sampling
from rader_ir.lm.local import Local
from rader_ir.lm.server import Server
from tests import tiny
from tests.lm_server import MODEL, Fault, LMServer

SAMPLING = Sampling(temperature=0, max_tokens=5)
BEGUN = [{"role": "user", "content": "which?"}, {"role": "assistant", "content": "<think>hm</think> ["}]
TEXT = [{"role": "plain", "content": "Relevance score:"}]


def with_server(server: LMServer, ask):
    async def run():
        async with Server(server.url, MODEL, pause=0.001) as lm:
            return await ask(lm)

    return asyncio.run(run())


def generated(server: LMServer, messages):
    return with_server(server, lambda lm: lm.generate(messages, sampling=SAMPLING, seed=1))


async def told(lm):
    return lm.continues, lm.context


@pytest.mark.parametrize(
    ("about", "known"),
    [
        ({"owned_by": "vllm", "max_model_len": 4096}, (True, 4096)),
        ({"owned_by": "sglang"}, (True, None)),
        ({"owned_by": "openai", "max_model_len": "long"}, (False, None)),
        ({}, (False, None)),
    ],
)
def test_a_server_tells_what_it_can(about, known):
    with LMServer(about=about) as server:
        assert with_server(server, told) == known


def test_a_turn_of_the_assistant_is_gone_on_with():
    with LMServer() as server:
        generated(server, BEGUN)
        generated(server, BEGUN[:1])
    first, second = server.requests
    assert first["messages"] == BEGUN
    assert (first["continue_final_message"], first["add_generation_prompt"]) == (True, False)
    assert "continue_final_message" not in second


def test_a_plain_text_is_continued_and_scored():
    with LMServer(logprobs={"4": -0.5, "3": -1.5}) as server:
        assert generated(server, TEXT).text == "Relevance score: -> more"
        scores = with_server(server, lambda lm: lm.score_tokens(TEXT, tokens=["3", "4", "5"]))
    assert scores.logprobs == (-1.5, -0.5, float("-inf"))
    assert [body["prompt"] for body in server.requests] == ["Relevance score:"] * 2
    assert not any("messages" in body for body in server.requests)


def test_a_plain_text_stands_alone():
    with LMServer() as server, pytest.raises(ValueError, match="'plain' stands among 2; such a text is sent alone"):
        generated(server, [*TEXT, *BEGUN[:1]])


def test_thoughts_come_apart_from_the_answer():
    with LMServer(answer=lambda body: ("2 or 3?", "[3]")) as server:
        reply = generated(server, "which?")
    assert (reply.text, reply.thoughts) == ("[3]", "2 or 3?")


def test_a_reply_that_was_cut_off_keeps_all_that_was_written():
    long = "word " * 500
    with LMServer(answer=lambda body: ("hm ", long), fault=lambda body, times: Fault("length")) as server:
        reply = generated(server, "which?")
    assert (reply.failure, reply.text, reply.thoughts) == (Failure.CUT_OFF, None, "<think>hm </think>" + long)
    assert len(reply.detail) == 300


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tiny.qwen2_chat(tmp_path_factory.mktemp("chat"))


def test_in_this_process_too(folder):
    """Prompts as the template writes them by hand; a plain text as the tokenizer does."""
    tokenizer = AutoTokenizer.from_pretrained(folder)

    async def run():
        async with Local(folder, device="cpu", dtype="float32") as lm:
            ids = [lm._ids(messages) for messages in (BEGUN, TEXT)]
            return ids, lm.count(BEGUN), lm.continues, lm.context, await lm.generate(BEGUN, sampling=SAMPLING, seed=1)

    (begun, plain), count, continues, context, reply = asyncio.run(run())
    by_hand = "<|im_start|>user\nwhich?<|im_end|>\n<|im_start|>assistant\n<think>hm</think> ["
    assert tokenizer.decode(begun) == by_hand and count == len(begun)
    assert list(plain) == tokenizer("Relevance score:")["input_ids"]
    assert (continues, context) == (True, 512)
    assert reply.failure is Failure.CUT_OFF and len(tokenizer(reply.thoughts)["input_ids"]) >= 1


def test_a_template_that_begins_the_thought_gets_no_second_mark(folder, tmp_path):
    template = tiny.CHAT_TEMPLATE.replace("assistant\n{% endif %}", "assistant\n<think>\n{% endif %}")

    async def run():
        async with Local(folder, device="cpu", dtype="float32", chat_template=template) as lm:
            return lm.tokenizer.decode(lm._ids(BEGUN))

    assert asyncio.run(run()).count("<think>") == 1
