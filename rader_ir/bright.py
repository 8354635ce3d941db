"""BRIGHT: twelve tasks whose queries take reasoning to answer (arXiv:2407.12883).

Seven tasks are StackExchange posts against web pages, two are coding, three are mathematics. Each has its instruction,
and three name documents per query (the question itself, its near copies) that must leave a ranking before it is cut and
scored. The measure of the whole is the plain mean over tasks of nDCG@10.
"""

from collections.abc import Mapping
from functools import partial
from pathlib import Path
from typing import NamedTuple

from rader_ir import bright_sources
from rader_ir.bright_sources import REVISION, Split
from rader_ir.collection import Collection, Documents


class Task(NamedTuple):
    """What is fixed of a task: group, numbers of queries and documents, instruction with `{documents}` open."""

    group: str
    queries: int
    documents: int
    instruction: str


def _given(need: str, relevant: str) -> str:
    kind = need.split()[-1]
    return f"Given {need}, retrieve relevant {relevant} that help answer the {kind}"


# Counts of the release that RaDeR and ir_datasets use; the first one has fewer TheoT and more TheoQ queries.
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

# The question, or the chain of thought that a language model wrote about it, by the names that ir_datasets gives them.
QUERIES = tuple(bright_sources.FOLDERS)

# As papers report tasks: nDCG@10 above all; whole pages, of which there are some hundreds, by the first one.
MEASURES = ("nDCG@10", "R@10", "R@100", "P@10", "RR@10")


def instruction(task: str, *, long: bool = False) -> str:
    """The published instruction that goes before a query of the task: "Instruct: ...", a line break, "Query: ".

    The long form, for whole pages, says documents for passages.

    Raises:
        ValueError: an unknown task, or `long` of a task without pages (`has_long`).
    """
    _check(task, long)
    return f"Instruct: {TASKS[task].instruction.format(documents='documents' if long else 'passages')}\nQuery: "


_instruction = instruction  # `collection` has an argument of that name


def check_queries(queries: str) -> None:
    """Raise ValueError where `queries` is no name of `QUERIES`."""
    _check_choice("queries", queries, QUERIES)


def has_long(task: str) -> bool:
    """Whether the task can also be run on whole pages instead of passages: StackExchange and pony can."""
    _check_choice("task", task, TASKS)
    return "{documents}" in TASKS[task].instruction


def irds_name(task: str, *, long: bool = False) -> str:
    """The task's name in ir_datasets, as in `read_documents(f"irds:{irds_name('pony')}")`; raises as `instruction`."""
    _check(task, long)
    return f"bright/{task.replace('_', '-')}{'-long' if long else ''}"


def collection(
    task: str,
    *,
    source: str | Path = "irds",
    queries: str | None = "original",
    long: bool = False,
    qrels: str = "plain",
    instruction: bool = True,
    revision: str | None = None,
) -> Collection:
    """A task with its documents, as a `Collection` named "bright/TASK", or "bright/TASK-long" for whole pages.

    Its `documents` are None where a folder has none: runs can be measured all the same.

    Args:
        task, source, long, qrels, revision: as for `load`.
        queries: as for `load`; None, for runs that are given, takes the questions, and `version` does not say what searched.
        instruction: whether models that take one are given the task's published instruction.

    Raises:
        ValueError, FileNotFoundError, ModuleNotFoundError: as `load`; for documents, when they are opened.
    """
    split = load(task, source=source, queries=queries or "original", long=long, qrels=qrels, revision=revision)
    return Collection(
        name=f"bright/{task}{'-long' if long else ''}",
        queries=split.queries,
        qrels=split.qrels,
        excluded=split.excluded,
        documents=_documents(task, source, long, revision),
        corpus=None if source in ("irds", "hub") else bright_sources.folder_corpus(Path(source), task, long=long),
        instruction=_instruction(task, long=long) if instruction else "",
        measures=("R@1", *MEASURES) if long else MEASURES,
        judged="fixed" if qrels == "fixed" and task in bright_sources.CORRECTED else "",
        version=_version(task, source, queries, long, qrels, revision, len(split.queries)),
    )


