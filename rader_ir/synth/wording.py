r"""How much of a theorem's wording a query repeats, and whether it names it.

A query that names its theorem, or copies its statement, teaches a retriever to match words; RaDeR asks for one that does neither
(arXiv:2505.18405, section 3) and leaves it to the prompt. Here it is measured. Words are those that BM25 sees, stemmed and
without stop words; the names of TeX commands are among them, the signs, letters and digits of formulas are not.
"""

import re
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from functools import lru_cache

from rader_ir.analysis import analyse
from rader_ir.guards import statement

NAMED, SHARED, REPEATED = "names the theorem", "shares its words", "repeats it"
LONG = "is more than one sentence"
_SECTION = re.compile(r"\\(?:sub)*section\*?\s*\{([^{}]+)\}")
_PARTED = re.compile(r"\s+[-–—]\s+|\s*:\s+")
_SENTENCE = re.compile(r"[.:;,?!]\s*$|[\\$]")
_ENDS = re.compile(  # a sentence, with another one behind it; not an initial, nor what is usually shortened
    r"""(?<![A-Z])(?<!\be\.g)(?<!\bi\.e)(?<!\bcf)(?<!\bvs)(?<!\betc)(?<!\bresp)[.?!]["'”’)\]]*\s+(?=["'“‘(]*[A-Z])"""
)
_LONGEST_NAME, _LONGEST_TITLE = 100, 10  # characters; words
_CAPITAL = re.compile(r"(?<![\\\w])[A-Z]\w*")
_POSSESSIVE = re.compile(r"\b([A-Z]\w{2,})['’]")
_WITHIN = re.compile(r"(?<=[a-z,] )[A-Z]\w{2,}")  # a capital inside a sentence
_PLAIN = frozenset(  # words that a name shares with many others, stemmed
    analyse(
        "theorem lemma law rule formula principle proposition corollary definition axiom identity inequality equation property "
        "test criterion method theory"
    )
)


@dataclass(frozen=True)
class Overlap:
    """What a query and a theorem have in common.

    Attributes:
        share: of the theorem's different words, how many stand in the query, from 0 to 1.
        run: the most words that follow each other in both.
        taken: of the query's different words, how many stand in the theorem, from 0 to 1. It tells more than `share` of a long
            theorem, of which a sentence cannot hold much.
    """

    share: float
    run: int
    taken: float


@dataclass(frozen=True)
class Wording:
    """What a query, one sentence, may have in common with its theorem. The limits are ours; the paper gives none.

    Attributes:
        share: most of `Overlap.share`.
        run: most of `Overlap.run`.
        taken: most of `Overlap.taken`.

    Raises:
        ValueError: a share outside 0 to 1, a run below 0.
    """

    share: float = 0.5
    run: int = 4
    taken: float = 0.7

    def __post_init__(self):
        if not (0 <= self.share <= 1 and 0 <= self.taken <= 1) or self.run < 0:
            raise ValueError(
                f"share {self.share}, run {self.run}, taken {self.taken}; expected shares from 0 to 1 and a run of 0 or more "
                "words"
            )

    def objection(self, query: str, text: str, names: Collection[str] = ()) -> str:
        """What speaks against a query for the theorem `text` with these names; "" if nothing does."""
        if _ENDS.search(query.strip()):
            return LONG
        if any(is_named(query, name, text) for name in names):
            return NAMED
        measured = overlap(query, text)
        if measured.share > self.share or measured.taken > self.taken:
            return SHARED
        return REPEATED if measured.run > self.run else ""


@lru_cache(maxsize=4096)  # a theorem comes again with every query
def words(text: str) -> tuple[str, ...]:
    """The words of what a text states, in its order, proofs left out."""
    return tuple(term for term in analyse(statement(text)) if len(term) > 1 and not term.isdecimal())


def overlap(query: str, text: str) -> Overlap:
    """Of a query with a theorem.

    Of six different words three, these in a row, and they are all that is asked:

    >>> overlap("two sides of a triangle", "Two sides of a triangle are longer than the third.")
    Overlap(share=0.5, run=3, taken=1.0)
    """
    asked, stated = words(query), words(text)
    wanted, known = set(asked), set(stated)
    both = len(wanted & known)
    return Overlap(
        both / len(known) if known else 0.0, _longest_run(asked, stated), both / len(wanted) if wanted else 0.0
    )


def names_of(text: str, summary: str = "") -> list[str]:
    r"""Names of a theorem: the title of its document, and what stands before the dash or colon of its summary.

    A title is the first \section, or a first line of a few words with text below it that is no sentence.
    """
    first, _, rest = text.strip().partition("\n")
    found = [match[1]] if (match := _SECTION.search(text)) else []
    if not found and rest.strip() and not _SENTENCE.search(first) and len(first.split()) <= _LONGEST_TITLE:
        found.append(first)
    head, *tail = _PARTED.split(summary.strip(), maxsplit=1)
    found += [head] if tail else []
    return [name.strip() for name in found if 0 < len(name.strip()) <= _LONGEST_NAME]


def is_named(query: str, name: str, text: str) -> bool:
    """Whether a query holds the name of a theorem, or names whom it is after.

    The words of the name count in a row, without such as "theorem" and "rule".
    A name of one word, such as "Ring", counts only where it is not a word of the statement, too, for it cannot be done without.
    """
    telling = [word for word in analyse(name) if word not in _PLAIN and not word.isdecimal()]
    asked = [word for word in analyse(query) if word not in _PLAIN]
    common = words(_CAPITAL.sub(" ", text))
    if _people(name, text).difference(common) & set(asked):
        return True
    if not telling or (len(telling) == 1 and telling[0] in common):
        return False
    return any(asked[at : at + len(telling)] == telling for at in range(len(asked) - len(telling) + 1))


def _people(name: str, text: str) -> set[str]:
    """Words of a name that are somebody's: possessive there, or with a capital inside a sentence of the text."""
    inside = set(_WITHIN.findall(text.replace(name, " ")))
    found = [*_POSSESSIVE.findall(name), *inside.intersection(_CAPITAL.findall(name))]
    return {word for each in found for word in analyse(each)} - _PLAIN


def _longest_run(one: Sequence[str], other: Sequence[str]) -> int:
    """Length of the longest sequence of words that both hold."""
    places: dict[str, list[int]] = {}
    for place, word in enumerate(other):
        places.setdefault(word, []).append(place)
    best, before = 0, {}  # by place in the other: the run that ends there with the word before
    for word in one:
        before = {place: before.get(place - 1, 0) + 1 for place in places.get(word, ())}
        best = max(best, *before.values(), 0)
    return best
