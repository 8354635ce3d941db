"""A tree search with the calls in the order of RaDeR's code: the yardstick of `synthesis`, in one process with one worker.

Problems come one after the other, and so does every call of one, but for the samples of a step, which RaDeR's client sends in
four threads. Each theorem that is found is summarised anew and then reflected on, and a judge is asked wherever the texts of two
answers differ. Rules, prompts, seeds, solver and client are those of the search that is measured, so both grow the same trees;
the judge's word is paid for and not used.
"""

import asyncio
from collections.abc import Sequence

from rader_ir.answers import boxed, final_answer
from rader_ir.equivalence import Equivalence
from rader_ir.lm.asking import asked
from rader_ir.lm.server import Server
from rader_ir.mcts import QUERY, SOLUTION, THEOREM, THOUGHT, Ask, Child, Expand
from rader_ir.prompts import load_prompts
from rader_ir.seeded import seed_of
from rader_ir.synth import reading
from rader_ir.synth.asking import PAPER, partial_solution
from rader_ir.synth.grow import grow
from rader_ir.synth.grown import Grown
from rader_ir.synth.retrieval import Search
from rader_ir.synth.rewards import WAYS
from rader_ir.synth.summaries import LONGEST, stated

THREADS = 4


class OfficialOrder:
    """Grows trees.

    Args:
        lm: entered; asked for everything, without a cache.
        documents: text by doc_id.
        search: over them.
        answers: compares.

    Attributes:
        waits: rounds of calls that were waited for, one after the other.
    """

    def __init__(self, lm: Server, documents: dict[str, str], search: Search, answers: Equivalence):
        self.lm, self.documents, self.search, self.answers = lm, documents, search, answers
        self.prompts, self.waits = load_prompts(), 0

    async def grow(self, grown: Grown) -> None:
        """All rollouts of one tree."""
        while not grown.finished:
            await grow(grown, self._children)

    async def _children(self, grown: Grown, request: Expand) -> list[Child]:
        ways = {THOUGHT: self._thoughts, SOLUTION: self._solution, QUERY: self._queries, THEOREM: self._theorems}
        return [child for ask in request.asks for child in await ways[ask.kind](grown, request, ask)]

    async def _thoughts(self, grown: Grown, request: Expand, ask: Ask) -> list[Child]:
        children = []
        for step in map(reading.thought, await self._samples(grown, request, THOUGHT, ask.n)):
            if grown.rules.answers(THOUGHT, {"text": step}):
                answer, reward = await self._marked(grown, step)
                children.append(Child(THOUGHT, {"text": step, "answer": answer}, reward))
            else:
                children.append(Child(THOUGHT, {"text": step}))
        return children

    async def _solution(self, grown: Grown, request: Expand, ask: Ask) -> list[Child]:
        texts = [reading.said(text) for text in await self._samples(grown, request, SOLUTION, ask.n)]
        marks = [await self._marked(grown, text) for text in texts]
        rewards = [reward for _, reward in marks]
        best = rewards.index(max(rewards))
        return [
            Child(SOLUTION, {"text": texts[best], "answer": marks[best][0], "rewards": rewards}, float(rewards[best]))
        ]

    async def _queries(self, grown: Grown, request: Expand, ask: Ask) -> list[Child]:
        (reply,) = await self._samples(grown, request, QUERY, 1)
        return [Child(QUERY, query) for query in reading.queries(reply)][: ask.n]

    async def _theorems(self, grown: Grown, request: Expand, ask: Ask) -> list[Child]:
        children = []
        for doc_id, score in self.search([request.node.content["text"]], ask.n)[0]:
            if doc_id in request.used:
                continue
            values = {"theorem": stated(self.documents[doc_id], LONGEST)}
            (summary,) = await self._asked("summary", values, [seed_of("summary", doc_id)])
            text = reading.summary(summary)
            (told,) = await self._samples(grown, request, "reflection", 1, doc_id=doc_id, theorem=text)
            relevant, reason = reading.judgement(told)
            if relevant:
                children.append(Child(THEOREM, {"doc_id": doc_id, "text": text, "score": score, "reason": reason}))
        return children

    async def _marked(self, grown: Grown, text: str) -> tuple[str | None, float]:
        """The answer in a text, and its worth."""
        answer, gold = final_answer(text, ways=WAYS), grown.problem.answer
        if answer is None:
            return None, 0.0
        if answer != str(gold):
            values = {"question": grown.problem.question, "gold": str(gold), "answer": answer}
            await self._asked("judge", values, [seed_of(grown.seed, grown.problem.problem_id, "judge", answer)])
        return answer, grown.rules.reward(self.answers.compare(answer, gold).equal, boxed(text) is not None)

    async def _samples(
        self, grown: Grown, request: Expand, section: str, n: int, *, doc_id: str | None = None, **more: str
    ) -> list[str]:
        """The texts of n replies to one prompt."""
        values = {"question": grown.problem.question, "partial": partial_solution(request.path), **more}
        numbers = range(n) if doc_id is None else [doc_id]
        place = request.node.id if doc_id is None else values["partial"]
        key = (grown.seed, grown.problem.problem_id, place, section)
        return await self._asked(section, values, [seed_of(*key, number) for number in numbers])

    async def _asked(self, section: str, values: dict[str, str], seeds: Sequence[int]) -> list[str]:
        texts = []
        for start in range(0, len(seeds), THREADS):
            self.waits += 1
            calls = [
                asked(self.lm, self.prompts[section], values, sampling=PAPER, seed=seed)
                for seed in seeds[start : start + THREADS]
            ]
            texts += [reply.text for reply in await asyncio.gather(*calls)]
        return texts
