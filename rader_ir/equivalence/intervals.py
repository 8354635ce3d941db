r"""Inequalities in one variable as the intervals that they describe: `x < -1 or x \ge 2` is `(-\infty,-1)\cup[2,\infty)`.

Models write a solution set in either way, and math-verify compares the two ways only for a single inequality.
"""

import re

_VARIABLE = r"\s*[a-zA-Z]\s*"
_SIGN = r"(<|>|\\le|\\ge)(?![a-zA-Z])"
_BOUND = r"([^<>=,;]+?)"
_BETWEEN = re.compile(rf"{_BOUND}{_SIGN}{_VARIABLE}{_SIGN}{_BOUND}")
_RIGHT = re.compile(rf"{_VARIABLE}{_SIGN}{_BOUND}")
_LEFT = re.compile(rf"{_BOUND}{_SIGN}{_VARIABLE}")
_TURNED = {"<": ">", ">": "<", r"\le": r"\ge", r"\ge": r"\le"}
_OR = re.compile(r"\\text\{\s*or\s*\}|(?<![a-zA-Z\\])or(?![a-zA-Z])|\\lor(?![a-zA-Z])")


def as_intervals(text: str) -> str:
    r"""Inequalities of one variable, joined by "or", as a union of intervals; any other text as it is.

    >>> as_intervals("3 < x \\le 5"), as_intervals("x < 1 or x > 2"), as_intervals("x + y < 2")
    ('(3,5]', '(-\\infty,1)\\cup(2,\\infty)', 'x + y < 2')
    """
    intervals = [_interval(part.strip()) for part in _OR.split(text)]
    return text if None in intervals else r"\cup".join(intervals)


def _interval(text: str) -> str | None:
    if found := _BETWEEN.fullmatch(text):
        low, first, second, high = (part.strip() for part in found.groups())
        if "<" in _TURNED[first] or "g" in first:
            low, first, second, high = high, _TURNED[second], _TURNED[first], low
        same_way = first in ("<", r"\le") and second in ("<", r"\le")
        return f"{'(' if first == '<' else '['}{low},{high}{')' if second == '<' else ']'}" if same_way else None
    if found := _RIGHT.fullmatch(text):
        sign, bound = found[1], found[2].strip()
    elif found := _LEFT.fullmatch(text):
        sign, bound = _TURNED[found[2]], found[1].strip()
    else:
        return None
    if sign in ("<", r"\le"):
        return rf"(-\infty,{bound}{')' if sign == '<' else ']'}"
    return rf"{'(' if sign == '>' else '['}{bound},\infty)"
