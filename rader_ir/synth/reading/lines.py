r"""Replies that are one line: the next step, a theorem's summary, a text to search with (arXiv:2505.18405, sections 3 and 4)."""

import re
from itertools import takewhile

from rader_ir.synth.reading.markup import DECOR, bare, json_in, one_line, said

_STEP = re.compile(rf"{DECOR}(?:the\s+)?(?:next\s+step|step\s*\d*)[*_]*\s*[:.)][*_]*\s*", re.I)
_NUMBER = re.compile(rf"{DECOR}\(?\d{{1,2}}[.)][*_]*\s+")
_BULLET = re.compile(r"^(?:[•*]|#+|-(?=\s+[A-Z][a-z]))\s+")
_SUMMARY = re.compile(rf"^{DECOR}(?:summary|summari[sz]ed theorem)[*_]*\s*:[*_]*\s*", re.I)
_LABEL = re.compile(rf"{DECOR}(?:[A-Z]\w*)(?:\s+\w+){{0,3}}[*_]*\s*:")
_QUERY = re.compile(rf"^{DECOR}(?:(?:general|final|search|lexical)\s+)?query[*_]*\s*:[*_]*", re.I | re.M)


def thought(text: str) -> str | None:
    r"""One step, on one line, without a label; of several steps the first. None where nothing is said.

    >>> thought("**Step 2:** So $x = 3$,\nfor $y = 1$.\nStep 3: The answer is 5.")
    'So $x = 3$, for $y = 1$.'
    """
    text = said(text) or ""
    label = _STEP.match(text) or _NUMBER.match(text)
    lines = (text[label.end() :] if label else text).strip().split("\n\n")[0].split("\n")
    step = lines[:1]
    for line in lines[1:]:
        if _STEP.match(line) or (label and _NUMBER.match(line)):
            break
        step.append(line)
    return _BULLET.sub("", one_line(" ".join(step)), count=1) or None


def summary(text: str) -> str | None:
    """A theorem in one sentence, on one line, without a label. None where nothing is said."""
    return bare(_SUMMARY.sub("", said(text) or "", count=1)) or None


def general_query(text: str) -> str | None:
    """What follows the last "Query:", to the next label or the paragraph's end. None where no "Query:" stands or nothing follows.

    The reply says first which conditions hold and why; a reply without the label would give that, so it is not read.

    >>> general_query("Conditions: both hold.\\n**Query:** Which sums have an end?")
    'Which sums have an end?'
    """
    text = said(text) or ""
    written = json_in(text)
    if isinstance(written, dict):
        found = [value for name, value in written.items() if name.lower() == "query" and isinstance(value, str)]
        return bare(found[-1]) or None if found else None
    label = list(_QUERY.finditer(text))[-1:]
    if not label:
        return None
    first, *more = text[label[0].end() :].strip().split("\n\n")[0].split("\n")
    return bare("\n".join([first, *takewhile(lambda line: not _LABEL.match(line), more)])) or None


def lexical_query(text: str) -> str | None:
    """What follows the last "Query:"; without the label, the reply itself if it is one line. None where nothing is said."""
    found = general_query(text)
    text = said(text) or ""
    if found or _QUERY.search(text) or "\n" in text or text.startswith(("{", "[", "```")):
        return found
    return bare(text) or None
