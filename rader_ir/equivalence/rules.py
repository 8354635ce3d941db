"""When two answers are one: a row of rules, each of which says yes, no, or nothing; what none decides, algebra decides.

The order is from the kinds that cannot be mistaken (equal texts, true and false) to those that can (formulas). Every rule is
symmetric. Numbers are equal where exact ones are equal, and where rounded ones agree within a relative tolerance; a whole
number also asks that the rounded one rounds to it, so that 11760 is not 11761.4.
"""

from collections.abc import Callable
from dataclasses import dataclass
from fractions import Fraction

from rader_ir.equivalence.numbers import Number
from rader_ir.equivalence.readings import Reading, read

NO_ANSWER, TEXT, BOOLEAN, OPTION, NAME, UNIT = "no answer", "text", "boolean", "option", "name", "unit"
NUMBER, LIST, WORDS, ALGEBRA = "number", "list", "words", "algebra"
UNREADABLE, TIMEOUT, CRASHED = "unreadable", "timeout", "crashed"
RULES = (NO_ANSWER, TEXT, BOOLEAN, OPTION, NAME, UNIT, NUMBER, LIST, WORDS, ALGEBRA)
FAILURES = (UNREADABLE, TIMEOUT, CRASHED)
_ALMOST_ZERO = Fraction(1, 10**12)
_FUNCTION = ("y", "f(x)", "g(x)", "p(x)")


@dataclass(frozen=True)
class Verdict:
    """Whether two answers are one, and what decided it. True where they are.

    Attributes:
        equal: the judgement; False where nothing could be judged.
        rule: one of `RULES`, or one of `FAILURES`: a formula that could not be read, took too long, or ended the process.
    """

    equal: bool
    rule: str

    def __bool__(self):
        return self.equal

    @property
    def failed(self) -> bool:
        """Whether this is no judgement but a failure, to be counted as such."""
        return self.rule in FAILURES


Algebra = Callable[[str, str], Verdict]


def judge(a: Reading, b: Reading, tolerance: Fraction, algebra: Algebra) -> Verdict:
    """The verdict on two answers; symmetric.

    Args:
        a, b: the readings.
        tolerance: relative, for numbers of which one at least is rounded.
        algebra: compares two formulas in LaTeX where no rule decides.
    """

    def again(first: Reading, second: Reading) -> Verdict:
        return judge(first, second, tolerance, algebra)

    for rule, decide in (
        (TEXT, lambda: _texts(a, b)),
        (BOOLEAN, lambda: _booleans(a, b)),
        (OPTION, lambda: _options(a, b, again)),
        (NAME, lambda: _names(a, b)),
        (UNIT, lambda: _units(a, b)),
        (NUMBER, lambda: _numbers(a, b, tolerance)),
        (LIST, lambda: _lists(a, b, again)),
        (WORDS, lambda: _words(a, b)),
    ):
        decision = decide()
        if decision is not None:
            return decision if isinstance(decision, Verdict) else Verdict(decision, rule)
    equation = "=" in a.text or "=" in b.text  # then the name of the other is a part of it
    if equation:
        return algebra(a.whole or a.text, b.whole or b.text)
    return algebra(*_in_one_unit(a, b))


def _in_one_unit(a: Reading, b: Reading) -> tuple[str, str]:
    r"""The formulas, each times the size of its unit where these differ: \pi/4 radians against 45 degrees."""
    first, second = (one.number.formula if one.number else one.text for one in (a, b))
    if not a.unit or not b.unit or a.unit == b.unit:
        return first, second
    ratio = a.unit.factor / b.unit.factor
    return rf"({first}) \cdot \frac{{{ratio.numerator}.0}}{{{ratio.denominator}}}", second


def _texts(a: Reading, b: Reading) -> bool | None:
    return True if (a.key, a.name, a.unit) == (b.key, b.name, b.unit) else None


def _booleans(a: Reading, b: Reading) -> bool | None:
    truths = [_truth(one, other) for one, other in ((a, b), (b, a))]
    if truths == [None, None]:
        return None
    return truths[0] == truths[1]


def _truth(one: Reading, other: Reading) -> bool | None:
    """True and false; the letters T and F only against these words."""
    letter = {"T": True, "F": False}.get(one.text) if other.truth is not None else None
    return letter if one.truth is None else one.truth


