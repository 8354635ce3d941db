"""vLLM in this process: what is handed to it, and every system on it, against the same model through transformers.

vLLM is not installed here. Its place is taken by the part of its interface that is used, `LLM` and `SamplingParams` by their
documented names and types, over a tiny model of transformers; the back-end, which is what is tested, is the real one. That the
library keeps this interface only a machine with it can show.
"""

import asyncio
import sys
from dataclasses import dataclass, field
from types import ModuleType, SimpleNamespace
from typing import ClassVar

import pytest
import torch
from transformers import AutoModelForCausalLM, AutoTokenizer

from rader_ir.lm import Failure, Sampling, TokenScores, open_lm
from rader_ir.lm.local import Local
from rader_ir.lm.vllm import Vllm
from rader_ir.rerank import open_reranker
from tests import tiny

GREEDY = Sampling(temperature=0, top_p=1.0, max_tokens=12)


@dataclass
class SamplingParams:
    """Those of vLLM's fields that are used; others are refused, as there."""

    temperature: float = 1.0
    top_p: float = 1.0
    top_k: int = 0
    max_tokens: int | None = 16
    stop: list[str] = field(default_factory=list)
    seed: int | None = None
    logprobs: int | None = None


class LLM:
    """Greedy replies and log-probabilities of first tokens, in vLLM's result types."""

    made: ClassVar[list["LLM"]] = []

    def __init__(self, *, model: str, max_model_len: int | None, generation_config: str):
        self.tokenizer, self.model = (
            AutoTokenizer.from_pretrained(model),
            AutoModelForCausalLM.from_pretrained(model).eval(),
        )
        longest = max_model_len or self.model.config.max_position_embeddings
        self.llm_engine = SimpleNamespace(model_config=SimpleNamespace(max_model_len=longest))
        self.calls: list[list] = []
        LLM.made.append(self)

    def get_tokenizer(self):
        return self.tokenizer

    @torch.inference_mode()
    def generate(self, prompts, sampling_params, *, use_tqdm):
        assert len(prompts) == len(sampling_params) and use_tqdm is False
        self.calls.append(sampling_params)
        pairs = zip(prompts, sampling_params, strict=True)
        return [SimpleNamespace(outputs=[self._output(prompt["prompt_token_ids"], params)]) for prompt, params in pairs]

    def _output(self, ids, params):
        written, ends, told = [], self.tokenizer.convert_tokens_to_ids(["<|im_end|>", "<|endoftext|>"]), None
        while len(written) < params.max_tokens and not (written and written[-1] in ends):
            logprobs = self.model(torch.tensor([ids + written])).logits[0, -1].log_softmax(-1)
            if told is None:
                top = logprobs.topk(params.logprobs or 1)
                pairs = zip(top.indices.tolist(), top.values.tolist(), strict=True)
                told = {token: SimpleNamespace(logprob=value) for token, value in pairs}
            written.append(int(logprobs.argmax()))
        finish = "stop" if written[-1] in ends else "length"
        text = self.tokenizer.decode(written, skip_special_tokens=True)
        return SimpleNamespace(
            text=text, token_ids=written, finish_reason=finish, logprobs=[told] if params.logprobs else None
        )


@pytest.fixture
def vllm(monkeypatch):
    module = ModuleType("vllm")
    module.LLM, module.SamplingParams = LLM, SamplingParams
    monkeypatch.setitem(sys.modules, "vllm", module)
    monkeypatch.setattr(LLM, "made", [])
    return module


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return str(tiny.qwen2_chat(tmp_path_factory.mktemp("chat"), max_position_embeddings=2048))


def asked(lm, prompts, sampling=GREEDY):
    async def run():
        async with lm:
            replies = await asyncio.gather(
                *(lm.generate(prompt, sampling=sampling, seed=i) for i, prompt in enumerate(prompts))
            )
            scores = await lm.score_tokens(prompts[0], tokens=["1", "0"])
            return replies, scores

    return asyncio.run(run())


def test_replies_and_scores_are_those_of_the_model(vllm, folder):
    prompts = ["What is a field?", [{"role": "user", "content": "Go on"}, {"role": "assistant", "content": "With ["}]]
    (found, scores), (wanted, exact) = (asked(lm, prompts) for lm in (Vllm(folder), Local(folder)))
    for one, other in zip(found, wanted, strict=True):
        for name in ("text", "failure", "thoughts", "finish", "tokens_in", "tokens_out"):
            assert getattr(one, name) == getattr(other, name)
    told = [value for value in scores.logprobs if value > -torch.inf]
    assert isinstance(scores, TokenScores)
    assert told == pytest.approx(
        [value for value, mine in zip(exact.logprobs, scores.logprobs, strict=True) if mine > -torch.inf], abs=1e-4
    )
    assert [params.logprobs for params in LLM.made[0].calls[-1]] == [20]


def test_how_a_reply_is_drawn_is_handed_over(vllm, folder):
    sampling = Sampling(temperature=0.7, top_p=0.8, top_k=5, max_tokens=3, stop=("x", "yz"))
    asked(Vllm(folder, max_model_len=100), ["a", "b"], sampling)
    params = [each for call in LLM.made[0].calls for each in call if each.logprobs is None]
    assert params == [SamplingParams(0.7, 0.8, 5, 3, ["x", "yz"], seed) for seed in (0, 1)]
    asked(Vllm(folder), ["a"], Sampling(temperature=0.7, top_k=None, max_tokens=3))
    assert LLM.made[1].calls[0][0].top_k == SamplingParams().top_k


def test_a_prompt_that_does_not_fit_never_reaches_it(vllm, folder):
    (reply,), _ = asked(Vllm(folder, max_model_len=60), ["a " * 100])
    assert reply.failure is Failure.CONTEXT_OVERFLOW
    assert all(each.logprobs for call in LLM.made[0].calls for each in call)


SYSTEMS = {
    "rank-r1": {"max_tokens": 12, "children": 2, "top": 2},
    "rankgpt": {"max_tokens": 12},
    "dear-listwise": {"max_tokens": 12},
    "llm-rating": {"temperature": 0.0, "top_p": 1.0},
    "prorank-lm": {},
}


@pytest.mark.parametrize(("system", "options"), SYSTEMS.items(), ids=SYSTEMS)
def test_every_system_ranks_as_through_transformers(vllm, folder, system, options):
    """`asks=1` keeps to greedy replies; of ProRank, digits not among the 20 likeliest are bounded, so only calls count."""
    docs = [["odd cycle", "a field", "the law of large numbers"], ["one"], []]
    found = {}
    for kind in ("vllm", "local"):
        reranker = open_reranker(system, lm=f"{kind}:{folder}", asks=1, **options)
        found[kind] = reranker.rank(["graph?", "law", "q"], docs)
        reranker.unload()
    assert len(LLM.made) == 1 and LLM.made[0].calls
    for one, other in zip(found["vllm"], found["local"], strict=True):
        assert one.statistics.calls == other.statistics.calls and sorted(one.order) == list(range(len(one.order)))
        if system != "prorank-lm":
            assert (one.order, one.scores.tolist(), one.reasoning) == (
                other.order,
                other.scores.tolist(),
                other.reasoning,
            )


def test_an_address_without_the_library_says_what_to_install(folder, monkeypatch):
    monkeypatch.setitem(sys.modules, "vllm", None)
    with pytest.raises(ModuleNotFoundError, match="pip install vllm, or name a server"):
        asked(open_lm(f"vllm:{folder}"), ["a"])
