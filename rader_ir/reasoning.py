"""Reasoning queries: what a language model thinks about a question searches in the question's place.

A question often shares no word with what answers it; a chain of thought about it names the theorem or the mechanism. BRIGHT found
this to help every retriever (arXiv:2407.12883), and RaDeR's best figures are measured so (arXiv:2505.18405, Tables 2 and 6):
retrieval by the reasoning alone, reranking by the question.
"""

import os
from collections import Counter
from collections.abc import Callable, Collection, Iterable, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property, partial

from rader_ir.answers import chain_of_thought, refuses
from rader_ir.lm import WIDTH, Failure, Generates, Reply, Sampling
from rader_ir.lm.asking import side_by_side
from rader_ir.lm.steady import Spent
from rader_ir.neutral import harmless, pieces, shortened
from rader_ir.prompts import Prompt, load_prompts
from rader_ir.seeded import seed_of

BLANK, REFUSAL = "blank", "refusal"  # kinds of failure beside those of a call
REPEATED = 0.6  # least temperature of a repeated ask: at 0 the same would come again
_SHRINKS, _TENTHS = 6, 7  # how often, and to how many tenths, a question is cut that does not fit the context
_AGAIN = frozenset({None, Failure.EMPTY, Failure.FILTERED, Failure.BROKEN})  # what another ask may mend
_OWN = frozenset({REFUSAL, *map(str, _AGAIN)})  # failures of one question alone
_DECLINED = frozenset({REFUSAL, str(Failure.FILTERED)})  # what was decided about a question, and no fault


@dataclass(frozen=True)
class Reasoned:
    """A question and what a model thinks about it.

    Attributes:
        question: as it was given.
        reasoning: without tags of thoughts; "" where there is none.
        failure: why there is none: a kind of `rader_ir.lm.Failure`, `BLANK` or `REFUSAL`.
        cut_off: whether the reply ran into its limit; what was written up to there counts.
        asks: requests that it took.
        tokens_in, tokens_out: of these.
        detail: about a failure, for people: the server's words, or the beginning of what it wrote.
    """

    question: str
    reasoning: str = ""
    failure: str | None = None
    cut_off: bool = False
    asks: int = 0
    tokens_in: int = 0
    tokens_out: int = 0
    detail: str = ""

    def query(self, *, expand: bool = False) -> str:
        """What searches: the reasoning, with `expand` behind the question; without reasoning the question itself.

        >>> Reasoned("How?", "By Pick's theorem.").query(expand=True), Reasoned("How?", failure="empty").query()
        ("How?\\n\\nBy Pick's theorem.", 'How?')
        """
        if not self.reasoning:
            return self.question
        return f"{self.question}\n\n{self.reasoning}" if expand else self.reasoning


@dataclass(frozen=True)
class Plan:
    """How a model is asked.

    Attributes:
        prompt: a TOML file of your own wording, laid out as `prompts/reasoning.toml`; None takes ours.
        temperature, max_tokens: in place of the prompt's own; without either the temperature is 0.
        top_p: probability mass that is drawn from.
        asks: requests for one question at most, while there is no reasoning.
        seed: of all that chance decides; the seed of a reply follows from it and the question.

    Raises:
        ValueError: a setting out of range, a prompt that is not whole.
        FileNotFoundError: no such file of prompts.
    """

    prompt: str | os.PathLike | None = None
    temperature: float | None = None
    top_p: float = 1.0
    max_tokens: int | None = None
    asks: int = 2
    seed: int = 0
    sampling: Sampling = field(init=False)

    def __post_init__(self):
        for name in ("asks", "max_tokens"):
            if getattr(self, name) is not None and getattr(self, name) < 1:
                raise ValueError(f"{name} is {getattr(self, name)}; give a whole number of at least 1")
        own = self.wording.temperature or 0.0
        sampling = Sampling(
            temperature=own if self.temperature is None else self.temperature,
            top_p=self.top_p,
            max_tokens=self.max_tokens or self.wording.max_tokens,
            stop=self.wording.stop,
        )
        object.__setattr__(self, "sampling", sampling)

    @cached_property
    def wording(self) -> Prompt:
        """The prompt, read once."""
        return load_prompts(self.prompt, name="reasoning")["reason"]


