"""Queries that a language model writes for theorems: the general one and the lexical one (RaDeR, arXiv:2505.18405, section 3).

The general query asks for a theorem from a question and its partial solution, in one sentence that may neither name the theorem
nor share its wording; that is measured, and what fails is asked for again by another seed. The lexical query is written from the
theorem alone. What cannot be had is counted, and never stands as a text.
"""

import asyncio
import json
import re
from collections import Counter
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Protocol, TypeVar

from rader_ir.lm import Failure, Generates, Sampling
from rader_ir.prompts import fill
from rader_ir.seeded import seed_of
from rader_ir.synth.paths import Use
from rader_ir.synth.wording import Wording, names_of

GENERAL, LEXICAL = "general_query", "lexical_query"
UNREADABLE = "unreadable"
NOTHING_YET = "(nothing yet)"  # in place of the reasoning right after the question
_AGAIN = frozenset({Failure.CUT_OFF, Failure.EMPTY})  # of the model's own doing, so that another seed may help
_PROOF = re.compile(r"\\begin\{proof\}")
_MARK = re.compile(r"^[ \t*_#>-]*query[ \t*_]*:[*_]*", re.I | re.M)
_QUOTED = re.compile("\"(.*)\"|“(.*)”|'(.*)'|`(.*)`", re.S)
_FEWEST = {GENERAL: 3, LEXICAL: 1}  # words of a query

Item, Result = TypeVar("Item"), TypeVar("Result")


class Asks(Protocol):
    """The parts of a prompt: `system`, which may be empty, `user` with its holes; `temperature` None leaves the sampling's."""

    system: str
    user: str
    max_tokens: int
    stop: tuple[str, ...]
    temperature: float | None
    schema: str | None


@dataclass
class Writer:
    """Asks for queries, and counts in `counts` what became of what was asked.

    Attributes:
        lm: writes.
        prompts: by name; `general_query` has the holes {question}, {partial} and {theorem}, `lexical_query` {theorem}.
        seed: of the run; each call's follows from it and from what is asked.
        tries: calls for one query at most.
        wording: what a general query may have in common with its theorem.
        longest: characters of a theorem that are shown; what exceeds the model's context is cut to a quarter of it once more.
        sampling: what the prompts leave open.
    """

    lm: Generates
    prompts: Mapping[str, Asks]
    counts: Counter
    seed: int = 0
    tries: int = 3
    wording: Wording = field(default_factory=Wording)
    longest: int = 4000
    sampling: Sampling = field(default_factory=Sampling)

    async def general(self, use: Use, text: str) -> str | None:
        """A query for the theorem `text` from the question and the reasoning before it; None where none will do."""
        names = names_of(text, use.summary)
        filled = {"question": use.question, "partial": use.reasoning or NOTHING_YET}
        key = (use.problem_id, use.theorem_node)
        return await self._written(GENERAL, text, filled, key, lambda query: self.wording.objection(query, text, names))

    async def lexical(self, doc_id: str, text: str) -> str | None:
        """A query for the theorem `text` from nothing but it; None where none can be had. It depends on no problem."""
        return await self._written(LEXICAL, text, {}, (doc_id,), lambda query: "")

    async def _written(
        self,
        name: str,
        text: str,
        filled: Mapping[str, str],
        key: tuple[str | int, ...],
        objection: Callable[[str], str],
    ) -> str | None:
        prompt, longest = self._prompt(name), self.longest
        for number in range(self.tries):
            messages = _messages(prompt, {**filled, "theorem": shown(text, longest)})
            seed = seed_of(self.seed, name, *key, number)
            reply = await self.lm.generate(messages, sampling=_sampling(prompt, self.sampling), seed=seed)
            if reply.failure is not None:
                self.counts[f"{name} failed: {reply.failure}"] += 1
                if reply.failure == Failure.CONTEXT_OVERFLOW and longest == self.longest:
                    longest //= 4
                elif reply.failure not in _AGAIN:
                    break
                continue
            query = read_query(reply.text, marked=name == GENERAL, fewest=_FEWEST[name])
            against = UNREADABLE if query is None else objection(query)
            if not against:
                return query
            self.counts[f"{name} {against}"] += 1
        self.counts[f"{name} dropped"] += 1
        return None

    def _prompt(self, name: str) -> Asks:
        if name not in self.prompts:
            raise ValueError(f"the prompts have no [{name}]; they have {', '.join(self.prompts) or 'none'}")
        return self.prompts[name]


def read_query(reply: str, *, marked: bool, fewest: int = 1) -> str | None:
    r"""The query in a reply: the first line after the last "Query:", or the "query" of a JSON object.

    Args:
        reply: of the model.
        marked: a reply without the mark is unreadable; otherwise one line alone is a query.
        fewest: words that make a query.

    >>> read_query("Preconditions: none.\n**Query:** Which sums are even?", marked=True)
    'Which sums are even?'
    """
    query = _of_json(reply)
    if query is None:
        *_, last = (None, *_MARK.finditer(reply))
        rest = reply[last.end() :] if last else "" if marked else reply
        lines = [line.strip() for line in rest.strip().splitlines() if line.strip()]
        query = lines[0] if lines and (last or len(lines) == 1) else ""
    query = query.strip().strip("*").strip()
    if quoted := _QUOTED.fullmatch(query):
        query = next(inside for inside in quoted.groups() if inside is not None).strip()
    return query if len(query.split()) >= fewest and any(map(str.isalpha, query)) else None


def shown(text: str, longest: int) -> str:
    r"""A document as a prompt shows it: what stands before `\begin{proof}`, cut to so many characters."""
    stated = _PROOF.split(text, maxsplit=1)[0].strip()
    return (stated or text)[:longest]


async def side_by_side(
    items: Sequence[Item], work: Callable[[Item], Awaitable[Result]], *, width: int = 256
) -> list[Result]:
    """`work` of each item, `width` of them under way at a time; results in the items' order."""
    results: list[Result | None] = [None] * len(items)
    places = iter(range(len(items)))

    async def worker() -> None:
        for place in places:
            results[place] = await work(items[place])

    workers = [asyncio.create_task(worker()) for _ in range(min(width, len(items)))]
    try:
        await asyncio.gather(*workers)
    finally:  # of one that failed, the others end too
        for each in workers:
            each.cancel()
        await asyncio.gather(*workers, return_exceptions=True)
    return results


def _of_json(reply: str) -> str | None:
    """The "query" of the first JSON object; None if there is no such object."""
    start = reply.find("{")
    try:
        record, _ = json.JSONDecoder().raw_decode(reply[start:]) if start >= 0 else (None, 0)
    except (ValueError, RecursionError):
        return None
    query = record.get("query") if isinstance(record, dict) else None
    return query if isinstance(query, str) else None


def _messages(prompt: Asks, filled: Mapping[str, str]) -> list[dict[str, str]]:
    system = [{"role": "system", "content": prompt.system}] if prompt.system else []
    return [*system, {"role": "user", "content": fill(prompt.user, **filled)}]


def _sampling(prompt: Asks, sampling: Sampling) -> Sampling:
    warmth = sampling.temperature if prompt.temperature is None else prompt.temperature
    given = {"max_tokens": prompt.max_tokens, "stop": tuple(prompt.stop), "schema": prompt.schema}
    return replace(sampling, temperature=warmth, **given)
