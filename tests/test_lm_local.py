"""An instruct model in this process: what it draws, where it ends, and that batches do not matter.

The model is a two-layer Qwen2 with random weights; what it must write is computed here from its logits, one prompt at a time and
without padding, cache or transformers' own decoding.
"""

import asyncio
import random

import pytest
import torch
from transformers import AutoModelForCausalLM, AutoTokenizer

from rader_ir.lm import Failure, Sampling, TokenScores, open_lm
from rader_ir.lm.drawing import before_stop, drawn_token
from rader_ir.lm.in_process import reply_of
from rader_ir.lm.local import Local, halved
from tests import tiny

SAMPLING = Sampling(temperature=0.9, top_p=0.9, top_k=30, max_tokens=24)
PROMPTS = [
    "What is a field?",
    "Prove it.",
    "the determinant of a product is a product of determinants " * 4,
    "x",
    "a b c",
]


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tiny.qwen2_chat(tmp_path_factory.mktemp("chat"))


@pytest.fixture(scope="module")
def plain(folder):
    """Tokenizer and model as transformers opens them."""
    return AutoTokenizer.from_pretrained(folder), AutoModelForCausalLM.from_pretrained(folder).eval()


def chat(prompt: str) -> str:
    return f"<|im_start|>user\n{prompt}<|im_end|>\n<|im_start|>assistant\n"


@torch.inference_mode()
def by_hand(plain, prompt: str, sampling: Sampling, seed: int) -> tuple[list[int], str]:
    """Token ids that the model writes, without end token, and "stop" or "length": the whole text is read anew for each token."""
    tokenizer, model = plain
    ids = tokenizer(chat(prompt), add_special_tokens=False)["input_ids"]
    written, chance = [], random.Random(f"language model {seed}").random
    while len(written) < sampling.max_tokens:
        logits = model(input_ids=torch.tensor([ids + written])).logits[0, -1]
        written.append(picked(logits, sampling, chance()))
        if written[-1] in tokenizer.convert_tokens_to_ids(["<|im_end|>", "<|endoftext|>"]):
            return written[:-1], "stop"
        if any(stop in tokenizer.decode(written) for stop in sampling.stop):
            return written, "stop"
    return written, "length"


def picked(logits: torch.Tensor, sampling: Sampling, number: float) -> int:
    """The token that `number` picks, in plain Python."""
    if sampling.temperature == 0:
        return int(logits.argmax())
    mass = (logits.double() / sampling.temperature).softmax(0).tolist()
    ranked = sorted(range(len(mass)), key=lambda token: (-mass[token], token))[: sampling.top_k]
    kept, total = [], sum(mass[token] for token in ranked)
    while ranked and sum(mass[token] for token in kept) < sampling.top_p * total:
        kept.append(ranked.pop(0))
    aim, passed = number * sum(mass[token] for token in kept), 0.0
    for token in sorted(kept):
        passed += mass[token]
        if passed > aim:
            return token
    return max(kept)


def write(folder, calls, **options):
    """Replies to calls of (prompt, sampling, seed), asked side by side, and the back-end."""

    async def run():
        async with Local(folder, **options) as lm:
            asked = (lm.generate(prompt, sampling=sampling, seed=seed) for prompt, sampling, seed in calls)
            return await asyncio.gather(*asked), lm

    return asyncio.run(run())


def shown(reply) -> str:
    """What was written, whether it counts or was cut off."""
    return reply.detail if reply.failure is Failure.CUT_OFF else reply.text


MIXED = [
    (prompt, sampling, seed)
    for seed, prompt in enumerate(PROMPTS)
    for sampling in (
        SAMPLING,
        Sampling(temperature=0, max_tokens=7),
        Sampling(temperature=1.3, top_p=1.0, max_tokens=40),
    )
]


