r"""What kind of answer a text is: true or false, an option, a number with its unit, a list, words, or a formula.

RaDeR learns from problems whose answers are LaTeX (MATH), numbers (GSM8K), options, truth values and lists (TheoremQA,
arXiv:2305.12524). A text can be read in several ways at once: "(a)" may be an option or a variable in parentheses; so
`read` keeps all readings, and `rules` decides by those that both answers share.
"""

import re
from dataclasses import dataclass
from fractions import Fraction
from functools import lru_cache
from math import isinf, isnan

from rader_ir.equivalence.forms import balanced, clean, key, split, unwrapped
from rader_ir.equivalence.intervals import as_intervals
from rader_ir.equivalence.numbers import Number, measured, without_unit
from rader_ir.equivalence.units import Unit

Answer = str | bool | int | float | list | tuple  # typed values are golds of TheoremQA, read from JSON

_TRUE = {"true", "yes", "correct", "right", "not false"}
_FALSE = {"false", "no", "incorrect", "wrong", "not true", "not correct"}
_SYNONYMS = {
    "no solution": r"no (?:real |integer |valid )?(?:solutions?|roots?|values?)(?: exists?)?"
    r"|\\emptyset|(?:the )?empty set|\\\{ ?\\\}",
    "undefined": r"dne|does not exist|doesn't exist|undefined|not defined|(?:the )?limit does not exist",
    r"\infty": r"\+? ?\\infty|inf|infinite(?:ly many)?|positive \\infty",
    r"-\infty": r"- ?\\infty|-inf|negative \\infty",
    r"\mathbb{R}": r"(?:the )?(?:set of )?(?:all )?reals?(?: numbers?)?|\\mathbb\{r\}|\( ?- ?\\infty ?, ?\\infty ?\)",
    "diverges": r"diverges|divergent|does not converge|doesn't converge|not convergent",
    "converges": r"converges|convergent|does converge",
    "none": r"none(?: of (?:the above|these|them))?",
}
_SYNONYMS = {name: re.compile(pattern) for name, pattern in _SYNONYMS.items()}
_OPTION = re.compile(
    r"(?P<said>(?:option|choice|answer):?\s+)?(?P<open>\()?\s*(?P<letter>[A-J])\s*(?P<close>[).:])?(?P<rest>.*)",
    re.S | re.I,
)
_NAME = re.compile(
    r"(?P<name>[A-Za-z](?:_\{?\w+\}?)?|\\[a-z]+|[A-Za-z]\([a-z]\)|\\text\{[^{}]*\}|[A-Za-z]{3,})\s*(?:=|\\in(?![a-z]))(?P<rest>[^=]+)",
    re.S,
)
_MATRIX = re.compile(r"\\begin\{(?:[pbv]?matrix|array)\}(?:\{[lcr|]*\})?(.*)\\end\{(?:[pbv]?matrix|array)\}", re.S)
_SET_OF = re.compile(r"^\\\{\s*[a-z](?:\s*\\in\s*\\mathbb\{R\})?\s*(?:\\mid|\||:)(.*)\\\}$", re.S)
_AND = re.compile(r",?\s*\\text\{\s*,?\s*(?:and|or)\s*\}|,?(?<![a-zA-Z\\])(?:and|or)(?![a-zA-Z])")


@dataclass(frozen=True)
class Reading:
    """All that a text may be, None where it is not of that kind.

    Attributes:
        text: the clean text without name, unit and parentheses around it.
        whole: the clean text as it came.
        truth: true or false.
        option: its letter, in upper case where `marked` by a parenthesis, a dot or the word "option".
        beside: the text that follows the option's letter.
        name: of what is said to equal the rest, "x" in "x = 5".
        number: the value, where nothing but a unit or things counted stands behind it.
        unit: of the number or formula.
        items: the elements of a list, a set, a tuple, an interval or the rows of a matrix.
        fence: what encloses them: "()", "[]", "(]", "[)", "{}", "matrix", "typed" (a list, not a text) or "".
        words: plain words, in lower case, without articles.
    """

    text: str
    whole: str = ""
    truth: bool | None = None
    option: str | None = None
    marked: bool = False
    beside: str = ""
    name: str = ""
    number: Number | None = None
    unit: Unit | None = None
    items: tuple["Reading", ...] | None = None
    fence: str = ""
    words: str | None = None

    @property
    def typed(self) -> bool:
        """Whether it is of a kind that needs no algebra."""
        return any(kind is not None for kind in (self.truth, self.option, self.number, self.items, self.words))

    @property
    def key(self) -> str:
        """The text without spaces that say nothing."""
        return key(self.text)


def read(answer: Answer) -> Reading:
    """All readings of an answer, a text or a typed value.

    Raises:
        TypeError: an answer that is neither text, nor truth value, nor number, nor a list of such.
        ValueError: not a number (NaN).
    """
    if isinstance(answer, str):
        return _read_text(answer)
    if isinstance(answer, bool):
        return Reading(str(answer), truth=answer)
    if isinstance(answer, int):
        return Reading(str(answer), number=Number(Fraction(answer), exact=True))
    if isinstance(answer, float) and isinf(answer):
        return _read_text(r"\infty" if answer > 0 else r"-\infty")
    if isinstance(answer, float):
        if isnan(answer):
            raise ValueError("an answer is NaN, which is no number; leave the problem out or give its answer as text")
        return Reading(repr(answer), number=Number(Fraction(repr(answer)), exact=False, typed=True))
    if isinstance(answer, list | tuple):
        items = tuple(read(item) for item in answer)
        return Reading(f"[{', '.join(item.text for item in items)}]", items=items, fence="typed")
    raise TypeError(
        f"an answer is a text, truth value, number or list of these; got {type(answer).__name__}: {answer!r}"
    )


