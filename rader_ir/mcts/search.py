"""The loop of the search: select, expand, simulate, add up (RaDeR, arXiv:2505.18405, section 3, on the engine of rStar).

A rollout walks from the question to a terminal node, by UCT where every child has been met and by chance elsewhere, and adds its
reward to every node on the way. It yields an `Expand` for each node that it meets unexpanded and is sent the children.
"""

import math
import random
from collections.abc import Callable, Generator, Sequence
from typing import Any

from rader_ir.mcts.rules import Rules
from rader_ir.mcts.tree import SOLUTION, THEOREM, Ask, Child, Expand, Node, Tree, doc_ids

_EQUAL = 1e-9  # scores this close count as equal: sums of 0.2 and logarithms differ in their last digits


def search(tree: Tree, rules: Rules, seed: int | str) -> Generator[Expand, Sequence[Child], Tree]:
    """All rollouts that the tree still lacks; yields and is sent what `rollout` is, and returns the tree."""
    while len(tree.rollouts) < rules.rollouts:
        yield from rollout(tree, rules, seed)
    return tree


def rollout(tree: Tree, rules: Rules, seed: int | str) -> Generator[Expand, Sequence[Child], Node]:
    """One rollout; returns the node at which it ended. A terminal node may be reached again, and counts again.

    Chance follows from `seed` (give each problem its own) and the number of the rollout alone, and all children of a node are
    hung at once. So a search that was broken off, even between two requests, goes on from the saved tree as if it had not been.

    Raises:
        ValueError: it was sent a kind that it had not asked for, an answer without a reward or a reward without an answer.
    """
    number = random.Random(repr((seed, len(tree.rollouts)))).random

    def drawn(ids: Sequence[int]) -> Node:
        return tree.nodes[ids[int(number() * len(ids))]]

    path = _select(tree, rules.weight(len(tree.rollouts)), drawn)
    while True:
        end = path[-1]
        if end.children is None and not end.terminal:
            children = yield from _followers(tuple(path), rules)
            tree.expand(end, children, [rules.terminal(one.kind, one.content, end.depth + 1) for one in children])
        if end.terminal:
            break
        path.append(drawn(end.children))
    for node in path:
        node.visits += 1
        node.value += end.reward or 0.0
    tree.rollouts.append(end.id)
    return end


def uct(node: Node, parent: Node, weight: float) -> float:
    """Mean reward of a visited node + weight * sqrt(ln(visits of its parent) / its visits)."""
    return node.value / node.visits + weight * math.sqrt(math.log(parent.visits) / node.visits)


def drive(steps: Generator[Expand, Sequence[Child], Any], answer: Callable[[Expand], Sequence[Child]]) -> Any:
    """Run a `search` or a `rollout` with a plain function that answers its requests; returns what it returns."""
    sent = None
    while True:
        try:
            request = steps.send(sent)
        except StopIteration as end:
            return end.value
        sent = answer(request)


def _select(tree: Tree, weight: float, drawn: Callable[[Sequence[int]], Node]) -> list[Node]:
    """Down from the root by UCT, the first of equals, to a child that no rollout has met or to a node without children."""
    path = [tree.root]
    while path[-1].children:
        parent = path[-1]
        children = [tree.nodes[child] for child in parent.children]
        if unmet := [child.id for child in children if not child.visits]:
            return [*path, drawn(unmet)]
        scores = [uct(child, parent, weight) for child in children]
        best = max(scores) - _EQUAL
        path.append(next(child for child, score in zip(children, scores, strict=True) if score >= best))
    return path


def _followers(path: tuple[Node, ...], rules: Rules) -> Generator[Expand, Sequence[Child], list[Child]]:
    for asks in filter(None, rules.asks(path)):
        sent = yield Expand(path, asks)
        if kept := _kept(sent, path, asks, rules):
            return kept
    return []


def _kept(sent: Sequence[Child], path: Sequence[Node], asks: Sequence[Ask], rules: Rules) -> list[Child]:
    """The children that become nodes, in the order of the asks, whatever order of kinds they came in."""
    asked = [ask.kind for ask in asks]
    for child in sent:
        if child.kind not in asked:
            raise ValueError(f"node {path[-1].id} was sent a {child.kind!r}; asked for was {' or '.join(asked)}")
        if rules.answers(child.kind, child.content) != (child.reward is not None):
            wants = (
                "needs a reward, 0 if it is wrong"
                if child.reward is None
                else "holds no answer; its reward must be None"
            )
            raise ValueError(f"the {child.kind} {child.content!r:.80} {wants}")
    return [child for ask in asks for child in _chosen([one for one in sent if one.kind == ask.kind], ask, path)]


def _chosen(children: Sequence[Child], ask: Ask, path: Sequence[Node]) -> list[Child]:
    children = children[: ask.n]
    if ask.kind == SOLUTION and children:
        return [max(children, key=lambda child: child.reward)]
    if ask.kind != THEOREM:
        return list(children)
    held, new = set(doc_ids(path)), []
    for child in children:
        if child.content["doc_id"] not in held:
            held.add(child.content["doc_id"])
            new.append(child)
    return new
