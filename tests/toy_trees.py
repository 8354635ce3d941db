"""Searched problems small enough to follow by hand, and one as large as they come, for whatever reads or shows trees.

The small one is grown by the search itself, on replies that are written here: what is visited and worth what follows from the
rules. What its lookups found is fixed, with each of the four verdicts.
"""

import random
from pathlib import Path

from rader_ir.cli import main
from rader_ir.examples import Example, Passage, write_examples
from rader_ir.mcts import QUERY, SOLUTION, THEOREM, THOUGHT, Child, Expand, Rules, drive, search
from rader_ir.problems import Problem
from rader_ir.synth.grown import FAILED, KEPT, REJECTED, USED, Found, Grown

ATTACK = """</script><script>window.hit = 1</script><img src=x onerror="window.hit=1"><!--<script>'"&amp;{data}{script}\u2028"""
QUESTION = r"What is the remainder when $7^{100}$ is divided by $13$?"
FERMAT = (
    r"Fermat's little theorem - if $p$ is a prime and $a$ is not divisible by $p$, then $a^{p-1} \equiv 1 \pmod p$."
)
DOCUMENTS = {
    "fermat": r"\section{Fermat's Little Theorem} Let $p$ be a prime number. Let $a \in \mathbb Z$ with $p \nmid a$. "
    r"Then: \begin{align} a^{p-1} \equiv 1 \pmod p \end{align}",
    "wilson": r"\section{Wilson's Theorem} A natural number $p > 1$ is prime if and only if $(p-1)! \equiv -1 \pmod p$.",
    "euler": r"\section{Euler's Criterion} Let $p$ be an odd prime. Then $a^{(p-1)/2} \equiv \left(\frac{a}{p}\right) \pmod p$.",
    "broken": r"\section{Lagrange} The order of a subgroup divides the order of the group.",
}
FOUND = (
    Found("fermat", 21.375, KEPT, FERMAT, "13 is prime and does not divide 7, so the power 7^12 can be dropped."),
    Found("wilson", 14.2, REJECTED, r"Wilson's theorem - $(p-1)! \equiv -1 \pmod p$.", "No factorial occurs here."),
    Found(
        "euler", 11.08, REJECTED, "Euler's criterion - tells squares from non-squares.", "Squares are not asked for."
    ),
    Found("broken", 9.5, FAILED, "", "reflection unreadable"),
)
AGAIN = (Found("fermat", 19.0, USED), Found("wilson", 12.5, REJECTED, "Wilson's theorem.", "Still no factorial."))
LOOKUP = {
    "text": "Theorem Name: Fermat's little theorem\nTheorem Statement: a^(p-1) = 1 mod p",
    "name": "Fermat's little theorem",
    "statement": "a^(p-1) = 1 mod p for a prime p that does not divide a",
    "preconditions": "p is prime; p does not divide a",
    "why": "13 is prime and 7 < 13",
    "subject": "Number theory",
}
STEPS = (
    r"Powers of $7$ modulo $13$ repeat, so the exponent matters only up to the length of the cycle.",
    r"Start with $7^2 = 49 \equiv 10 \pmod{13}$.",
)


def fermat(*, rollouts: int = 16) -> Grown:
    """A problem that is solved by the theorem alone: 7^100 = 7^(8 * 12 + 4), and 7^4 = 2401 = 184 * 13 + 9."""
    rules = Rules(rollouts=rollouts, max_depth=5)
    about = {"model": "written by hand", "prompts": "none", "corpus": "4 theorems", "retriever": "bm25"}
    grown = Grown(Problem("fermat/7-100", QUESTION, "9"), rules, 7, about)
    grown.count("reflection unreadable")
    drive(search(grown.tree, rules, 7), lambda request: _replies(grown, request))
    return grown


def _replies(grown: Grown, request: Expand) -> list[Child]:
    asked = {ask.kind for ask in request.asks}
    knows = bool(request.used)
    if THEOREM in asked:
        grown.found[request.node.id] = AGAIN if knows else FOUND
        content = {"doc_id": "fermat", "text": FERMAT, "score": 21.375, "reason": FOUND[0].reason}
        return [] if knows else [Child(THEOREM, content)]
    children = []
    if THOUGHT in asked:
        children += [Child(THOUGHT, {"text": step}) for step in STEPS]
    if SOLUTION in asked:
        children.append(_solved() if knows else _guessed(request.node.id))
    if QUERY in asked:
        children.append(Child(QUERY, LOOKUP))
    return children


def _solved() -> Child:
    text = (
        r"By the theorem $7^{12} \equiv 1 \pmod{13}$. Since $100 = 8 \cdot 12 + 4$, we have $7^{100} \equiv 7^4 = 2401$."
        "\n"
        r"Finally $2401 = 184 \cdot 13 + 9$, so the remainder is $\boxed{9}$."
    )
    return Child(SOLUTION, {"text": text, "answer": "9", "rewards": [1.0, 0.2, 1.0, 0.0]}, 1.0)


