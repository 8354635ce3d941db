"""Grown trees in the files of RaDeR's published code, for whoever has programs that read those (arXiv:2505.18405).

`answer_sheets/` has for question N the tree after each rollout, the trace of every answer in the tree, the trace of each rollout,
and the question with its answer; `hard_negatives/` what reflection said of each document. The file of all documents' scores,
which that code writes for each lookup, is not made: only what was found is known. `official_import` reads these files.
"""

import json
import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from rader_ir.files import replacing
from rader_ir.mcts import QUERY, QUESTION, SOLUTION, THEOREM, THOUGHT, Node, Tree, text_of, uct
from rader_ir.synth.grown import KEPT, REJECTED, Grown

SHEETS, NEGATIVES = "answer_sheets", "hard_negatives"
FINAL, ROLLOUT, ANSWER = "Final Solutions", "Rollout Solutions", "Answer"
QUERY_MARK, THEOREM_MARK = "_querygeneration", "_retrieval"
_SHORT = {QUESTION: "U", THOUGHT: "TS", SOLUTION: "DA", QUERY: "QG", THEOREM: "RT"}
_LABELS = {THOUGHT: "OST", SOLUTION: "Ans", QUERY: "Query", THEOREM: "Retrieved Theorem"}
_ROOT_UCT, _UNMET_UCT = 666, 999  # that code's numbers for a root and for a node that no rollout has met


def export_official(trees: Iterable[Grown], folder: str | Path, *, first: int = 0) -> int:
    """Write the trees as the questions `first`, `first` + 1, ... in their order; the problem's own id stands in its answer file.

    Returns:
        How many there were.

    Raises:
        FileExistsError: the folder holds answer sheets.
    """
    folder = Path(folder)
    if any((folder / name).exists() for name in (SHEETS, NEGATIVES)):
        raise FileExistsError(f"{folder} holds {SHEETS} or {NEGATIVES} already; give a new folder")
    for name in (SHEETS, NEGATIVES):
        (folder / name).mkdir(parents=True)
    number = first - 1
    for number, grown in enumerate(trees, start=first):
        _export(grown, folder, number)
    return number - first + 1


def _export(grown: Grown, folder: Path, number: int) -> None:
    tree, sheets, name = grown.tree, folder / SHEETS, f"Question {number:04d}"
    for rollout in range(len(tree.rollouts)):
        with replacing(sheets / f"{name} - Rollout {rollout}.tree") as file:
            file.write("".join(f"{line}\n" for line in tree_lines(grown, rollout)))
    final = [{"trace": trace(grown, node.id), "rollout_id": node.rollout} for node in tree.answers()]
    ends = [{"trace": trace(grown, end), "rollout_id": at} for at, end in enumerate(tree.rollouts)]
    _write(sheets / f"{name} - {FINAL}.json", final)
    _write(sheets / f"{name} - {ROLLOUT}.json", ends)
    _write(sheets / f"Question {number} - {ANSWER}.json", _answer(grown))
    if lines := list(_judgements(grown, number)):
        with replacing(folder / NEGATIVES / f"{number}.json") as file:
            file.writelines(f"{json.dumps(line, ensure_ascii=False)}\n" for line in lines)


def _write(path: Path, value: Any) -> None:
    with replacing(path) as file:
        json.dump(value, file, ensure_ascii=False)


def _answer(grown: Grown) -> dict[str, Any]:
    """The question's file; the fields of the model's own answer stay empty there, too."""
    problem = grown.problem
    model = {"model_completion": None, "model_answer": None, "all_model_completions": {}}
    return {
        "id": problem.problem_id,
        "problem": problem.question,
        **model,
        "gold_solution": None,
        "gold_answer": problem.answer,
    }


def _judgements(grown: Grown, number: int) -> Iterator[dict[str, Any]]:
    labels = {KEPT: 1, REJECTED: 0}
    for node, found in sorted(grown.found.items()):
        if grown.tree.nodes[node].kind != QUERY:  # gold documents, which nobody judged
            continue
        for each in found:
            if each.verdict in labels:
                facts = {"question_id": number, "theorem_id": each.doc_id, "LLM_relevance_label": labels[each.verdict]}
                yield facts | {"LLM_explanation": each.reason}


