"""Eight questions, eight rules, and a model by script that is right where the prompt shows the rule: all can be counted by hand.

Question i asks for the square of i + 2. The model is right where rule i is shown; without any text also on questions 0 and 1;
where only other rules are shown, on question 0 alone. To question 7 it never gives an answer.
"""

import json
import re
from pathlib import Path

from rader_ir.problems import Problem
from tests.synth_folder import write_rows

ANSWERS = {i: (i + 2) ** 2 for i in range(8)}
PROBLEMS = [Problem(f"p{i}", f"Item {i}: what is the square of {i + 2}?", ANSWERS[i], (f"d{i}",)) for i in range(8)]
DOCUMENTS = {f"d{i}": f"Rule {i} says how item {i} is squared." for i in range(8)}
# By hand, k = 1: p0 finds its own; p1 another and is misled; p2 its own; p3 another; of p4 its own is excluded; p5 is not in the
# run; p6 has its own second; p7 its own, to no avail. Right: 0 and 2. At k = 2 also 6.
RUN = {
    "p0": {"d0": 2.0, "d1": 1.0},
    "p1": {"d2": 2.0},
    "p2": {"d2": 2.0, "d1": 1.0},
    "p3": {"d4": 2.0, "d5": 1.0},
    "p4": {"d4": 2.0, "d5": 1.0},
    "p6": {"d0": 2.0, "d6": 1.0},
    "p7": {"d7": 2.0},
}
EXCLUDED = {"p4": frozenset({"d4"})}


def scripted(body: dict) -> str:
    """The model's reply to a request."""
    prompt = body["messages"][-1]["content"]
    item = int(re.findall(r"Item (\d)", prompt)[-1])
    shown = {int(rule) for rule in re.findall(r"Rule (\d)", prompt)}
    if item == 7:
        return "I do not know."
    right = item in shown or item == 0 or (item == 1 and not shown)
    return rf"Squaring gives \boxed{{{ANSWERS[item] + (not right)}}}."


def folder_of(path: Path, *, gold: bool = True) -> Path:
    """The same as files: problems.jsonl, docs.jsonl, run.trec, qrels.tsv."""
    path.mkdir(exist_ok=True)
    rows = [{"problem_id": each.problem_id, "question": each.question, "answer": each.answer} for each in PROBLEMS]
    rows[4]["excluded_ids"] = ["d4"]
    for row, problem in zip(rows, PROBLEMS, strict=True):
        row |= {"gold_documents": list(problem.gold_documents)} if gold else {}
    write_rows(path / "problems.jsonl", rows)
    write_rows(path / "docs.jsonl", [{"doc_id": doc_id, "text": text} for doc_id, text in DOCUMENTS.items()])
    lines = [f"{q} Q0 {d} 1 {score} x\n" for q, scores in RUN.items() for d, score in scores.items()]
    (path / "run.trec").write_text("".join(lines))
    (path / "qrels.tsv").write_text("".join(f"p{i}\t0\td{i}\t1\n" for i in range(8)) + "p0\t0\td1\t0\n")
    return path


def rows_of(path: Path) -> list[dict]:
    """The lines of a file of answers."""
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]
