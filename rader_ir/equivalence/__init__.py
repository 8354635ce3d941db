r"""Are two answers equal: types first, then math-verify in processes of its own, with a time limit that holds.

RaDeR rewards a solution whose answer is the problem's (arXiv:2505.18405, section 3.1) and votes among answers by
equivalence. Comparing texts takes 20 for 200 and misses that 0.25 is \frac14; math-verify misses 17/3 = 5.667, reads [1, 6]
as an interval and raises in threads. Here a layer of types (`readings`, `rules`) decides what it can, algebra the rest.
"""

from fractions import Fraction
from functools import cache
from itertools import accumulate

from rader_ir.equivalence.pool import Pool
from rader_ir.equivalence.readings import Answer, read
from rader_ir.equivalence.rules import CRASHED, FAILURES, NO_ANSWER, RULES, TEXT, UNREADABLE, Algebra, Verdict, judge
from rader_ir.equivalence.voting import Vote, clusters, majority

TOLERANCE = 1e-3
_LONGEST, _DEEPEST = 2000, 25  # characters and brackets within brackets of a text that is still read
THEOREMQA_TOLERANCE = 0.04  # what TheoremQA's own evaluation allows (arXiv:2305.12524)

__all__ = [
    "FAILURES",
    "RULES",
    "THEOREMQA_TOLERANCE",
    "TOLERANCE",
    "Answer",
    "Equivalence",
    "Verdict",
    "Vote",
    "clusters",
    "equivalent",
    "majority",
]


class Equivalence:
    """Compares answers; remembers its verdicts; safe for threads, so that asyncio asks by `asyncio.to_thread(e.compare, a, b)`.

    Args:
        tolerance: relative, for numbers of which one at least is rounded; `THEOREMQA_TOLERANCE` for TheoremQA's own.
        timeout: seconds of algebra for one pair of formulas; past that the verdict is the failure "timeout".
        processes: how many formulas are compared at a time. None starts before a pair needs algebra.

    Raises:
        ImportError: math-verify is not installed.
        ValueError: a tolerance outside [0, 1), no time, no processes.

    >>> with Equivalence() as answers:
    ...     answers.compare("1,000", r"10^3"), answers.compare(None, None)
    (Verdict(equal=True, rule='number'), Verdict(equal=False, rule='no answer'))
    """

    def __init__(self, *, tolerance: float = TOLERANCE, timeout: float = 10.0, processes: int = 1):
        if not 0 <= tolerance < 1:
            raise ValueError(f"tolerance {tolerance} is outside [0, 1); 0.001 takes 5.667 for 17/3")
        self.tolerance, self.timeout, self.processes = tolerance, timeout, processes
        self._pool = Pool(processes=processes, timeout=timeout)
        self._algebra: dict[tuple[str, str], Verdict] = {}

    def compare(self, a: Answer | None, b: Answer | None) -> Verdict:
        r"""Whether two answers are one; the order of the two counts for nothing.

        Args:
            a, b: texts as they stand in a box, LaTeX or not; typed golds (True, 1.42, [1, 6]); or None for no answer, which
                equals nothing, not even None. A list that comes as one is compared element by element in its order, where
                a text "[1, 6]" may be an interval. An option with its text, "D) 250 m", equals "D" and "250 m".

        Raises:
            TypeError: an answer of another type.
        """
        return self._judged(a, b, self._formulas)

    def known(self, a: Answer | None, b: Answer | None) -> Verdict | None:
        """The verdict of `compare` where it is had at once: no algebra is needed for it, or it was done before; else None."""
        try:
            return self._judged(a, b, self._remembered)
        except _NotYet:
            return None

    def readable(self, gold: Answer | None) -> bool:
        """Whether answers can be compared with this one at all: it is of a known kind, or algebra can read it.

        Raises:
            TypeError: an answer of another type.
        """
        if gold is None or _endless(gold):
            return False
        reading = read(gold)
        return bool(reading.text) and (reading.typed or not self._formulas(reading.text, reading.text).failed)

    def _judged(self, a: Answer | None, b: Answer | None, algebra: Algebra) -> Verdict:
        if a is None or b is None:
            return Verdict(False, NO_ANSWER)
        if _endless(a) or _endless(b):
            return Verdict(a == b, TEXT if a == b else UNREADABLE)
        first, second = read(a), read(b)
        if not first.text or not second.text:
            return Verdict(False, NO_ANSWER)
        return judge(first, second, Fraction(str(self.tolerance)), algebra)

    def _remembered(self, a: str, b: str) -> Verdict:
        if (verdict := self._algebra.get(_pair(a, b))) is None:
            raise _NotYet
        return verdict

    def _formulas(self, a: str, b: str) -> Verdict:
        pair = _pair(a, b)
        verdict = self._algebra.get(pair)
        verdict = verdict if verdict is not None else self._pool.compare(*pair, self.tolerance)
        if verdict.rule != CRASHED:  # a process that somebody ended says nothing about the pair
            self._algebra[pair] = verdict
        return verdict

    def close(self) -> None:
        """Ends the processes; a later comparison starts them anew."""
        self._pool.close()

    def __enter__(self):
        return self

    def __exit__(self, *exception):
        self.close()

    def __repr__(self):
        return f"Equivalence(tolerance={self.tolerance}, timeout={self.timeout}, processes={self.processes})"


def equivalent(a: Answer | None, b: Answer | None, *, tolerance: float = TOLERANCE) -> Verdict:
    """`Equivalence.compare` with one process that this program shares, ended with it; for many pairs make an `Equivalence`."""
    return _shared(tolerance).compare(a, b)


class _NotYet(Exception):
    """Two formulas have not been compared before."""


def _pair(a: str, b: str) -> tuple[str, str]:
    return min(a, b), max(a, b)


def _endless(answer: Answer) -> bool:
    """Whether a text is longer or nested deeper than answers are: a model that does not stop, and no work for a parser."""
    if not isinstance(answer, str):
        return False
    depths = accumulate((sign in "([{") - (sign in ")]}") for sign in answer[:_LONGEST])
    return len(answer) > _LONGEST or max(depths, default=0) > _DEEPEST


@cache
def _shared(tolerance: float) -> Equivalence:
    return Equivalence(tolerance=tolerance)
