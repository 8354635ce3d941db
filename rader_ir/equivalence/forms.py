r"""One writing for what LaTeX, Unicode and plain text write in many ways, so that answers can be read and compared.

Nothing here changes what an answer says: `√3`, `sqrt(3)` and `\sqrt3` become `\sqrt{3}`, delimiters, sizes, spaces and
emphasis go, `\dfrac12` becomes `\frac{1}{2}`.
"""

import re

_SIGNS = {
    "−": "-",
    "–": "-",
    "—": "-",
    "×": r"\times ",
    "·": r"\cdot ",
    "⋅": r"\cdot ",
    "÷": "/",
    "⁄": "/",
    "π": r"\pi ",
    "∞": r"\infty ",
    "∪": r"\cup ",
    "∩": r"\cap ",
    "∈": r"\in ",
    "∅": r"\emptyset ",
    "≤": r"\le ",
    "≥": r"\ge ",
    "≠": r"\ne ",
    "±": r"\pm ",
    "≈": r"\approx ",
    "°": r"^\circ ",
    "θ": r"\theta ",
    "Ω": r"\Omega ",
    "½": r"\frac{1}{2}",
    "¼": r"\frac{1}{4}",
    "¾": r"\frac{3}{4}",
    "…": "...",
    "’": "'",
    "\u00a0": " ",
    "\u202f": " ",
    "\u2009": " ",
}
_SIGNS |= {sign: f"^{{{digit}}}" for digit, sign in enumerate("⁰¹²³⁴⁵⁶⁷⁸⁹")}
_SIGNS |= {sign: f"_{{{digit}}}" for digit, sign in enumerate("₀₁₂₃₄₅₆₇₈₉")}
_TABLE = str.maketrans(_SIGNS)
_DELIMITED = re.compile(r"\$\$(.+)\$\$|\$(.+)\$|\\\((.+)\\\)|\\\[(.+)\\\]|\*\*(.+)\*\*|`(.+)`|\"([^\"]+)\"", re.S)
_EDITS = [
    (re.compile(pattern), new)
    for pattern, new in (
        (r"\\(?:left|right|bigl?|bigr|Bigl?|Bigr|displaystyle|limits)(?![a-zA-Z])\s*\.?", ""),
        (r"\\!|\{,\}(?=\d{3})", lambda found: "" if found[0] == r"\!" else ","),
        (r"(?<=\d)(?:\\,|\\ |~)(?=\d{3}(?!\d))", ""),
        (r"(?<=\d)\s*\b([ap])\.?m\b\.?", r"\\text{\1m}"),
        (r"(?<!\\)\\[,;:> ]|~|\\q?quad(?![a-zA-Z])", " "),
        (r"\\[dtc]frac(?![a-zA-Z])", r"\\frac"),
        (r"\\(?:text(?:bf|it|rm|sf|normal)?|math(?:rm|bf|it|sf)|mbox|operatorname)\s*(?=\{)", r"\\text"),
        (r"\^\s*\{\s*\\circ\s*\}|\\degree(?![a-zA-Z])", r"^\\circ "),
        (r"\\frac\s*(\d)\s*(\d)", r"\\frac{\1}{\2}"),
        (r"\\frac\s*(\d)\s*\{", r"\\frac{\1}{"),
        (r"(\\frac\s*\{[^{}]*\})\s*(\d)", r"\1{\2}"),
        (r"\\sqrt\s*(\d|[a-z](?![a-z]))", r"\\sqrt{\1}"),
        (r"√\s*(\d+|[a-z])", r"\\sqrt{\1}"),
        (r"√", "sqrt"),
        (r"(?<=\d)\s*(?:\\text\{\s*)?(?:st|nd|rd|th)\b\}?", ""),
        (r"\\(sin|cos|tan|cot|sec|csc)\s*\(?\s*(\d+)\s*\^\s*\\circ\s*\)?", r"\\\1(\\frac{\2\\pi}{180})"),
        (r"^\\text\{([^{}]*\d[^{}]*)\}$", r"\1"),
        (r"\*\*", "^"),
        (r"(?<![\w^])(\d+)C_?\{?(\d+)\}?", r"\\binom{\1}{\2}"),
        (r"\\leq?(?![a-zA-Z])|<=", r"\\le "),
        (r"\\geq?(?![a-zA-Z])|>=", r"\\ge "),
        (r"\\neq(?![a-zA-Z])|!=", r"\\ne "),
        (r"\\(?:varnothing|phi(?=\s*$))", r"\\emptyset "),
        (r"(?<![\\a-zA-Z])pi(?![a-zA-Z])", r"\\pi "),
        (r"(?<![\\a-zA-Z])(?:infty|infinity)(?![a-zA-Z])", r"\\infty "),
        (r"^(?:\\approx|approximately|approx\.?|about|roughly)\s+(?=\S)", ""),
        (r"\\approx(?![a-zA-Z])", "= "),
        (r"(?<![\\a-zA-Z])(sin|cos|tan|log|ln|exp)(?=\s*[(^\d])", r"\\\1"),
        (r"\*", r"\\cdot "),
    )
]
_TEXT_GROUP = re.compile(r"\\text\{([^{}]*)\}")
_PLAIN_CALL = re.compile(r"(?<![\\a-zA-Z])sqrt\s*(?=[({])")


