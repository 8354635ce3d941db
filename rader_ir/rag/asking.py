"""Asking a model the questions of a system: prompts filled, replies drawn side by side, answers found in them.

A reply's seed follows from the run's, the problem and its number, so that replies do not depend on what else is asked; a cache
before the model makes a killed run go on. A call that fails is a sample without an answer that says how it failed.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from rader_ir.answers import final_answer
from rader_ir.lm import Generates, Sampling
from rader_ir.lm.asking import asked, side_by_side
from rader_ir.problems import Problem
from rader_ir.prompts import Prompt
from rader_ir.rag.systems import Given, System
from rader_ir.seeded import seed_of

PLAIN, WITH_DOCUMENTS, ELSEWHERE = "plain", "with_documents", "elsewhere"
WAYS = ("boxed", "stated")
DOCUMENT = "[{number}] {text}"


@dataclass(frozen=True)
class Sample:
    """One vote.

    Attributes:
        answer: as found in a box, or after "the answer is"; None without one.
        reply: what the model wrote; None where the call failed, or where the answer was made elsewhere.
        failure: how the call failed.
        key: of an answer that was made elsewhere, such as a node; else the number of the sample.
    """

    key: int
    answer: str | None
    reply: str | None = None
    failure: str | None = None


@dataclass(frozen=True)
class Asked:
    """One question with its samples.

    Attributes:
        problem: the question and its answer.
        prompt: the section of the prompt, or `ELSEWHERE`.
        documents: ids of those that were shown, in order.
        samples: one vote each.
    """

    problem: Problem
    prompt: str
    documents: tuple[str, ...]
    samples: tuple[Sample, ...]


def given(system: Given, problems: Sequence[Problem]) -> list[Asked]:
    """The questions with the answers that are there already."""
    votes = {problem.problem_id: sorted(system.answers.get(problem.problem_id, {}).items()) for problem in problems}
    return [
        Asked(each, ELSEWHERE, (), tuple(Sample(key, answer) for key, answer in votes[each.problem_id]))
        for each in problems
    ]


async def ask(
    system: System,
    problems: Sequence[Problem],
    texts: Mapping[str, str],
    lm: Generates,
    prompts: Mapping[str, Prompt],
    *,
    sampling: Sampling,
    seed: int = 0,
    characters: int | None = None,
    under_way: int = 64,
    done: Callable[[], object] = lambda: None,
) -> list[Asked]:
    """All questions of a system, in their order.

    Args:
        texts: by doc_id, of all documents that it shows.
        prompts: by section, `plain` and `with_documents`.
        sampling: top_p and top_k of all replies; the temperature is the system's, or the prompt's where that names one.
        characters: of a document that are shown, from its beginning; None shows it whole.
        under_way: calls at a time.
        done: is called after each reply.
    """
    shown = {problem.problem_id: tuple((system.documents or {}).get(problem.problem_id, ())) for problem in problems}
    drawn = Sampling(system.temperature, sampling.top_p, sampling.top_k)

    async def one(call: tuple[Problem, int]) -> Sample:
        problem, number = call
        values = {"question": problem.question}
        if documents := shown[problem.problem_id]:
            values["documents"] = listed([texts[doc_id] for doc_id in documents], characters)
        key = seed_of(seed, "rag", problem.problem_id, number)
        reply = await asked(lm, prompts[section(documents)], values, sampling=drawn, seed=key)
        done()
        if reply.failure is not None:
            return Sample(number, None, failure=str(reply.failure))
        return Sample(number, final_answer(reply.text, ways=WAYS), reply.text)

    calls = [(problem, number) for problem in problems for number in range(system.samples)]
    samples = iter(await side_by_side(calls, one, width=under_way))
    return [
        Asked(problem, section(documents), documents, tuple(next(samples) for _ in range(system.samples)))
        for problem, documents in zip(problems, shown.values(), strict=True)
    ]


def section(documents: Sequence[str]) -> str:
    """Which prompt a question with these documents gets."""
    return WITH_DOCUMENTS if documents else PLAIN


def listed(texts: Sequence[str], characters: int | None = None) -> str:
    """Texts as a prompt shows them: numbered from 1, with a blank line between two.

    >>> print(listed(["First theorem.", "Second one."], characters=6))
    [1] First
    <BLANKLINE>
    [2] Second
    """
    cut = (text.strip()[:characters].rstrip() for text in texts)
    return "\n\n".join(DOCUMENT.format(number=number, text=text) for number, text in enumerate(cut, start=1))
