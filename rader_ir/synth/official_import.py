"""Trees read back from the answer sheets of RaDeR's published code, as far as these hold them (arXiv:2505.18405).

The sheets have paths, which are laid together to a tree wherever they begin alike. A path that no answer and no rollout ended is
not in them, nor which lookup a rejected document belongs to; the scores of that lookup tell it. So examples can be made of them,
while a search cannot go on.
"""

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from rader_ir.answers import final_answer
from rader_ir.files import read_text
from rader_ir.mcts import QUERY, QUESTION, SOLUTION, THEOREM, THOUGHT, Rules, Tree, doc_ids
from rader_ir.problems import Problem
from rader_ir.records import jsonl_records
from rader_ir.runs import ranked
from rader_ir.synth.grown import FAILED, KEPT, REJECTED, USED, Found, Grown
from rader_ir.synth.official import ANSWER, FINAL, NEGATIVES, QUERY_MARK, ROLLOUT, SHEETS, THEOREM_MARK

_NAME = re.compile(rf"Question (\d+) - {FINAL}\.json")
_SOUGHT = re.compile(r"Theorem Name:\s*(.*?)\s*\n\s*Theorem Statement:\s*(.*)", re.S)
_WAYS = ("boxed", "stated")


@dataclass
class _Step:
    """A node to be: what it is, and where it was met."""

    kind: str
    content: dict[str, Any]
    reward: float | None = None
    scores: Mapping[str, float] = field(default_factory=dict)  # of a theorem's lookup


def read_official(folder: str | Path, *, top_k: int = 5) -> Iterator[tuple[str, Grown]]:
    """(file name, tree) of each question, by its number, one in memory at a time.

    A tree has the visits and values that follow from the sheets. Its `found` holds, for each lookup that a theorem came of, the
    `top_k` best scored documents: kept where a theorem follows, used where the path had it, rejected where reflection said so
    of this question and never the contrary, and else failed. Where the sheets have no scores, all that the question rejected
    stands at each of its lookups, as that code itself knows it.

    Args:
        folder: with `answer_sheets`, and with `hard_negatives` where reflection was used.
        top_k: documents of a lookup.

    Raises:
        ValueError: no sheets, or one that is broken; names the file.
    """
    folder = Path(folder)
    numbered = ((_NAME.fullmatch(path.name), path) for path in (folder / SHEETS).glob(f"Question * - {FINAL}.json"))
    sheets = sorted((int(match[1]), path) for match, path in numbered if match)
    if not sheets:
        raise ValueError(
            f"{folder / SHEETS} has no file 'Question N - {FINAL}.json'; give the folder above the answer sheets"
        )
    for number, path in sheets:
        yield path.name, _grown(folder, number, path, top_k)


def _grown(folder: Path, number: int, path: Path, top_k: int) -> Grown:
    final, ends = _json(path), _json(path.with_name(path.name.replace(FINAL, ROLLOUT)))
    problem = _problem(path, number, [*final, *ends])
    merged = _Merged(problem.question)
    try:
        for entry in final:
            merged.add(_steps(entry["trace"]), int(entry["rollout_id"]))
        stops = [merged.add(_steps(entry["trace"]), rollout) for rollout, entry in enumerate(ends)]
    except (KeyError, TypeError, ValueError, IndexError, AttributeError) as error:
        raise ValueError(f"{path} or its {ROLLOUT} hold a broken trace ({error!r:.120}); export it anew") from error
    rules = Rules(rollouts=max(len(stops), 1), top_k=top_k)
    grown = Grown(problem, rules, 0, {"imported": path.name}, merged.tree(stops))
    grown.found = _found(grown.tree, merged.scores, _judged(folder / NEGATIVES / f"{number}.json"), top_k)
    return grown


def _json(path: Path) -> list[Any]:
    try:
        value = json.loads(read_text(path))
    except FileNotFoundError:
        raise ValueError(f"{path} is missing; give the whole folder of answer sheets") from None
    except ValueError as error:
        raise ValueError(f"{path} is broken ({error}); export it anew") from error
    if not isinstance(value, list):
        raise ValueError(f"{path} holds a {type(value).__name__}; expected a list of traces")
    return value


def _problem(path: Path, number: int, entries: Sequence[Any]) -> Problem:
    """The question, by its answer file where there is one, which both spellings of its number may name."""
    for name in (f"Question {number} - {ANSWER}.json", f"Question {number:04d} - {ANSWER}.json"):
        if (path.parent / name).is_file():
            try:
                record = json.loads(read_text(path.parent / name))
                return Problem(str(record["id"]), record["problem"], record["gold_answer"])
            except (ValueError, KeyError, TypeError) as error:
                raise ValueError(f"{path.parent / name} is broken ({error!r:.120}); export it anew") from error
    try:
        return Problem(str(number), entries[0]["trace"]["0"]["user_question"], "")
    except (IndexError, KeyError, TypeError):
        raise ValueError(f"{path} has no trace, and question {number} no answer file; leave it out") from None