@pytest.mark.parametrize("batch_size", [1, 4, 15])
def test_replies_are_those_by_hand_in_every_batch(folder, plain, batch_size):
    """Prompts of several lengths, samplings and seeds side by side; the sampling of generation_config.json sways nothing."""
    replies, _ = write(folder, MIXED, batch_size=batch_size)
    for reply, (prompt, sampling, seed) in zip(replies, MIXED, strict=True):
        ids, finish = by_hand(plain, prompt, sampling, seed)
        text = plain[0].decode(ids, skip_special_tokens=True)
        assert (shown(reply), reply.finish) == (text, finish)
        assert reply.tokens_in == len(plain[0](chat(prompt), add_special_tokens=False)["input_ids"])
        assert reply.tokens_out == len(ids) + (finish == "stop")
    assert {reply.finish for reply in replies} == {"stop", "length"}


def test_seeds_make_other_replies_and_the_same_seed_the_same(folder):
    calls = [("What is a field?", SAMPLING, seed) for seed in (1, 2, 3, 1, 2, 3)]
    replies, _ = write(folder, calls, batch_size=3)
    texts = [shown(reply) for reply in replies]
    assert texts[:3] == texts[3:] and len(set(texts)) == 3


def test_a_stop_text_ends_a_reply_before_it(folder, plain):
    """The stop text is taken from the middle of what the model writes without one."""
    prompt, sampling = PROMPTS[0], Sampling(temperature=0.9, max_tokens=30)
    whole = plain[0].decode(by_hand(plain, prompt, sampling, 5)[0])
    stop = whole[12:15]
    limited = Sampling(temperature=0.9, max_tokens=30, stop=("never said", stop))
    (reply, other), _ = write(folder, [(prompt, limited, 5), (PROMPTS[1], sampling, 6)])
    assert reply.text == whole[: whole.index(stop)] and reply.finish == "stop"
    assert reply.tokens_out == len(by_hand(plain, prompt, limited, 5)[0]) < 30
    assert shown(other) == plain[0].decode(by_hand(plain, PROMPTS[1], sampling, 6)[0], skip_special_tokens=True)


def test_a_reply_that_runs_into_max_tokens_is_no_text(folder, plain):
    sampling = Sampling(temperature=0.9, max_tokens=3)
    (reply,), lm = write(folder, [("x", sampling, 1)])
    assert by_hand(plain, "x", sampling, 1)[1] == "length"
    assert (reply.text, reply.failure, reply.tokens_out) == (None, Failure.CUT_OFF, 3)
    assert lm.meter.failed == {Failure.CUT_OFF: 1} and lm.meter.tokens_out == 3


def test_nothing_written_is_no_text():
    used = dict(tokens_in=1, tokens_out=1, seconds=0.0)
    assert reply_of(" \n", finish="stop", **used).failure is Failure.EMPTY
    assert reply_of("a", finish="stop", **used).text == "a"


def test_a_prompt_that_does_not_fit_is_a_failure_and_others_go_on(folder, plain):
    """The context holds 512 tokens: the prompt fits with as many tokens as it leaves, and not with one more."""
    prompt = "odd cycle " * 120
    length = len(plain[0](chat(prompt), add_special_tokens=False)["input_ids"])
    assert 300 < length < 500
    calls = [(prompt, Sampling(max_tokens=512 - length + over), 1) for over in (0, 1)] + [("x", SAMPLING, 1)]
    (fits, not_fits, other), lm = write(folder, calls)
    assert not_fits.failure is Failure.CONTEXT_OVERFLOW and "513 tokens" in not_fits.detail
    assert Failure.CONTEXT_OVERFLOW not in (fits.failure, other.failure)
    assert (lm.meter.calls, lm.meter.attempts) == (3, 2)


def test_the_template_is_applied_once(tmp_path):
    """A tokenizer that begins every text with a token of its own: the template's text gets no second one."""
    folder = tiny.llama(tmp_path / "llama")
    tokenizer = AutoTokenizer.from_pretrained(folder)
    tokenizer.chat_template = "<|begin_of_text|>" + tiny.CHAT_TEMPLATE
    tokenizer.save_pretrained(folder)
    begin = tokenizer.bos_token_id
    assert tokenizer("x")["input_ids"][0] == begin

    async def run():
        async with Local(folder) as lm:
            return lm._ids([{"role": "system", "content": "s"}, {"role": "user", "content": "x"}])

    ids = asyncio.run(run())
    assert ids.count(begin) == 1 and ids[0] == begin
    assert tokenizer.decode(ids) == "<|begin_of_text|>" + "<|im_start|>system\ns<|im_end|>\n" + chat("x")


