"""Problems of the simulated solver: templates with drawn numbers, told apart again by the words of a prompt.

Those that need a theorem speak of umbrellas and lighthouses, not of derangements and congruences, so that finding the theorem
takes more than the words of the question. The others are of GSM8K's sort and need none.
"""

import re
import tomllib
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache

from rader_ir.problems import Problem
from rader_ir.prompts import fill
from rader_ir.synth.simulated import counting, measuring
from rader_ir.synth.simulated.chance import Chance
from rader_ir.synth.simulated.kinds import Answer, Kind, gold
from rader_ir.synth.simulated.spotting import Spotter
from rader_ir.synth.simulated.theorems import DATA

_HOLE = re.compile(r"\{([a-z]+)\}")
_DRAWS = 50  # tries to draw a question that is new


@dataclass(frozen=True)
class Template:
    """A kind of problem with its texts.

    Attributes:
        name: such as "derangement"; ids of problems begin with it.
        kind: draws its numbers and answers.
        forms: ways to word the question, with holes for the numbers.
        given: what is known, as the solver words it, with the same holes.
        goal: what is asked for, without numbers.
        needs: id of the theorem without which the solver is mostly lost; "" where it needs none.
    """

    name: str
    kind: Kind = field(repr=False)
    forms: tuple[str, ...]
    given: str
    goal: str
    needs: str = ""


@dataclass(frozen=True)
class Posed:
    """A template with numbers: a question that is known."""

    template: Template
    values: Mapping[str, int]

    @property
    def answer(self) -> Answer:
        """The right answer."""
        return self.template.kind.answer(**self.values)

    def filled(self, form: str) -> str:
        """A text of the template with its numbers."""
        return fill(form, **{name: str(value) for name, value in self.values.items()})


@cache
def templates() -> dict[str, Template]:
    """All templates by name."""
    rows = tomllib.loads((DATA / "simulated" / "problems.toml").read_text(encoding="utf-8"))
    kinds = counting.KINDS | measuring.KINDS
    return {name: Template(name, kinds[name], **row | {"forms": tuple(row["forms"])}) for name, row in rows.items()}


def demo_problems(n: int, seed: int, *, forms: Collection[int] | None = None) -> list[Problem]:
    """Problems of all templates in turn, no question twice; those with another seed may share some.

    Args:
        n: how many; the first 32 have one of each template.
        seed: of their numbers and of the templates' order.
        forms: wordings to use, by number (0, 1 and, for templates that need a theorem, 2), so that problems held out can be
            worded as no other ones are; None takes all. A template without any of these is left out.

    Raises:
        ValueError: no template has such a wording, or there are not so many different questions.
    """
    chosen = {template: _wordings(template, forms) for template in templates().values()}
    order = [template for template, wordings in chosen.items() if wordings]
    if not order:
        raise ValueError(f"no template has a wording of {sorted(forms)}; choose of 0, 1, 2")
    order.sort(key=lambda template: Chance(seed, template.name).number(0, 1 << 30))
    problems: dict[str, Problem] = {}
    for turn in range(n):
        before = len(problems)
        for template in order:
            if len(problems) == n:
                return list(problems.values())
            problem = _draw(template, turn, seed, chosen[template], problems)
            if problem:
                problems[problem.question] = problem
        if len(problems) == before:
            raise ValueError(f"{n} problems were asked for, and only {before} different ones were found; ask for fewer")
    return list(problems.values())


def _wordings(template: Template, forms: Collection[int] | None) -> list[str]:
    return [form for number, form in enumerate(template.forms) if forms is None or number in forms]


def _draw(template: Template, turn: int, seed: int, wordings: Sequence[str], known: Collection[str]) -> Problem | None:
    for attempt in range(_DRAWS):
        chance = Chance(seed, template.name, turn, attempt)
        form = wordings[turn % len(wordings)] if attempt == 0 else chance.choice(wordings)
        posed = Posed(template, template.kind.draw(chance))
        question = posed.filled(form)
        if question not in known:
            documents = (template.needs,) if template.needs else ()
            return Problem(f"{template.name}-{seed}-{turn}", question, gold(posed.answer), documents)
    return None


def needed(problem_id: str) -> str | None:
    """The doc_id of the theorem that a problem of the demo needs, None for one that needs none.

    Raises:
        KeyError: no problem of the demo has such an id.
    """
    return templates()[problem_id.partition("-")[0]].needs or None


@dataclass(frozen=True)
class _Wording:
    """A form as it is found again: the place of its known phrase in it, its length in words, its numbers."""

    name: str
    number: int
    start: int
    length: int
    pattern: re.Pattern = field(compare=False, repr=False)


@cache
def _spotter() -> Spotter[_Wording]:
    phrases = []
    for template in templates().values():
        for number, form in enumerate(template.forms):
            words = form.split()
            start, end = _longest_run(words)
            wording = _Wording(template.name, number, start, len(words), _pattern(words))
            phrases.append((wording, words[start:end]))
    return Spotter(phrases)


def _longest_run(words: Sequence[str]) -> tuple[int, int]:
    """Where the most words in a row without a hole stand; the ends of a form are left out, for quotes may stick to them."""
    inner = [0 < at < len(words) - 1 and not _HOLE.search(word) for at, word in enumerate(words)]
    runs = [(start, end) for start in range(len(words)) for end in range(start, len(words)) if all(inner[start:end])]
    return max(runs, key=lambda run: (run[1] - run[0], -run[0]))


def _pattern(words: Sequence[str]) -> re.Pattern:
    """Matches the words with numbers in their holes."""
    parts = _HOLE.split(" ".join(words))
    seen: set[str] = set()
    for at in range(1, len(parts), 2):
        name = parts[at]
        parts[at] = f"(?P={name})" if name in seen else rf"(?P<{name}>-?\d+)"
        seen.add(name)
    return re.compile("".join(part if at % 2 else re.escape(part) for at, part in enumerate(parts)))


def recognised(words: Sequence[str]) -> Posed | None:
    """The last question of the demo among the words of a prompt, or None."""
    for at, wording in reversed(_spotter().spot(words)):
        start = at - wording.start
        found = start >= 0 and wording.pattern.search(" ".join(words[start : start + wording.length]))
        if found:
            values = {name: int(number) for name, number in found.groupdict().items()}
            return Posed(templates()[wording.name], values)
    return None
