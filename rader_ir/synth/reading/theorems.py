r"""Theorems that a model asks for: blocks of labelled lines, or JSON, of which any field may lack (arXiv:2505.18405, section 3).

A line opens a field by its label, whatever its case, numbering, emphasis or exact words; other lines go on with the field above.
RaDeR's code wants the labels to the letter: of "Theorem statement" it loses the text, and all later fields slip by one.
"""

import re
from collections.abc import Iterator, Mapping
from typing import Any

from rader_ir.synth.reading.markup import DECOR, bare, json_in, said

FIELDS = ("name", "statement", "preconditions", "why", "subject")
_THEOREM = r"(?:theorem|lemma|proposition|corollary|formula|result|identity|definition)"
_LABELS = {
    "statement": rf"(?:{_THEOREM}\s*)?(?:\d{{1,2}}\s*)?(?:general\s+)?statement(?:\s*\d{{1,2}})?",
    "why": r"why\b[^:\n]{0,60}|justification|(?:satisfaction|fulfil+ment) of[^:\n]{0,40}",
    "preconditions": r"(?:theorem\s*)?(?:pre-?\s?conditions?|conditions?|assumptions?|hypothes[ei]s|requirements?)",
    "subject": r"(?:theorem\s*)?(?:subject(?:\s+(?:area|matter))?|field|area|topic|branch)",
    "name": rf"{_THEOREM}?\s*(?:\d{{1,2}}\s*)?(?:name|title)(?:\s*\d{{1,2}})?|{_THEOREM}(?:\s*#?\s*\d{{1,2}})?",
}
_NUMBERING = r"(?:\(?\d{1,2}[.)][ \t*_]*)?"
_FIELD = re.compile(
    rf"^{DECOR}{_NUMBERING}(?:{'|'.join(f'(?P<{name}>{label})' for name, label in _LABELS.items())})"
    r"[ \t]*(?:\*\*|__)?[ \t]*:[ \t]*(?:(?:\*\*|__)(?=[ \t]|$))?(?P<rest>.*)$",
    re.I,
)
# "Theorem 2 - name", "Theorem 2. name", or "Theorem 2" alone above the lines that tell of it.
_HEADING = re.compile(rf"^{DECOR}{_THEOREM}\s*#?\s*\d{{1,2}}(?:\s*[.)–—-]\s+(?P<rest>.*)|[\s*_]*)$", re.I)
# "1. **name**" or "### name", of which the next line says the statement.
_TITLE = re.compile(r"^\s*(?:\(?\d{1,2}[.)]\s+(?P<a>\S.*)|(?P<b>\*\*[^*]+\*\*:?)|#+\s+(?P<c>\S.*))$")

# "No further theorem is needed", "None of them is needed", "This does not require any theorem", "I need none".
_NONE = re.compile(
    rf"\b(?:no|none|not (?:need|require)|without)\b[^.\n]{{0,30}}?\b(?:{_THEOREM}|needed|required)\b|\bneeds? none\b",
    re.I,
)


def wants_none(text: str) -> bool:
    """Whether a reply that names no theorem says that none is needed.

    >>> wants_none("No theorem is needed here."), wants_none("Hm.")
    (True, False)
    """
    return bool(_NONE.search(text))


def queries(text: str) -> list[dict[str, str]]:
    r"""The theorems that a reply asks for, in its order, each once.

    Returns:
        For each a dict of name, statement, preconditions, why (they hold) and subject, "" for what lacks, and `text`, by which a
        library is searched. A block with neither name nor statement is left out. Empty where nothing can be read.

    >>> [one["text"] for one in queries("**Theorem 1: Vieta**\nTheorem statement: The sum is $-b/a$.\nSubject: algebra")]
    ['Theorem Name: Vieta\nTheorem Statement: The sum is $-b/a$.']
    """
    text = said(text) or ""
    written = json_in(text)
    blocks = _blocks(text) if written is None else _objects(written)
    found: dict[str, dict[str, str]] = {}
    for block in blocks:
        fields = {name: bare(block.get(name, "")) for name in FIELDS}
        labels = {"name": "Theorem Name", "statement": "Theorem Statement"}
        searched = "\n".join(f"{label}: {fields[name]}" for name, label in labels.items() if fields[name])
        if searched:
            found.setdefault(searched.casefold(), {**fields, "text": searched})
    return list(found.values())


def _blocks(text: str) -> list[dict[str, str]]:
    """What stands under each label, block by block; a name opens a block, and so does a field that the block has already."""
    blocks: list[dict[str, str]] = []
    last = None
    lines = text.split("\n")
    for number, line in enumerate(lines):
        name, rest = _label(line, lines[number + 1 :])
        if name is None:
            if last is not None and (last not in ("name", "subject") or not blocks[-1][last]):
                blocks[-1][last] += f"\n{line}"
            continue
        if not blocks or (blocks[-1] != {"name": ""} and (name == "name" or name in blocks[-1])):
            blocks.append({})
        blocks[-1][name], last = rest.strip(), name
    return blocks


def _label(line: str, later: list[str]) -> tuple[str | None, str]:
    """Which field a line opens and what it holds of it; None for a line that opens none."""
    if match := _FIELD.match(line):
        return next(name for name in FIELDS if match[name] is not None), match["rest"]
    if match := _HEADING.match(line):
        return "name", match["rest"] or ""
    title = _TITLE.match(line)
    below = next((each for each in later if each.strip()), "")
    if title and (match := _FIELD.match(below)) and match["statement"] is not None:
        return "name", bare(next(filter(None, title.groups()))).rstrip(":")
    return None, ""


def _objects(written: Any) -> Iterator[dict[str, str]]:
    """The theorems of a JSON object, of a list of them, or of an object that holds such."""
    if isinstance(written, list):
        for each in written:
            yield from _objects(each)
    elif isinstance(written, dict):
        fields = dict(_fields(written))
        if fields:
            yield fields
        else:
            yield from _objects(list(written.values()))


def _fields(written: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    for key, value in written.items():
        name = next((name for name in _LABELS if re.fullmatch(_LABELS[name], key.replace("_", " "), re.I)), None)
        items = value if isinstance(value, list) else [value]
        if name is not None and items and all(isinstance(item, str) for item in items):
            yield name, "; ".join(items)
