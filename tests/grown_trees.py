"""Grown trees made by hand, and the corpus that they look theorems up in."""

from rader_ir.mcts import QUERY, SOLUTION, THEOREM, THOUGHT, Child, Rules, Tree
from rader_ir.problems import Problem
from rader_ir.synth.grown import Found, Grown

PYTHAGORAS = (
    "\\section{Pythagoras's Theorem}\n\\begin{theorem}\nThe square on the hypotenuse of a right triangle has the area of both "
    "squares on its legs together: $c^2 = a^2 + b^2$.\n\\end{theorem}\n\\begin{proof}\nCut and paste.\n\\end{proof}"
)
CORPUS = {
    "pyth": PYTHAGORAS,
    "twin": PYTHAGORAS.replace("Cut and paste.", "Similar shapes."),  # the same statement under another id
    "cosine": "Law of Cosines\nIn any triangle $c^2 = a^2 + b^2 - 2ab\\cos\\gamma$, gamma facing side c.",
    "heron": "Heron's Formula\nThe area of a triangle follows from its half perimeter and three sides.",
    "angles": "Angle Sum\nThe interior angles of a plane triangle add up to a straight one.",
    "primes": "Euclid's Theorem\nPrime numbers are infinite in number.",
    "ring": "Ring\nA ring is an abelian group with an associative multiplication.",
    "euler": "Euler's Formula\nA convex polyhedron has two more vertices and faces than edges.",
}


def query(text: str) -> Child:
    """A lookup."""
    fields = {"name": text, "statement": f"{text}.", "preconditions": "p", "why": "w", "subject": "Geometry"}
    return Child(QUERY, {"text": f"Theorem Name: {text}\nTheorem Statement: {text}.", **fields})


def theorem(doc_id: str, summary: str, score: float = 1.0) -> Child:
    """What a lookup found and reflection kept."""
    return Child(THEOREM, {"doc_id": doc_id, "text": summary, "score": score, "reason": "Reason: it fits."})


def thought(text: str, reward: float | None = None) -> Child:
    """A step; with a reward it holds an answer."""
    return Child(THOUGHT, {"text": text} if reward is None else {"text": text, "answer": "5"}, reward)


def solution(text: str, reward: float) -> Child:
    """All remaining steps."""
    return Child(SOLUTION, {"text": text, "answer": text, "rewards": [reward]}, reward)


def hang(tree: Tree, parent: int, *children: Child) -> None:
    """Below a node; those that hold an answer end there."""
    tree.expand(tree.nodes[parent], children, [child.reward is not None for child in children])


def walk(tree: Tree, end: int) -> None:
    """A rollout that ends at a node."""
    for node in tree.path(end):
        node.visits += 1
        node.value += tree.nodes[end].reward or 0.0
    tree.rollouts.append(end)


def grown(problem_id: str, question: str, answer="5", rollouts: int = 2) -> Grown:
    """A problem without a search."""
    return Grown(Problem(problem_id, question, answer), Rules(rollouts=rollouts), 0, {"model": "by hand"})


def legs(problem_id: str = "legs", question: str = "Legs 3 and 4: how long is the longest side?") -> Grown:
    """A tree in which three theorem nodes lie on right paths, one of them below a right answer that no rollout met.

    0 question: 1 thought, 2 query (cosine kept: 5, right by 6), 3 solution (wrong)
    1 thought: 4 query (pyth kept: 7, heron kept: 8; angles and twin rejected, primes failed, cosine rejected)
    7 pyth: 9 thought, right; 10 solution, wrong.   8 heron: 11 solution, wrong
    """
    one = grown(problem_id, question)
    tree = one.tree
    hang(tree, 0, thought("The angle between the legs is right."), query("law of cosines"), solution("7", 0.2))
    hang(tree, 1, query("squares on sides"))
    hang(tree, 2, theorem("cosine", "Law of Cosines - a side follows from two others and their angle.", 2.5))
    hang(tree, 5, solution("\\boxed{5}", 1.0))
    walk(tree, 6)
    hang(tree, 4, theorem("pyth", "Pythagoras - squares add up."), theorem("heron", "Heron - area by sides."))
    hang(tree, 7, thought("So the answer is 5", 1.0), solution("25", 0.0))
    hang(tree, 8, solution("6", 0.2))
    walk(tree, 10)
    one.found[2] = (Found("cosine", 2.5, "kept", "s", "r"), Found("ring", 1.5, "rejected", "s", "no triangle here"))
    one.found[4] = (
        Found("twin", 9.0, "rejected", "s", "no"),
        Found("pyth", 8.0, "kept", "s", "yes"),
        Found("angles", 7.0, "rejected", "s", "angles only"),
        Found("heron", 6.0, "kept", "s", "yes"),
        Found("primes", 5.0, "failed", "s", "unreadable"),
        Found("cosine", 4.0, "rejected", "s", "no"),
        Found("euler", 3.0, "rejected", "s", "no"),
    )
    return one