def _steps(trace: Mapping[str, Any]) -> Iterator[_Step]:
    """The nodes of a trace below its question."""
    if set(trace) != {"0"}:
        raise ValueError(f"a trace of the sub-questions {', '.join(trace)}; only traces of steps are known")
    for name, step in trace["0"]["ost_step"].items():
        if name.endswith(QUERY_MARK):
            yield _query(step)
        elif name.endswith(THEOREM_MARK):
            yield _theorem(step)
        else:
            yield _thought(step)
    if "direct_answer" in trace["0"]:
        text, value = trace["0"]["direct_answer"]["text"], trace["0"]["direct_answer"]["value"]
        reward = float(value or 0.0)
        yield _Step(
            SOLUTION, {"text": str(text), "answer": final_answer(str(text), ways=_WAYS), "rewards": [reward]}, reward
        )


def _thought(step: Any) -> _Step:
    if isinstance(step, str):
        return _Step(THOUGHT, {"text": step})
    text, reward = step
    return _Step(THOUGHT, {"text": str(text), "answer": final_answer(str(text), ways=_WAYS)}, float(reward))


def _query(step: Sequence[Any]) -> _Step:
    text, preconditions, why, subject = step[:4]
    named = _SOUGHT.fullmatch(text.strip())
    name, statement = named.groups() if named else ("", "")
    told = {"preconditions": preconditions or "", "why": why or "", "subject": subject or ""}
    return _Step(QUERY, {"text": text, "name": name, "statement": statement, **told})


def _theorem(step: Sequence[Any]) -> _Step:
    summary, lookups, _, doc_id = step
    scores = next(iter(lookups.values()))["scores"] if lookups else {}
    scores = {str(each): float(score) for each, score in scores.items()}
    content = {"doc_id": str(doc_id), "text": str(summary), "score": scores.get(str(doc_id), 0.0), "reason": ""}
    return _Step(THEOREM, content, scores=scores)


class _Merged:
    """Paths laid together: a step is one node wherever the same steps stand before it."""

    def __init__(self, question: str):
        self.rows = [_row(None, _Step(QUESTION, {"text": question}), 0)]
        self.scores: dict[int, Mapping[str, float]] = {}  # by node that theorems follow
        self._ids: dict[tuple[int, str], int] = {}

    def add(self, steps: Iterator[_Step], rollout: int) -> int:
        """The id of the node at the end of a path."""
        here = 0
        for step in steps:
            key = here, json.dumps([step.kind, step.content], sort_keys=True)
            if key not in self._ids:
                self._ids[key] = len(self.rows)
                self.rows.append(_row(here, step, rollout))
                self.rows[here] |= {"expanded": True, "terminal": False}
            if step.scores:
                self.scores[here] = step.scores
            here = self._ids[key]
            self.rows[here]["rollout"] = min(self.rows[here]["rollout"], rollout)
        return here

    def tree(self, ends: Sequence[int]) -> Tree:
        tree = Tree.from_json({"nodes": self.rows, "rollouts": list(ends)})
        for end in ends:
            for node in tree.path(end):
                node.visits += 1
                node.value += tree.nodes[end].reward or 0.0
        return tree


def _row(parent: int | None, step: _Step, rollout: int) -> dict[str, Any]:
    facts = {"parent": parent, "kind": step.kind, "content": step.content, "reward": step.reward, "rollout": rollout}
    return facts | {"terminal": True, "visits": 0, "value": 0.0, "expanded": False}


def _judged(path: Path) -> dict[str, tuple[set[int], str]]:
    """By document the labels that reflection gave it, and the explanation of the first."""
    judged: dict[str, tuple[set[int], str]] = {}
    if path.is_file():
        for where, record in jsonl_records(path):
            try:
                doc_id, label = str(record["theorem_id"]), int(record["LLM_relevance_label"])
            except (KeyError, TypeError, ValueError) as error:
                raise ValueError(f"{where} is no judgement ({error!r:.80}); export it anew") from error
            judged.setdefault(doc_id, (set(), str(record.get("LLM_explanation", ""))))[0].add(label)
    return judged


def _found(
    tree: Tree, scores: Mapping[int, Mapping[str, float]], judged: Mapping[str, tuple[set[int], str]], top_k: int
) -> dict[int, tuple[Found, ...]]:
    """By node that theorems follow, what its lookup found, as `read_official` tells."""
    found = {}
    for node in tree.nodes:
        theorems = [tree.nodes[child].content for child in node.children or () if tree.nodes[child].kind == THEOREM]
        if not theorems:
            continue
        listed = dict(ranked(scores.get(node.id, {}), top_k))
        for theorem in theorems:
            listed.setdefault(theorem["doc_id"], theorem["score"])
        if not scores.get(node.id) and node.kind == QUERY:
            listed |= {doc_id: 0.0 for doc_id, (labels, _) in judged.items() if labels == {0}}
        kept = {theorem["doc_id"]: theorem["text"] for theorem in theorems}
        held = set(doc_ids(tree.path(node.id)))
        found[node.id] = tuple(_one(doc_id, score, kept, held, judged) for doc_id, score in listed.items())
    return found


def _one(
    doc_id: str, score: float, kept: Mapping[str, str], held: set[str], judged: Mapping[str, tuple[set[int], str]]
) -> Found:
    labels, reason = judged.get(doc_id, (set(), ""))
    if doc_id in kept:
        return Found(doc_id, score, KEPT, kept[doc_id], reason if labels == {1} else "")
    if doc_id in held:
        return Found(doc_id, score, USED)
    if labels == {0}:
        return Found(doc_id, score, REJECTED, "", reason)
    return Found(doc_id, score, FAILED, "", "kept elsewhere" if labels else "not judged")
