"""Reading judgements of relevance: a label, an order, yes or no, a rating. What cannot be read is None.

A model's thoughts are cut off first, and where it marked its answer by `<answer>` only that counts, so that no number which it
merely thought of is taken for its judgement. Labels are read as they are asked for, `[3]`, with any script's digits and brackets.
"""

import re

from rader_ir.neutral import BRACKETS

_THOUGHT = re.compile(r"</think(?:ing)?\s*>", re.I)
_THINKING = re.compile(r"<think(?:ing)?\s*>", re.I)
_ANSWER = re.compile(r"<answer\s*>(.*?)(?:</answer\s*>|\Z)", re.I | re.S)
_ANSWERED = re.compile(r"</answer\s*+>", re.I)
_SIGNS = str.maketrans(BRACKETS | dict.fromkeys("＞≻≽›", ">"))
_LABEL = re.compile(r"\[\s*(\d{1,6})\s*\]")
_NEXT = r"\s*+(?:>|&gt;|→|=)+\s*+\[\s*+\d{1,6}\s*+\]"
_CHAIN = re.compile(rf"\[\s*+\d{{1,6}}\s*+\](?:{_NEXT})*")
# A list of numbers may be anything, as the passages that meet a need; one that has a line to itself is an order
_LIST = re.compile(
    r"^[ \t*_`#]*+(?:(?:the |my )?(?:final )?(?:re-?)?(?:rank(?:ing|ed)?|order|answer|result)s?(?: is)?[ *_`]*+[:：]?[ *_`]*+)?"
    r"(\[\s*+\d{1,6}(?:\s*+[,>、，]\s*+\d{1,6})+\s*+\])[ \t*_`.。]*+$",
    re.I | re.M,
)
_BARE_CHAIN = re.compile(r"\d{1,6}(?:\s*[>,]\s*\d{1,6})*")
_BARE_LABEL = re.compile(r"(?:passage|document|doc|item|number|no\.?|#)?\s*[(\[]?\s*(\d{1,6})\s*[)\]]?", re.I)
_SURE = re.compile(r"[\s.*_`'\"]+")
_YES, _NO = {"yes", "true", "relevant", "1"}, {"no", "false", "irrelevant", "not relevant", "0"}
_NUMERALS = dict(zip("零〇一二三四五六七八九十", [0, 0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10], strict=True))
_NUMBER = rf"(-?\d{{1,6}}(?:[.,]\d{{1,6}})?|[{''.join(_NUMERALS)}])"
# The scale that a cue may name before the number: `score (0-5): 4`, `score of 0 to 5: 4`, `score (out of 5): 4`
_SCALE = (
    r"(?:\s*+(?:[\[(]\s*+(?:from )?|of |from |between )\d{1,3}\s*+(?:-|–|to|and)\s*+\d{1,3}\s*+[\])]?"
    r"|\s*+\((?:out of|max\.?|maximum|/)\s*+\d{1,3}\))?"
)
_CUE = (
    r"(?<![a-z])(?<!max )(?<!maximum )(?<!highest )(?<!possible )(?:score|rating|relevance|得分|评分|分数)(?![a-z])"
    rf"{_SCALE}[\"']?\s*+(?:is|of|=|:|：)?\s*+[\[(\"']?\s*+{_NUMBER}(?![.,]?\d|\s*+(?:-|–|to)\s*+\d)"
    r"(?:\s*+(?:/|out of)\s*+(\d{1,6}))?"
)
_CUED = re.compile(_CUE, re.I)
# What a reply may begin with so that the rest of it does not matter
_FIRST = re.compile(
    rf"[\s*_`]*(?:(?:(?:the )?relevance )?{_CUE}(?=[\s*_`.。\])]+\S)"
    rf"|\[\s*\d{{1,6}}\s*\](?:{_NEXT})+(?=[ \t*_`.。]*\n))",
    re.I,
)
_ALONE = re.compile(rf"\s*[\[(]?\s*{_NUMBER}\s*[\])]?(?:\s*(?:/|out of)\s*(\d{{1,6}}))?\s*[.。]?\s*")


def without_thoughts(text: str) -> str | None:
    """What follows the last `</think>`; None where a thought was begun and not ended, unless an answer stands in it marked.

    A server that tells thoughts apart sends none, so the marks are never required.

    >>> without_thoughts("<think>2 or 3?</think> [3]"), without_thoughts("[3]"), without_thoughts("<think>2 or 3?")
    (' [3]', '[3]', None)
    """
    ends = list(_THOUGHT.finditer(text))
    rest = text[ends[-1].end() :] if ends else text
    if _THINKING.search(rest) and not _ANSWER.search(rest):
        return None
    return rest


def answer_part(text: str) -> tuple[str, bool] | None:
    """Where to look for the answer: inside the last `<answer>`, else all that is no thought; and whether it was marked."""
    rest = without_thoughts(text)
    if rest is None:
        return None
    marked = _ANSWER.findall(rest)
    return (marked[-1] if marked else rest).translate(_SIGNS), bool(marked)


