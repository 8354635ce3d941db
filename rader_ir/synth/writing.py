"""Queries that a language model writes for theorems: the general one and the lexical one (RaDeR, arXiv:2505.18405, section 3).

The general query asks for a theorem from a question and its partial solution, in one sentence that may neither name the theorem
nor share its wording; that is measured, and what fails is asked for again by another seed. The lexical query is written from the
theorem alone. What cannot be had is counted, and never stands as a text.
"""

from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from rader_ir.lm import Failure, Generates, Sampling
from rader_ir.lm.asking import asked
from rader_ir.prompts import Prompt
from rader_ir.seeded import seed_of
from rader_ir.synth import reading
from rader_ir.synth.asking import PAPER
from rader_ir.synth.paths import Use
from rader_ir.synth.summaries import LONGEST, SHORTER, UNREADABLE, stated
from rader_ir.synth.wording import Wording, names_of

GENERAL, LEXICAL = "general_query", "lexical_query"
_READ = {GENERAL: reading.general_query, LEXICAL: reading.lexical_query}
_FEWEST = {GENERAL: 3, LEXICAL: 1}  # words of a query; "N/A" is none
_AGAIN = frozenset({Failure.CUT_OFF, Failure.EMPTY})  # of the model's own doing, so that another seed may help


@dataclass
class Writer:
    """Asks for queries, and counts in `counts` what became of what was asked.

    Attributes:
        lm: writes.
        prompts: by name; `general_query` has the holes {question}, {partial} and {theorem}, `lexical_query` {theorem}.
        seed: of the run; each call's follows from it and from what is asked.
        tries: calls for one query at most; one of them is for cutting a theorem that does not fit into the model's context.
        wording: what a general query may have in common with its theorem.
        sampling: of all calls, but for what a prompt says itself.
    """

    lm: Generates
    prompts: Mapping[str, Prompt]
    counts: Counter
    seed: int = 0
    tries: int = 3
    wording: Wording = field(default_factory=Wording)
    sampling: Sampling = PAPER

    async def general(self, use: Use, text: str) -> str | None:
        """A query for the theorem `text` from the question and the solution before it; None where none will do."""
        names = names_of(text, use.summary)
        values = {"question": use.question, "partial": use.partial}
        key = (use.problem_id, use.theorem_node)
        return await self._written(GENERAL, text, values, key, lambda query: self.wording.objection(query, text, names))

    async def lexical(self, doc_id: str, text: str) -> str | None:
        """A query for the theorem `text` from nothing but it; None where none can be had. It depends on no problem."""
        return await self._written(LEXICAL, text, {}, (doc_id,), lambda query: "")

    async def _written(
        self,
        name: str,
        text: str,
        values: Mapping[str, str],
        key: tuple[str | int, ...],
        objection: Callable[[str], str],
    ) -> str | None:
        prompt, longest = self._prompt(name), LONGEST
        for number in range(self.tries):
            seed = seed_of(self.seed, name, *key, number)
            shown = {**values, "theorem": stated(text, longest)}
            reply = await asked(self.lm, prompt, shown, sampling=self.sampling, seed=seed)
            if reply.failure is not None:
                self.counts[f"{name} failed: {reply.failure}"] += 1
                if reply.failure is Failure.CONTEXT_OVERFLOW and longest > SHORTER:
                    longest = SHORTER
                elif reply.failure not in _AGAIN:
                    break
                continue
            query = _read(name, reply.text)
            against = UNREADABLE if query is None else objection(query)
            if not against:
                return query
            self.counts[f"{name} {against}"] += 1
        self.counts[f"{name} dropped"] += 1
        return None

    def _prompt(self, name: str) -> Prompt:
        if name not in self.prompts:
            raise ValueError(f"the prompts have no [{name}]; they have {', '.join(self.prompts) or 'none'}")
        return self.prompts[name]


def _read(name: str, reply: str) -> str | None:
    """The query of a reply, if it has one that says something in words."""
    query = _READ[name](reply) or ""
    return query if len(query.split()) >= _FEWEST[name] and any(map(str.isalpha, query)) else None
