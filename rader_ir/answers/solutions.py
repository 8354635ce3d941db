r"""Finding the answer in what a language model wrote: `\boxed{...}`, "the answer is ...", or its last number.

An answer that is not there is None, a value that equals nothing (see `equivalence`), so that texts without an answer never
agree with each other nor with the truth. RaDeR's reward asks for a box (arXiv:2505.18405, section 3.1); the other two ways
of finding are named by the caller, for they guess.
"""

import re
from collections import deque
from collections.abc import Callable, Sequence

_BOX = re.compile(r"\\(?:boxed|fbox)\b\s*")
# "answer" reaches over a few words to its verb: "the final answer to the question is: 5".
_STATED = re.compile(r"\banswer\b(?:[^.:=\n]{0,60}?\b(?:is|are|equals)\b(?: *:)?|\s*[:=])|^\s*####", re.I | re.M)
_MATH = re.compile(r"\s*(?:\$\$(.+?)\$\$|(?<!\\)\$(.+?)(?<!\\)\$|\\\((.+?)\\\)|\\\[(.+?)\\\])", re.S)
_SENTENCE_END = re.compile(r"\n|[.!?](?:\s|$)|,? (?:because|since|so|which|where)\b")
_NUMBER = re.compile(r"-?(?:\d{1,3}(?:,\d{3})+|\d+)(?:\.\d+)?(?:/\d+)?%?")


def boxed(text: str) -> str | None:
    r"""The content of the last `\boxed{...}` or `\fbox{...}`, braces nested to any depth; None without one.

    A last box that is empty or was cut off before its closing brace gives None too: an earlier box is a step, not the answer.

    >>> boxed(r"so \boxed{3}, hence \boxed{\frac{1}{\sqrt{2}}}.")
    '\\frac{1}{\\sqrt{2}}'
    """
    last = _last(_BOX, text)
    if last is None:
        return None
    rest = text[last.end() :]
    if not rest.startswith("{"):  # \boxed 5, as MATH writes now and then
        bare = re.match(r"[^\s$.,{}\\]+", rest)
        return bare[0] if bare else None
    end = _closing(rest)
    return rest[1:end].strip() or None if end else None


def _last(pattern: re.Pattern, text: str) -> re.Match | None:
    return next(iter(deque(pattern.finditer(text), maxlen=1)), None)


def _closing(text: str) -> int | None:
    """Where the brace that opens `text` closes; braces behind a backslash are signs, not groups."""
    depth = 0
    for found in re.finditer(r"\\.|[{}]", text, re.S):
        depth += {"{": 1, "}": -1}.get(found[0], 0)
        if not depth and found[0] == "}":
            return found.start()
    return None


def stated(text: str) -> str | None:
    """What follows the last "the answer is", "Answer:" or `####` (GSM8K), to the end of its sentence; None without one.

    >>> stated("Adding up, the final answer is: $18. Check: 9 * 2 = 18.")
    '$18'
    """
    last = _last(_STATED, text)
    if last is None or _BOX.search(text, last.end()):
        return None
    rest = re.sub(r"\*\*|__", "", text[last.end() :]).lstrip()
    math = _MATH.match(rest)
    answer = next(filter(None, math.groups())) if math else _SENTENCE_END.split(rest, maxsplit=1)[0]
    answer = answer.strip().rstrip(",;:")
    return None if not answer or re.match(r"not\b", answer, re.I) else answer


def last_number(text: str) -> str | None:
    """The last number of the text, such as `-1,200.5`, `3/4` or `50%`; None without one. A guess: it may be any number."""
    found = _NUMBER.findall(text)
    return found[-1] if found else None


WAYS: dict[str, Callable[[str], str | None]] = {"boxed": boxed, "stated": stated, "last_number": last_number}


def final_answer(text: str, *, ways: Sequence[str] = ("boxed",)) -> str | None:
    """The answer of a solution by the first of `ways` that finds one; None when none does.

    A text that holds a box never falls through to the ways after "boxed", not even when its box is empty or cut off.

    Args:
        text: what the model wrote.
        ways: names of `WAYS`, tried in this order.

    Raises:
        ValueError: an unknown way.

    >>> final_answer("so 5 + 7 = 12"), final_answer("so 5 + 7 = 12", ways=("boxed", "stated", "last_number"))
    (None, '12')
    """
    unknown = [way for way in ways if way not in WAYS]
    if unknown:
        raise ValueError(f"way {unknown[0]!r} of finding an answer is unknown; choose of {', '.join(WAYS)}")
    for way in ways:
        answer = WAYS[way](text)
        if answer is not None or (way == "boxed" and _BOX.search(text)):
            return answer
    return None
