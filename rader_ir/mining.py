"""Hard negatives for queries whose answers are known, from the lists of any first stage (RaDeR, arXiv:2505.18405, section 3).

What ranks high and does not answer teaches most; what ranks high and does answer, unknown to the judges, misleads most. So
negatives come from chosen ranks (RaDeR's code: ten by chance from BM25's ranks 31 to 50, and a dense run's first ten) and pass
the guards of `guards.py`, and each records the run, rank and score that it came with.
"""

import re
from collections import Counter
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cache
from itertools import islice
from operator import attrgetter

from rader_ir.examples import Example, Passage, excluded_ids
from rader_ir.guards import EQUAL_STATEMENT, EQUAL_TEXT, SCORE, check_margin, reaches, statement
from rader_ir.runs import ranked
from rader_ir.seeded import shuffled

POSITIVE, QUERY, REPEATED = "positive", "query", "repeated"
# Why a candidate is left out; the first that holds counts.
REASONS = (POSITIVE, EQUAL_TEXT, EQUAL_STATEMENT, QUERY, SCORE, REPEATED)
_Guard = Callable[["_Candidate"], str]  # the reason against a candidate, or ""
_WINDOW = re.compile(r"(?:(?P<first>\d+)-(?P<last>\d+))?(?:(?(first):)(?P<count>\d+))?", re.ASCII)


@dataclass(frozen=True)
class Window:
    """Which ranks of a list give negatives, and how many.

    Attributes:
        first, last: ranks from 1, both included; no last one means as far as the list goes.
        count: how many of those that pass the guards: with a last rank drawn by seed, else the first ones. None takes all.

    Raises:
        ValueError: ranks or a count below 1, or a last rank before the first.
    """

    first: int = 1
    last: int | None = None
    count: int | None = 10

    def __post_init__(self):
        count, last = 1 if self.count is None else self.count, self.first if self.last is None else self.last
        if min(self.first, count) < 1 or last < self.first:
            raise ValueError(f"{self} holds no rank; give ranks from 1, the lower one first, and a count from 1")

    @classmethod
    def parse(cls, text: str) -> "Window":
        """`31-50:10`, ten by seed of ranks 31 to 50; `31-50`, all of them; `10`, the first ten.

        >>> Window.parse("31-50:10")
        Window(first=31, last=50, count=10)
        """
        match = _WINDOW.fullmatch(text)
        if not text or match is None:
            raise ValueError(f"{text!r} names no ranks; write 31-50:10, 31-50, or 10")
        given = {name: int(number) for name, number in match.groupdict().items() if number}
        return cls(given.get("first", 1), given.get("last"), given.get("count"))


@dataclass(frozen=True)
class Source:
    """A first stage's lists, {query_id: {doc_id: score}}, under the name that provenance records, and the window into them."""

    name: str
    run: Mapping[str, Mapping[str, float]]
    window: Window = Window()


def judged_examples(
    queries: Mapping[str, str],
    qrels: Mapping[str, Mapping[str, int]],
    documents: Mapping[str, str],
    *,
    excluded: Mapping[str, Collection[str]] | None = None,
    kind: str = "",
) -> list[Example]:
    """Examples without negatives: each query with the documents judged relevant to it (1 or more) and not excluded.

    Queries for which there are none are left out.

    Raises:
        ValueError: a relevant document without text, or no relevant document at all.
    """
    excluded = excluded or {}
    examples = []
    for query_id, query in queries.items():
        left_out = excluded.get(query_id, ())
        relevant = [d for d, relevance in qrels.get(query_id, {}).items() if relevance > 0 and d not in left_out]
        if missing := [doc_id for doc_id in relevant if doc_id not in documents]:
            raise ValueError(
                f"query {query_id!r}: document {missing[0]!r} is judged relevant and not among the documents; give the "
                "documents that were judged"
            )
        if relevant:
            positives = [Passage(doc_id, documents[doc_id]) for doc_id in relevant]
            examples.append(Example(query_id, query, positives, kind=kind))
    if not examples:
        raise ValueError(
            f"none of {len(queries)} queries has a relevant document among the judgements of {len(qrels)}; give the "
            "judgements of these queries"
        )
    return examples


