"""BRIGHT: twelve tasks whose queries take reasoning to answer (arXiv:2407.12883).

Seven tasks are StackExchange posts against web pages, two are coding, three are mathematics. Each has its instruction,
and three name documents per query (the question itself, its near copies) that must leave a ranking before it is cut and
scored. The measure of the whole is the plain mean over tasks of nDCG@10.
"""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple

from rader_ir.corpus import EXCLUDED_RELEVANCE, excluded_in_qrels, load_irds, read_queries
from rader_ir.files import numbered_lines
from rader_ir.runs import Qrels, read_qrels


class Task(NamedTuple):
    """What is fixed of a task: group, numbers of queries and documents, instruction with `{documents}` open."""

    group: str
    queries: int
    documents: int
    instruction: str


class Split(NamedTuple):
    """What a run of a task needs and is measured by: {query_id: text}, judgements, {query_id: excluded doc_ids}."""

    queries: dict[str, str]
    qrels: Qrels
    excluded: dict[str, frozenset[str]]


def _given(need: str, relevant: str) -> str:
    kind = need.split()[-1]
    return f"Given {need}, retrieve relevant {relevant} that help answer the {kind}"


# Counts of the release that RaDeR and ir_datasets use; a later one has fewer TheoT and more TheoQ queries.
TASKS = {
    "biology": Task("stackexchange", 103, 57_359, _given("a biology post", "{documents}")),
    "earth_science": Task("stackexchange", 116, 121_249, _given("a earth_science post", "{documents}")),
    "economics": Task("stackexchange", 103, 50_220, _given("a economics post", "{documents}")),
    "psychology": Task("stackexchange", 101, 52_835, _given("a psychology post", "{documents}")),
    "robotics": Task("stackexchange", 101, 61_961, _given("a robotics post", "{documents}")),
    "stackoverflow": Task("stackexchange", 117, 107_081, _given("a stackoverflow post", "{documents}")),
    "sustainable_living": Task("stackexchange", 108, 60_792, _given("a sustainable_living post", "{documents}")),
    "leetcode": Task("coding", 142, 413_932, _given("a coding problem", "examples")),
    "pony": Task("coding", 112, 7_894, _given("a pony question", "{documents}")),
    "aops": Task("math", 111, 188_002, _given("a Math problem", "examples")),
    "theoremqa_questions": Task("math", 194, 188_002, _given("a Math problem", "examples")),
    "theoremqa_theorems": Task("math", 76, 23_839, _given("a Math problem", "theorems")),
}

# Queries by field of ir_datasets: the question, or the chain of thought that a language model wrote about it.
QUERIES = {"original": "text"} | {
    name: name
    for name in ("gpt4_reason", "claude_3_opus_reason", "gemini_1_0_reason", "llama3_70b_reason", "grit_reason")
}


def instruction(task: str, *, long: bool = False) -> str:
    """The published instruction that goes before a query of the task: "Instruct: ...", a line break, "Query: ".

    The long form, for whole pages, says documents for passages.

    Raises:
        ValueError: an unknown task, or `long` of a task without pages (`has_long`).
    """
    _check(task, long)
    return f"Instruct: {TASKS[task].instruction.format(documents='documents' if long else 'passages')}\nQuery: "


def has_long(task: str) -> bool:
    """Whether the task can also be run on whole pages instead of passages: StackExchange and pony can."""
    _check_choice("task", task, TASKS)
    return "{documents}" in TASKS[task].instruction


def irds_name(task: str, *, long: bool = False) -> str:
    """The task's name in ir_datasets, as in `read_documents(f"irds:{irds_name('pony')}")`; raises as `instruction`."""
    _check(task, long)
    return f"bright/{task.replace('_', '-')}{'-long' if long else ''}"


