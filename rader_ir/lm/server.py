"""A language model behind any server with OpenAI's interface: vLLM, SGLang, llama.cpp, or a hosted one.

Calls go side by side up to `concurrency`; a failed one is tried again after a pause that doubles, with jitter that follows from
the seed. A call that keeps failing is answered by a failure; only what no retry can mend, a server that is not there or has no
such model, is an exception, at once.
"""

import asyncio
import json
import random
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from functools import partial
from typing import Any

from rader_ir.lm.connections import Answer, Connections, NoAnswer
from rader_ir.lm.meter import Meter
from rader_ir.lm.replies import Failure, Message, Outcome, Reply, Sampling, TokenScores, as_messages
from rader_ir.lm.wire import (
    MOST_TOLD,
    chat_body,
    context_of,
    continues,
    models,
    read_reply,
    read_scores,
    scores_body,
    wait_asked,
)

# By failure, the setting that says how often it is tried again: the call failed, or the answer of the model did.
_RETRIES = dict.fromkeys(
    [Failure.TIMEOUT, Failure.CONNECTION, Failure.RATE_LIMIT, Failure.SERVER_ERROR, Failure.BROKEN, Failure.ENDLESS],
    "retries",
) | dict.fromkeys([Failure.EMPTY, Failure.CUT_OFF], "answer_retries")
_AWAY = frozenset({Failure.SERVER_ERROR, Failure.TIMEOUT, Failure.CONNECTION})
_ALIVE = frozenset({None, Failure.CUT_OFF, Failure.EMPTY, Failure.RATE_LIMIT, Failure.FILTERED})
_CHECK_SECONDS = 20.0
_CHAT, _PLAIN = "/chat/completions", "/completions"