def of_cut_off(text: str) -> str:
    """What counts of a reply that was cut off, to be read like a whole one; "" where it may be a draft, or half an answer.

    That is an answer marked behind the thought, or a rating or a chain that the reply begins with and only went on behind.

    >>> of_cut_off("Relevance score: 4.\\n\\nQuestion: an"), of_cut_off("<think>My reply would end <answer>[3]</answer>. Pass")
    ('Relevance score: 4', '')
    """
    rest = _THOUGHT.split(text)[-1]
    if _THINKING.search(rest):
        return ""
    behind_thought = rest is not text or rest.lstrip()[:7].lower() == "<answer"
    ends = list(_ANSWERED.finditer(rest)) if behind_thought else []
    first = None if ends else _FIRST.match(rest.translate(_SIGNS))
    return rest[: ends[-1].end()] if ends else first[0] if first else ""


def label(text: str, n: int) -> int | None:
    """The place, from 0, of the one of `n` texts that is named by its label from 1; None where none or several are.

    Inside `<answer>` a bare number counts too, as it does where the whole answer is one. Elsewhere only bracketed labels count,
    and of several different ones the last, but only behind the word answer.

    >>> label("<think>[1]? No.</think><answer>[3]</answer>", 5), label("3.", 5), label("[2] or [4]", 5), label("[9]", 5)
    (2, 2, None, None)
    """
    found = answer_part(text)
    if found is None:
        return None
    part, _ = found
    bare = _BARE_LABEL.fullmatch(_SURE.sub(" ", part).strip())
    named = [bare[1]] if bare else _LABEL.findall(part)
    if len({int(one) for one in named}) > 1:
        named = (
            _LABEL.findall(re.split(r"\banswer\b", part, flags=re.I)[-1])
            if re.search(r"\banswer\b", part, re.I)
            else []
        )
    places = {int(one) - 1 for one in named}
    if len(places) != 1:
        return None
    (place,) = places
    return place if 0 <= place < n else None


def permutation(text: str, n: int) -> list[int] | None:
    """The order, best first, of `n` texts by their labels from 1, as places from 0; None where no order can be read.

    Of several chains `[2] > [1] > …` the one with the most different labels counts, the last of equally long ones; without a
    chain a list `[2, 1, …]` that has a line to itself, then all bracketed labels, in the order in which they first stand, and
    inside `<answer>` bare numbers. Labels that come twice or that no text has are dropped; those that are left out follow in the
    order in which they stood.

    >>> permutation("[1] is off topic.\\nFinal: [3] > [1]", 3), permutation("I cannot rank these.", 3)
    ([2, 0, 1], None)
    """
    found = answer_part(text)
    if found is None:
        return None
    part, marked = found
    best = _longest(_CHAIN.findall(part), n)
    if len(best) < 2:
        best = _longest(_LIST.findall(part), n) or _places(" ".join(_LABEL.findall(part)), n)
    if not best and marked and not _LABEL.search(part):
        best = _longest(_BARE_CHAIN.findall(part), n)
    return list(dict.fromkeys([*best, *range(n)])) if best else None


def _longest(chains: list[str], n: int) -> list[int]:
    """Of the chain that names the most of `n` texts, the last of such, their places."""
    return max(reversed([[], *(_places(one, n) for one in chains)]), key=len)


def _places(chain: str, n: int) -> list[int]:
    return list(dict.fromkeys(place for one in re.findall(r"\d+", chain) if 0 <= (place := int(one) - 1) < n))


def yes_or_no(text: str) -> bool | None:
    """True for yes, true, relevant or 1, False for their opposites; None for anything else. The first word of the answer counts.

    >>> yes_or_no("<think>no…</think> Yes, it does."), yes_or_no("Not relevant."), yes_or_no("0"), yes_or_no("Maybe")
    (True, False, False, None)
    """
    found = answer_part(text)
    if found is None:
        return None
    words = re.findall(r"\w+", re.sub(r"^\W*(?:relevant|relevance|answer)\s*[:：]", "", found[0], flags=re.I).lower())
    said = " ".join(words[:2]) if words[:1] == ["not"] else "".join(words[:1])
    said = str(int(said)) if said.isdecimal() else said
    return True if said in _YES else False if said in _NO else None


def rating(text: str, *, least: int = 0, most: int = 5) -> float | None:
    """The number behind the last cue, such as `Relevance score: 4`, else the answer where it is a number alone.

    Digits of any script and 一 to 十 are read; `4/5` and `4 out of 5` are 4, `4/10` is none, for the scale is another. A number
    outside of `least` to `most` is no rating.

    >>> rating("Relevance score: 3.5."), rating("score: 2\\nRelevance score: ４"), rating("5"), rating("Relevance score: 9")
    (3.5, 4.0, 5.0, None)
    """
    found = answer_part(text)
    if found is None:
        return None
    part = " ".join(re.sub(r"[*_`]+", "", found[0]).split())  # with single blanks, patterns cannot stray in long runs
    cued, alone = _CUED.findall(part), _ALONE.fullmatch(part)
    said, scale = cued[-1] if cued else alone.groups(default="") if alone else ("", "")
    if not said or (scale and int(scale) != most):
        return None
    value = float(_NUMERALS[said]) if said in _NUMERALS else float(said.replace(",", "."))
    return value if least <= value <= most else None
