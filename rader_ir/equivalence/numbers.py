r"""Numbers as people and models write them: 1,000, `4 \times 10^{-5}`, `1\frac{1}{2}`, 0.(3), three million, $18, 50%, 5 cm.

A number keeps whether its writing was exact: 17/3 against 5.667 is a question of rounding, 17/3 against 17/4 is none. What
stands behind it is a unit, things counted, or more mathematics, and then the text is no number but a formula.
"""

import re
from dataclasses import dataclass
from fractions import Fraction

from rader_ir.equivalence.forms import unwrapped
from rader_ir.equivalence.units import Unit, read_unit

_DECIMAL = r"(?:\d{1,3}(?:,\d{3})+(?!\d)(?:\.\d+)?|\d{1,3}(?: \d{3})+(?!\d)|\d+(?:\.\d*)?|\.\d+)"
_POWER = r"10\s*\^\s*(?:\{\s*(?P<power>[+-]?\d{1,4})\s*\}|(?P<bare_power>[+-]?\d{1,4}))"
_FORMS = (
    rf"(?:(?P<whole>\d+)\s*)?\\frac\{{\s*(?P<top>-?{_DECIMAL})\s*\}}\s*\{{\s*(?P<bottom>{_DECIMAL})\s*\}}",
    rf"(?:(?P<apart>\d+)\s+)?(?P<over>{_DECIMAL})\s*/\s*(?P<under>{_DECIMAL})",
    r"(?P<steady>\d*\.\d*)\\(?:overline|bar|dot)\s*\{(?P<period>\d+)\}",
    rf"(?:(?P<mantissa>{_DECIMAL})\s*(?:\\times|\\cdot|x)\s*)?{_POWER}",
    rf"(?P<short>{_DECIMAL})[eE](?P<exponent>[+-]?\d{{1,4}})(?!\d)",
    rf"(?P<plain>{_DECIMAL})(?:\.\.\.|\\l?dots)?",
)
_NUMBER = re.compile(rf"(?P<sign>[+-]?)\s*(?:{'|'.join(_FORMS)})")
_CURRENCY = re.compile(r"(?P<sign>[+-]?)\s*(?P<name>USD|EUR|Rs\b\.?|[€£₹])\s*(?=[\d.])")
_CURRENCIES = {"€": "eur", "£": "gbp", "₹": "rs"}
_WORDS = {
    **{"zero": 0, "one": 1, "two": 2, "three": 3, "four": 4, "five": 5, "six": 6, "seven": 7, "eight": 8, "nine": 9},
    **{"ten": 10, "eleven": 11, "twelve": 12, "thirteen": 13, "fourteen": 14, "fifteen": 15, "sixteen": 16},
    **{"seventeen": 17, "eighteen": 18, "nineteen": 19, "twenty": 20, "thirty": 30, "forty": 40, "fifty": 50},
    **{"sixty": 60, "seventy": 70, "eighty": 80, "ninety": 90},
}
_SCALES = {
    **{"dozen": 12, "hundred": 100, "thousand": 1000, "million": 10**6, "billion": 10**9, "trillion": 10**12},
    **{"half": Fraction(1, 2), "halve": Fraction(1, 2), "third": Fraction(1, 3), "quarter": Fraction(1, 4)},
    **{"fourth": Fraction(1, 4), "fifth": Fraction(1, 5), "sixth": Fraction(1, 6), "eighth": Fraction(1, 8)},
    **{"tenth": Fraction(1, 10), "hundredth": Fraction(1, 100)},
}
_SCALE = re.compile(rf"[\s-]*({'|'.join(_SCALES)})s?\b", re.I)
_WORD = re.compile(r"([a-z]+)\b(?:[ -]([a-z]+)\b)?", re.I)
_OPERATIONS = "squared|cubed|factorial|times|plus|minus|over|choose|root|mod|or|and"
_THINGS = re.compile(rf"\s+(?!(?:{_OPERATIONS})\b)[a-z]{{3,}}(?:[ -][a-z]{{2,}})*", re.I)
_GROUP = r"\\text\{[^{}]*\}"
_SIGN = rf"(?:{_GROUP}(?:\s*\^\s*\{{?\d\}}?)?|\^\s*\\circ|\\?%)(?:\s*(?:{_GROUP}|[CF]))?"
_SPELT = r"(?:square |cubic )?(?:[a-zA-Z]{2,}|[a-zA-Z](?=/))[a-zA-Z/^\d{}]*(?: per [a-z]+)?"
_UNIT_TAIL = re.compile(rf"(?P<core>.*?[^\s\\])(?:\s*(?P<sign>{_SIGN})|\s+(?P<spelt>{_SPELT}))", re.S)


