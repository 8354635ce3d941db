"""What runs are called in a report, and which of them is the baseline, from words on a command line.

A word is `LABEL=PATH` or a path, whose label is its name without folder and ending where no other has that, else the whole
path. A baseline may be told by its label, by any spelling of its path, or by its name.
"""

from collections.abc import Sequence
from pathlib import Path

from rader_ir.reports.inputs import name_of


def labelled(words: Sequence[str], baseline: str | None = None) -> tuple[dict[str, str], str | None]:
    """{label: path} of runs, and the label of the baseline, whose run stands first if it is none of them.

    >>> labelled(["runs/bm25.trec.gz", "D=dense.trec"], "D")
    ({'bm25': 'runs/bm25.trec.gz', 'D': 'dense.trec'}, 'D')

    Raises:
        ValueError: a label twice, one path twice without labels, a baseline that is no run or might be several.
    """
    pairs = [_pair(word) for word in words]
    if baseline is None:
        return _unique(pairs), None
    at = _place(pairs, baseline)
    if at is None:
        pairs, at = [_pair(baseline), *pairs], 0
    elif not pairs[at][0]:
        pairs[at] = (_pair(baseline)[0], pairs[at][1])
    return (found := _unique(pairs)), list(found)[at]


def _pair(word: str) -> tuple[str, str]:
    """(label, path); the label is empty where the word gives none."""
    label, equals, path = word.partition("=")
    return (label, path) if equals and label and path and not Path(word).exists() else ("", word)


def _unique(pairs: Sequence[tuple[str, str]]) -> dict[str, str]:
    labels = _labels(pairs)
    if twice := [label for label in dict.fromkeys(labels) if labels.count(label) > 1]:
        path = next(path for label, (_, path) in zip(labels, pairs, strict=True) if label == twice[0])
        raise ValueError(f"run {twice[0]!r} is given twice; leave one out, or give labels as in NAME={path}")
    return dict(zip(labels, (path for _, path in pairs), strict=True))


def _labels(pairs: Sequence[tuple[str, str]]) -> list[str]:
    short = [label or _name(path) for label, path in pairs]
    whole = [label or path for label, path in pairs]
    return [one if short.count(one) == 1 else other for one, other in zip(short, whole, strict=True)]


def _name(path: str) -> str:
    where = Path(path)
    return where.resolve().name if where.is_dir() else name_of(where)


def _place(pairs: Sequence[tuple[str, str]], word: str) -> int | None:
    """The place of the run that a word means; None where the word is a run of its own."""
    label, path = _pair(word)
    there = Path(path).exists()
    ways = [
        [one == word for one in _labels(pairs)],
        [
            there and Path(each).exists() and Path(each).samefile(path) and (not (label and one) or label == one)
            for one, each in pairs
        ],
        [not there and word in (_name(each), Path(each).name) for _, each in pairs],
    ]
    for found in ways:
        if sum(found) == 1:
            return found.index(True)
        if any(found):
            break
    else:
        if there:
            return None
    what = "several runs" if any(found) else "neither a run of this call nor a file"
    raise ValueError(f"--baseline {word!r} is {what}; the runs are called {', '.join(_labels(pairs))}")
