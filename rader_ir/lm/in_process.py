"""What back-ends that hold the model in this process share: prompts as token ids, batches, counting, failures.

A conversation becomes token ids by the model's own chat template, applied once: what the template writes is tokenized without the
special tokens that a tokenizer would put around a plain text. Prompts that do not fit are failures before the model is called.
"""

import asyncio
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

from rader_ir.lm.batches import Batches
from rader_ir.lm.meter import Meter
from rader_ir.lm.replies import Failure, Message, Outcome, Reply, Sampling, TokenScores, as_messages, is_plain

_THINK = "<think>"


@dataclass(frozen=True)
class Writing:
    """A reply to be written: the prompt's token ids, and how to draw."""

    ids: tuple[int, ...]
    sampling: Sampling
    seed: int


@dataclass(frozen=True)
class Scoring:
    """Tokens to be scored behind a prompt, all as ids."""

    ids: tuple[int, ...]
    tokens: tuple[int, ...]


class InProcess:
    """Base of `Local` and `Vllm`, which bring three methods, called in one and the same thread.

    `load()` sets `identity`, `tokenizer` and `context`, the number of tokens that prompt and reply may have together;
    `write(list[Writing]) -> list[Reply]` and `score(list[Scoring]) -> list[TokenScores]` do a batch of prompts that fit.
    """

    continues = True  # a last message of the assistant is gone on with

    def __init__(self, path: str | Path, *, batch_size: int, chat_template: str | None, prices: tuple[float, float]):
        if batch_size < 1:
            raise ValueError(f"batch_size is {batch_size}; expected at least 1")
        self.path, self.batch_size, self.chat_template = str(path), batch_size, chat_template
        self.identity, self.tokenizer, self.context = "", None, 0
        self.meter = Meter(prices)
        self._thread: ThreadPoolExecutor | None = None

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self.path!r}, batch_size={self.batch_size})"

    async def __aenter__(self):
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="language-model")
        try:
            await asyncio.get_running_loop().run_in_executor(self._thread, self._load_whole)
        except BaseException:
            await self.__aexit__()
            raise
        self._writes = Batches(self.write, size=self.batch_size, thread=self._thread)
        self._scores = Batches(self.score, size=self.batch_size, thread=self._thread)
        return self

    async def __aexit__(self, *_) -> None:
        thread, self._thread = self._thread, None
        thread.shutdown(wait=True, cancel_futures=True)

    def _load_whole(self) -> None:
        self.load()
        if not (self.chat_template or self.tokenizer.chat_template):
            raise ValueError(f"{self.path} has no chat template; take an instruct model, or give chat_template")

    async def generate(self, messages: str | Sequence[Message], *, sampling: Sampling, seed: int) -> Reply:
        """One reply; a failure if it does not fit, is empty or runs into max_tokens."""
        ids = self._ids(messages)
        return await self._answer(Reply, self._writes, Writing(ids, sampling, seed), len(ids) + sampling.max_tokens)

    async def score_tokens(self, messages: str | Sequence[Message], *, tokens: Sequence[str]) -> TokenScores:
        """Log-probabilities of first tokens of a reply.

        Raises:
            ValueError: no tokens, or one that is not one token for this model.
        """
        ids = self._ids(messages)
        return await self._answer(TokenScores, self._scores, Scoring(ids, self._token_ids(tokens)), len(ids) + 1)

    async def _answer(self, kind: type[Outcome], batches: Batches, job, length: int) -> Outcome:
        if length > self.context:
            detail = f"{length} tokens with the reply's; the context holds {self.context}"
            outcome = kind(failure=Failure.CONTEXT_OVERFLOW, detail=detail)
        else:
            with self.meter.under_way():
                outcome = await batches.result(job)
            self.meter.attempted(outcome)
        self.meter.answered(outcome)
        return outcome

    def count(self, messages: str | Sequence[Message]) -> int:
        """Tokens of a prompt."""
        return len(self._ids(messages))

    def _ids(self, messages: str | Sequence[Message]) -> tuple[int, ...]:
        if self._thread is None:
            raise RuntimeError(f"{self!r} is not loaded; use it inside `async with`")
        messages = as_messages(messages)
        if is_plain(messages):
            return tuple(self.tokenizer(messages[0]["content"])["input_ids"])
        return tuple(self.tokenizer(self._written(messages), add_special_tokens=False)["input_ids"])

    def _written(self, messages: list[dict[str, str]]) -> str:
        """The conversation by the chat template, up to where the model goes on."""
        begun = messages.pop()["content"] if messages[-1]["role"] == "assistant" else ""
        options = dict(chat_template=self.chat_template, add_generation_prompt=True, tokenize=False)
        text = self.tokenizer.apply_chat_template(messages, **options)
        if text.rstrip().endswith(_THINK):  # the template has begun the thought itself
            begun = begun.removeprefix(_THINK)
        return text + begun

    def _token_ids(self, tokens: Sequence[str]) -> tuple[int, ...]:
        if not tokens:
            raise ValueError("no tokens to score; give at least one")
        ids = [self.tokenizer(token, add_special_tokens=False)["input_ids"] for token in tokens]
        for token, parts in zip(tokens, ids, strict=True):
            if len(parts) != 1:
                raise ValueError(f"{token!r} is {len(parts)} tokens of {self.path}; only single tokens can be scored")
        return tuple(parts[0] for parts in ids)


def reply_of(text: str, *, finish: str, tokens_in: int, tokens_out: int, seconds: float) -> Reply:
    """A reply from what a model wrote, with `finish` "stop" or "length"; nothing written, or a cut, is a failure."""
    used = dict(finish=finish, tokens_in=tokens_in, tokens_out=tokens_out, seconds=seconds)
    if finish == "length":
        return Reply(failure=Failure.CUT_OFF, detail=text[:300], thoughts=text, **used)
    if not text.strip():
        return Reply(failure=Failure.EMPTY, **used)
    return Reply(text=text, **used)