def _guessed(node: int) -> Child:
    answer = str((3, 10, 7, 12)[node % 4])
    text = rf"The powers seem to repeat after ten steps, so the remainder is $\boxed{{{answer}}}$."
    return Child(SOLUTION, {"text": text, "answer": answer, "rewards": [0.2, 0.2, 0.0, 0.2]}, 0.2)


def examples(grown: Grown, *, tree: str = "fermat.json") -> list[Example]:
    """An example of each kind, made of the first theorem of the tree that a right answer follows."""
    nodes = grown.tree.nodes
    right = next(node for node in nodes if node.reward == 1.0)
    theorem = next(node for node in grown.tree.path(right.id) if node.kind == THEOREM)
    positive = (Passage("fermat", DOCUMENTS["fermat"]),)
    negatives = (Passage("wilson", DOCUMENTS["wilson"]), Passage("euler", DOCUMENTS["euler"]))
    provenance = {
        "source": "synthesis",
        "question_id": grown.problem.problem_id,
        "tree": tree,
        "query_node": theorem.parent,
        "theorem_node": theorem.id,
    }
    texts = {
        "cot": f"{QUESTION}\n{STEPS[0]}",
        "llm": "Which law says to what power a residue must be raised to come back to one?",
        "question": QUESTION,
        "lexical": "power one less than a prime leaves remainder one",
    }
    return [Example(f"fermat-{kind}", text, positive, negatives, kind, provenance) for kind, text in texts.items()]


def hostile(text: str) -> Grown:
    """The small problem with `text` in every place that a model, a corpus or a data set can fill."""
    grown = Grown(Problem(text, text, text, (text,)), Rules(rollouts=1), 1, {"model": text, text: text})
    grown.count(text)
    query = {name: text for name in LOOKUP}
    grown.tree.expand(grown.tree.root, [Child(THOUGHT, {"text": text}), Child(QUERY, query)], [False, False])
    found = {"doc_id": text, "text": text, "score": 1.0, "reason": text}
    grown.tree.expand(grown.tree.nodes[2], [Child(THEOREM, found)], [False])
    solution = Child(SOLUTION, {"text": text, "answer": text, "rewards": [1.0, 0.0]}, 1.0)
    grown.tree.expand(grown.tree.nodes[3], [solution], [True])
    for place in (0, 2):
        grown.found[place] = tuple(Found(text, 1.0, verdict, text, text) for verdict in (KEPT, REJECTED, USED, FAILED))
    for node in grown.tree.path(4):
        node.visits, node.value = 1, 1.0
    grown.tree.rollouts.append(4)
    return grown


def large(nodes: int) -> Grown:
    """A tree of at least so many nodes, nine below each that is expanded; the last one is a right answer."""
    grown = Grown(Problem("large", "How many?", "42"), Rules(max_depth=6, rollouts=64), 3)
    draw, tree, leaves = random.Random(3), grown.tree, [grown.tree.root]
    while len(tree.nodes) < nodes:
        node = leaves.pop(draw.randrange(len(leaves)))
        steps = [Child(THOUGHT, {"text": f"Step {i} below {node.id}: $x_{{{i}}} = {node.id}$. " * 8}) for i in range(8)]
        rewards = (1.0, "42") if len(tree.nodes) + 9 >= nodes else (0.2, str(node.id))
        answer = Child(
            SOLUTION, {"text": f"So it is {rewards[1]}. " * 30, "answer": rewards[1], "rewards": []}, rewards[0]
        )
        tree.expand(node, [*steps, answer], [node.depth >= 5] * 8 + [True])
        made = [tree.nodes[child] for child in node.children]
        leaves += [child for child in made if not child.terminal]
        if len(tree.rollouts) < 64:
            _walked(grown, made[-1].id)
    return grown


def _walked(grown: Grown, end: int) -> None:
    for node in grown.tree.path(end):
        node.visits += 1
        node.value += grown.tree.nodes[end].reward
    grown.tree.rollouts.append(end)


def synthesis(folder: Path) -> Path:
    """Writes what a synthesis leaves, trees (small, large, hostile) and examples, and the pages that `rader tree` makes."""
    (folder / "trees").mkdir()
    for name, tree in {"fermat": fermat(), "large": large(2000), "hostile": hostile(ATTACK)}.items():
        tree.write(folder / "trees" / f"{name}.json")
    write_examples(examples(fermat()), folder / "examples.jsonl")
    assert main(["tree", str(folder), "--quiet", "--traceback"]) == 0
    return folder
