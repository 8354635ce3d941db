"""Marking the answers of a system: a vote where there are several, then the verdict of the comparison with the known answer.

Votes are counted by clusters of equal answers (RaDeR, section 3.1), one vote a sample. Clusters always keep to the strict
tolerance of data synthesis: they are chains of equal pairs, and by TheoremQA's 4 % a chain would lead far.
"""

from collections import Counter
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

from rader_ir.equivalence import TOLERANCE, Equivalence, Verdict, majority
from rader_ir.rag.asking import ELSEWHERE, Asked


@dataclass(frozen=True)
class Marked:
    """A question with its verdict.

    Attributes:
        asked: the question and its samples.
        answer: the one that counts; None without one, which is wrong.
        votes: of the samples, how many agree on it.
        verdict: of the comparison with the known answer.
        right_samples: for each sample whether it is right.
    """

    asked: Asked
    answer: str | None
    votes: int
    verdict: Verdict
    right_samples: tuple[bool, ...]

    @property
    def right(self) -> bool:
        """Whether the answer is the known one."""
        return self.verdict.equal

    def record(self) -> dict[str, Any]:
        """As one line of a file of answers."""
        problem, samples = self.asked.problem, zip(self.asked.samples, self.right_samples, strict=True)
        return {
            "problem_id": problem.problem_id,
            "question": problem.question,
            "gold": problem.answer,
            "prompt": self.asked.prompt,
            "documents": list(self.asked.documents),
            "answer": self.answer,
            "right": self.right,
            "rule": self.verdict.rule,
            "votes": self.votes,
            "samples": [{**vars(sample), "right": right} for sample, right in samples],
        }


class Marker:
    """Marks questions; to be used by `with`, which ends the processes that compare formulas.

    Args:
        tolerance: relative, of numbers in the verdict; `equivalence.THEOREMQA_TOLERANCE` is TheoremQA's own.
        processes: formulas compared at a time.
    """

    def __init__(self, *, tolerance: float = TOLERANCE, processes: int = 1):
        self.tolerance, self.processes = tolerance, processes
        self._verdicts = Equivalence(tolerance=tolerance, processes=processes)
        strict = tolerance <= TOLERANCE
        self._votes = self._verdicts if strict else Equivalence(tolerance=TOLERANCE, processes=processes)

    def __enter__(self) -> "Marker":
        return self

    def __exit__(self, *exception) -> None:
        self._verdicts.close()
        self._votes.close()

    def __repr__(self) -> str:
        return f"Marker(tolerance={self.tolerance}, processes={self.processes})"

    def mark(self, asked: Sequence[Asked]) -> list[Marked]:
        """Of all questions, whose answers are known, in their order."""
        with ThreadPoolExecutor(self.processes, thread_name_prefix="marking") as threads:
            return list(threads.map(self._marked, asked))

    def _marked(self, asked: Asked) -> Marked:
        gold = asked.problem.answer
        given = {sample.key: sample.answer for sample in asked.samples}
        verdicts = {answer: self._verdicts.compare(answer, gold) for answer in {*given.values(), None}}
        vote = majority(given, lambda a, b: self._votes.compare(a, b).equal)
        answer, votes = (None, 0) if vote is None else (vote.answer, len(vote.keys))
        return Marked(asked, answer, votes, verdicts[answer], tuple(verdicts[each].equal for each in given.values()))


def events(marked: Sequence[Marked]) -> dict[str, int]:
    """What went wrong how often: calls that failed, replies without an answer, comparisons that failed, by name."""
    found = Counter()
    for each in marked:
        elsewhere = each.asked.prompt == ELSEWHERE
        for sample in each.asked.samples:
            if sample.failure is not None:
                found[f"call failed: {sample.failure}"] += 1
            elif sample.answer is None:
                found["vote without answer" if elsewhere else "reply without answer"] += 1
        if elsewhere and not each.asked.samples:
            found["question without votes"] += 1
        if each.verdict.failed:
            found[f"comparison failed: {each.verdict.rule}"] += 1
    return dict(sorted(found.items()))
