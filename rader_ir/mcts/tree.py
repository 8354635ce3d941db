"""The tree of one problem: its nodes, the requests and replies by which it grows, and its form as JSON.

Each node keeps its own step and the id of its parent, and the trace of a solution is the walk up to the root. So a trace is as
long as the path is deep, and a saved tree as long as its nodes, while RaDeR's code copies the whole trace into every node.
"""

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

QUESTION, THOUGHT, SOLUTION, QUERY, THEOREM = "question", "thought", "solution", "query", "theorem"
KINDS = (QUESTION, THOUGHT, SOLUTION, QUERY, THEOREM)


@dataclass(slots=True)
class Node:
    """One step of a solution; its id is its place in `Tree.nodes`.

    Attributes:
        id: counted from 0 in the order of creation.
        parent: id of the node that it follows; None for the root.
        kind: one of `KINDS`.
        depth: steps from the root, which has 0.
        content: what JSON keeps; a thought is a text or an object with "text", a theorem an object with "doc_id".
        rollout: the rollout, from 0, that made it.
        terminal: rollouts end here: an answer, the last depth, or a dead end, for which nothing could be found to follow.
        reward: of the answer that it holds; None says that it holds none, which counts as 0.
        visits: rollouts that went through it. The nodes explored are those with a visit.
        value: the sum (not the mean) of the rewards of those rollouts.
        children: ids; None until it is expanded.
    """

    id: int
    parent: int | None
    kind: str
    depth: int
    content: Any
    rollout: int = 0
    terminal: bool = False
    reward: float | None = None
    visits: int = 0
    value: float = 0.0
    children: list[int] | None = None


@dataclass(frozen=True)
class Child:
    """What is sent back for a node to be: its kind and content, and a finite reward just if it holds an answer.

    Raises:
        ValueError: a content that JSON would change, a theorem without a doc_id, an infinite reward.
    """

    kind: str
    content: Any
    reward: float | None = None

    def __post_init__(self):
        _keep(self.content)
        if self.kind == THEOREM and not (
            isinstance(self.content, dict) and isinstance(self.content.get("doc_id"), str)
        ):
            raise ValueError(f"a theorem's content is {self.content!r:.80}; expected an object with a string 'doc_id'")
        if self.reward is not None and not math.isfinite(self.reward):
            raise ValueError(f"a {self.kind} has the reward {self.reward}; expected a finite number")


@dataclass(frozen=True)
class Ask:
    """Things of one kind that may follow a node.

    Attributes:
        kind: one of `KINDS`.
        n: of thoughts, queries and theorems the most that become nodes, None for as many as come. Of solutions the samples
            to draw; the best rewarded becomes the one node, the first of equal ones.
    """

    kind: str
    n: int | None


@dataclass(frozen=True)
class Expand:
    """A request: find what may follow the last node of `path`, which runs from the root, as `asks` say.

    Sent back is a sequence of `Child`: the kinds in any order, those of one kind in an order that can be had again.
    Fewer than asked for will do (a failed call is left out), and none at all.
    """

    path: tuple[Node, ...]
    asks: tuple[Ask, ...]

    @property
    def node(self) -> Node:
        """The node to expand."""
        return self.path[-1]

    @property
    def used(self) -> list[str]:
        """Ids of the documents that the path already holds; a theorem among them would be dropped."""
        return doc_ids(self.path)


