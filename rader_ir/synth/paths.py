"""Theorems on the way to a right answer, as examples are made of them (RaDeR, arXiv:2505.18405, section 3).

A trajectory is the walk from the question to a node whose answer is right. Every theorem on one is a positive; the reasoning
before its lookup is the query's context, and what reflection turned down at that lookup are its negatives.
"""

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from rader_ir.mcts import THEOREM, THOUGHT, Node, Tree, text_of
from rader_ir.synth.asking import partial_solution
from rader_ir.synth.grown import KEPT, REJECTED, USED, Found, Grown

TRAJECTORIES = ("tree", "rollouts")


@dataclass(frozen=True, slots=True)
class Negative:
    """A document that reflection rejected, with the rank, from 1, and the score that the retriever gave it."""

    doc_id: str
    rank: int
    score: float


@dataclass(frozen=True, slots=True)
class Use:
    """A theorem node through which a right answer was reached.

    Attributes:
        problem_id, question: of its problem.
        tree: name of the file that holds the tree.
        query_node: the node that the theorem follows: its query, or with gold documents the question or a thought.
        theorem_node: its own id in the tree.
        doc_id: of the document.
        summary: the sentence that stood for it in the search.
        reasoning: thoughts and summaries of theorems before the query, one to a line; "" right after the question.
        partial: the same as prompts show it.
        rejected: what reflection turned down at that query, best ranked first.
    """

    problem_id: str
    question: str
    tree: str
    query_node: int
    theorem_node: int
    doc_id: str
    summary: str
    reasoning: str
    partial: str
    rejected: tuple[Negative, ...]


@dataclass(frozen=True, slots=True)
class Yield:
    """What a tree yields: its uses in the order of their nodes, and all that was kept, or used already, anywhere in it."""

    problem_id: str
    question: str
    uses: tuple[Use, ...]
    kept: frozenset[str]


def read_trees(folder: str | Path) -> Iterator[tuple[str, Grown]]:
    """(file name, tree) of each .json file of a folder, in the order of the names, one in memory at a time."""
    for path in sorted(Path(folder).glob("*.json")):
        yield path.name, Grown.read(path)


def yielded(
    name: str, grown: Grown, *, trajectories: str = "tree", least_reward: float = 1.0, least_share: float = 0.0
) -> Yield:
    """What examples are made of in one tree.

    Args:
        name: of its file.
        grown: the tree.
        trajectories: `tree` takes every right answer that the tree holds, each once, whether a rollout ended there or not, as
            the paper's lists of final solutions do; `rollouts` only those at which one ended.
        least_reward: of an answer that counts as right.
        least_share: of the answers that follow a theorem, the share that must be right. A right answer may come in spite of a
            theorem that has nothing to do with it, and one is enough for the paper; if most are right, it helped.

    Raises:
        ValueError: an unknown kind of trajectories.
    """
    if trajectories not in TRAJECTORIES:
        raise ValueError(f"trajectories {trajectories!r} are unknown; choose one of {', '.join(TRAJECTORIES)}")
    tree = grown.tree
    ends = tree.answers() if trajectories == "tree" else [tree.nodes[end] for end in set(tree.rollouts)]
    right = [end.id for end in ends if end.reward is not None and end.reward >= least_reward]
    rightly = _theorems_before(tree, right)
    followed = _theorems_before(tree, [end.id for end in ends if end.reward is not None])
    theorems = [node for node, times in rightly.items() if times >= least_share * followed[node]]
    kept = frozenset(each.doc_id for found in grown.found.values() for each in found if each.verdict in (KEPT, USED))
    uses = tuple(_use(name, grown, tree.nodes[node]) for node in sorted(theorems))
    return Yield(grown.problem.problem_id, grown.problem.question, uses, kept)


def _theorems_before(tree: Tree, ends: Sequence[int]) -> Counter:
    """By id of a theorem node, how many of the ends it stands before."""
    return Counter(node.id for end in ends for node in tree.path(end) if node.kind == THEOREM)


def reasoning(path: Sequence[Node]) -> str:
    """Thoughts and summaries of theorems along a path, one to a line, without its queries."""
    return "\n".join(text_of(node.content).strip() for node in path if node.kind in (THOUGHT, THEOREM))


def _use(name: str, grown: Grown, theorem: Node) -> Use:
    tree: Tree = grown.tree
    before = tree.path(theorem.parent)
    return Use(
        problem_id=grown.problem.problem_id,
        question=grown.problem.question,
        tree=name,
        query_node=theorem.parent,
        theorem_node=theorem.id,
        doc_id=theorem.content["doc_id"],
        summary=text_of(theorem.content),
        reasoning=reasoning(before),
        partial=partial_solution(before),
        rejected=tuple(_rejected(grown.found.get(theorem.parent, ()))),
    )


def _rejected(found: Sequence[Found]) -> Iterator[Negative]:
    for rank, each in enumerate(found, start=1):
        if each.verdict == REJECTED:
            yield Negative(each.doc_id, rank, each.score)