@dataclass(frozen=True)
class Number:
    """A number: its value; whether its writing is exact (no decimal point, no power of ten); whether it came as a float."""

    value: Fraction
    exact: bool
    typed: bool = False

    @property
    def integer(self) -> bool:
        """Whether it is written as a whole number."""
        return self.exact and self.value.denominator == 1

    @property
    def formula(self) -> str:
        """The number in LaTeX, with a decimal point if it is rounded."""
        top, bottom = self.value.numerator, self.value.denominator
        return str(top) if self.integer else rf"\frac{{{top}{'' if self.exact else '.0'}}}{{{bottom}}}"


def measured(text: str) -> tuple[Number, Unit | None] | None:
    r"""The number and the unit that a clean text is; None where it is anything else. Things counted are no unit.

    >>> measured(r"1,200 \text{ cm}")[0].value, measured("5x")
    (Fraction(1200, 1), None)
    """
    text, currency = _without_currency(_digits(text))
    found = _NUMBER.match(text)
    if not found:
        return None
    number, rest = _number(found), text[found.end() :]
    scale = _SCALE.match(unwrapped(rest))
    if number and scale:
        number = Number(number.value * _SCALES[scale[1].lower()], number.exact)
        rest = " " + unwrapped(rest)[scale.end() :]
    if number is None or not rest.strip():
        return number and (number, read_unit(currency))
    unit = _unit(rest)
    if unit is None and not _THINGS.fullmatch(" " + unwrapped(rest) if "\\text" in rest else rest):
        return None
    return number, unit or read_unit(currency)


def _digits(text: str) -> str:
    """A number word at the start, zero to ninety-nine, in digits."""
    plain = unwrapped(text)
    found = _WORD.match(plain)
    if not found or found[1].lower() not in _WORDS:
        return text
    tens, ones = _WORDS[found[1].lower()], _WORDS.get((found[2] or "").lower(), 0)
    both = tens >= 20 and 0 < ones < 10
    return f"{tens + ones * both} {plain[found.end(2 if both else 1) :]}".strip()


def _without_currency(text: str) -> tuple[str, str]:
    found = _CURRENCY.match(unwrapped(text))
    if not found:
        return text, ""
    name = found["name"].rstrip(".").lower()
    return found["sign"] + unwrapped(text)[found.end() :], _CURRENCIES.get(name, name)


def _number(found: re.Match) -> Number | None:
    group = {name: part and re.sub("[, ]", "", part) for name, part in found.groupdict().items()}
    sign, exact = -1 if group["sign"] == "-" else 1, "." not in found[0]
    bottom = group["bottom"] or group["under"]
    if bottom:
        if not Fraction(bottom):
            return None
        value = Fraction(group["top"] or group["over"]) / Fraction(bottom) + int(group["whole"] or group["apart"] or 0)
    elif group["period"]:
        value, exact = _repeating(group["steady"], group["period"]), True
    elif group["plain"]:
        value = Fraction(group["plain"].rstrip("."))
    elif group["short"]:
        value, exact = Fraction(group["short"]) * Fraction(10) ** int(group["exponent"]), False
    else:
        value = Fraction(group["mantissa"] or 1) * Fraction(10) ** int(group["power"] or group["bare_power"])
        exact = not group["mantissa"]
    return Number(sign * value, exact)


def _repeating(steady: str, period: str) -> Fraction:
    """0.1 and 6 give 0.1666... = 1/6."""
    places = len(steady.partition(".")[2])
    return Fraction(steady.rstrip(".") or 0) + Fraction(int(period), 10**places * (10 ** len(period) - 1))


def _unit(rest: str) -> Unit | None:
    """The unit behind a number: set apart by a space or by `\\text`, for 5m may be five times m, or of several letters."""
    base = re.fullmatch(r"_\s*\{?(\d+)\}?", rest.strip())
    if base:  # 1010_2: digits in another base are another number
        return Unit(((f"base {base[1]}", 1),))
    return None if re.fullmatch(r"[A-Za-z](?:\^.*)?|.*(?<![\^{\d-])\d.*", rest) else read_unit(rest)


def without_unit(text: str) -> tuple[str, Unit | None]:
    r"""A formula and the unit that stands behind it: in `\text{}`, as a sign, or as a word set apart.

    >>> without_unit(r"12\pi \text{ cm}")[0]
    '12\\pi'
    """
    found = _UNIT_TAIL.fullmatch(text)
    unit = found and read_unit(found["sign"] or found["spelt"])
    return (found["core"], unit) if unit else (text, None)
