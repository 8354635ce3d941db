"""ProRank where others run the model: a server, or vLLM in this process (arXiv:2506.03487, section 3).

What it is asked is as in `prorank`, and so is the score, the logit of "1" minus that of "0": log-probabilities differ by as much.
Texts keep their lines and numbers, for nothing is called by number here. One call of one token per document, all of them
independent. Servers tell the 20 likeliest tokens only, so that a digit which is hardly ever said may have to be bounded; a model
in this process, read by `prorank`, tells both always.
"""

import math
import os
from collections.abc import Sequence
from functools import partial
from typing import Any

from rader_ir.neutral import harmless
from rader_ir.prompts import fill, load_prompts
from rader_ir.rerank.each import Each
from rader_ir.rerank.judge import Judge, Judgement, Question

ANSWERS = ("1", "0")
_TOLD = 20  # tokens that a back-end tells
_LEAST = 1e-6  # probability that is left for all others


class ProRankLM(Each):
    """Scores by the log-probability of "1" minus that of "0"; above 0 the model would rather say 1.

    A document of which neither is told comes last.

    Args:
        lm: an address or a back-end, see `Judge`; it must tell log-probabilities.
        prompt: a TOML file of your own wording, laid out as `prompts/prorank.toml`; None takes ours. What `rader train prorank`
            made carries its wording for `ProRank`; here, give the file that it was trained with.
        instruction: a line of its own before the query; "" writes none.
        options: as `Judge`.

    Raises:
        ValueError: a setting out of range.
    """

    def __init__(self, lm: Any, *, prompt: str | os.PathLike | None = None, instruction: str = "", **options):
        self.prompt, self.instruction = prompt, instruction
        line = f"instruction: {instruction}\n" if instruction else ""
        judge = Judge(lm, load_prompts(prompt, name="prorank")["judge"], clean=harmless, **options)
        super().__init__(judge, question=partial(_Asked, line=line), worth=lambda judgement: judgement.answer)

    def fingerprint(self) -> str:
        """Changes with whatever changes scores."""
        return f"{super().fingerprint()} {self.instruction!r}"


class _Asked(Question):
    """Whether a document is relevant, of which the first token's probabilities are read.

    Args:
        line: what fills the hole `{instruction}`.
    """

    def __init__(self, *args, line: str):
        super().__init__(*args, read=lambda text, _: None)
        self.line = line

    def build(self, query: str, passages: Sequence[str]) -> list[dict[str, str]]:
        """The conversation, as `rader_ir.choice.chat_form` has it."""
        prompt, values = self.judge.prompt, dict(instruction=self.line, query=query, document=passages[0])
        turns = (("system", prompt.system), ("user", prompt.user))
        return [{"role": role, "content": fill(text.strip(), **values)} for role, text in turns if text]

    async def judged(self) -> Judgement:
        """One request; no answer where neither digit is among the tokens that the back-end tells."""
        self._fit(self._room())
        scores, _ = await self._reply()
        if scores.failure is not None:
            return self._judgement(None, "", failed=scores)
        pairs = zip(ANSWERS, scores.logprobs, strict=True)
        told = ", ".join(f"{answer}: {math.exp(value):.4f}" for answer, value in pairs)
        return self._judgement(difference(*scores.logprobs), told)

    async def _asked(self, messages: list[dict[str, str]], ask: int, begun: str) -> Any:
        return self._counted(await self.session.lm.score_tokens(messages, tokens=ANSWERS))


def difference(yes: float, no: float) -> float | None:
    """The first log-probability minus the second; None where neither was told.

    One that was not told is less likely than 20 others, of which the other digit is one, and is taken to be as likely as that
    allows: a twentieth of what the other digit leaves.

    >>> round(difference(math.log(0.6), math.log(0.3)), 3), difference(-math.inf, -math.inf)
    (0.693, None)
    >>> round(difference(math.log(0.8), -math.inf), 3)  # log .8 - log .01
    4.382
    """
    if math.isinf(yes) and math.isinf(no):
        return None
    if math.isinf(yes) or math.isinf(no):
        told = max(yes, no)
        apart = told - math.log(max(_LEAST, 1 - math.exp(told)) / _TOLD)
        return apart if math.isinf(no) else -apart
    return yes - no