def _options(a: Reading, b: Reading, again) -> bool | Verdict | None:
    if a.option and b.option:
        if a.marked or b.marked or (a.option.isupper() and b.option.isupper()):
            return a.option.upper() == b.option.upper()
        return None
    option, other = (a, b) if a.option else (b, a)
    if not option.option:
        return None
    if option.beside:
        return again(read(option.beside), other)
    kind = other.number or other.items or other.words or option.marked
    return False if kind and option.option.isupper() else None  # a bare lower-case letter may be e or a variable


def _names(a: Reading, b: Reading) -> bool | None:
    """x = 5 against y = 5: other things are equal to five. A function's value may be called y or f(x)."""
    both = {a.name, b.name}
    return None if "" in both or len(both) == 1 or both <= set(_FUNCTION) else False


def _units(a: Reading, b: Reading) -> bool | None:
    """False for different quantities."""
    return False if a.unit and b.unit and a.unit.powers != b.unit.powers else None


def _numbers(a: Reading, b: Reading, tolerance: Fraction) -> bool | None:
    if not a.number or not b.number:
        return False if (a.number and b.words) or (b.number and a.words) else None
    equal = any(close(x, y, tolerance) for x, y in _scaled(a, b))
    return equal or (None if a.items or b.items else False)


def _scaled(a: Reading, b: Reading):
    """The pairs of numbers to compare: in one unit; a bare number against p per cent as p and as p / 100."""
    if a.unit and b.unit:
        yield _times(a.number, a.unit.factor), _times(b.number, b.unit.factor)
        return
    yield a.number, b.number
    if a.unit and a.unit.percent:
        yield _times(a.number, Fraction(1, 100)), b.number
    if b.unit and b.unit.percent:
        yield a.number, _times(b.number, Fraction(1, 100))


def _times(number: Number, factor: Fraction) -> Number:
    return Number(number.value * factor, number.exact, number.typed)


def close(x: Number, y: Number, tolerance: Fraction) -> bool:
    """Whether two numbers are one: exact ones by equality, rounded ones within the tolerance relative to the larger.

    A whole number against a rounded one asks also that they differ by no more than 1/2, unless that came as a float.
    """
    if x.value == y.value:
        return True
    if x.exact and y.exact:
        return False
    gap, size = abs(x.value - y.value), max(abs(x.value), abs(y.value))
    if 0 in (x.value, y.value):
        return gap <= _ALMOST_ZERO
    whole = (x.integer and not y.typed) or (y.integer and not x.typed)
    return gap <= tolerance * size and (gap <= Fraction(1, 2) or not whole)


def _lists(a: Reading, b: Reading, again) -> bool | Verdict | None:
    if a.items is None and b.items is None:
        return None
    if a.items is None or b.items is None:
        listed, other = (a, b) if a.items is not None else (b, a)
        if len(listed.items) == 1:
            return again(listed.items[0], other)
        return False if other.number or other.words else None
    if len(a.items) != len(b.items):
        return False
    order = _ordered(a, b)
    if order is None:
        return False
    return _in_order(a, b, again) if order else _in_any_order(a, b, again)


def _ordered(a: Reading, b: Reading) -> bool | None:
    """Whether order counts; None where the brackets tell the two apart, as [1, 2] and (1, 2) or {1, 2} and (1, 2)."""
    fences = {a.fence, b.fence}
    if fences <= {"", "{}"} or fences == {"{}", "typed"}:
        return False
    loose = fences & {"", "typed", "matrix"} and "{}" not in fences
    longer = len(a.items) != 2 and fences <= {"()", "[]"}
    return True if len(fences) == 1 or loose or longer else None


def _in_order(a: Reading, b: Reading, again) -> Verdict:
    for one, other in zip(a.items, b.items, strict=True):
        verdict = again(one, other)
        if not verdict:
            return verdict if verdict.failed else Verdict(False, LIST)
    return Verdict(True, LIST)


def _in_any_order(a: Reading, b: Reading, again) -> Verdict:
    left, failure = list(b.items), None
    for one in a.items:
        verdicts = [again(one, other) for other in left]
        match = next((place for place, verdict in enumerate(verdicts) if verdict), None)
        failure = failure or next((verdict for verdict in verdicts if verdict.failed), None)
        if match is None:
            return failure or Verdict(False, LIST)
        del left[match]
    return Verdict(True, LIST)


def _words(a: Reading, b: Reading) -> bool | None:
    if a.words is None and b.words is None:
        return None
    return a.words == b.words if a.words and b.words else False
