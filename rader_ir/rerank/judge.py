"""A language model as a judge of passages: one question put by a prompt, its answer read, asked again where it says nothing.

What cannot be read is asked anew: first by going on with the model's own turn up to where its answer should begin ("forced", as
rank1 does for its thoughts, arXiv:2502.18418), then by another seed. Texts go into the prompt neutral and fitted to the context.
Every seed follows from the question itself, so a judgement depends neither on what else is asked nor on when.
"""

import asyncio
import json
import os
import re
from collections.abc import Callable, Coroutine, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from typing import Any

from rader_ir.answers import of_cut_off
from rader_ir.lm import Failure, Reply, Sampling, api_key, open_lm, width_of
from rader_ir.lm.held import Held
from rader_ir.lm.steady import Steady
from rader_ir.neutral import neutral, pieces, shortened, written
from rader_ir.prompts import Prompt
from rader_ir.prompts.passages import conversation
from rader_ir.rerank.fitting import counter, fitted
from rader_ir.seeded import seed_of

Read = Callable[[str, int], Any]
REPEATED = 0.6  # least temperature of a repeated ask: at 0 the same would come again
_SHRINKS = 16  # times that a prompt is cut to 7 tenths, to 1 in 300, where a back-end says that it does not fit
_SHARE = 0.7
_LIMIT = re.compile(r"(?:context (?:length|size|window)|n_ctx)\D{0,20}(\d{3,8})", re.I)  # as servers tell it
_TOLD = "Finished groups of `rader rerank` and replies in a cache are kept: make the same call again, and it goes on"
# The model's own doing, which another ask may mend
_MALFORMED = frozenset({Failure.CUT_OFF, Failure.EMPTY, Failure.FILTERED})
_AGAIN = _MALFORMED | {Failure.BROKEN}


@dataclass(frozen=True)
class Judgement:
    """An answer as it was read, or None, what the model wrote, and what it took.

    `asks` counts all requests, `failed` says that there was no reply at all, and `trouble` what was told instead.
    """

    answer: Any
    text: str = ""
    asks: int = 1
    shortened: int = 0
    failed: bool = False
    trouble: str = ""
    tokens_in: int = 0
    tokens_out: int = 0


class Judge:
    """A model, a prompt, and how it is asked. Nothing is opened before the first question.

    Args:
        lm: an address as `rader_ir.lm.open_lm` takes it, or a back-end that is entered by `async with`.
        prompt: the wording.
        lm_model: the name under which a server has the model.
        api_key_env: the environment variable that holds a server's key.
        concurrency: calls under way at a time; None takes 64, of a model through transformers 8, which are one batch.
        timeout, retries: of a server, in place of its own.
        cache: file of earlier replies; made if it is not there.
        asks: requests for one question at most, while no answer can be read; cut passages and lost calls are not counted.
        passage_words, query_words: pieces (words; of longer words, each 16 signs) kept of a passage and of the query; None
            keeps all that fits the context.
        context: tokens of prompt and reply together; None takes what the back-end tells, and without that its refusals.
        temperature, max_tokens: in place of the prompt's own; without either the temperature is 0.
        top_p: probability mass that is drawn from.
        seed: of all that chance decides.
        clean: what makes a text harmless, by it and the special tokens of the model's tokenizer.

    Raises:
        ValueError: a setting out of range, or an environment variable that is not there.
    """

    def __init__(
        self,
        lm: Any,
        prompt: Prompt,
        *,
        lm_model: str | None = None,
        api_key_env: str | None = None,
        concurrency: int | None = None,
        timeout: float | None = None,
        retries: int | None = None,
        cache: str | os.PathLike | None = None,
        asks: int = 3,
        passage_words: int | None = None,
        query_words: int | None = None,
        context: int | None = None,
        temperature: float | None = None,
        top_p: float = 1.0,
        max_tokens: int | None = None,
        seed: int = 0,
        clean: Callable[..., str] = neutral,
    ):
        at_least_1 = dict(
            asks=asks,
            passage_words=passage_words,
            query_words=query_words,
            context=context,
            concurrency=concurrency,
            max_tokens=max_tokens,
        )
        for name, value in at_least_1.items():
            if value is not None and value < 1:
                raise ValueError(f"{name} is {value}; give a whole number of at least 1")
        self.lm, self.prompt, self.lm_model, self.api_key_env = lm, prompt, lm_model, api_key_env
        self.concurrency, self.timeout, self.retries, self.cache = concurrency, timeout, retries, cache
        self.asks, self.context, self.seed = asks, context, seed
        self.passage_words, self.query_words, self.clean = passage_words, query_words, clean
        own = 0.0 if prompt.temperature is None else prompt.temperature
        self.sampling = Sampling(
            temperature=own if temperature is None else temperature,
            top_p=top_p,
            max_tokens=max_tokens or prompt.max_tokens,
            stop=prompt.stop,
            schema=prompt.schema,
        )
        self.may_write_more = max_tokens is None  # where an answer names more passages than the prompt is made for
        self.width = width_of(lm, concurrency)
        self._key = api_key(api_key_env)
        self._held = Held(self._opened)

    def _opened(self) -> Any:
        if not isinstance(self.lm, str):
            return self.lm
        # What is empty or cut off is asked again here, in another way
        given = dict(timeout=self.timeout, retries=self.retries, answer_retries=0, cache=self.cache)
        return open_lm(self.lm, model=self.lm_model, api_key=self._key, concurrency=self.width, **given)

    def run(self, work: Callable[["Session"], Coroutine[Any, Any, Any]]) -> Any:
        """The result of `work(session)`, in which equal questions are asked once.

        Raises:
            ConnectionError: no server answers, or none does any more.
            ValueError: the server has no such model, or the model's folder is not whole.
        """
        return self._held.run(lambda lm: work(Session(self, lm)))

    def fingerprint(self) -> str:
        """Changes with the model, the wording and the settings that decide answers; opens the model, whose weights tell."""

        async def identity(session: Session) -> str:
            return session.lm.identity

        settings = [self.asks, self.passage_words, self.query_words, self.context, self.seed]
        return json.dumps([self.run(identity), vars(self.sampling), repr(self.prompt), *settings])

    def unload(self) -> None:
        """Leave the model; the next question opens it again."""
        self._held.close()


