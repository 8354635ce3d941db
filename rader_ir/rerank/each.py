"""Reranking by a language model that is asked about each document by itself: what such systems share.

All questions are independent and go side by side. Against `comparison` there is no order to keep: a document's score is made of
the answer about it alone. Ties keep the earlier order, by a last digit of their scores (`ranking.untied`).
"""

from collections.abc import Callable, Sequence
from functools import partial

import numpy as np

from rader_ir.lm.asking import side_by_side
from rader_ir.rerank.comparison import Progress, check_answered, check_lists
from rader_ir.rerank.judge import Judge, Judgement, Question, Session
from rader_ir.rerank.ranking import Ranking, Statistics, untied


class Each:
    """Scores of documents by the answers about each.

    Args:
        judge: whom to ask, and how.
        question: what is asked of one document.
        worth: from a judgement to the document's score; of one without an answer too, if that has one: None comes last.

    Attributes:
        truncated: documents cut so far.
        statistics: of the last call, one for each query.
    """

    def __init__(self, judge: Judge, *, question: Callable[..., Question], worth: Callable[[Judgement], float | None]):
        self.judge, self._question, self._worth = judge, question, worth
        self.truncated = 0
        self.statistics: list[Statistics] = []

    def score(self, queries: Sequence[str], docs: Sequence[Sequence[str]]) -> list[np.ndarray]:
        """One float32 array [len(docs[i])] per query, in the order given; raises as `Comparison.score`."""
        return [ranking.scores for ranking in self.rank(queries, docs)]

    def rank(self, queries: Sequence[str], docs: Sequence[Sequence[str]]) -> list[Ranking]:
        """As `score`, with the order, what the model wrote and what it cost; ties keep the order given."""
        check_lists(queries, docs)
        if not any(map(len, docs)):  # no model is opened for nothing
            rankings = [_ranking(Progress(texts), []) for texts in docs]
        else:
            rankings = self.judge.run(lambda session: self._ranked(session, queries, docs))
        self.statistics = [ranking.statistics for ranking in rankings]
        self.truncated += sum(each.shortened for each in self.statistics)
        return rankings

    async def _ranked(self, session: Session, queries, docs) -> list[Ranking]:
        seen = [Progress(texts) for texts in docs]
        asked = partial(self._asked, session, queries, seen)
        places = [(query, place) for query, texts in enumerate(docs) for place in range(len(texts))]
        values = iter(await side_by_side(places, asked, width=2 * self.judge.width))
        check_answered(each.statistics for each in seen)
        return [_ranking(one, [next(values) for _ in one.texts]) for one in seen]

    async def _asked(self, session: Session, queries, seen: list[Progress], at: tuple[int, int]) -> float | None:
        query, place = at
        progress = seen[query]
        progress.clock()
        judgement, first = await session.judged(queries[query], [progress.texts[place]], self._question)
        progress.count(judgement, first=first)
        progress.clock()
        progress.reason(judgement.text, [place], [place])
        return self._worth(judgement)

    def fingerprint(self) -> str:
        """Changes with whatever changes scores."""
        return f"{type(self).__name__} {self.judge.fingerprint()}"

    def unload(self) -> None:
        """Leave the model."""
        self.judge.unload()


def _ranking(progress: Progress, scores: list[float | None]) -> Ranking:
    order, made = untied(scores)
    return Ranking(order, made, progress.reasoning, progress.statistics)