@lru_cache(maxsize=4096)
def _read_text(raw: str) -> Reading:
    whole = _bare(clean(raw))
    option, marked, beside = _option(whole)
    named = _NAME.fullmatch(whole)
    text = _SET_OF.sub(r"\1", _bare(named["rest"].strip()) if named else whole)
    text = as_intervals(text)
    synonym = _synonym(text)
    text = synonym or text
    number, unit = measured(text) or (None, None)
    text = re.sub(r"(?<=\d)(?:\.\.\.|\\l?dots)$", "", text)
    if number is None:
        text, unit = without_unit(text)
    items, fence = (None, "") if synonym else _items(text)
    return Reading(
        text=text,
        whole=whole,
        truth=_truth(whole),
        option=option,
        marked=marked,
        beside=beside,
        name=key(named["name"]) if named else "",
        number=number,
        unit=unit,
        items=items,
        fence=fence,
        words=_words(text) if number is None else None,
    )


def _bare(text: str) -> str:
    """The text without parentheses around the whole of it, unless they hold a list or an option's letter."""
    while text[:1] == "(" and balanced(text, 0) == len(text) - 1 and text[-1] == ")":
        inner = text[1:-1].strip()
        if len(inner) < 2 or len(split(inner)) > 1:
            break
        text = inner
    return text


def _truth(text: str) -> bool | None:
    words = unwrapped(text).strip(" *.!").lower()
    said = re.match(r"(true|false|yes|no)\s*[,.:;-]", words)
    said = said or re.fullmatch(r"(?:(?:the|this) )?(?:statement|claim|answer|it|this|that) is (\w+(?: \w+)?)", words)
    words = said[1] if said else words
    return True if words in _TRUE else False if words in _FALSE else None


def _option(text: str) -> tuple[str | None, bool, str]:
    """Letter, whether it is marked as an option, and the text that follows it."""
    found = _OPTION.fullmatch(unwrapped(text))
    if found is None:
        return None, False, ""
    rest, marked = found["rest"], bool(found["close"] or found["said"])
    loose = rest and (not found["close"] or (found["open"] and rest[0] != " "))
    loose = loose or re.match(r"\s*(?:,|and\b|or\b|&)", rest)
    if loose or (found["open"] and found["close"] != ")"):
        return None, False, ""
    return found["letter"].upper() if marked else found["letter"], marked, rest.strip()


def _synonym(text: str) -> str | None:
    plain = re.sub(r"\s+", " ", unwrapped(text).lower()).strip(" .")
    return next((name for name, pattern in _SYNONYMS.items() if pattern.fullmatch(plain)), None)


def _items(text: str) -> tuple[tuple[Reading, ...] | None, str]:
    """The elements and the fence of a list; (None, "") where the text is none."""
    if matrix := _MATRIX.fullmatch(text):
        rows = [split(row, "&") for row in re.split(r"\\\\", matrix[1]) if row.strip()]
        flat = [cell for row in rows for cell in row]
        cells = flat if 1 in (len(rows), len(flat) // len(rows)) else [f"[{','.join(row)}]" for row in rows]
        return tuple(_read_text(cell) for cell in cells), "matrix"
    inner, fence = _opened(text)
    if not fence and re.search(r"\\(?:cup|cap)|<|>", text):
        return None, ""
    parts = split(_AND.sub(",", inner)) if inner else []
    if fence in ("", "[]") and re.fullmatch(r"-?[\d.]+(?: +-?[\d.]+)+", inner):  # as numpy prints
        parts = inner.split()
    if len(parts) == 1 and not fence and (both := _plus_minus(inner)):
        parts = both
    if "" in parts or (len(parts) < 2 and fence not in ("[]", "{}")):
        return None, ""
    return tuple(_read_text(part) for part in parts), fence


def _opened(text: str) -> tuple[str, str]:
    r"""The inside of brackets around the whole text, and what they are; `\{` counts as `{`."""
    text = text.replace("\\{", "{").replace("\\}", "}").replace("\\langle", "(").replace("\\rangle", ")")
    text = re.sub(r"^<(.*,.*)>$", r"(\1)", text)
    fence = text[:1] + text[-1:]
    if fence in ("()", "[]", "(]", "[)", "{}") and balanced(text, 0) == len(text) - 1:
        return text[1:-1].strip(), fence
    return text, ""


def _plus_minus(text: str) -> list[str]:
    return [text.replace(r"\pm", sign).strip() for sign in "+-"] if text.count(r"\pm") == 1 else []


def _words(text: str) -> str | None:
    """Plain words: letters and no mathematics, at least one word in `\\text` or of four letters."""
    plain = unwrapped(text)
    if not re.fullmatch(r"[^\W\d_]+(?:[ .'-]+[^\W\d_]+)*\.?", plain) or not (
        "\\text" in text or re.search(r"[^\W\d_]{4,}", plain)
    ):
        return None
    return re.sub(r"^(?:the|a|an) |[.'-]", "", re.sub(r"\s+", " ", plain.lower()))
