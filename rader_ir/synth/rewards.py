"""What answers are worth: compared with the problem's, or with each other where it has none (arXiv:2505.18405, section 3.1).

Types and algebra compare (`rader_ir.equivalence`). A language model is asked as a last resort, only if that was wished and only
about pairs that these hold for unequal; it judges at temperature 0, and its words are kept. RaDeR's code asks it about every pair
whose texts differ, at temperature 0.8, and gives a node the reward of its last sample in place of that of its best.
"""

import asyncio
import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from rader_ir.answers import boxed, final_answer
from rader_ir.equivalence import Equivalence, clusters
from rader_ir.lm import Generates, Sampling
from rader_ir.lm.asking import asked, together
from rader_ir.mcts import agreement
from rader_ir.prompts import Prompt
from rader_ir.seeded import seed_of
from rader_ir.synth import reading
from rader_ir.synth.grown import Grown

WAYS = ("boxed", "stated")


@dataclass(frozen=True)
class Mark:
    """What a text is worth.

    Attributes:
        answer: as found in its box, or after "the answer is"; None without one.
        reward: by the rules; 0 without an answer.
        judge: what the language model said of it; None where it was not asked.
    """

    answer: str | None
    reward: float
    judge: str | None = None


class Marker:
    """Gives texts their marks.

    Args:
        answers: compares two answers.
        lm, prompt, sampling: of the judge; a prompt of None leaves it out.
    """

    def __init__(self, answers: Equivalence, *, lm: Generates, prompt: Prompt | None, sampling: Sampling):
        self.answers, self.lm, self.prompt, self.sampling = answers, lm, prompt, sampling

    async def marks(self, grown: Grown, texts: Sequence[str | None]) -> list[Mark]:
        """Of texts drawn together, in their order; None is a text that holds no answer.

        Where the problem has no answer, a mark is the share of the texts that agree with this one, itself included.
        """
        if grown.problem.answer is not None:
            return await together([self._by_gold(grown, text or "") for text in texts])
        found = [final_answer(text or "", ways=WAYS) for text in texts]
        held = await asyncio.to_thread(clusters, dict(enumerate(found)), self.answers.compare)
        cluster = {place: number for number, places in enumerate(held) for place in places}
        shares = agreement([cluster.get(place) for place in range(len(texts))])
        return [Mark(answer, share) for answer, share in zip(found, shares, strict=True)]

    async def _by_gold(self, grown: Grown, text: str) -> Mark:
        answer, in_box = final_answer(text, ways=WAYS), boxed(text) is not None
        worth = {right: grown.rules.reward(right, in_box) for right in (True, False)}
        if answer is None or worth[True] == worth[False]:
            return Mark(answer, 0.0 if answer is None else worth[False])
        gold = grown.problem.answer
        verdict = self.answers.known(answer, gold)
        if verdict is None:
            verdict = await asyncio.to_thread(self.answers.compare, answer, gold)
        if verdict.failed:
            grown.count(f"comparison failed: {verdict.rule}")
        if verdict.equal or self.prompt is None:
            return Mark(answer, worth[verdict.equal])
        right, told = await self._judged(grown, answer)
        return Mark(answer, worth[right], told)

    async def _judged(self, grown: Grown, answer: str) -> tuple[bool, str]:
        """Whether a language model holds the answer for right, and what it said; it fails closed."""
        grown.count("judge asked")
        values = {"question": grown.problem.question, "gold": _written(grown.problem.answer), "answer": answer}
        seed = seed_of(grown.seed, grown.problem.problem_id, "judge", answer)
        reply = await asked(self.lm, self.prompt, values, sampling=self.sampling, seed=seed)
        if reply.failure is not None:
            grown.count(f"judge failed: {reply.failure}")
            return False, f"failed: {reply.failure}"
        equal, reason = reading.judgement(reply.text, label="equal")
        if equal is None:
            grown.count("judge unreadable")
            return False, f"unreadable: {reply.text[:200]}"
        told = "equal" if equal else "unequal"
        grown.count(f"judge: {told}")
        return equal, f"{told}: {reason}" if reason else told


def _written(answer: Any) -> str:
    return answer if isinstance(answer, str) else json.dumps(answer, ensure_ascii=False)
