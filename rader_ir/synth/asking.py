"""What a search's calls have in common: how replies are drawn, and what a path says to a model."""

from collections.abc import Sequence

from rader_ir.lm import Sampling
from rader_ir.mcts import THEOREM, THOUGHT, Node, text_of

NOTHING_YET = "(nothing yet)"
PAPER = Sampling()  # temperature 0.8, top-p 0.95 (arXiv:2505.18405, Table 8)


def partial_solution(path: Sequence[Node]) -> str:
    """What a path says to a model: its thoughts, numbered, and the summaries of its theorems; not its queries.

    Args:
        path: from the root.
    """
    lines, steps = [], 0
    for node in path:
        if node.kind == THOUGHT:
            steps += 1
            lines.append(f"Step {steps}: {text_of(node.content)}")
        elif node.kind == THEOREM:
            lines.append(f"Theorem: {text_of(node.content)}")
    return "\n".join(lines) or NOTHING_YET
