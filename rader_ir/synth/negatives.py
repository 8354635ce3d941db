"""Negatives of built examples, and the guard that keeps what answers a question out of them.

What reflection turned down at a lookup is a hard negative of that lookup's queries, unless it helped with the same question
elsewhere, was kept elsewhere in its tree, or states the same as what did. BM25's list gives more where a kind asks for them, and
where an example would have none.
"""

from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace
from functools import cache

from rader_ir.examples import KINDS, Example, Passage
from rader_ir.guards import EQUAL_STATEMENT, statement
from rader_ir.mining import POSITIVE, REPEATED, Source, Window, mine
from rader_ir.runs import Run
from rader_ir.synth.paths import Use, Yield

REFLECTION, BM25_RUN, CONTESTED = "reflection", "bm25", "kept_elsewhere"
FILLED = "negatives filled from BM25"  # how many there are
PAPER = Window(31, 50, 10)  # of RaDeR's code
_BEYOND = 100  # ranks behind the first of a window that has no last
_WHOLE = Window(1, None, None)


class FalseNegatives:
    """Knows what helped with each question; equal texts are one question, whatever their ids.

    Args:
        material: of all trees.
        documents: texts by doc_id.
        counts: takes how many negatives were left out, by reason.
    """

    def __init__(self, material: Iterable[Yield], documents: Mapping[str, str], counts: Counter):
        self.documents, self.counts = documents, counts
        self._stated = cache(lambda doc_id: statement(documents[doc_id]))
        self._question: dict[str, str] = {}  # problem_id -> what its question states
        self._answers: defaultdict[str, set[str]] = defaultdict(set)
        self._kept: defaultdict[str, set[str]] = defaultdict(set)
        for one in material:
            question = self._question[one.problem_id] = statement(one.question)
            self._answers[question].update(use.doc_id for use in one.uses)
            self._kept[question] |= one.kept
        self._statements = {question: set(map(self._stated, ids)) for question, ids in self._answers.items()}

    def excluded(self, use: Use) -> list[str]:
        """Ids of what helped with the question of a use or was kept in its trees, but for its own theorem, in their order."""
        return sorted(self.barred(use.problem_id) - {use.doc_id})

    def barred(self, problem_id: str) -> set[str]:
        """Documents that helped with a problem's question or were kept, or used already, in its trees."""
        question = self._question[problem_id]
        return self._answers[question] | self._kept[question]

    def rejected(self, use: Use) -> tuple[tuple[Passage, ...], dict[str, dict]]:
        """What reflection turned down at the lookup of a use and what the guard lets pass, best first; and each one's origin."""
        passages: dict[str, Passage] = {}
        origins: dict[str, dict] = {}
        for negative in use.rejected:
            text = self.documents[negative.doc_id]
            if reason := self._reason(use.problem_id, negative.doc_id) or (REPEATED if text in passages else ""):
                self._left_out(reason)
                continue
            passages[text] = Passage(negative.doc_id, text)
            origins[negative.doc_id] = {"run": REFLECTION, "rank": negative.rank, "score": negative.score}
        return tuple(passages.values()), origins

    def guarded(self, example: Example) -> Example:
        """An example without the negatives, wherever they come from, that the guard has a reason against."""
        problem_id, kept = example.provenance["question_id"], []
        for passage in example.negatives:
            if reason := self._reason(problem_id, passage.doc_id):
                self._left_out(reason)
            else:
                kept.append(passage)
        if len(kept) == len(example.negatives):
            return example
        ids = {passage.doc_id for passage in kept}
        origins = {doc_id: each for doc_id, each in example.provenance["negatives"].items() if doc_id in ids}
        return replace(example, negatives=tuple(kept), provenance={**example.provenance, "negatives": origins})

    def _reason(self, problem_id: str, doc_id: str) -> str:
        """Why a document may be no negative of a problem's queries; "" where it may."""
        question = self._question[problem_id]
        if doc_id in self._answers[question]:
            return POSITIVE
        if doc_id in self._kept[question]:
            return CONTESTED
        return EQUAL_STATEMENT if self._stated(doc_id) in self._statements[question] else ""

    def _left_out(self, reason: str) -> None:
        self.counts[f"negatives left out: {reason}"] += 1


