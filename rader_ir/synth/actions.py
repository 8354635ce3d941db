"""The actions of the search: what a language model and a library find to follow a node (RaDeR, arXiv:2505.18405, section 3).

A request of the search asks for thoughts, a solution, queries or theorems; all its calls go side by side, each with a seed of its
own, so that a reply depends on where it is asked for and not on when. A reply that fails or cannot be read is counted in the tree
and left out: no theorem is kept for it and no answer held for right.
"""

import hashlib
import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, replace
from typing import Any

from rader_ir.equivalence import Equivalence
from rader_ir.lm import Generates, Reply, Sampling
from rader_ir.lm.asking import asked, together
from rader_ir.mcts import QUERY, SOLUTION, THEOREM, THOUGHT, Ask, Child, Expand
from rader_ir.prompts import Prompt, load_prompts
from rader_ir.seeded import seed_of
from rader_ir.synth import reading
from rader_ir.synth.asking import PAPER, partial_solution
from rader_ir.synth.grown import FAILED, KEPT, REJECTED, USED, Found, Grown
from rader_ir.synth.library import Library
from rader_ir.synth.rewards import Mark, Marker
from rader_ir.synth.summaries import UNREADABLE

GOLD, REFLECTION = "gold document", "reflection"
PAIR = 2  # samples of a solution that are drawn at a time
_SHOWN = 200  # characters of a reply that could not be read