async def reason(
    questions: Sequence[str],
    lm: Generates,
    plan: Plan,
    *,
    width: int = WIDTH,
    done: Callable[[], object] = lambda: None,
) -> list[Reasoned]:
    """One `Reasoned` per question, in their order; equal questions are asked once, all of them side by side.

    Args:
        questions: texts; whatever in them could pass for the prompt around them is made harmless.
        lm: open; put a cache before it for calls that are made again.
        plan: how it is asked.
        width: questions at a time.
        done: is called after each different question.

    Raises:
        Spent: a budget before the model is reached; calls under way were finished before.
        RuntimeError: no question was answered at all.
        ConnectionError, ValueError: as `lm` raises them.
    """
    check_questions(questions)
    different = list(dict.fromkeys(questions))
    tokenizer = getattr(getattr(lm, "backend", lm), "tokenizer", None)
    ask = partial(_reasoned, lm=lm, plan=plan, special=tuple(getattr(tokenizer, "all_special_tokens", ())))

    async def one(question: str) -> Reasoned | Spent:
        try:
            found = await ask(question)
        except Spent as spent:
            return spent
        done()
        return found

    found = dict(zip(different, await side_by_side(different, one, width=width), strict=True))
    if spent := next((each for each in found.values() if isinstance(each, Spent)), None):
        raise spent
    check_reasoned(found.values(), own=_OWN)
    return [found[question] for question in questions]


def check_questions(questions: Iterable) -> None:
    """Raise ValueError where one is no text."""
    if strange := [question for question in questions if not isinstance(question, str)]:
        raise ValueError(f"question {strange[0]!r} is a {type(strange[0]).__name__}; expected text")


def failures(found: Iterable[Reasoned]) -> dict[str, int]:
    """How many questions have no reasoning, by kind of failure, in alphabetical order."""
    return dict(sorted(Counter(each.failure for each in found if each.failure is not None).items()))


def check_reasoned(found: Iterable[Reasoned], *, own: Collection[str] = _DECLINED) -> None:
    """Refuse that questions pass for reasoning queries where each of them failed.

    Args:
        found: of all questions together; blank ones, which nobody was asked about, do not count.
        own: failures of one question, which say nothing about the model; one of them, and nothing is refused.

    Raises:
        RuntimeError: counts the failures and has the server's words about one of them.
    """
    asked = [each for each in found if each.failure != BLANK]
    if not asked or any(each.failure is None or each.failure in own for each in asked):
        return
    told = ", ".join(f"{kind} {count}" for kind, count in failures(asked).items())
    said = next((each.detail.strip() for each in asked if each.detail.strip()), "")
    raise RuntimeError(
        f"the language model reasoned about none of {len(asked)} questions ({told}); look at its log, at the model's name "
        "and at the length of its context" + (f". It said: {said}" if said else "")
    )


async def _reasoned(question: str, lm: Generates, plan: Plan, special: tuple[str, ...]) -> Reasoned:
    if not question.strip():
        return Reasoned(question, failure=BLANK)
    shown, used = harmless(question, special=special), Counter()
    for ask in range(plan.asks):
        reply, shown = await _reply(shown, lm, plan, ask, used)
        cut_off = reply.failure is Failure.CUT_OFF
        text = chain_of_thought(_written(reply), cut_off=cut_off)
        refused = refuses(text)
        if text and not refused:
            return Reasoned(question, text, cut_off=cut_off, **used)
        if reply.failure not in _AGAIN:
            break
    failure = REFUSAL if refused else str(reply.failure or Failure.EMPTY)
    return Reasoned(question, failure=failure, detail=reply.detail, **used)


def _written(reply: Reply) -> str:
    """All that a model wrote: its answer, or its thoughts where they are told apart and no answer is there; else ""."""
    if reply.text is not None:
        return reply.text
    return reply.thoughts if reply.failure in (Failure.CUT_OFF, Failure.EMPTY) else ""


async def _reply(shown: str, lm: Generates, plan: Plan, ask: int, used: Counter) -> tuple[Reply, str]:
    """A reply and the question as it was shown: cut from its end as long as the back-end says that it does not fit."""
    sampling = plan.sampling
    if ask:
        sampling = replace(sampling, temperature=max(sampling.temperature, REPEATED))
    for _ in range(_SHRINKS + 1):
        messages, seed = plan.wording.messages({"question": shown}), seed_of(plan.seed, "reason", shown, ask)
        reply = await lm.generate(messages, sampling=sampling, seed=seed)
        used.update(asks=1, tokens_in=reply.tokens_in, tokens_out=reply.tokens_out)
        if reply.failure is not Failure.CONTEXT_OVERFLOW:
            break
        shown = shortened(shown, max(1, pieces(shown) * _TENTHS // 10))
    return reply, shown