@pytest.mark.parametrize("batch_size", [1, 5])
def test_scores_are_the_models_log_probabilities(folder, plain, batch_size):
    tokens = ("a", "!", "x")

    async def run():
        async with Local(folder, batch_size=batch_size) as lm:
            return await asyncio.gather(*(lm.score_tokens(prompt, tokens=tokens) for prompt in PROMPTS))

    tokenizer, model = plain
    columns = [tokenizer.convert_tokens_to_ids(token) for token in tokens]
    for outcome, prompt in zip(asyncio.run(run()), PROMPTS, strict=True):
        ids = tokenizer(chat(prompt), add_special_tokens=False, return_tensors="pt")["input_ids"]
        with torch.inference_mode():
            right = model(input_ids=ids).logits[0, -1].log_softmax(0)[columns].tolist()
        assert outcome.logprobs == pytest.approx(right, abs=1e-4)


def test_only_single_tokens_can_be_scored(folder):
    async def run(tokens):
        async with Local(folder) as lm:
            await lm.score_tokens("x", tokens=tokens)

    with pytest.raises(ValueError, match=r"'infinitely many' is \d+ tokens of .*; only single tokens can be scored"):
        asyncio.run(run(("a", "infinitely many")))
    with pytest.raises(ValueError, match="no tokens to score"):
        asyncio.run(run(()))


def test_calls_that_come_while_a_batch_is_written_make_the_next(folder):
    """Ten calls in batches of four, and one that is given up before its turn and is never written."""

    async def run():
        async with Local(folder, batch_size=4) as lm:
            sizes, write = [], lm.write
            lm._writes.work = lambda jobs: sizes.append(len(jobs)) or write(jobs)
            tasks = [asyncio.create_task(lm.generate("x", sampling=SAMPLING, seed=n)) for n in range(11)]
            await asyncio.sleep(0)
            tasks[6].cancel()
            done = await asyncio.gather(*tasks, return_exceptions=True)
            return sizes, [isinstance(one, asyncio.CancelledError) for one in done]

    sizes, given_up = asyncio.run(run())
    assert sum(sizes) == 10 and max(sizes) <= 4 and len(sizes) == 3
    assert given_up == [n == 6 for n in range(11)]


def test_a_batch_that_memory_does_not_hold_is_done_in_halves():
    """Work that holds two jobs at most, and the job 5 not even alone."""
    tried = []

    def work(jobs):
        tried.append(list(jobs))
        if len(jobs) > 2 or 5 in jobs:
            raise torch.OutOfMemoryError("no room")
        return [TokenScores(logprobs=(float(job),)) for job in jobs]

    done = halved(work, [1, 2, 3, 4, 5, 6], TokenScores)
    assert [one.logprobs and one.logprobs[0] for one in done] == [1, 2, 3, 4, None, 6]
    assert (done[4].failure, done[4].detail) == (Failure.MEMORY, "no room")
    assert tried == [[1, 2, 3, 4, 5, 6], [1, 2, 3], [1], [2, 3], [4, 5, 6], [4], [5, 6], [5], [6]]