class Actions:
    """Answers the requests of searches; one object serves any number of trees at a time.

    Args:
        lm: writes; entered by whoever made it.
        library: finds theorems and knows their summaries; entered likewise.
        answers: compares answers.
        prompts: as `load_prompts` gives them; None takes ours. The library has its own of summaries.
        judge: ask the model about answers that are held for unequal.
        sampling: of all calls, but for what a prompt says itself.
    """

    def __init__(
        self,
        lm: Generates,
        library: Library,
        *,
        answers: Equivalence,
        prompts: Mapping[str, Prompt] | None = None,
        judge: bool = False,
        sampling: Sampling = PAPER,
    ):
        self.lm, self.library, self.answers, self.judge, self.sampling = lm, library, answers, judge, sampling
        self.prompts = load_prompts() if prompts is None else prompts
        prompt = replace(self.prompts["judge"], temperature=0.0) if judge else None
        self._marker = Marker(answers, lm=lm, prompt=prompt, sampling=sampling)
        self._ways = {THOUGHT: self._thoughts, SOLUTION: self._solution, QUERY: self._queries, THEOREM: self._theorems}

    def __repr__(self) -> str:
        return f"Actions({self.lm!r}, {self.library!r}, answers={self.answers!r}, judge={self.judge}, sampling={self.sampling})"

    @property
    def about(self) -> dict[str, Any]:
        """What decides the trees besides problem, rules and seed, for `Grown.about`."""
        prompts = {name: self.prompts[name] for name in (THOUGHT, SOLUTION, QUERY, REFLECTION, "judge")}
        prompts |= {"summary": self.library.summaries.prompt}
        told = json.dumps({name: asdict(prompt) for name, prompt in sorted(prompts.items())}, sort_keys=True)
        return {
            "model": self.lm.identity,
            "prompts": hashlib.sha256(told.encode()).hexdigest()[:16],
            "sampling": {name: getattr(self.sampling, name) for name in ("temperature", "top_p", "top_k")},
            "judge": self.judge,
            "tolerance": self.answers.tolerance,
            "corpus": self.library.digest,
            "retriever": self.library.name,
        }

    async def children(self, grown: Grown, request: Expand) -> list[Child]:
        """What may follow the last node of the request's path; for the search, which it is sent to.

        Of a lookup all that it found is noted in `grown.found`, by the id of that node; what failed or could not be read is
        counted in `grown`. Equal thoughts of one node are all kept, as the paper does.

        Raises:
            ValueError: the search of the library is at fault.
            ConnectionError, RuntimeError: of the model, where no retry can mend it.
        """
        lists = await together([self._ways[ask.kind](grown, request, ask) for ask in request.asks])
        return [child for children in lists for child in children]

    async def _thoughts(self, grown: Grown, request: Expand, ask: Ask) -> list[Child]:
        replies = await self._replies(grown, request, THOUGHT, range(ask.n))
        steps = list(_readable(grown, THOUGHT, map(reading.thought, replies)))
        final = [grown.rules.answers(THOUGHT, {"text": step}) for step in steps]
        marks = await self._marker.marks(
            grown, [step if ends else None for step, ends in zip(steps, final, strict=True)]
        )
        return [
            Child(THOUGHT, {"text": step} | _answer(mark), mark.reward) if ends else Child(THOUGHT, {"text": step})
            for step, ends, mark in zip(steps, final, marks, strict=True)
        ]

    async def _solution(self, grown: Grown, request: Expand, ask: Ask) -> list[Child]:
        """The best rewarded of the samples, the first of equal ones, with the rewards of those that were drawn.

        Where the answer is known they are drawn two by two until one is right, since none of the others could take its place.
        """
        size = PAIR if grown.problem.answer is not None else ask.n
        drawn: list[tuple[str, Mark]] = []
        for first in range(0, ask.n, size):
            replies = await self._replies(grown, request, SOLUTION, range(first, min(first + size, ask.n)))
            texts = list(_readable(grown, SOLUTION, map(reading.said, replies)))
            drawn += zip(texts, await self._marker.marks(grown, texts), strict=True)
            if any(mark.reward >= 1 for _, mark in drawn):
                break
        for _, mark in drawn:
            if mark.answer is None:
                grown.count("solution without answer")
        if not drawn:
            return []
        text, best = max(drawn, key=lambda each: each[1].reward)  # max keeps the first
        content = {"text": text} | _answer(best) | {"rewards": [mark.reward for _, mark in drawn]}
        return [Child(SOLUTION, content, best.reward)]

    async def _queries(self, grown: Grown, request: Expand, ask: Ask) -> list[Child]:
        """One reply may name several theorems, each of which is a query."""
        replies = await self._replies(grown, request, QUERY, range(1))
        named = [query for reply in replies for query in self._named(grown, reply)]
        return [Child(QUERY, query) for query in named[: ask.n]]

    @staticmethod
    def _named(grown: Grown, reply: str) -> list[dict[str, str]]:
        """The theorems that a reply names; one that names none says so, or cannot be read."""
        named = reading.queries(reply)
        if not named:
            grown.count("query for no theorem" if reading.wants_none(reply) else "query unreadable")
        return named

    async def _theorems(self, grown: Grown, request: Expand, ask: Ask) -> list[Child]:
        if grown.rules.gold_documents:
            hits = [(doc_id, 0.0) for doc_id in grown.problem.gold_documents]
        else:
            hits = await self.library.search(request.node.content["text"], ask.n or grown.rules.top_k)
        looked = await together([self._looked_at(grown, request, *hit) for hit in hits])
        grown.found[request.node.id] = tuple(found for found, _ in looked)
        return [
            Child(THEOREM, {"doc_id": found.doc_id, "text": text, "score": found.score, "reason": found.reason})
            for found, text in looked
            if found.verdict == KEPT
        ]

    async def _looked_at(self, grown: Grown, request: Expand, doc_id: str, score: float) -> tuple[Found, str]:
        """What becomes of a document that was found, and how the model reads it."""
        if doc_id in request.used:
            return Found(doc_id, score, USED), ""
        if doc_id not in self.library.documents:  # of gold documents alone; a search is checked
            grown.count("gold document not in the corpus")
            return Found(doc_id, score, FAILED, reason="not in the corpus"), ""
        summary = await self.library.summary(doc_id, self.lm)
        if summary.failure is not None:
            unread = summary.failure == UNREADABLE
            grown.count("summary unreadable" if unread else f"summary failed: {summary.failure}")
        verdict, reason = (KEPT, GOLD)
        if not grown.rules.gold_documents:
            verdict, reason = await self._reflected(grown, request, doc_id, summary.text)
        return Found(doc_id, score, verdict, "" if summary.failure else summary.text, reason), summary.text

    async def _reflected(self, grown: Grown, request: Expand, doc_id: str, theorem: str) -> tuple[str, str]:
        """The verdict of the model on a theorem that was found for it, and its reason."""
        reply = await self._asked(grown, request, REFLECTION, doc_id, theorem=theorem)
        if reply.failure is not None:
            grown.count(f"reflection failed: {reply.failure}")
            return FAILED, f"no reply: {reply.failure}"
        relevant, reason = reading.judgement(reply.text)
        if relevant is None:
            grown.count("reflection unreadable")
            return FAILED, f"unreadable: {reply.text[:_SHOWN]}"
        return KEPT if relevant else REJECTED, reason

    async def _replies(self, grown: Grown, request: Expand, section: str, numbers: Sequence[int]) -> list[str]:
        """The texts of several replies to one prompt, those that failed counted and left out."""
        replies = await together([self._asked(grown, request, section, number) for number in numbers])
        for reply in replies:
            if reply.failure is not None:
                grown.count(f"{section} failed: {reply.failure}")
        return [reply.text for reply in replies if reply.failure is None]

    async def _asked(self, grown: Grown, request: Expand, section: str, number: int | str, **more: str) -> Reply:
        """One reply; its seed follows from the run's, the problem, the place, the section and the number or doc_id.

        The place is the node, but for a reflection the partial solution, which is all that it is shown of the path: so a theorem
        that several lookups find for the same reasoning is judged alike, and a cache asks once.
        """
        values = {"question": grown.problem.question, "partial": partial_solution(request.path), **more}
        place = values["partial"] if section == REFLECTION else request.node.id
        seed = seed_of(grown.seed, grown.problem.problem_id, place, section, number)
        return await asked(self.lm, self.prompts[section], values, sampling=self.sampling, seed=seed)


def _readable(grown: Grown, section: str, values: Iterable[Any | None]) -> Iterator[Any]:
    """The values that are not None; the others are counted."""
    for value in values:
        if value is None:
            grown.count(f"{section} unreadable")
        else:
            yield value


def _answer(mark: Mark) -> dict[str, str | None]:
    return {"answer": mark.answer} | ({} if mark.judge is None else {"judge": mark.judge})