def depth_of(window: Window) -> int:
    """How long a list must be for a window."""
    return window.last or window.first + _BEYOND


def mined(
    examples: Sequence[Example],
    lists: Mapping[str, Run],
    windows: Mapping[str, Window],
    guard: FalseNegatives,
    seed: int,
) -> list[Example]:
    """The examples in their order, those of the kinds in `windows` with negatives from BM25's lists of their queries.

    What helped with a question, or was kept for it, is not ranked.

    Args:
        examples: of any kinds.
        lists: by kind, the lists by query_id.
        windows: by kind, the ranks.
        guard: knows what helped, the documents and the counts.
        seed: of draws from windows.
    """
    by_id = {example.query_id: example for example in examples}
    for kind, window in windows.items():
        if those := [example for example in examples if example.kind == kind]:
            by_id |= _enriched(those, lists[kind], window, guard, seed)
    return [by_id[example.query_id] for example in examples]


def filled(
    examples: Sequence[Example],
    retrieve: Callable[..., Run],
    windows: Mapping[str, Window],
    guard: FalseNegatives,
    seed: int,
) -> list[Example]:
    """The examples in their order, those without negatives with BM25's, which are counted.

    They get those of the window; where the list is too short for it, the last ones of the list, the farthest first. An example
    for which the guard lets none pass stays as it is.

    Args:
        examples: of any kinds, mined by `windows`.
        retrieve: as `BM25.retrieve`; called only where an example has no negatives.
        windows: by kind, the ranks that were mined; for other kinds those of `PAPER` count.
        guard, seed: as `mined` takes them.
    """
    by_id = {example.query_id: example for example in examples}
    for kind in KINDS:
        bare = [example for example in examples if example.kind == kind and not example.negatives]
        if not bare:
            continue
        window = windows.get(kind, PAPER)
        excluded = {each.query_id: _unranked(each, guard) for each in bare}
        run = retrieve({each.query_id: each.query for each in bare}, depth=depth_of(window), excluded=excluded)
        if kind not in windows:  # else its window gave nothing already
            by_id |= _enriched(bare, run, window, guard, seed)
        bare = [each for each in bare if not by_id[each.query_id].negatives]
        for query_id, example in _enriched(bare, run, _WHOLE, guard, seed).items():
            by_id[query_id] = _farthest(example, window.count)
        guard.counts[FILLED] += sum(len(by_id[query_id].negatives) for query_id in excluded)
    return [by_id[example.query_id] for example in examples]


def _enriched(
    examples: Sequence[Example], run: Run, window: Window, guard: FalseNegatives, seed: int
) -> dict[str, Example]:
    """By query_id, the examples with the negatives of a window that the guards let pass."""
    excluded = {each.query_id: _unranked(each, guard) for each in examples}
    source = Source(BM25_RUN, run, window)
    enriched, removed = mine(examples, [source], guard.documents, excluded=excluded, seed=seed)
    guard.counts.update({f"mined left out: {reason}": number for reason, number in removed.items() if number})
    return {each.query_id: guard.guarded(each) for each in enriched}


def _farthest(example: Example, count: int | None) -> Example:
    """The example with the last negatives of its list alone, the last one first; None keeps all."""
    if not example.negatives:
        return example
    negatives = example.negatives[::-1][:count]
    origins = {each.doc_id: example.provenance["negatives"][each.doc_id] for each in negatives}
    return replace(example, negatives=negatives, provenance={**example.provenance, "negatives": origins})


def _unranked(example: Example, guard: FalseNegatives) -> set[str]:
    own = {passage.doc_id for passage in example.positives}
    return guard.barred(example.provenance["question_id"]) - own