def clean(text: str) -> str:
    r"""An answer in the one writing that the readers of answers know; `\text{...}` stays, for it marks words and units.

    >>> clean("$\\dfrac12\\,$"), clean("5(√3 + 1)"), clean(r"\left(1{,}000\right).")
    ('\\frac{1}{2}', '5(\\sqrt{3} + 1)', '(1,000)')
    """
    text = text.strip().translate(_TABLE)
    text = re.sub(r"\\\$(?=\s*[\d.])|(?<=\d)\\\$", "USD ", text)  # a price, not the start of mathematics
    if text.count("$") == 1:
        text = text.replace("$", "USD ")
    while found := _DELIMITED.fullmatch(text.strip().rstrip(".").strip()):
        text = next(filter(None, found.groups()))
    for pattern, new in _EDITS:
        text = pattern.sub(new, text)
    text = re.sub(r"\s+", " ", _roots(text)).strip()
    return text.rstrip(" ,;" if text.endswith("...") else ".,; ")


def _roots(text: str) -> str:
    r"""`sqrt(...)` with its balanced parentheses as `\sqrt{...}`."""
    while found := _PLAIN_CALL.search(text):
        end = balanced(text, found.end())
        if end is None:
            return text
        text = rf"{text[: found.start()]}\sqrt{{{text[found.end() + 1 : end]}}}{text[end + 1 :]}"
    return text


def balanced(text: str, start: int) -> int | None:
    """Where the bracket at `start` is closed; any closing bracket closes any opening one, as intervals need."""
    depth = 0
    for place in range(start, len(text)):
        depth += (text[place] in "([{") - (text[place] in ")]}")
        if not depth:
            return place
    return None


def unwrapped(text: str) -> str:
    r"""The text without its `\text{...}` groups, their words left standing apart."""
    while _TEXT_GROUP.search(text):
        text = _TEXT_GROUP.sub(r" \1 ", text)
    return re.sub(r"\s+", " ", text).strip()


def key(text: str) -> str:
    """What is left of a clean text when spaces that say nothing go: two answers with one key are one answer."""
    return re.sub(r"(?<!\d)\s+|\s+(?!\d)", "", unwrapped(text))


def split(text: str, separators: str = ",;") -> list[str]:
    """The parts of a text between separators that stand outside all brackets and outside of numbers such as 1,000."""
    parts, depth, start = [], 0, 0
    for place, sign in enumerate(text):
        depth += (sign in "([{") - (sign in ")]}")
        if sign in separators and depth == 0:
            parts.append(text[start:place])
            start = place + 1
    return [part.strip() for part in [*parts, text[start:]]]
