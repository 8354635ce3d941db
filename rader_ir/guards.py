r"""Guards against false negatives: documents that would be trained against though they answer the query.

A miner's list holds copies of the positive under other ids, the same theorem in other words of TeX, and documents that nobody
judged. Three guards find them: an equal text, an equal statement, and a score that comes near the positive's (the margin of
NV-Retriever, arXiv:2407.15831). All are pure functions of texts and numbers.
"""

import re
import unicodedata
from collections import Counter
from dataclasses import replace

from rader_ir.examples import Example, Passage

EQUAL_TEXT, EQUAL_STATEMENT, SCORE = "equal_text", "equal_statement", "score"

_THEOREMS = "theorem|lemma|proposition|corollary|definition|axiom"
_ENVIRONMENT = re.compile(rf"\\begin\{{((?:{_THEOREMS})\*?)\}}(?:\[[^\]]*\])?(.*?)\\end\{{\1\}}", re.DOTALL)
_PROOF = re.compile(r"\\begin\{proof\}")
_MARKUP = re.compile(r"\\(?:begin|end)\s*\{[^{}]*\}(?:\[[^\]]*\])?|\\(?:label|tag|ref|eqref|cite)\s*\{[^{}]*\}")
# Commands that change how a sign looks or stands, not which it is.
_LOOKS = frozenset(
    ["left", "right", "big", "bigl", "bigr", "Big", "Bigl", "Bigr", "bigg", "Bigg", "middle", "displaystyle", "textstyle",
     "limits", "nolimits", "quad", "qquad", "item", "noindent", "par", "emph", "text", "textit", "textbf", "textrm", "texttt",
     "textsf", "mbox", "hbox", "mathrm", "mathit", "mathop", "operatorname", "rm", "it", "bf", "em"]
)  # fmt: skip
_SAME = {"leq": "le", "geq": "ge", "neq": "ne", "rightarrow": "to", "lt": "<", "gt": ">", "lbrace": "{", "rbrace": "}"}
_TOKEN = re.compile(r"\\([A-Za-z]+)\*?|\\(.)|([^\W_]+)|(\S)", re.DOTALL)
_SILENT = frozenset('$~&{}.,;:?"`“”«»…\\')  # a backslash gives braces and signs back their meaning
_APOSTROPHES = {"’": "'", "‘": "'"}  # they stay, since f' is not f
_SPACES = frozenset(",;:!\\/()[]")  # behind a backslash, as any white space: spaces, line ends, the borders of formulas


def statement(text: str) -> str:
    r"""What a text states, so that copies which differ in case, spaces, punctuation or TeX markup become equal.

    Of a text with `\begin{theorem}` or the like only those environments count, of any other what stands before
    `\begin{proof}`. Signs of operation and comparison, brackets and digits stay, since they make another statement.

    >>> statement(r"Let $x\in\mathbb{R}$; then $x^{2} \geq 0$.") == statement("let $x \\in \\mathbb R$, then $$x^2\\ge0$$")
    True
    """
    stated = "\n".join(match[2] for match in _ENVIRONMENT.finditer(text)) or _PROOF.split(text, maxsplit=1)[0]
    plain = unicodedata.normalize("NFC", _MARKUP.sub(" ", stated if stated.strip() else text))
    tokens = [token for match in _TOKEN.finditer(plain) if (token := _token(match))]
    return " ".join(tokens).casefold() or text.strip()


def reaches(score: float, positive: float, margin: float) -> bool:
    """Whether a negative's score comes up to the positive's minus the margin, both from one run or one teacher.

    Raises:
        ValueError: as `check_margin`.
    """
    check_margin(margin)
    return score >= positive - margin


def check_margin(margin: float) -> None:
    """Refuse, by a ValueError, a margin below 0 or NaN: it would let pass what ranks above the positive."""
    if not margin >= 0:
        raise ValueError(f"margin is {margin}; expected 0 or more, in the units of the scores")


def guarded(example: Example, *, margin: float | None = None) -> tuple[Example, Counter]:
    """The example without negatives that the guards find, and how many each of them found.

    Args:
        example: one whose negatives come from anywhere.
        margin: a negative goes whose score reaches the best positive's minus this; those without score stay. None: none goes.

    Raises:
        ValueError: a margin below 0.
    """
    statements = {statement(passage.text) for passage in example.positives}
    best = max((passage.score for passage in example.positives if passage.score is not None), default=None)
    kept: list[Passage] = []
    found: Counter = Counter()
    for passage in example.negatives:
        if statement(passage.text) in statements:
            found[EQUAL_STATEMENT] += 1
        elif None not in (margin, best, passage.score) and reaches(passage.score, best, margin):
            found[SCORE] += 1
        else:
            kept.append(passage)
    return replace(example, negatives=tuple(kept)), found


def _token(match: re.Match) -> str:
    command, escaped, word, sign = match.groups()
    if command:
        return "" if command in _LOOKS else _SAME.get(command, command)
    if escaped:
        return "" if escaped in _SPACES or escaped.isspace() else escaped
    return word or ("" if sign in _SILENT else _APOSTROPHES.get(sign, sign))
