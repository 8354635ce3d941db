"""A model kept open for reasoning queries, for callers that are not async: asked once about a question, it remembers.

`reasoning.reason` does the work; this holds the back-end, as the rerankers' `Judge` does.
"""

import os
from collections.abc import Sequence
from functools import partial
from typing import Any

from rader_ir.lm import api_key, open_lm, width_of
from rader_ir.lm.held import Held
from rader_ir.lm.steady import Steady
from rader_ir.reasoning import BLANK, Plan, Reasoned, check_questions, reason

_TOLD = "Replies in a cache are kept: make the same call again, and it goes on"


class Reasoner:
    """A model that is asked about questions, and remembers what it said as long as it is open.

    Nothing is opened before the first question.

    Args:
        lm: an address as `rader_ir.lm.open_lm` takes it, or a back-end that is entered by `async with`.
        lm_model: the name under which a server has the model.
        api_key_env: the environment variable that holds a server's key.
        prompt, temperature, top_p, max_tokens, asks, seed: as `Plan`.
        concurrency: calls under way at a time; None takes 64, of a model through transformers 8, which are one batch.
        timeout, retries: of a server, in place of its own.
        cache: file of earlier replies; made if it is not there. None: replies live in this object alone.

    Attributes:
        statistics: of the last call, one `Reasoned` for each question.

    Raises:
        ValueError, FileNotFoundError: as `Plan`; an environment variable that is not there.
    """

    def __init__(
        self,
        lm: Any,
        *,
        lm_model: str | None = None,
        api_key_env: str | None = None,
        prompt: str | os.PathLike | None = None,
        temperature: float | None = None,
        top_p: float = 1.0,
        max_tokens: int | None = None,
        asks: int = 2,
        seed: int = 0,
        concurrency: int | None = None,
        timeout: float | None = None,
        retries: int | None = None,
        cache: str | os.PathLike | None = None,
    ):
        if concurrency is not None and concurrency < 1:
            raise ValueError(f"concurrency is {concurrency}; give a whole number of at least 1")
        self.lm, self.lm_model, self.api_key_env, self.cache = lm, lm_model, api_key_env, cache
        self.concurrency, self.timeout, self.retries = concurrency, timeout, retries
        self.plan = Plan(prompt, temperature, top_p, max_tokens, asks, seed)
        self.width = width_of(lm, concurrency)
        self.statistics: list[Reasoned] = []
        self._key = api_key(api_key_env)
        self._held = Held(self._opened)
        self._known: dict[str, Reasoned] = {}

    def _opened(self) -> Any:
        if not isinstance(self.lm, str):
            return self.lm
        # What is empty is asked again here, in another way; what is cut off serves as it is
        given = dict(timeout=self.timeout, retries=self.retries, answer_retries=0, cache=self.cache)
        return open_lm(self.lm, model=self.lm_model, api_key=self._key, concurrency=self.width, **given)

    def reason(self, questions: Sequence[str]) -> list[Reasoned]:
        """One `Reasoned` per question; questions that it has reasoned about before are not asked again.

        Raises:
            ConnectionError: no server answers, or none does any more.
            ValueError: the server has no such model, or the model's folder is not whole.
            RuntimeError: no question was answered at all.
        """
        check_questions(questions)
        new = [question for question in dict.fromkeys(questions) if question not in self._known]
        if any(map(str.strip, new)):
            found = self._held.run(partial(self._asked, new))
        else:  # no model is opened for nothing
            found = [Reasoned(question, failure=BLANK) for question in new]
        whole = self._known | dict(zip(new, found, strict=True))
        self._known = {question: each for question, each in whole.items() if each.failure is None}
        self.statistics = [whole[question] for question in questions]
        return self.statistics

    async def _asked(self, questions: list[str], lm: Any) -> list[Reasoned]:
        return await reason(questions, Steady(lm, told=_TOLD), self.plan, width=self.width)

    def unload(self) -> None:
        """Leave the model, and forget what it said; the next question opens it again."""
        self._held.close()
        self._known = {}
