"""Reranking by comparisons: an ordering, a judge and a reader of its answers; the core of every listwise and setwise system.

All queries go on side by side (`orderings.streaming`), or in step (`lockstep`), with the same calls and results. A comparison
that the model does not answer leaves the earlier order, and is counted. What a system adds is one file: its prompt, its ordering,
its settings.
"""

import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import partial
from typing import Any

import numpy as np

from rader_ir.answers import label, permutation
from rader_ir.lm import Sampling
from rader_ir.orderings import Ordering, lockstep, streaming
from rader_ir.rerank.judge import Judge, Question, Session
from rader_ir.rerank.ranking import Ranking, Statistics, falling
from rader_ir.seeded import shuffled


class Ordered(Question):
    """A question whose answer names every passage: its reply may be as long as that takes, unless a length was asked for."""

    @property
    def sampling(self) -> Sampling:
        """The prompt's, with room for all labels."""
        own = self.judge.sampling
        return replace(own, max_tokens=max(own.max_tokens, self.labels())) if self.judge.may_write_more else own


# By section of a prompt
QUESTIONS = {"order": partial(Ordered, read=permutation), "choose": partial(Question, read=label)}


class Comparison:
    """Orders each query's documents by what a judge says of a few at a time.

    Args:
        judge: whom to ask, and how.
        kind: "order" (an answer puts passages in order) or "choose" (it names the best).
        ordering: from a number of documents to the generator that orders them.
        first: documents of each query that are ordered; the rest stay behind them as they are. None orders all.
        shuffle: whether passages are shown in an order that chance decides, not in that in which they stand.
        streaming: whether a query goes on as soon as its own answers are there; else all queries go in step.
        settings: of the ordering, in words, for the fingerprint.

    Attributes:
        truncated: passages cut so far.
        statistics: of the last call, one for each query.

    Raises:
        ValueError: a setting out of range.
    """

    def __init__(
        self,
        judge: Judge,
        *,
        kind: str,
        ordering: Callable[[int], Ordering],
        first: int | None = None,
        shuffle: bool = False,
        streaming: bool = True,
        settings: str = "",
    ):
        if kind not in QUESTIONS:
            raise ValueError(f"kind {kind!r} is unknown; choose {' or '.join(map(repr, QUESTIONS))}")
        if first is not None and first < 1:
            raise ValueError(f"first is {first}; give a whole number of at least 1, or None")
        next(ordering(2), None)  # says what is wrong with its settings
        self.judge, self.kind, self.ordering, self.first = judge, kind, ordering, first
        self.shuffle, self.streaming, self.settings = shuffle, streaming, settings
        self._question = QUESTIONS[kind]
        self.truncated = 0
        self.statistics: list[Statistics] = []

    def score(self, queries: Sequence[str], docs: Sequence[Sequence[str]]) -> list[np.ndarray]:
        """One float32 array [len(docs[i])] per query, in the order given: n for the best, n - 1, ..., 1.

        Args:
            queries: n texts.
            docs: n lists of texts, each in the order of an earlier ranking.

        Raises:
            ConnectionError: no server answers, or none does any more.
            RuntimeError: not one call was answered.
            ValueError: a server without this model; numbers of queries and lists that differ.
        """
        return [ranking.scores for ranking in self.rank(queries, docs)]

    def rank(self, queries: Sequence[str], docs: Sequence[Sequence[str]]) -> list[Ranking]:
        """As `score`, with the order, the model's reasons and what it cost."""
        check_lists(queries, docs)
        if not any(len(texts) > 1 for texts in docs):  # nothing to compare: no model is opened for it
            rankings = [Progress(texts).ranking(list(range(len(texts)))) for texts in docs]
        else:
            rankings = self.judge.run(lambda session: self._ranked(session, queries, docs))
        self.statistics = [ranking.statistics for ranking in rankings]
        self.truncated += sum(each.shortened for each in self.statistics)
        return rankings

    async def _ranked(self, session: Session, queries, docs) -> list[Ranking]:
        seen = [Progress(texts) for texts in docs]
        orderings = [self.ordering(len(texts[: self.first])) for texts in docs]
        drive = streaming if self.streaming else lockstep
        orders = await drive(orderings, partial(self._ask, session, queries, seen))
        check_answered(each.statistics for each in seen)
        return [
            one.ranking([*order, *range(len(order), len(one.texts))]) for one, order in zip(seen, orders, strict=True)
        ]

    async def _ask(
        self, session: Session, queries, seen: list["Progress"], query: int, _: int, positions: list[int]
    ) -> Any:
        progress = seen[query]
        progress.clock()
        shown = list(range(len(positions)))
        if self.shuffle:
            shown = shuffled(shown, self.judge.seed, queries[query], *(progress.texts[place] for place in positions))
        passages = [progress.texts[positions[place]] for place in shown]
        judgement, first = await session.judged(queries[query], passages, self._question)
        progress.count(judgement, first=first)
        progress.clock()
        if judgement.answer is None:
            return None
        if self.kind == "choose":
            place = shown[judgement.answer]
            progress.reason(judgement.text, [positions[place]], positions)
            return place
        progress.reason(judgement.text, positions, positions)
        return [shown[answer] for answer in judgement.answer]

    def fingerprint(self) -> str:
        """Changes with whatever changes scores."""
        return (
            f"{type(self).__name__} {self.kind} {self.settings} {self.first} {self.shuffle} {self.judge.fingerprint()}"
        )

    def unload(self) -> None:
        """Leave the model."""
        self.judge.unload()


class Progress:
    """What one query has cost so far, and what was written about each of its documents."""

    def __init__(self, texts: Sequence[str]):
        self.texts, self.statistics = texts, Statistics()
        self.reasoning = [""] * len(texts)
        self._began: float | None = None

    def count(self, judgement, *, first: bool) -> None:
        """Add one judgement; of equal ones the first bears the cost."""
        own = self.statistics
        own.calls += 1
        own.malformed += judgement.answer is None and not judgement.failed
        own.failed += judgement.failed
        own.trouble = own.trouble or judgement.trouble
        if first:
            own.further += judgement.asks - 1
            own.shortened += judgement.shortened
            own.tokens_in += judgement.tokens_in
            own.tokens_out += judgement.tokens_out

    def clock(self) -> None:
        """Now is the end of what has been asked so far."""
        now = time.perf_counter()
        self._began = now if self._began is None else self._began
        self.statistics.seconds = now - self._began

    def reason(self, text: str, placed: Sequence[int], compared: Sequence[int]) -> None:
        """Keep a reply for the documents that it placed, and for others in it that have none yet."""
        for position in compared:
            if position in placed or not self.reasoning[position]:
                self.reasoning[position] = text

    def ranking(self, order: list[int]) -> Ranking:
        """The result, once all is asked."""
        return Ranking(order, falling(order), self.reasoning, self.statistics)


def check_lists(queries: Sequence[str], docs: Sequence[Sequence[str]]) -> None:
    """Raise ValueError unless there is one list of documents for each query."""
    if len(queries) != len(docs):
        raise ValueError(
            f"{len(queries)} queries were given with {len(docs)} lists of documents; give one list for each"
        )


def check_answered(statistics) -> None:
    """Raise RuntimeError where calls were made and none was answered: the earlier order must not pass for a ranking."""
    whole = sum(statistics, Statistics())
    if whole.calls and whole.failed == whole.calls:
        raise RuntimeError(
            f"the language model answered none of {whole.calls} calls ({whole.trouble}); look at its log, at the model's name "
            "and at the length of its context; where a digit's probability is asked for, see whether it tells log-probabilities"
        )