def load(
    task: str,
    *,
    source: str | Path = "irds",
    queries: str = "original",
    long: bool = False,
    qrels: str = "plain",
    revision: str | None = None,
) -> Split:
    """Load a task's queries, judgements and exclusions.

    Args:
        task: a name of `TASKS`.
        source: "irds" (ir_datasets downloads on first use); "hub" (the data set xlangai/BRIGHT at `REVISION`); or a folder.
            A folder is laid out as anserini-tools' exports of BRIGHT, `topics/TASK.jsonl.gz`, `qrels/TASK.tsv`,
            `qrels_fixed/TASK.tsv`, with `queries/NAME/TASK.jsonl.gz` for queries of `QUERIES`, `documents/TASK.jsonl.gz` and
            `documents_long/TASK.jsonl.gz` if there are any; or as the hub's data set.
        queries: a name of `QUERIES`.
        long: judge whole pages instead of passages.
        qrels: "plain", which published figures are measured with, or "fixed", the later correction for five tasks (the
            others keep theirs), which only a folder has, for passages. Figures of the two cannot be compared, nor averaged.
        revision: another commit of the hub's data set, taken as it is; the default's numbers of queries are checked.

    Raises:
        ValueError: an unknown task or choice, a choice that the source does not have, a query without text, numbers of
            queries that are not those of published figures, judgements that are not of the state asked for.
        FileNotFoundError: the folder lacks a file; the hub cannot be reached.
        ModuleNotFoundError: "irds" without ir_datasets, parquet without pyarrow.
    """
    _check(task, long)
    check_queries(queries)
    _check_choice("qrels", qrels, ("plain", "fixed"))
    if qrels == "fixed" and (long or source in ("irds", "hub")):
        raise ValueError(
            "qrels 'fixed' exist in a folder and for passages only; choose 'plain', or give a folder with qrels_fixed/TASK.tsv "
            f"({bright_sources.CORRECTED_FROM})"
        )
    if revision is not None and source != "hub":
        raise ValueError(f"revision {revision!r} is one of the hub's; give source 'hub' with it")
    split = _split(task, source, queries, long, qrels, revision)
    if not long:
        bright_sources.check_state(task, split.qrels, qrels)
    return split


def macro_average(values: Mapping[str, float]) -> float:
    """The mean over all twelve tasks of {task: value}, as BRIGHT's leading figure is made.

    Raises:
        ValueError: a task is missing or unknown.
    """
    if values.keys() != TASKS.keys():
        missing, unknown = sorted(TASKS.keys() - values.keys()), sorted(values.keys() - TASKS.keys())
        raise ValueError(f"a mean over the 12 tasks needs each once; missing {missing}, unknown {unknown}")
    return sum(values.values()) / len(values)


def _split(task: str, source: str | Path, queries: str, long: bool, qrels: str, revision: str | None) -> Split:
    if source == "irds":
        return bright_sources.from_irds(irds_name(task, long=long), queries)
    if source == "hub":
        expected = TASKS[task].queries
        return bright_sources.from_hub(task, queries=queries, long=long, revision=revision, expected=expected)
    return bright_sources.from_folder(Path(source), task, queries=queries, long=long, fixed=qrels == "fixed")


def _documents(task: str, source: str | Path, long: bool, revision: str | None) -> Documents | None:
    if source == "irds":
        return partial(bright_sources.irds_documents, irds_name(task, long=long))
    if source == "hub":
        expected = None if long else TASKS[task].documents
        return bright_sources.hub_documents(task, long=long, revision=revision, expected=expected)
    return bright_sources.folder_documents(Path(source), task, long=long)


def _version(
    task: str, source: str | Path, queries: str | None, long: bool, qrels: str, revision: str | None, count: int
) -> str:
    """Words that tell one state of the data from another; a folder's place is no part of it."""
    where = {"irds": "ir_datasets", "hub": f"hub {revision or REVISION}"}.get(str(source), "folder")
    odd = "" if count == TASKS[task].queries else f", {count} queries instead of {TASKS[task].queries}"
    state = qrels if task in bright_sources.CORRECTED else "plain"  # of the others there is but one
    asked = f", {queries} queries" if queries else ""
    return f"{where}{asked}{', whole pages' if long else ''}, {state} qrels{odd}"


def _check(task: str, long: bool) -> None:
    if not has_long(task) and long:  # has_long refuses an unknown task
        raise ValueError(f"task {task!r} has no whole pages; {', '.join(filter(has_long, TASKS))} have")


def _check_choice(name: str, value: str, choices) -> None:
    if value not in choices:
        raise ValueError(f"{name} {value!r} is unknown; choose {', '.join(map(repr, choices))}")
