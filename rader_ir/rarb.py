"""RAR-b: reasoning as retrieval (arXiv:2404.06347), its two pooled tasks, mathematics and code.

A query is a problem, its one relevant document the solution, among the solutions of all problems and many more. Data sets and
instructions are MTEB's (tasks RARbMath and RARbCode); the leading measure is nDCG@10.
"""

from functools import partial
from pathlib import Path
from typing import NamedTuple

from rader_ir.collection import Collection
from rader_ir.hub_data import check_count, fetch_tables
from rader_ir.mteb_layout import CORPUS, QRELS, QUERIES, count_texts, has_texts, read_judged, read_texts, texts_digest


class Task(NamedTuple):
    """A task's data set on the hub and the commit that MTEB pins, its numbers of queries and documents, its instruction."""

    repository: str
    revision: str
    queries: int
    documents: int
    instruction: str


TASKS = {
    "math": Task(
        "mteb/RARbMath",
        "cc879a9719a10f4a80677ac26798cfd701cf94b7",
        6_319,
        389_376,
        "Retrieve the answer for the following math problem.",
    ),
    "code": Task(
        "mteb/RARbCode",
        "ed0a01c3e4d39ec17badb87405e595322f8f2b86",
        1_484,
        301_482,
        "Retrieve the answer for the following coding problem.",
    ),
}
MEASURES = ("nDCG@10", "R@100")


def instruction(task: str) -> str:
    """The task's instruction, as MTEB words it, in the form that BRIGHT's have: "Instruct: ...", a line break, "Query: ".

    Raises:
        ValueError: an unknown task.
    """
    return f"Instruct: {_task(task).instruction}\nQuery: "


def collection(
    task: str, *, source: str | Path = "hub", instruction: bool = True, revision: str | None = None
) -> Collection:
    """A task as a `Collection` named "rarb/TASK".

    Args:
        task: "math" or "code".
        source: "hub", or a folder with the task's files in the layout of MTEB or BEIR (see `mteb_layout`), with or without
            the corpus.
        instruction: whether models that take one are given the task's instruction.
        revision: another commit of the hub's data set, taken as it is; of the default's, numbers are checked.

    Raises:
        ValueError: an unknown task; broken files; numbers of queries or documents that are not those of published figures.
        FileNotFoundError: the folder lacks a table; the hub cannot be reached.
    """
    known = _task(task)
    hub = source == "hub"
    if revision is not None and not hub:
        raise ValueError(f"revision {revision!r} is one of the hub's; give source 'hub' with it")
    pinned = hub and revision is None
    used = revision or known.revision
    folder = fetch_tables(known.repository, QUERIES, QRELS, revision=used) if hub else Path(source)
    queries, qrels = read_judged(folder)
    if pinned:
        check_count(task, "queries", len(queries), known.queries, repository=known.repository, revision=used)
    here = not hub and has_texts(folder)
    odd = "" if len(queries) == known.queries else f", {len(queries)} queries instead of {known.queries}"
    return Collection(
        name=f"rarb/{task}",
        queries=queries,
        qrels=qrels,
        documents=partial(_hub_documents, task, used, pinned) if hub else partial(read_texts, folder) if here else None,
        corpus=partial(texts_digest, folder) if here else None,
        instruction=_instruction(task) if instruction else "",
        measures=MEASURES,
        version=(f"hub {used}" if hub else "folder") + odd,
    )


_instruction = instruction  # `collection` has an argument of that name


def _hub_documents(task: str, revision: str, pinned: bool):
    known = TASKS[task]
    folder = fetch_tables(known.repository, CORPUS, revision=revision)
    count = count_texts(folder)
    if pinned and count is not None:
        check_count(task, "documents", count, known.documents, repository=known.repository, revision=revision)
    return read_texts(folder)


def _task(task: str) -> Task:
    if task not in TASKS:
        raise ValueError(f"task {task!r} is unknown; choose {', '.join(map(repr, TASKS))}")
    return TASKS[task]
