"""The rules of the search: what may follow what, when a rollout ends, what an answer is worth (arXiv:2505.18405, section 3).

Defaults are those of the paper's Table 8, which its published code shares; where the two differ, `Rules.variant` chooses.
Rewards come from a known answer (`Rules.reward`), or from samples that agree with each other (`agreement`).
"""

import math
from collections import Counter
from collections.abc import Hashable, Sequence
from dataclasses import dataclass
from typing import Any

from rader_ir.mcts.tree import QUERY, QUESTION, SOLUTION, THEOREM, THOUGHT, Ask, Node, text_of

SCHEDULES = ("const", "exp", "lin")
VARIANTS = ("code", "paper")
_LEAST = {"max_depth": 1, "samples": 1, "top_k": 1, "rollouts": 1, "thoughts": 0}
_LEAST |= {"queries_per_expansion": 0, "max_queries": 0, "exploration": 0}


@dataclass(frozen=True)
class Rules:
    """What a search is held to.

    | node | followed by |
    |---|---|
    | question | thoughts, a solution, queries |
    | thought | thoughts, queries; a solution if none of them came |
    | query | theorems; thoughts and a solution if none came |
    | theorem | thoughts, a solution |
    | solution, thought with an answer, any at the last depth | nothing |

    Attributes:
        max_depth: nodes at this depth are terminal, whatever they are.
        thoughts: one-step thoughts asked for per node; 0 leaves them out.
        samples: solutions drawn per node, of which the best rewarded is kept.
        queries_per_expansion: most query nodes below one node; None takes the variant's number, 0 searches without retrieval.
        max_queries: most query nodes on a path; None is half of `max_depth`, rounded down.
        top_k: documents per query; those that the path already holds are dropped from them, and not replaced.
        gold_documents: no queries; theorems known to be right, however many, follow the question and each thought instead.
        exploration: the weight c of UCT.
        schedule: how c falls with the share of the rollouts that are done: `const` not, `exp` as c * 0.1^share, `lin` as
            c * (1 - 0.9 share).
        rollouts: how many a tree gets.
        answer_marks: a thought that holds one of these, in capitals or not, holds an answer.
        variant: where the paper and its code differ. Queries below one node: `code` has one for each theorem that the model's
            one reply names, `paper` one. Reward: `code` gives 1 to a right answer in a box, 0.2 to a wrong one and 0 to any
            without a box, `paper` 1 to a right answer and 0 to a wrong one.

    Raises:
        ValueError: a number out of range, an unknown schedule or variant.
    """

    max_depth: int = 6
    thoughts: int = 2
    samples: int = 4
    queries_per_expansion: int | None = None
    max_queries: int | None = None
    top_k: int = 5
    gold_documents: bool = False
    exploration: float = 2.0
    schedule: str = "const"
    rollouts: int = 16
    answer_marks: tuple[str, ...] = ("boxed", "answer is")
    variant: str = "code"

    def __post_init__(self):
        for name, least in _LEAST.items():
            given, kind = getattr(self, name), (int, float) if name == "exploration" else int
            unset = given is None and name in ("queries_per_expansion", "max_queries")
            if not unset and not (isinstance(given, kind) and least <= given < math.inf):
                raise ValueError(f"{name} is {given!r}; give a number from {least}, whole but for exploration")
        for name, known in {"schedule": SCHEDULES, "variant": VARIANTS}.items():
            if getattr(self, name) not in known:
                raise ValueError(f"{name} {getattr(self, name)!r} is unknown; choose one of {', '.join(known)}")
        if isinstance(self.answer_marks, str):
            raise ValueError(f"answer_marks is the text {self.answer_marks!r}; give a tuple of texts")

    def asks(self, path: Sequence[Node]) -> list[tuple[Ask, ...]]:
        """What to ask for at the last node of `path` (root first): the first entry, and the next only if nothing came of it."""
        thoughts, solution = self._asked(THOUGHT, self.thoughts), (Ask(SOLUTION, self.samples),)
        kind = path[-1].kind
        if kind == QUESTION:
            return [thoughts + solution + self._lookups(path)]
        if kind == THOUGHT:
            return [thoughts + self._lookups(path), solution]
        if kind == QUERY:
            return [(Ask(THEOREM, self.top_k),), thoughts + solution]
        return [thoughts + solution] if kind == THEOREM else []

    def answers(self, kind: str, content: Any) -> bool:
        """Does a node hold an answer: every solution does, a thought by its marks, the others never.

        Raises:
            ValueError: a thought whose content has no text.
        """
        if kind != THOUGHT:
            return kind == SOLUTION
        text = text_of(content).lower()
        return any(mark.lower() in text for mark in self.answer_marks)

    def terminal(self, kind: str, content: Any, depth: int) -> bool:
        """Does a rollout end at such a node: it holds an answer, or stands at the last depth."""
        return depth >= self.max_depth or self.answers(kind, content)

    def reward(self, right: bool, boxed: bool) -> float:
        """The worth of an answer that is known to be `right` or wrong, in a box or not, as the variant has it."""
        if self.variant == "paper":
            return 1.0 if right else 0.0
        return (1.0 if right else 0.2) if boxed else 0.0

    def weight(self, rollout: int) -> float:
        """The weight c of UCT in a rollout, counted from 0."""
        share = rollout / self.rollouts
        return self.exploration * {"const": 1.0, "exp": 0.1**share, "lin": 1 - 0.9 * share}[self.schedule]

    def _lookups(self, path: Sequence[Node]) -> tuple[Ask, ...]:
        if self.gold_documents:
            return (Ask(THEOREM, None),)
        most = self.max_depth // 2 if self.max_queries is None else self.max_queries
        if sum(node.kind == QUERY for node in path) >= most:
            return ()
        usual = 1 if self.variant == "paper" else None
        return self._asked(QUERY, usual if self.queries_per_expansion is None else self.queries_per_expansion)

    @staticmethod
    def _asked(kind: str, n: int | None) -> tuple[Ask, ...]:
        return () if n == 0 else (Ask(kind, n),)


def agreement(clusters: Sequence[Hashable | None]) -> list[float]:
    """Rewards where no answer is known: for each sample the share of the samples that give its answer.

    The best rewarded sample is then one of the largest cluster, and its reward that cluster's share (RaDeR's evaluation).

    Args:
        clusters: of each sample the cluster of its answer; None for no answer, which agrees with nothing, itself included.

    >>> agreement(["a", "b", "a", None])
    [0.5, 0.25, 0.5, 0.0]
    """
    sizes = Counter(cluster for cluster in clusters if cluster is not None)
    return [sizes[cluster] / len(clusters) for cluster in clusters]
