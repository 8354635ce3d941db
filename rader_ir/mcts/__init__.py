"""Monte Carlo tree search over a problem's solutions, with theorems looked up on the way (RaDeR, arXiv:2505.18405, section 3).

A tree grows from a question by thoughts, whole solutions, queries for theorems and the theorems found; rollouts reach an answer,
and its reward is added up along their path. The search knows no language model and no retriever: it is a generator that yields
what it wants to know of a node and is sent the answer, so that a driver may ask for many trees, and all of a node, at once.
"""

from rader_ir.mcts.rules import SCHEDULES, VARIANTS, Rules, agreement
from rader_ir.mcts.search import drive, rollout, search, uct
from rader_ir.mcts.tree import (
    KINDS,
    QUERY,
    QUESTION,
    SOLUTION,
    THEOREM,
    THOUGHT,
    Ask,
    Child,
    Expand,
    Node,
    Tree,
    doc_ids,
    text_of,
)

__all__ = [
    "KINDS",
    "QUERY",
    "QUESTION",
    "SCHEDULES",
    "SOLUTION",
    "THEOREM",
    "THOUGHT",
    "VARIANTS",
    "Ask",
    "Child",
    "Expand",
    "Node",
    "Rules",
    "Tree",
    "agreement",
    "doc_ids",
    "drive",
    "rollout",
    "search",
    "text_of",
    "uct",
]
