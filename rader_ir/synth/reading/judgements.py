"""A model's judgement: yes, no, or none that can be read (RaDeR's self-reflection, arXiv:2505.18405, section 3).

Read are, in this order: a JSON object, cut off or not; a labelled line; a reply that begins with its verdict; a plain sentence.
What speaks for both sides, hedges, or gives no verdict is none. RaDeR's code looks for a label that its own prompt ends with, so
that a reply which begins with "False" has no label there, and the theorem is kept.
"""

import re
from collections.abc import Iterator
from functools import cache

from rader_ir.synth.reading.markup import DECOR, bare, json_text, one_line, said

# By what is judged: other keys of it, words that say yes, words that say no.
_WORDS = {
    "relevant": ("(?:is_?)?relevan(?:t|ce|cy)", "relevant", "irrelevant"),
    "equal": ("(?:is_?)?(?:equal|equivalent|same|correct)", "equal|equivalent|the same|identical|correct",
              "unequal|inequivalent|different|incorrect|wrong"),
}  # fmt: skip
_OTHER_LABELS = "verdict|judge?ment|label|answer|conclusion|decision|prediction"
_HEDGES = re.compile(
    r"\b(?:whether|if|unless|although|though|while|would|could|might|may|hardly|n?either|nor|doubt|but|however|only|not|no)\b"
    r"|n['’]t\b",
    re.I,
)
_RETRACTED = re.compile(  # what takes back a yes, such as "No, wait: False."
    r"(?:^|[.!?]\s|\n)\W*(?:(?:no|wait|actually|correction|sorry|rather|hm+|on second thoughts?)\b[\s,:.;!–—-]*)+"
    r"(?:(?:it|this|that)(?:['’]s|\s+is)\s+)?(?<!\w)(?:false|no|not)\b",
    re.I,
)
_SENTENCE = re.compile(r"(?<=[.!?])\s+|\n+")
_REASON_KEY = re.compile(
    r'["\'](?:reason\w*|explanation)["\']\s*:\s*(?:"((?:[^"\\]|\\.)*)|\'((?:[^\'\\]|\\.)*))', re.I | re.S
)
_REASON_LABEL = re.compile(
    rf"^{DECOR}(?:reason(?:ing)?|explanation|because)\b[*_]*\s*:?[*_]*\s*(.*)", re.I | re.M | re.S
)


def judgement(text: str, *, label: str = "relevant") -> tuple[bool | None, str]:
    r"""The verdict of a reply, None where there is none or two, and the reason that it gives, on one line.

    Args:
        text: the reply.
        label: what is judged: "relevant", of a theorem, or "equal", of two answers.

    >>> judgement("Relevant: False"), judgement("True\nReason: 13 is prime."), judgement("Relevant: True or False?")
    ((False, ''), (True, '13 is prime.'), (None, ''))
    """
    text = said(text) or ""
    words = _Words.of(label)
    verdict = None
    for read in (words.quoted, words.labelled, words.leading, words.stated):
        if found := set(read(text)):
            verdict = found.pop() if len(found) == 1 else None
            break
    against = words.denied.search(text) or _RETRACTED.search(text)
    opposed = against if verdict else verdict is False and any(words.stated(text))
    return None if opposed else verdict, _reason(text)


class _Words:
    """The patterns for one thing that is judged, and the four ways of finding a verdict; each gives all that it finds."""

    def __init__(self, label: str):
        key, yes, no = _WORDS[label]
        self.key = re.compile(
            rf"([\"']){key}\1\s*:\s*(?:\"([^\"\n]*)\"|'([^'\n]*)'|([\w.]+(?:\s*(?:/|\||\bor\b)\s*\w+)?))", re.I
        )
        after = r"[*_`\"']*(?:\?[*_`\"']*\s*[:=]?|\s*[:=])\s*[*_`\"']*(?=\S)(.*)$"
        question = rf"(?:is\s+(?:it|the theorem|this theorem)\s+)?{key}"
        self.labels = [re.compile(rf"^{DECOR}(?:{each}){after}", re.I | re.M) for each in (question, _OTHER_LABELS)]
        ends = r"(?=[\s*_`\"'.!]*$|[*_`\"']*\s*[.,;!\n]|\s+[–—-]\s)"  # no colon, which would make a label of it
        self.yes = re.compile(rf"{DECOR}[\"'(]*(?:(?:true|yes)\b|(?:{yes}){ends})", re.I)
        unsure = r"(?!\s+(?:only|sure|clear|certain|known|obvious|idea|doubt|question)\b)"
        self.no = re.compile(
            rf"{DECOR}[\"'(]*(?:(?:false|no)\b{unsure}|(?:not{unsure}\s+(?:\w+\s+)?(?:{yes})|{no})\b)", re.I
        )
        self.other = re.compile(r"[\w\s*_]*?\s*(?:/|\||\bor\b|\band\b)\s*[*_]*(?:true|false|yes|no|not)\b", re.I)
        denial = rf"(?:\bnot|n['’]t|\bnever){unsure}\s+(?:\w+\s+){{0,2}}?(?:{yes})\b"
        self.denied = re.compile(rf"{denial}|\b(?:is|are|seems?)\s+(?:\w+\s+)?(?:{no})\b", re.I)
        self.said = re.compile(rf"\b(?:is|are|seems?)\s+(?:(?:\w+ly|very|indeed|also|quite)\s+)?(?:{yes})\b", re.I)

    @classmethod
    @cache
    def of(cls, label: str) -> "_Words":
        return cls(label)

    def value(self, phrase: str) -> bool | None:
        """What a phrase begins with: yes, no, or neither; None too where the other one follows as a choice."""
        for pattern, verdict in ((self.yes, True), (self.no, False)):
            if match := pattern.match(phrase):
                return None if self.other.match(phrase[match.end() :][:20]) else verdict
        return None

    def quoted(self, text: str) -> Iterator[bool | None]:
        """By a key of JSON, whole or cut off."""
        for _, *values in self.key.findall(text):
            yield self.value("".join(values))

    def labelled(self, text: str) -> Iterator[bool | None]:
        """By a line such as "Relevant: True"; by another label, such as "Verdict:", where that one is not there."""
        for pattern in self.labels:
            if found := pattern.findall(text):
                yield from map(self.value, found)
                return

    def leading(self, text: str) -> Iterator[bool | None]:
        """By the first word, and by every line that is a verdict and no more."""
        lines = [line for line in text.split("\n") if line.strip()]
        for line in lines[:1] + [
            line for line in lines[1:] if re.fullmatch(rf"{DECOR}(?:true|false|yes|no)\W*", line, re.I)
        ]:
            if self.yes.match(line) or self.no.match(line):
                yield self.value(line)

    def stated(self, text: str) -> Iterator[bool | None]:
        """By sentences such as "the theorem is not relevant"; those that hedge say nothing."""
        for sentence in _SENTENCE.split(text):
            if self.denied.search(sentence):
                yield False
            elif self.said.search(sentence) and not _HEDGES.search(sentence):
                yield True


def _reason(text: str) -> str:
    if match := _REASON_KEY.search(text):
        return one_line(json_text(match[1] if match[1] is not None else match[2]))
    match = _REASON_LABEL.search(text)
    return bare(match[1]) if match else ""
