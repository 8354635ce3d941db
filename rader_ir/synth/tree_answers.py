"""What the trees of a synthesis answer, as votes for an evaluation (arXiv:2505.18405, Table 7).

A tree has one vote for each of its nodes that hold an answer, visited or not, as in `grow.vote`. A search that was rewarded for
right answers has seen them, so its votes measure nothing; `rader synthesize --hide-answers` grows trees that have not.
"""

from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path

from rader_ir.mcts import Rules
from rader_ir.problems import Problem
from rader_ir.synth.grown import Grown
from rader_ir.synth.store import TREES
from rader_ir.synth.viewer import tree_files

Answers = dict[str, dict[int, str | None]]


def tree_answers(folder: str | Path, problems: Sequence[Problem]) -> tuple[Answers, tuple[str, ...]]:
    """({problem_id: {node: answer}}, what readers must know of these trees), of the problems that have a tree.

    Args:
        folder: that of a synthesis, or its folder of trees; trees of other problems are passed over.
        problems: with the questions that the trees were grown from.

    Raises:
        ValueError: no tree of these problems, one that is broken, or one of another question under a problem's id.
    """
    asked = {problem.problem_id: problem.question for problem in problems}
    answers: Answers = {}
    counts, made = Counter(), Counter()
    folder = Path(folder).expanduser()
    if not folder.is_dir():
        raise ValueError(f"{folder} is no folder; give one that rader synthesize wrote")
    for path in tree_files(folder / TREES if (folder / TREES).is_dir() else folder):
        grown = Grown.read(path)
        problem = grown.problem
        if problem.problem_id not in asked:
            continue
        if problem.question != asked[problem.problem_id]:
            raise ValueError(f"{path} is of another question than {problem.problem_id!r} is now; grow it anew")
        answers[problem.problem_id] = {node.id: node.content.get("answer") for node in grown.tree.answers()}
        counts["seen"] += problem.answer is not None
        counts["unfinished"] += not grown.finished
        made[_way(grown.rules, grown.about.get("retriever", "a retriever"))] += 1
    if not answers:
        raise ValueError(f"{folder} holds no tree of these {len(problems)} problems; grow some by rader synthesize")
    return answers, tuple(_notes(len(problems), len(answers), counts, made))


def _way(rules: Rules, retriever: str) -> str:
    if rules.gold_documents:
        return f"{rules.rollouts} rollouts with the gold documents"
    if rules.queries_per_expansion == 0 or rules.max_queries == 0:
        return f"{rules.rollouts} rollouts without retrieval"
    return f"{rules.rollouts} rollouts with {retriever}"


def _notes(problems: int, trees: int, counts: Counter, made: Counter) -> Iterator[str]:
    yield f"Votes of {trees:,} trees ({', '.join(sorted(made))})."
    if counts["seen"]:
        why = "so this is no measure of the model; grow them with --hide-answers."
        yield f"Searches that were rewarded for right answers: {counts['seen']:,}, {why}"
    if counts["unfinished"]:
        yield f"Trees that lack rollouts: {counts['unfinished']:,}."
    if trees < problems:
        yield f"Questions without a tree, which count as wrong: {problems - trees:,}."
