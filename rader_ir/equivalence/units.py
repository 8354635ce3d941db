r"""Units of measure behind a number: which quantity, how large, as `km/h`, `\text{ cm}^2`, `square feet`, `^\circ` or `\%`.

A unit is read into powers of base quantities and a factor, so that 100 cm equals 1 m and 36 km/h equals 10 m/s. Words that
are no unit ("apples") name what is counted; two answers to one question count the same things, so they are not compared.
"""

import re
from dataclasses import dataclass
from fractions import Fraction

# Names and factors of each base quantity. Temperatures differ by an offset, so each is a quantity of its own.
_TABLE = {
    "length": "nm 1e-9 mm|millimeter|millimetre 1e-3 cm|centimeter|centimetre 1e-2 m|meter|metre 1 km|kilometer|kilometre 1e3 "
    "in|inch|inche 0.0254 ft|foot|feet 0.3048 yd|yard 0.9144 mi|mile 1609.344",
    "time": "ns 1e-9 ms|millisecond 1e-3 s|sec|second 1 min|minute 60 h|hr|hour 3600 day 86400 week 604800",
    "month": "month 1 yr|year 12",
    "mass": "mg 1e-3 g|gram 1 kg|kilogram 1e3 lb|pound 453.59237 oz|ounce 28.349523125",
    "angle": r"degree|deg|^\circ 1 rad|radian 57.29577951308232",
    "money": r"dollar|usd|$ 1 cent 0.01",
    "rupee": "rupee|rs 1",
    "euro": "euro|eur 1",
    "pound": "gbp 1",
    "percent": "%|percent 1",
    "celsius": r"^\circ_c|celsius 1",
    "fahrenheit": r"^\circ_f|fahrenheit 1",
    "kelvin": "k|kelvin 1",
    "charge": "c|coulomb 1",
    "current": "ma 1e-3 a|amp|ampere 1",
    "amount": "mol|mole 1",
    "data": "bit 1 byte 8",
    "morning": "am|a.m. 1",
    "afternoon": "pm|p.m. 1",
}
# Units that are products of others.
_DERIVED = {
    "mph": "mi/h",
    "kph": "km/h",
    "l": "1e-3 m^3",
    "liter": "1e-3 m^3",
    "litre": "1e-3 m^3",
    "ml": "1e-6 m^3",
    "hz": "1/s",
    "khz": "1e3/s",
    "mhz": "1e6/s",
    "ghz": "1e9/s",
    "n": "1e3 g m/s^2",
    "newton": "1e3 g m/s^2",
    "kn": "1e6 g m/s^2",
    "pa": "1e3 g/m/s^2",
    "kpa": "1e6 g/m/s^2",
    "j": "1e3 g m^2/s^2",
    "joule": "1e3 g m^2/s^2",
    "kj": "1e6 g m^2/s^2",
    "ev": "1.602176634e-16 g m^2/s^2",
    "w": "1e3 g m^2/s^3",
    "watt": "1e3 g m^2/s^3",
    "kw": "1e6 g m^2/s^3",
    "v": "1e3 g m^2/s^2/c",
    "volt": "1e3 g m^2/s^2/c",
    "mv": "g m^2/s^2/c",
    "ohm": "1e3 g m^2/s/c^2",
    r"\omega": "1e3 g m^2/s/c^2",
}
_FACTOR = re.compile(r"(\d+(?:\.\d+)?(?:e-?\d+)?)|(\^\\circ(?:_[cf])?|[a-z\\%$.]+)(?:\^\{?(-?\d)\}?)?")


@dataclass(frozen=True)
class Unit:
    """A unit of measure: the powers of its base quantities, in order of name, and its size in base units."""

    powers: tuple[tuple[str, int], ...]
    factor: Fraction = Fraction(1)

    @property
    def percent(self) -> bool:
        """Whether this is per cent, which a bare number may mean as it stands or times 100."""
        return self.powers == (("percent", 1),)


def _base_units() -> dict[str, Unit]:
    units = {}
    for quantity, row in _TABLE.items():
        words = row.split()
        for names, factor in zip(words[::2], words[1::2], strict=True):
            units |= {name: Unit(((quantity, 1),), Fraction(factor)) for name in names.split("|")}
    return units


_UNITS = _base_units()


def read_unit(text: str) -> Unit | None:
    r"""The unit that a text names, None where it is none that we know; case counts for nothing, a plural s neither.

    >>> read_unit("km/h").factor == read_unit("meters per second").factor * Fraction(10, 36)
    True
    """
    text = _plain(text)
    if not text:
        return None
    powers: dict[str, int] = {}
    factor, sign = Fraction(1), 1
    for part in re.split(r"([/ ]+)", text):
        if not part.strip(" /"):
            sign = -1 if "/" in part else sign
            continue
        one = _factor(part)
        if one is None:
            return None
        for quantity, power in one.powers:
            powers[quantity] = powers.get(quantity, 0) + sign * power
        factor *= one.factor**sign
    return Unit(tuple(sorted((quantity, power) for quantity, power in powers.items() if power)), factor)


def _plain(text: str) -> str:
    text = re.sub(r"\\(?:text|mathrm|textrm|mbox|rm|,|;|:|!|\s)|[{}()~]", " ", text.replace(r"\%", "%"))
    text = re.sub(r"\\cdot|\*|-(?=[a-z])", " ", text.lower().replace(r"\$", "$").strip().rstrip("."))
    text = re.sub(r"\^\s*\\circ\s*([cf])\b", r"^\\circ_\1", text)
    text = re.sub(r"\b(?:square|sq\.?) (\w+)|\b(?:cubic|cu\.?) (\w+)", _power_word, text)
    text = re.sub(r"\s*\^\s*(-?\d)\b", r"^\1", text)
    return re.sub(r"\s*(?:/|\bper\b)\s*", "/", text).strip()


def _power_word(found: re.Match) -> str:
    return f"{found[1]}^2" if found[1] else f"{found[2]}^3"


def _factor(text: str) -> Unit | None:
    found = _FACTOR.fullmatch(text)
    if found is None:
        return None
    if found[1]:
        return Unit((), Fraction(found[1]))
    unit = next(filter(None, (_named(name) for name in (found[2], found[2].removesuffix("s")))), None)
    power = int(found[3] or 1)
    return unit and Unit(tuple((quantity, count * power) for quantity, count in unit.powers), unit.factor**power)


def _named(name: str) -> Unit | None:
    return read_unit(_DERIVED[name]) if name in _DERIVED else _UNITS.get(name)
