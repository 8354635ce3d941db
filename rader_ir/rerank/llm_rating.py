"""Rating by a language model: each document from 0 to 5 by itself, as RaDeR's strongest published runs do (arXiv:2505.18405).

The paper's reranker draws a rating at temperature .6; ratings tie often, so its runs add the first stage's score to a fifth of
it (`fusion`). Reading the probabilities of the six digits instead ("expected") gives their mean, without ties and without chance.
One call per document, all of them independent.
"""

import math
import os
from collections.abc import Sequence
from functools import partial
from typing import Any

from rader_ir import bright
from rader_ir.answers import rating
from rader_ir.lm.replies import PLAIN
from rader_ir.prompts import HOLES, load_prompts
from rader_ir.rerank.each import Each
from rader_ir.rerank.judge import Judge, Judgement, Question

MOST = 5
UNREADABLE = -1.0  # as in the published files
METHODS = ("written", "expected")
DIGITS = tuple("012345")
CUE = "Relevance score: "
KINDS = tuple(name for name in HOLES["llm_rating"] if name != "digit")
# By BRIGHT's task, the wording; all others take "general"
TASKS = {
    "aops": "aops",
    "theoremqa_questions": "theoq",
    "theoremqa_theorems": "theot",
    "leetcode": "leetcode",
    "pony": "pony",
}


class LLMRating(Each):
    """Scores of 0 to 1 in steps of a fifth, or between them; -1 where no rating can be read.

    Args:
        lm: an address or a back-end, see `Judge`.
        method: "written" (the rating is drawn and read) or "expected" (the mean of the digits by their probabilities, which the
            back-end must tell).
        task: the wording: one of `KINDS`, or a task of BRIGHT, which has one of them.
        plain: send the prompt as a text to be continued, without a chat around it, as the paper did.
        prompt: a TOML file of your own wording, laid out as `prompts/llm_rating.toml`; None takes ours.
        top_p: as `Judge`; .9 is the paper's.
        options: as `Judge`.

    Attributes:
        truncated: documents cut so far.
        statistics: of the last call, one for each query.

    Raises:
        ValueError: an unknown method or task.
    """

    def __init__(
        self,
        lm: Any,
        *,
        method: str = "written",
        task: str = "general",
        plain: bool = False,
        prompt: str | os.PathLike | None = None,
        top_p: float = 0.9,
        **options,
    ):
        if method not in METHODS:
            raise ValueError(f"method {method!r} is unknown; choose {' or '.join(map(repr, METHODS))}")
        self.method, self.task, self.plain, self.prompt = method, task, plain, prompt
        section = _section(task)
        prompts = load_prompts(prompt, name="llm_rating", sections=(section, "digit"))
        self._digit = prompts["digit"].user if method == "expected" else ""
        judge = Judge(lm, prompts[section], top_p=top_p, **options)
        super().__init__(judge, question=partial(Rated, plain=plain, digit=self._digit), worth=_worth)

    def fingerprint(self) -> str:
        """Changes with whatever changes scores."""
        return f"{super().fingerprint()} {self.method} {self.plain} {self._digit!r}"


class Rated(Question):
    """A document whose rating the model writes, or whose mean rating its first token tells.

    Args:
        plain: as `LLMRating`.
        digit: what the prompt ends with where the digit alone is wanted, so that its probabilities can be read; "" elsewhere.
    """

    def __init__(self, *args, plain: bool, digit: str):
        super().__init__(*args, read=lambda text, _: rating(text, most=MOST))
        self.plain, self.digit = plain, digit

    def build(self, query: str, passages: Sequence[str]) -> list[dict[str, str]]:
        """The conversation, or the text that is continued."""
        messages = super().build(query, passages)
        if self.plain:
            text = "\n\n".join(message["content"] for message in messages)
            return [{"role": PLAIN, "content": f"{text}\n\n{CUE}" if self.digit else text}]
        messages[-1]["content"] += f"\n\n{self.digit}" if self.digit else ""
        return messages

    async def judged(self) -> Judgement:
        """As `Question`; or one request, and no rating where none of the digits is among the tokens that the back-end tells."""
        if not self.digit:
            return await super().judged()
        self._fit(self._room())
        scores, _ = await self._reply()
        if scores.failure is not None:
            return self._judgement(None, "", failed=scores)
        weights = [math.exp(value) for value in scores.logprobs]
        mean = sum(i * weight for i, weight in enumerate(weights)) / sum(weights) if sum(weights) else None
        told = ", ".join(f"{digit}: {weight:.3f}" for digit, weight in zip(DIGITS, weights, strict=True))
        return self._judgement(mean, told)

    async def _asked(self, messages: list[dict[str, str]], ask: int, begun: str) -> Any:
        if not self.digit:
            return await super()._asked(messages, ask, begun)
        return self._counted(await self.session.lm.score_tokens(messages, tokens=DIGITS))


def _worth(judgement: Judgement) -> float:
    return UNREADABLE if judgement.answer is None else judgement.answer / MOST


def _section(task: str) -> str:
    section = task if task in KINDS else TASKS.get(task, "general" if task in bright.TASKS else None)
    if section is None:
        raise ValueError(f"task {task!r} is unknown; choose one of {', '.join(KINDS)}, or a task of BRIGHT")
    return section
