"""What a kind of problem of the simulated solver is made of, and how its answers are written and read.

A kind draws numbers, knows the right answer to them, exactly where it can, and the slips that somebody makes without the theorem.
"""

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from fractions import Fraction

from rader_ir.synth.simulated.chance import Chance

Answer = bool | int | float | Fraction | list[int]
CLOSE = 1e-3  # relative: what a judge takes for the same
_APART = 0.02  # relative: what a wrong answer is off at least


@dataclass(frozen=True)
class Kind:
    """A kind of problem.

    Attributes:
        draw: from chance to its numbers by name.
        answer: from these, as keyword arguments, to the right answer.
        slips: from these to wrong ones; one that happens to be right is not used.
    """

    draw: Callable[[Chance], dict[str, int]]
    answer: Callable[..., Answer]
    slips: tuple[Callable[..., Answer], ...] = ()

    def wrong(self, values: Mapping[str, int], chance: Chance) -> Answer:
        """A wrong answer, by one of the slips as a rule."""
        right = self.answer(**values)
        if isinstance(right, bool):
            return not right
        if isinstance(right, list):
            offers = [slip(**values) for slip in self.slips] + [[right[0] + 1, *right[1:]]]
        else:
            offers = [slip(**values) for slip in self.slips] + [right + 1, 2 * right + 1]
        return chance.choice([offer for offer in offers if apart(offer, right)])


def apart(offer: Answer, right: Answer) -> bool:
    """Whether an answer that is no boolean differs from the right one by more than a rounding."""
    if isinstance(right, list):
        return offer != right
    return abs(offer - right) > _APART * abs(right)


def gold(answer: Answer) -> bool | int | float | str | list[int]:
    """The answer as a problem has it: fractions in LaTeX, surds with four decimals."""
    if isinstance(answer, Fraction):
        return int(answer) if answer.denominator == 1 else rf"\frac{{{answer.numerator}}}{{{answer.denominator}}}"
    return round(answer, 4) if isinstance(answer, float) else answer


def written(answer: Answer, chance: Chance) -> str:
    """The answer as a solution's box has it, in one of the ways that are usual."""
    if isinstance(answer, bool):
        return chance.choice(["Yes", "True", r"\text{Yes}"] if answer else ["No", "False", r"\text{No}"])
    if isinstance(answer, list):
        return "[" + ", ".join(map(str, answer)) + "]"
    if isinstance(answer, float):
        return chance.choice([f"{answer:.4f}", f"{answer:.6g}"])
    if isinstance(answer, Fraction) and answer.denominator > 1:
        above, below = answer.numerator, answer.denominator
        return chance.choice([rf"\frac{{{above}}}{{{below}}}", rf"\dfrac{{{above}}}{{{below}}}", f"{above}/{below}"])
    return chance.choice([f"{int(answer)}", f"{int(answer):,}"])


def same(text: str, answer: Answer) -> bool:
    """Whether a text says the answer, as the simulated judge reads it: the ways of `written`, and decimals."""
    text = re.sub(r"\\text\{(.*?)\}", r"\1", text).strip(" $.")
    if isinstance(answer, bool):
        return text.lower() in (("yes", "true") if answer else ("no", "false"))
    if isinstance(answer, list):
        return re.findall(r"-?\d+", text) == [str(each) for each in answer]
    plain = re.sub(r"\\[dt]?frac\{(-?\d+)\}\{(\d+)\}", r"\1/\2", text).replace(",", "")
    try:
        value = Fraction(plain)
    except (ValueError, ZeroDivisionError):
        return False
    return value == answer if isinstance(answer, int) else abs(value - answer) <= CLOSE * abs(answer)