class Tree:
    """The nodes of one problem's search and where its rollouts ended: all that a search needs to go on.

    Attributes:
        nodes: in the order of creation; the first is the question.
        rollouts: id of the node at which each rollout ended.
    """

    def __init__(self, question: Any):
        """A tree of the question alone, which is what JSON keeps (ValueError if not)."""
        self.nodes = [Node(0, None, QUESTION, 0, _keep(question))]
        self.rollouts: list[int] = []

    @property
    def root(self) -> Node:
        """The question."""
        return self.nodes[0]

    def path(self, node: int) -> list[Node]:
        """From the root to the node of that id: its trace, one node for each step."""
        found, up = [], node
        while up is not None:
            found.append(self.nodes[up])
            up = self.nodes[up].parent
        return found[::-1]

    def answers(self) -> list[Node]:
        """Nodes that hold an answer, visited or not, each once."""
        return [node for node in self.nodes if node.reward is not None]

    def expand(self, node: Node, children: Sequence[Child], terminal: Sequence[bool]) -> None:
        """Hang children below a node, each terminal or not; without any it becomes a dead end: terminal, and worth 0."""
        node.children, node.terminal = [], not children
        for child, ends in zip(children, terminal, strict=True):
            reward = None if child.reward is None else float(child.reward)
            facts = {"rollout": len(self.rollouts), "terminal": ends, "reward": reward}
            made = Node(len(self.nodes), node.id, child.kind, node.depth + 1, child.content, **facts)
            node.children.append(made.id)
            self.nodes.append(made)

    def to_json(self) -> dict:
        """An object that `json.dumps` takes. `from_json` makes the same tree of it, and a search goes on there as if unbroken."""
        return {"nodes": [_row(node) for node in self.nodes], "rollouts": list(self.rollouts)}

    @classmethod
    def from_json(cls, saved: Mapping[str, Any]) -> "Tree":
        """The tree that `to_json` gave.

        Raises:
            ValueError: a field is missing, a node stands before its parent, a rollout ended nowhere.
        """
        rows, ends = (_field(saved, name, "the tree") for name in ("nodes", "rollouts"))
        tree = cls(None)
        tree.nodes = []
        for row in rows:
            tree.nodes.append(_node(row, tree.nodes))
        if not tree.nodes or not all(end in range(len(tree.nodes)) for end in ends):
            raise ValueError(f"rollouts ended at {ends} of {len(tree.nodes)} nodes; the tree is damaged: grow it anew")
        tree.rollouts = list(ends)
        return tree


def doc_ids(path: Sequence[Node]) -> list[str]:
    """Ids of the documents of a path's theorems, in its order."""
    return [node.content["doc_id"] for node in path if node.kind == THEOREM]


def text_of(content: Any) -> str:
    """The text of a content that is one, or an object with "text".

    Raises:
        ValueError: it is neither.
    """
    text = content.get("text") if isinstance(content, dict) else content
    if not isinstance(text, str):
        raise ValueError(f"the content is {content!r:.80}; expected a text, or an object with a text as 'text'")
    return text


def _keep(content: Any) -> Any:
    try:
        same = json.loads(json.dumps(content, allow_nan=False)) == content
    except (TypeError, ValueError):
        same = False
    if not same:
        raise ValueError(
            f"the content {content!r:.80} is not kept by JSON; give texts, finite numbers, lists, objects, None"
        )
    return content


_KEPT = ("parent", "kind", "content", "rollout", "terminal", "reward", "visits", "value")


def _row(node: Node) -> dict:
    """What is saved of a node: its id is its place, its depth and its children follow from the parents."""
    return {name: getattr(node, name) for name in _KEPT} | {"expanded": node.children is not None}


def _node(row: Mapping[str, Any], before: list[Node]) -> Node:
    """The node of a saved row, hung below its parent, which is one of the nodes `before` it."""
    here = len(before)
    kept = {name: _field(row, name, f"node {here}") for name in _KEPT}
    children = [] if _field(row, "expanded", f"node {here}") else None
    if kept["parent"] is None and here == 0:
        return Node(id=0, depth=0, children=children, **kept)
    if kept["parent"] not in range(here) or (parent := before[kept["parent"]]).children is None:
        raise ValueError(
            f"node {here} follows {kept['parent']!r}, no expanded node before it; the tree is damaged: grow it anew"
        )
    parent.children.append(here)
    return Node(id=here, depth=parent.depth + 1, children=children, **kept)


def _field(row: Mapping[str, Any], name: str, where: str) -> Any:
    if not isinstance(row, Mapping) or name not in row:
        raise ValueError(f"{where} has no {name!r} in {row!r:.80}; the tree is damaged: grow it anew")
    return row[name]