def mine(
    examples: Sequence[Example],
    sources: Sequence[Source],
    documents: Mapping[str, str],
    *,
    excluded: Mapping[str, Collection[str]] | None = None,
    margin: float | None = None,
    seed: int = 0,
) -> tuple[list[Example], Counter]:
    """Add negatives to examples, behind those that they have, from one source after the other.

    A candidate is left out for the first of `REASONS` that holds: it is a positive of this query, or of another example with
    the same query; it has the text or the statement of such a positive, or the query's own statement; its score reaches that of
    the best positive in its run, less the margin, where a positive that the run does not list has the lowest score of the list;
    it is there already, by id or by text.

    Args:
        examples: with one positive or more.
        sources: the runs; ranks are counted without excluded documents and with positives.
        documents: text by doc_id, of all that the runs rank.
        excluded: {query_id: doc_ids} that must not be negatives, nor count as ranked, beside the `excluded_ids` that an
            example's own provenance names.
        margin: in the units of the runs' scores; None leaves that guard out.
        seed: of the draws from windows with a last rank.

    Returns:
        The examples in their order, the new negatives' run, rank and score in `provenance["negatives"][doc_id]`; and how many
        candidates were left out, by reason.

    Raises:
        ValueError: a run of other queries, a ranked document without text, a margin below 0.
    """
    if margin is not None:
        check_margin(margin)
    answers: dict[str, list[Passage]] = {}
    for example in examples:
        answers.setdefault(example.query, []).extend(example.positives)
    for source in sources:
        _check_queries(source, examples)
    passages: dict[str, Passage] = {}
    stated = cache(statement)
    removed = Counter(dict.fromkeys(REASONS, 0))
    mined = []
    for example in examples:
        left_out = excluded_ids(example).union((excluded or {}).get(example.query_id, ()))
        answered = _text_guard(example, answers[example.query], stated)
        taken: list[_Candidate] = []
        for source in sources:
            listed = source.run.get(example.query_id, {})
            scores = {doc_id: score for doc_id, score in listed.items() if doc_id not in left_out}
            candidates = _candidates(scores, source, documents, passages, example.query_id)
            guards = (answered, _score_guard(scores, example, margin), _repeats(example, taken))
            passing = _passing(candidates, guards, removed)
            taken += _picked(passing, source.window, (seed, example.query_id))
        mined.append(_with(example, taken))
    return mined, removed


@dataclass(frozen=True)
class _Candidate:
    passage: Passage
    run: str
    rank: int
    score: float


def _candidates(scores, source: Source, documents, passages: dict[str, Passage], query_id: str) -> Iterator[_Candidate]:
    """The documents of the window in order; `passages` holds those that were met before, so that texts are shared."""
    window = source.window
    for rank, (doc_id, score) in enumerate(ranked(scores, window.last), start=1):
        if rank < window.first:
            continue
        if doc_id not in passages:
            if doc_id not in documents:
                raise ValueError(
                    f"{source.name}: document {doc_id!r} of query {query_id!r} is not among the documents; give those that "
                    "the run ranks"
                )
            passages[doc_id] = Passage(doc_id, documents[doc_id])
        yield _Candidate(passages[doc_id], source.name, rank, score)


def _passing(candidates: Iterable[_Candidate], guards: Sequence[_Guard], removed: Counter) -> Iterator[_Candidate]:
    """Those that no guard has a reason against; the others are counted."""
    for candidate in candidates:
        if reason := next(filter(None, (guard(candidate) for guard in guards)), ""):
            removed[reason] += 1
        else:
            yield candidate


def _picked(passing: Iterator[_Candidate], window: Window, key: tuple[int, str]) -> list[_Candidate]:
    if window.last is None or window.count is None:
        return list(islice(passing, window.count))
    return sorted(shuffled(list(passing), *key)[: window.count], key=attrgetter("rank"))


def _text_guard(example: Example, answers: Sequence[Passage], stated: Callable[[str], str]) -> _Guard:
    """Against documents that answer the query, or are it."""
    ids, texts = {passage.doc_id for passage in answers}, {passage.text for passage in answers}
    statements, query = {stated(text) for text in texts}, stated(example.query)

    def reason(candidate: _Candidate) -> str:
        passage = candidate.passage
        if passage.doc_id in ids:
            return POSITIVE
        if passage.text in texts:
            return EQUAL_TEXT
        if stated(passage.text) in statements:
            return EQUAL_STATEMENT
        return QUERY if stated(passage.text) == query else ""

    return reason


def _score_guard(scores: Mapping[str, float], example: Example, margin: float | None) -> _Guard:
    """Against documents that rank as if they answered."""
    if margin is None or not scores:
        return lambda candidate: ""
    listed = [scores[passage.doc_id] for passage in example.positives if passage.doc_id in scores]
    best = max(listed, default=min(scores.values()))
    return lambda candidate: SCORE if reaches(candidate.score, best, margin) else ""


def _repeats(example: Example, taken: Sequence[_Candidate]) -> _Guard:
    """Against documents that are negatives already, or that this guard has let pass."""
    there = [*example.negatives, *(candidate.passage for candidate in taken)]
    ids, texts = {passage.doc_id for passage in there}, {passage.text for passage in there}

    def reason(candidate: _Candidate) -> str:
        passage = candidate.passage
        if passage.doc_id in ids or passage.text in texts:
            return REPEATED
        texts.add(passage.text)
        return ""

    return reason


def _with(example: Example, taken: Sequence[_Candidate]) -> Example:
    """The example with more negatives. They have no score, since those of several runs do not compare."""
    if not taken:
        return example
    origins = {c.passage.doc_id: {"run": c.run, "rank": c.rank, "score": c.score} for c in taken}
    before = example.provenance.get("negatives", {})
    if not isinstance(before, Mapping):
        raise ValueError(
            f"query {example.query_id!r}: provenance of negatives is {before!r}; expected an object {{doc_id: origin}}"
        )
    return replace(
        example,
        negatives=(*example.negatives, *(candidate.passage for candidate in taken)),
        provenance={**example.provenance, "negatives": {**before, **origins}},
    )


def _check_queries(source: Source, examples: Sequence[Example]) -> None:
    if examples and not any(example.query_id in source.run for example in examples):
        raise ValueError(
            f"{source.name} has lists for {len(source.run)} queries, and none of the {len(examples)} given is among them; give "
            "a run of these queries"
        )