class Session:
    """Questions that belong together: texts are made neutral once, and equal questions asked once.

    Args:
        judge: how to ask.
        lm: the open back-end.

    Raises:
        ValueError: a context that the reply alone would fill.
    """

    def __init__(self, judge: Judge, lm: Any):
        self.judge, self.lm = judge, Steady(lm, told=_TOLD)
        backend, reply = self.lm.backend, judge.sampling.max_tokens
        self.context = judge.context or getattr(backend, "context", None) or None
        if self.context is not None and self.context <= reply:
            raise ValueError(
                f"a context of {self.context} tokens holds no prompt beside a reply of {reply}; give fewer max_tokens, or serve "
                "the model with a longer context"
            )
        self.continues = getattr(backend, "continues", False)
        self.count = counter(backend)
        special = tuple(getattr(getattr(backend, "tokenizer", None), "all_special_tokens", ()))
        self._neutral = lru_cache(maxsize=100_000)(lambda text: judge.clean(written(text), special=special))
        self._asked: dict[tuple, asyncio.Task] = {}
        # More than the model takes at a time, so that none waits for a prompt to be written; not all, for memory
        self._free = asyncio.Semaphore(2 * judge.width)

    def text(self, text: str, length: int | None) -> str:
        """A text as it goes into a prompt: neutral, and cut to so many pieces."""
        text = self._neutral(text)
        return text if length is None else shortened(text, length)

    async def judged(
        self, query: str, passages: Sequence[str], make: Callable[..., "Question"]
    ) -> tuple[Judgement, bool]:
        """The judgement about these texts, and whether it is the first of equal ones, which bears the cost.

        Args:
            query: as the user wrote it.
            passages: likewise, in the order in which they are shown.
            make: the question, from this session and the texts; the same for all questions of a session.
        """
        key = (query, *passages)
        first = key not in self._asked
        if first:
            self._asked[key] = asyncio.ensure_future(self._judged(query, passages, make))
        return await self._asked[key], first

    async def _judged(self, query: str, passages: Sequence[str], make: Callable[..., "Question"]) -> Judgement:
        async with self._free:
            whole, length = [self._neutral(passage) for passage in passages], self.judge.passage_words
            cut = whole if length is None else [shortened(passage, length) for passage in whole]
            return await make(self, self.text(query, self.judge.query_words), whole, cut).judged()