def trace(grown: Grown, node: int) -> dict[str, Any]:
    """The path to a node as that code keeps it: steps under the number of thoughts so far, and the solution at the end."""
    steps: dict[str, Any] = {}
    told = {"0": {"user_question": grown.problem.question, "ost_step": steps}}
    thoughts = 0
    for one in grown.tree.path(node)[1:]:
        if one.kind == THOUGHT:
            thoughts += 1
            steps[str(thoughts)] = text_of(one.content) if one.reward is None else [text_of(one.content), one.reward]
        elif one.kind == QUERY:
            steps[f"{thoughts}{QUERY_MARK}"] = _query(grown.tree, one)
        elif one.kind == THEOREM:
            steps[f"{thoughts}{THEOREM_MARK}"] = _theorem(grown, one)
        else:
            told["0"]["direct_answer"] = {"text": text_of(one.content), "value": one.reward}
    return told


def _query(tree: Tree, node: Node) -> list[Any]:
    """[query, preconditions, why they hold, subject, all queries of the reply, number of this one from 1]."""
    siblings = [tree.nodes[child] for child in tree.nodes[node.parent].children]
    siblings = [sibling for sibling in siblings if sibling.kind == QUERY]
    candidates = {f"query{place}": _candidate(sibling.content) for place, sibling in enumerate(siblings, start=1)}
    content = node.content
    fields = [content.get(name) for name in ("text", "preconditions", "why", "subject")]
    return [*fields, candidates, 1 + [sibling.id for sibling in siblings].index(node.id)]


def _candidate(content: Mapping[str, Any]) -> dict[str, Any]:
    return {
        "candidate_theorem": content.get("text"),
        "preconditions_theorem": content.get("preconditions"),
        "preconditions_question": content.get("why"),
        "subject_candidatethm": content.get("subject"),
    }


def _theorem(grown: Grown, node: Node) -> list[Any]:
    """[summary, {lookup: {query, scores of what was found}}, retriever, doc_id]; no scores and no retriever of gold documents."""
    parent = grown.tree.nodes[node.parent]
    scores, retriever = {}, None
    if parent.kind == QUERY:
        found = {each.doc_id: each.score for each in grown.found.get(parent.id, ())}
        scores = {f"{grown.problem.problem_id}_{parent.id}": {"query": text_of(parent.content), "scores": found}}
        retriever = str(grown.about.get("retriever", "")) or None
    return [text_of(node.content), scores, retriever, node.content["doc_id"]]


def tree_lines(grown: Grown, rollout: int) -> Iterator[str]:
    """The tree as it stood after a rollout: a node to a line, indented by its depth, with value, visits, reward and UCT."""
    tree, rules = grown.tree, grown.rules
    there = [node for node in tree.nodes if node.rollout <= rollout]
    values, visits = _standing(tree, rollout, len(there))
    then = [
        Node(n.id, n.parent, n.kind, n.depth, n.content, reward=n.reward, visits=visits[n.id], value=values[n.id])
        for n in there
    ]
    below: dict[int, list[Node]] = {}
    for node in then[1:]:
        below.setdefault(node.parent, []).append(node)
    waiting = [then[0]]
    while waiting:
        node = waiting.pop()
        yield from _lines(node, None if node.parent is None else then[node.parent], rules.weight(rollout), grown)
        waiting += reversed(below.get(node.id, ()))
    yield from ("", "=" * 50, "")


def _standing(tree: Tree, rollout: int, nodes: int) -> tuple[list[float], list[int]]:
    """Sums of rewards and visits of the first nodes after a rollout."""
    values, visits = [0.0] * nodes, [0] * nodes
    for end in tree.rollouts[: rollout + 1]:
        for node in tree.path(end):
            values[node.id] += tree.nodes[end].reward or 0.0
            visits[node.id] += 1
    return values, visits


def _lines(node: Node, parent: Node | None, weight: float, grown: Grown) -> Sequence[str]:
    if parent is None:
        score: float = _ROOT_UCT
    else:
        score = uct(node, parent, weight) if node.visits else _UNMET_UCT
    reward = "None" if node.reward is None else _rounded(node.reward)
    facts = f"Q: {_rounded(node.value)}; N: {node.visits}; V: {reward}; UCT: {_rounded(score)}"
    marker = "" if node.reward is None else "(T) "
    head = f"[{marker}{_SHORT[node.kind]}-{node.id}: {facts}] "
    dashes = "-" * 4 * node.depth
    if parent is None:
        answer = str(grown.problem.answer).replace("\n", " ")
        return [f"{head}User: {grown.problem.question}", f"{' ' * len(head)}Ground truth: {answer}"]
    return [f"{dashes}{head}{_LABELS[node.kind]}: {text_of(node.content)}"]


def _rounded(number: float) -> str:
    return str(round(number, 2)) if math.isfinite(number) else str(number)