def test_drawing_by_hand():
    """Masses 0.5, 0.25, 0.125, 0.125 of the tokens 1, 0, 2, 3."""
    logits = torch.tensor([0.25, 0.5, 0.125, 0.125]).log()

    def drawn(number, **options):
        return int(drawn_token(logits, Sampling(**{"temperature": 1.0, "top_p": 1.0, **options}), number))

    assert [drawn(number) for number in (0.0, 0.24, 0.26, 0.74, 0.76, 0.87, 0.88, 0.999999)] == [0, 0, 1, 1, 2, 2, 3, 3]
    assert [drawn(number, top_k=2) for number in (0.0, 0.33, 0.34, 0.999999)] == [0, 0, 1, 1]  # 1/3 and 2/3 are left
    assert [drawn(number, top_p=0.7) for number in (0.0, 0.33, 0.34, 0.999999)] == [0, 0, 1, 1]  # 0.5 + 0.25 reach 0.7
    assert {drawn(number, top_p=0.5) for number in (0.0, 0.5, 0.999999)} == {1}
    assert [drawn(number, top_k=3, top_p=0.8) for number in (0.1, 0.5)] == [0, 1]  # of 0.875, 0.75 is more than 0.8
    assert drawn(0.999999, temperature=0) == 1
    # At temperature 1/2 masses are squared: 4, 16, 1, 1 of 22
    assert [drawn(number, temperature=0.5) for number in (0.18, 0.19, 0.90, 0.91, 0.96)] == [0, 1, 1, 2, 3]


def test_a_text_ends_before_its_first_stop():
    assert before_stop("a Question: b\nc", ("\n", "Question")) == "a "
    assert before_stop("abc", ("d",)) == before_stop("abc", ()) == "abc"


def test_an_address_opens_it_and_its_identity_is_of_its_weights(folder, tmp_path):
    async def identity(where, cache=None):
        async with open_lm(f"local:{where}", cache=cache) as lm:
            await lm.generate("x", sampling=SAMPLING, seed=1)
            return lm.identity

    same, other = tiny.qwen2_chat(tmp_path / "same"), tiny.qwen2_chat(tmp_path / "other", seed=1)
    first = asyncio.run(identity(folder, tmp_path / "replies.db"))
    assert first == asyncio.run(identity(same)) != asyncio.run(identity(other))


def test_an_adapter_is_merged_into_its_base(folder, tmp_path):
    """What it writes is what the merged model writes, saved by peft, and its identity is of both."""
    from peft import LoraConfig, get_peft_model

    model = AutoModelForCausalLM.from_pretrained(folder)
    given = LoraConfig(task_type="CAUSAL_LM", r=2, target_modules=["q_proj", "up_proj"], init_lora_weights=False)
    made = get_peft_model(model, given)
    made.save_pretrained(tmp_path / "adapter")
    made.merge_and_unload().save_pretrained(tmp_path / "merged")
    AutoTokenizer.from_pretrained(folder).save_pretrained(tmp_path / "merged")
    calls = [(prompt, Sampling(temperature=0, max_tokens=12), 0) for prompt in PROMPTS]
    (adapted, one), (merged, _), (plain, base) = (
        write(at, calls) for at in (*map(tmp_path.joinpath, ("adapter", "merged")), folder)
    )
    assert list(map(shown, adapted)) == list(map(shown, merged)) != list(map(shown, plain))
    assert one.identity != base.identity
    config = tmp_path / "adapter" / "adapter_config.json"
    config.write_text(config.read_text().replace(str(folder), ""))
    with pytest.raises(ValueError, match="names no base model"):
        write(tmp_path / "adapter", calls)


def test_what_is_no_instruct_model_is_told(tmp_path, tiny_qwen2):
    async def enter(path, **options):
        async with Local(path, **options):
            pass

    with pytest.raises(FileNotFoundError, match="copy an instruct model with its tokenizer"):
        asyncio.run(enter(tmp_path / "nothing"))
    with pytest.raises(ValueError, match="has no chat template; take an instruct model"):
        asyncio.run(enter(tiny_qwen2))
    (tmp_path / "empty").mkdir()
    with pytest.raises(ValueError, match=r"holds no model\.safetensors"):
        asyncio.run(enter(tmp_path / "empty"))
    with pytest.raises(ValueError, match="dtype 'int8' is for encoders"):
        Local(tmp_path, dtype="int8")
    with pytest.raises(ValueError, match="batch_size is 0"):
        Local(tmp_path, batch_size=0)
    with pytest.raises(RuntimeError, match="is not loaded; use it inside `async with`"):
        asyncio.run(Local(tmp_path).generate("x", sampling=SAMPLING, seed=1))