class Question:
    """One question to the model, asked until it is answered.

    Args:
        session: it belongs to.
        query: neutral.
        whole: the passages, neutral and not cut.
        passages: these, cut to the length that was asked for.
        read: from a reply's text and the number of passages to the answer, or None.
    """

    def __init__(self, session: Session, query: str, whole: list[str], passages: list[str], *, read: Read):
        self.session, self.judge = session, session.judge
        self.query, self.whole, self.passages, self.read = query, whole, passages, read
        self.asks = self.tokens_in = self.tokens_out = 0

    def build(self, query: str, passages: Sequence[str]) -> list[dict[str, str]]:
        """The conversation that asks it."""
        return conversation(self.judge.prompt, query, passages)

    @property
    def sampling(self) -> Sampling:
        """How a reply is drawn."""
        return self.judge.sampling

    def labels(self) -> int:
        """Tokens that the labels of all passages take in an answer, at most."""
        return 8 * (len(self.passages) + 1)

    async def judged(self) -> Judgement:
        """Ask; while no answer can be read, go on with the model's turn once where it can, and then ask anew."""
        self._fit(self._room())
        written, answer, reply = "", None, None
        for ask in range(self.judge.asks):
            reply, begun = await self._reply(ask, written if ask == 1 else "")
            if reply.failure is not None and reply.failure not in _AGAIN:
                return self._judgement(None, written, failed=reply if not written else None)
            written, answer = self._read(reply, begun)
            if answer is not None:
                break
        return self._judgement(
            answer, written, failed=reply if reply.failure is Failure.BROKEN and not written else None
        )

    def _room(self) -> int | None:
        """Tokens that the prompt may have, if the context is known."""
        context = self.session.context
        return None if context is None else context - self.sampling.max_tokens

    def _fit(self, room: int | None) -> None:
        if room is not None:
            fits = lambda messages: self.session.count(messages) <= room  # noqa: E731
            self.query, self.passages = fitted(self.build, self.query, self.passages, fits)

    async def _reply(self, ask: int = 0, written: str = "") -> tuple[Any, str]:
        """A reply, and the turn that it goes on with; cut further as long as the back-end says that it does not fit.

        Args:
            ask: of this question, from 0.
            written: what the model's turn is to begin with, if it can go on with one: its end is cut first.
        """
        for _ in range(_SHRINKS + 1):
            begun, messages = self._begun(written), self.build(self.query, self.passages)
            turn = [{"role": "assistant", "content": begun}] if begun else []
            reply = await self._asked([*messages, *turn], ask, begun)
            if reply.failure is not Failure.CONTEXT_OVERFLOW:
                break
            if begun:
                written = shortened(written, int(_SHARE * pieces(written)))
            elif not self._shrunk(messages, reply.detail):
                break
        return reply, begun

    def _shrunk(self, messages: list[dict[str, str]], told: str) -> bool:
        """Cut query and passages to 7 tenths, or to the limit that the back-end told if that is less; whether there was any."""
        before, count = (self.query, self.passages), self.session.count
        wording, limit = count(self.build("", [""] * len(self.passages))), _LIMIT.search(told)
        room = wording + int(_SHARE * (count(messages) - wording))
        self._fit(min(room, int(limit[1]) - self.sampling.max_tokens) if limit else room)
        return (self.query, self.passages) != before

    async def _asked(self, messages: list[dict[str, str]], ask: int, begun: str) -> Reply:
        sampling = self.sampling
        if begun:  # only the answer is wanted
            sampling = replace(sampling, max_tokens=min(sampling.max_tokens, self.labels()), schema=None)
        elif ask:
            sampling = replace(sampling, temperature=max(sampling.temperature, REPEATED))
        seed = seed_of(self.judge.seed, json.dumps(messages), ask)
        return self._counted(await self.session.lm.generate(messages, sampling=sampling, seed=seed))

    def _counted(self, outcome: Any) -> Any:
        self.asks += 1
        self.tokens_in, self.tokens_out = self.tokens_in + outcome.tokens_in, self.tokens_out + outcome.tokens_out
        return outcome

    def _begun(self, written: str) -> str:
        """The turn that the model goes on with, up to where its answer begins; "" where it cannot."""
        forced = self.judge.prompt.forced
        if not (forced and written and self.session.continues):
            return ""
        ended = "</think>" in written or "<think>" not in written
        return written.rstrip() + (forced.removeprefix("</think>") if ended else forced)

    def _read(self, reply: Reply, begun: str) -> tuple[str, Any]:
        """All that was written, and the answer in it."""
        if reply.failure is None:
            thoughts = f"<think>{reply.thoughts}</think>" if reply.thoughts else ""
            written = thoughts + reply.text
        else:
            written = reply.thoughts
        if begun:  # the answer is what the forced words end in; what else follows them may name other passages
            answer = self.judge.prompt.forced + written
            first = answer[: answer.find("]") + 1]
            return begun + written, self._value(answer) if self._value(answer) is not None else self._value(first)
        return written, self._value(written if reply.failure is None else of_cut_off(written))

    def _value(self, text: str) -> Any:
        return self.read(text, len(self.passages)) if text else None

    def _judgement(self, answer: Any, text: str, *, failed: Any = None) -> Judgement:
        """What came of it; `failed`: the outcome that stands in a reply's place."""
        cut = sum(now != before for now, before in zip(self.passages, self.whole, strict=True))
        trouble = "" if failed is None else f"{failed.failure}: {failed.detail}".rstrip(": ")
        return Judgement(answer, text, self.asks, cut, failed is not None, trouble, self.tokens_in, self.tokens_out)
