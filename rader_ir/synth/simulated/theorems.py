"""The corpus of the simulated solver: theorems in our own words, near misses among them, and TheoremQA's as distractors.

Each theorem has the words of its document, those of its summary and those in which it is asked for, so that what the solver
writes about it is never a copy of what a search has to find. Recognising one in a prompt takes its document or its summary.
"""

import re
import tomllib
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from rader_ir.corpus import read_documents
from rader_ir.synth.simulated.spotting import Spotter

DATA = Path(__file__).parents[2] / "data"
# Documents of TheoremQA that would solve a problem of ours as well: Cayley's formula, the Chinese remainder theorem, Euler's
# totient theorem, Vieta (twice), Bayes, derangements, Catalan, Polya, Burnside, Stirling numbers of the second kind.
SAME = frozenset({"T022", "T182", "T234", "T237", "T243", "T295", "T344", "T345", "T346", "T347", "T350"})
_SUMMARY_WORDS = 40
_SENTENCE_END = re.compile(r"(?<=[.!?])\s")


@dataclass(frozen=True)
class Theorem:
    """A document of the demo's corpus.

    Attributes:
        id, name, text: of the document, which is the name and, below it, the text.
        plain: its summary, without the name.
        subject: its field.
        near: id of the theorem that it nearly is; "" for one that problems need, and for a distractor.
        asked_name, asked: how a query names and words it; those of `name` and `plain` for one that no problem needs.
        preconditions, why: what it needs, and why a problem that needs it has this.
        general: sentences that ask for it without naming it, for problems that need it.
    """

    id: str
    name: str
    text: str
    plain: str
    subject: str = "Mathematics"
    near: str = ""
    asked_name: str = ""
    asked: tuple[str, ...] = ()
    preconditions: str = "Those that the statement names."
    why: str = "The question speaks of the same things."
    general: tuple[str, ...] = ()

    def __post_init__(self):
        object.__setattr__(self, "asked_name", self.asked_name or self.name)
        object.__setattr__(self, "asked", tuple(self.asked) or (self.plain,))
        object.__setattr__(self, "general", tuple(self.general))

    @property
    def summary(self) -> str:
        """Its summary as the solver writes it: the name, a dash, one sentence."""
        return f"{self.name} - {self.plain}."


@cache
def theorems() -> dict[str, Theorem]:
    """Our own theorems by id: those that problems need, each followed by its near misses."""
    rows = tomllib.loads((DATA / "simulated" / "theorems.toml").read_text(encoding="utf-8"))["theorem"]
    return {row["id"]: Theorem(**row) for row in rows}


@cache
def _documents() -> dict[str, Theorem]:
    """All theorems of the corpus by id: ours, then the distractors."""
    pairs = read_documents(DATA / "theoremqa" / "corpus.jsonl.gz")
    return theorems() | {doc_id: _distractor(doc_id, text) for doc_id, text in pairs if doc_id not in SAME}


def _distractor(doc_id: str, document: str) -> Theorem:
    name, _, text = document.partition("\n")
    first = _SENTENCE_END.split(" ".join(text.split()), maxsplit=1)[0]
    return Theorem(doc_id, name, text, " ".join(first.split()[:_SUMMARY_WORDS]).rstrip("."))


def demo_corpus() -> dict[str, str]:
    """The corpus of the demo, {doc_id: text}: our theorems with their near misses, and TheoremQA's theorems as distractors.

    Theorems of TheoremQA that say the same as one of ours are left out, so that one document alone is the needed one.
    """
    return {doc_id: f"{theorem.name}\n{theorem.text}" for doc_id, theorem in _documents().items()}


@cache
def near_misses(doc_id: str) -> tuple[Theorem, ...]:
    """Our theorems that are nearly the one of that id."""
    return tuple(theorem for theorem in theorems().values() if theorem.near == doc_id)


@cache
def _spotter() -> Spotter[str]:
    phrases = []
    for theorem in _documents().values():
        statement = theorem.text.partition(r"\begin{proof}")[0]
        phrases += [(theorem.id, statement.split()[1:-1]), (theorem.id, theorem.plain.split()[:-1])]
    return Spotter(phrases)


def shown(words: Sequence[str]) -> list[Theorem]:
    """The theorems that a prompt of these words shows by document or summary, in their order, each where it stands last."""
    last = {doc_id: at for at, doc_id in _spotter().spot(words)}
    return [_documents()[doc_id] for doc_id in sorted(last, key=last.__getitem__)]