class Server:
    """One model of one server; `async with` connects, and tells at once if the server or the model is not there.

    Keeps `Generates` and `ScoresTokens`. What the server does with a seed is its own affair.

    Args:
        url: where its interface begins, usually ending in /v1.
        model: the name that it has there.
        api_key: sent as bearer token.
        concurrency: calls under way at a time.
        timeout: seconds that one attempt may take, from the first byte sent to the last received.
        retries: attempts after the first where no proper answer came: timeouts, lost connections, 429, 5xx, broken or endless
            bodies.
        answer_retries: attempts after the first where the model said nothing or ran into max_tokens. Few, since a seed that is
            kept gives the same again, and since these cost tokens.
        pause: seconds before the first retry, doubled for each further one; half of it is chance.
        longest_pause: seconds that no pause exceeds, even one that `Retry-After` asks for.
        largest: bytes of a body; one that goes on is endless.
        prices: of a million tokens read and of a million written, for the meter.
        extra: fields put over every body, such as {"chat_template_kwargs": {"enable_thinking": False}}.
        proxy: URL of a proxy; None takes the environment's, and none for loopback addresses.
        seed: of the jitter.

    Attributes:
        context: tokens that the model reads and writes together, once connected; None where the server does not tell.
        continues: whether it goes on with a last message of the assistant, as vLLM and SGLang do.
    """

    def __init__(
        self,
        url: str,
        model: str,
        *,
        api_key: str | None = None,
        concurrency: int = 64,
        timeout: float = 300.0,
        retries: int = 5,
        answer_retries: int = 1,
        pause: float = 0.5,
        longest_pause: float = 60.0,
        largest: int = 16_000_000,
        prices: tuple[float, float] = (0.0, 0.0),
        extra: Mapping[str, Any] | None = None,
        proxy: str | None = None,
        seed: int = 0,
    ):
        if concurrency < 1 or min(retries, answer_retries, pause) < 0 or timeout <= 0:
            raise ValueError(
                f"concurrency {concurrency}, timeout {timeout}, retries {retries}, answer_retries {answer_retries}, pause "
                f"{pause}; expected at least 1 call at a time, a timeout above 0 and nothing negative"
            )
        self.url, self.model, self.concurrency, self.timeout = url, model, concurrency, timeout
        self.retries, self.answer_retries = retries, answer_retries
        self.pause, self.longest_pause, self.seed = pause, longest_pause, seed
        self.api_key, self.proxy, self.largest, self.extra = api_key, proxy, largest, dict(extra or {})
        self.identity = json.dumps(["server", model, self.extra], sort_keys=True)
        self.meter = Meter(prices)
        self.context: int | None = None
        self.continues = False
        self._connections: Connections | None = None

    def __repr__(self) -> str:
        return f"Server({self.url!r}, {self.model!r}, concurrency={self.concurrency})"

    async def __aenter__(self) -> "Server":
        options = dict(slots=self.concurrency, api_key=self.api_key, proxy=self.proxy, largest=self.largest)
        self._connections = Connections(self.url, **options, meter=self.meter)
        try:
            await self.check()
        except BaseException:
            await self.__aexit__()
            raise
        return self

    async def __aexit__(self, *_) -> None:
        connections, self._connections = self._connections, None
        if connections is not None:
            await connections.close()

    async def check(self) -> None:
        """Make sure that the server answers and has the model.

        Raises:
            ConnectionError: nothing answers there, or not now.
            ValueError: the server has no such model, refuses the key, or does not speak OpenAI's interface.
        """
        try:
            answer = await self._fetch("GET", "/models", seconds=min(self.timeout, _CHECK_SECONDS))
        except NoAnswer as error:
            raise ConnectionError(
                f"no language model answers at {self.url} ({error}); start a server there, or give another URL (it usually ends "
                "in /v1)"
            ) from error
        names = models(answer.raw) if answer.status == 200 else None
        if names is None:
            await self._try_out()
        elif self.model in names:
            self.context, self.continues = context_of(names[self.model]), continues(names[self.model])
        else:
            names = list(names)
            listed = ", ".join(names[:20]) + (", …" if len(names) > 20 else "")
            raise ValueError(f"{self.url} has no model {self.model!r}; it has {listed or 'none'}")

    async def _try_out(self) -> None:
        """Ask for one token, where a server does not list its models."""
        body = chat_body(self.model, as_messages("Hello"), Sampling(max_tokens=1), 0, self.extra)
        outcome, _ = await self._attempt(body, Reply, read_reply)
        said = outcome.detail or outcome.failure
        if outcome.failure in _AWAY:
            raise ConnectionError(
                f"{self.url} answers no call now ({said}); look at its log, and start again when it does"
            )
        if outcome.failure not in _ALIVE:
            raise ValueError(
                f"{self.url} gives no chat completion of {self.model!r} ({said}); mend the URL (it usually ends in /v1), the "
                "model's name or the key"
            )

    async def generate(self, messages: str | Sequence[Message], *, sampling: Sampling, seed: int) -> Reply:
        """One reply; a failure once all retries are used up."""
        body = chat_body(self.model, as_messages(messages), sampling, seed, self.extra)
        return await self._ask(body, Reply, read_reply)

    async def score_tokens(self, messages: str | Sequence[Message], *, tokens: Sequence[str]) -> TokenScores:
        """Log-probabilities of first tokens, -inf for those that are not among the 20 most likely.

        Raises:
            ValueError: no tokens, or more than a server tells.
        """
        if not 1 <= len(tokens) <= MOST_TOLD:
            raise ValueError(f"{len(tokens)} tokens to score; a server tells 1 to {MOST_TOLD}")
        body = scores_body(self.model, as_messages(messages), self.extra)
        return await self._ask(body, TokenScores, partial(read_scores, tokens=tokens))

    async def _ask(self, body: dict, kind: type[Outcome], read: Callable[[int, bytes], Outcome]) -> Any:
        tried: Counter = Counter()
        while True:
            outcome, asked = await self._attempt(body, kind, read)
            setting = _RETRIES.get(outcome.failure)
            if setting is None or tried[setting] >= getattr(self, setting):
                self.meter.answered(outcome)
                return replace(outcome, attempts=tried.total() + 1)
            self.meter.retried[str(outcome.failure)] += 1
            pause = self._pause(body, tried.total())
            tried[setting] += 1
            await asyncio.sleep(min(max(pause, asked), self.longest_pause))

    def _pause(self, body: dict, retry: int) -> float:
        """Seconds before a retry, counted from 0; the chance in it follows from the seed and the call."""
        chance = random.Random(f"{self.seed} {retry} {json.dumps(body)}").random()
        return self.pause * 2**retry * (0.5 + 0.5 * chance)

    async def _attempt(self, body: dict, kind: type[Outcome], read) -> tuple[Outcome, float]:
        """One request: what came of it, and the seconds that the server asks to be left alone."""
        try:
            path = _PLAIN if "prompt" in body else _CHAT
            answer = await self._fetch("POST", path, body, seconds=self.timeout)
        except NoAnswer as error:
            outcome, asked = kind(failure=error.failure, detail=error.detail, seconds=error.seconds), 0.0
        else:
            outcome = replace(read(answer.status, answer.raw), seconds=answer.seconds)
            asked = wait_asked(answer.headers)
        self.meter.attempted(outcome)
        return outcome, asked

    async def _fetch(self, method: str, path: str, body: Any = None, *, seconds: float) -> Answer:
        if self._connections is None:
            raise RuntimeError(f"{self!r} is not connected; use it inside `async with`")
        return await self._connections.fetch(method, path, body, seconds=seconds)
