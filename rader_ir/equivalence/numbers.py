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
    **{"seventeen": 17, "eighteen": 18, "nineteen": 19, "twenty": 20},
}
_SCALES = {"hundred": 2, "thousand": 3, "million": 6, "billion": 9, "trillion": 12}
_SCALE = re.compile(rf"\s*({'|'.join(_SCALES)})\b", re.I)
_THINGS = re.compile(r"\s+[a-z]{3,}(?:[ -][a-z]{2,})*", re.I)
_GROUP = r"\\text\{[^{}]*\}"
_UNIT_TAIL = re.compile(
    rf"(?P<core>.*?[^\s\\])\s*(?P<unit>(?:{_GROUP}(?:\s*\^\s*\{{?\d\}}?)?|\^\s*\\circ|\\?%)(?:\s*(?:{_GROUP}|[CF]))?)",
    re.S,
)


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
    if scale := _SCALE.match(unwrapped(rest)):
        number = Number(number.value * 10 ** _SCALES[scale[1].lower()], number.exact)
        rest = " " + unwrapped(rest)[scale.end() :]
    if number is None or not rest.strip():
        return number and (number, read_unit(currency))
    unit = _unit(rest)
    if unit is None and not _THINGS.fullmatch(" " + unwrapped(rest) if "\\text" in rest else rest):
        return None
    return number, unit or read_unit(currency)


def _digits(text: str) -> str:
    """A number word at the start, zero to twenty, in digits."""
    head = re.match(r"(?:\\text\{\s*)?([a-z]+)\b", text, re.I)
    if head and head[1].lower() in _WORDS:
        text = f"{_WORDS[head[1].lower()]} {unwrapped(text[head.start(1) :].replace('}', ' '))[len(head[1]) :]}"
    return text


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
    return None if re.fullmatch(r"[A-Za-z](?:\^.*)?|\s*\d.*", rest) else read_unit(rest)


def without_unit(text: str) -> tuple[str, Unit | None]:
    r"""A formula and the unit that stands behind it in `\text{}` or as a degree or per cent sign.

    >>> without_unit(r"12\pi \text{ cm}")[0]
    '12\\pi'
    """
    found = _UNIT_TAIL.fullmatch(text)
    unit = found and read_unit(found["unit"])
    return (found["core"], unit) if unit else (text, None)
