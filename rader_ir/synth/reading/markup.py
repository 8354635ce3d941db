r"""What stands around the words of a reply: thoughts before it, Markdown at a line's ends, JSON with TeX in its texts.

The last is the hard one. A model that writes `"\frac12"` in JSON means a fraction, but JSON reads a form feed; here a backslash
before a word is TeX's, and the few escapes that JSON has besides keep their meaning.
"""

import json
import re
from typing import Any

# Before a line's first word: quote marks, bullets, headings, emphasis.
DECOR = r"[ \t>*_#`•\-]*"
_THOUGHTS = re.compile(r"^.*</think(?:ing)?>", re.S | re.I)
_STILL_THINKING = re.compile(r"^\s*<think(?:ing)?>", re.I)
_FENCE = re.compile(r"^\s*```\w*\s*\n|\n\s*```\s*$")
_ESCAPE = re.compile(r'\\(\\|"|/|u[0-9a-fA-F]{4}|[A-Za-z]+|.)', re.S)
# TeX's commands that begin with n, which else begins a new line.
_NOT_A_LINE = re.compile(r"n(?:e|eq|eg|u|abla|ot|otin|mid|i|leq|geq|less|olimits|onumber|parallel|ewline)$")


def said(text: str) -> str | None:
    """A reply without what a reasoning model thought before it; None where the thoughts never end, or nothing follows them."""
    text = _THOUGHTS.sub("", text)
    return None if _STILL_THINKING.match(text) else text.strip() or None


def one_line(text: str) -> str:
    """The text with every run of white space as one blank."""
    return " ".join(text.split())


def bare(text: str) -> str:
    """A text without emphasis, a code mark or quotes around it, or half of them at its end, and on one line.

    >>> bare("**Pythagorean theorem**"), bare("Pythagorean theorem**"), bare("let $x^*$")
    ('Pythagorean theorem', 'Pythagorean theorem', 'let $x^*$')
    """
    text = one_line(text)
    for mark in ("**", "__", "`", '"', "*"):
        if len(text) > 2 * len(mark) and text.startswith(mark) and text.endswith(mark) and text.count(mark) == 2:
            text = text[len(mark) : -len(mark)].strip()
    if text.count("**") == 1:
        text = text.removeprefix("**").removesuffix("**").strip()
    return text.strip("“”")


def json_in(text: str) -> Any:
    """The object or list that a reply consists of, in a code fence or followed by words or not; None where there is none."""
    text = _FENCE.sub("", _FENCE.sub("", text)).strip()
    if not text.startswith(("{", "[")):
        return None
    try:
        return json.JSONDecoder(strict=False).raw_decode(_ESCAPE.sub(_meant, text))[0]
    except (ValueError, RecursionError):
        return None


def json_text(inner: str) -> str:
    """What stands between the quotes of a JSON text, read; a text that was cut off is read as far as it goes."""
    try:
        return json.loads(f'"{_ESCAPE.sub(_meant, inner)}"', strict=False)
    except ValueError:
        return inner


def _meant(escape: re.Match) -> str:
    sign = escape[1]
    if sign in ("\\", '"', "/") or re.fullmatch(r"u[0-9a-fA-F]{4}|[bfnrt]", sign):
        return escape[0]
    if sign[0] == "n" and sign.isalpha() and not _NOT_A_LINE.match(sign):
        return escape[0]
    return "\\" + escape[0]