def load(
    task: str,
    *,
    source: str | Path = "irds",
    queries: str = "original",
    long: bool = False,
    qrels: str = "plain",
) -> Split:
    """Load a task's queries, judgements and exclusions; its documents are `read_documents("irds:" + irds_name(task))`.

    Args:
        task: a name of `TASKS`.
        source: "irds" (ir_datasets downloads on first use), or a folder with `topics/TASK.jsonl.gz`, `qrels/TASK.tsv`
            and `qrels_fixed/TASK.tsv`, laid out as anserini-tools' exports of BRIGHT.
        queries: a name of `QUERIES`; a folder has the original ones only.
        long: judge whole pages instead of passages.
        qrels: "plain", which published figures are measured with, or "fixed", the later correction for five tasks (the
            others keep theirs), which only a folder has, for passages. Figures of the two cannot be compared.

    Raises:
        ValueError: an unknown task or choice, a choice that the source does not have, a query without text.
        FileNotFoundError: the folder lacks a file.
        ModuleNotFoundError: "irds" without ir_datasets.
    """
    _check(task, long)
    _check_choice("queries", queries, QUERIES)
    _check_choice("qrels", qrels, ("plain", "fixed"))
    if qrels == "fixed" and (long or source == "irds"):
        raise ValueError("qrels 'fixed' exist in a folder and for passages only; choose 'plain', or give such a folder")
    if source == "irds":
        return _from_irds(irds_name(task, long=long), QUERIES[queries])
    if queries != "original":
        raise ValueError(f"queries {queries!r} are not in folder {source}; choose 'original', or source 'irds'")
    return _from_folder(Path(source), task, long=long, fixed=qrels == "fixed")


def macro_average(values: Mapping[str, float]) -> float:
    """The mean over all twelve tasks of {task: value}, as BRIGHT's leading figure is made.

    Raises:
        ValueError: a task is missing or unknown.
    """
    if values.keys() != TASKS.keys():
        missing, unknown = sorted(TASKS.keys() - values.keys()), sorted(values.keys() - TASKS.keys())
        raise ValueError(f"a mean over the 12 tasks needs each once; missing {missing}, unknown {unknown}")
    return sum(values.values()) / len(values)


def _from_irds(name: str, field: str) -> Split:
    dataset = load_irds(name)
    queries = {query.query_id: getattr(query, field) for query in dataset.queries_iter()}
    if empty := [query_id for query_id, text in queries.items() if not (text or "").strip()]:
        raise ValueError(f"{name}: {len(empty)} queries have no {field}, {empty[0]!r} first; choose other queries")
    qrels: Qrels = {}
    for judgement in dataset.qrels_handler().qrels_iter():  # not dataset.qrels_iter(): see excluded_in_qrels
        if judgement.relevance != EXCLUDED_RELEVANCE:
            qrels.setdefault(judgement.query_id, {})[judgement.doc_id] = judgement.relevance
    return Split(queries, qrels, excluded_in_qrels(dataset))


def _from_folder(folder: Path, task: str, *, long: bool, fixed: bool) -> Split:
    topics = folder / "topics" / f"{task}.jsonl.gz"
    queries, excluded = read_queries(topics, fields=["query"])
    if long:
        return Split(queries, _pages(topics), excluded)
    corrected = folder / "qrels_fixed" / f"{task}.tsv"
    chosen = corrected if fixed and corrected.is_file() else folder / "qrels" / f"{task}.tsv"
    return Split(queries, read_qrels(chosen), excluded)


def _pages(topics: Path) -> Qrels:
    records = (json.loads(line) for _, line in numbered_lines(topics))
    return {str(record["id"]): dict.fromkeys(record["gold_ids_long"], 1) for record in records}


def _check(task: str, long: bool) -> None:
    if not has_long(task) and long:  # has_long refuses an unknown task
        raise ValueError(f"task {task!r} has no whole pages; {', '.join(filter(has_long, TASKS))} have")


def _check_choice(name: str, value: str, choices) -> None:
    if value not in choices:
        raise ValueError(f"{name} {value!r} is unknown; choose {', '.join(map(repr, choices))}")
