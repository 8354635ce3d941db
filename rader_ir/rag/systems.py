"""What is compared: ways to give a model documents, and answers that were made elsewhere, such as by a tree search.

A retriever comes as a run, so that BM25, a dense index and anybody's TREC file are one thing here. A question for which there is
no document is asked as if there were no retrieval, and counted.
"""

import re
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace

from rader_ir.problems import Problem
from rader_ir.runs import ranked, some, without

_LABEL = re.compile(r"[\w+-][\w.+ @-]*")


@dataclass(frozen=True)
class System:
    """Asks the model about each question.

    Attributes:
        label: its name in reports, and that of its file of answers.
        documents: ids by problem_id, in the order in which they are shown; None retrieves nothing.
        samples: replies to each question; of several, the answer that most agree on counts.
        temperature: of the replies; 0 takes the most likely ones.

    Raises:
        ValueError: a label that is no file name, no samples, several of them at temperature 0.
    """

    label: str
    documents: Mapping[str, Sequence[str]] | None = None
    samples: int = 1
    temperature: float = 0.0

    def __post_init__(self):
        check_label(self.label)
        if self.samples < 1 or (self.samples > 1 and not self.temperature > 0):
            raise ValueError(
                f"{self.label}: {self.samples} samples at temperature {self.temperature}; give 1 or more, and of several a "
                "temperature above 0, or they are all the same"
            )


@dataclass(frozen=True)
class Given:
    """Answers that are there already; most votes among those of a question decide.

    Attributes:
        label: as of a `System`.
        answers: by problem_id, by any key, one vote each; None is no answer. A problem that is missing has no answer.
        notes: what readers of the report must know about them.

    Raises:
        ValueError: a label that is no file name.
    """

    label: str
    answers: Mapping[str, Mapping[int, str | None]]
    notes: tuple[str, ...] = ()

    def __post_init__(self):
        check_label(self.label)


def check_label(label: str) -> None:
    """Raise ValueError unless a label can name a file: letters, digits, blanks and . _ + @ - within it."""
    if not _LABEL.fullmatch(label):
        raise ValueError(f"label {label!r} cannot name a file; take letters, digits, blanks and . _ + @ -")


def top(
    run: Mapping[str, Mapping[str, float]],
    problems: Iterable[Problem],
    k: int,
    *,
    excluded: Mapping[str, Collection[str]] | None = None,
) -> dict[str, list[str]]:
    """The first k documents of each problem, those that it excludes left out before the cut; [] where the run has none.

    Raises:
        ValueError: no problem is in the run, or k is below 1.
    """
    wanted = [problem.problem_id for problem in problems]
    if not run.keys() & set(wanted):
        raise ValueError(f"the run has {some(run)}, the problems are {some(wanted)}; give a run of these questions")
    kept = without(run, excluded or {})
    return {problem_id: [doc_id for doc_id, _ in ranked(kept.get(problem_id, {}), k)] for problem_id in wanted}


def gold(
    problems: Iterable[Problem], qrels: Mapping[str, Mapping[str, int]] | None = None
) -> dict[str, tuple[str, ...]]:
    """The documents known to help each problem: those judged above 0, by doc_id, or else the problem's own.

    Raises:
        ValueError: no problem has any.
    """
    if qrels is None:
        found = {problem.problem_id: problem.gold_documents for problem in problems}
    else:
        judged = {problem.problem_id: qrels.get(problem.problem_id, {}) for problem in problems}
        found = {each: tuple(sorted(doc for doc, grade in docs.items() if grade > 0)) for each, docs in judged.items()}
    if not any(found.values()):
        source = "no problem names gold_documents" if qrels is None else "the judgements name no document of a problem"
        raise ValueError(f"{source}, which the system 'gold' shows; give judgements of these questions")
    return found


def voting(system: System, samples: int, *, temperature: float = 0.8) -> System:
    """The same system with a majority vote among several replies, which the temperature makes differ."""
    return replace(system, label=f"{system.label}.vote{samples}", samples=samples, temperature=temperature)


def texts_of(documents: Iterable[tuple[str, str]], systems: Iterable[System | Given]) -> dict[str, str]:
    """The texts of all documents that the systems show, from a corpus that is read once.

    Raises:
        ValueError: a document that the corpus lacks.
    """
    shown = {doc_id: system.label for system in systems for doc_id in _shown(system)}
    texts = {doc_id: text for doc_id, text in documents if doc_id in shown}
    if lost := [doc_id for doc_id in shown if doc_id not in texts]:
        raise ValueError(
            f"{shown[lost[0]]} shows the document {lost[0]!r}, which the corpus has not ({len(lost)} of {len(shown)} are "
            "missing); give the corpus that was searched"
        )
    return texts


def _shown(system: System | Given) -> list[str]:
    lists = getattr(system, "documents", None) or {}
    return [doc_id for doc_ids in lists.values() for doc_id in doc_ids]
