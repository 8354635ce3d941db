"""How each kind of system makes its run of a collection, and what that run depends on.

Two functions per kind: its facts, which become part of the key under which a run is kept, and its maker, which writes the run.
Systems that work on other systems' runs, hybrids and rerankers, ask for these as parts.
"""

import hashlib
import json
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

from rader_ir import bright
from rader_ir.collection import Collection, short
from rader_ir.files import find_file
from rader_ir.fusion import PUBLISHED, interpolate, published_setting
from rader_ir.pipelines import BM25, System
from rader_ir.rerank_file import GROUP_SIZE, GROUP_SIZES, rerank_file
from rader_ir.runs import RUN_ENDINGS, Run, ranked, read_run, without, write_run
from rader_ir.shelf import NO_DOCUMENTS, Shelf


@dataclass(frozen=True)
class Task:
    """What a system is given to make a run of one collection.

    Attributes:
        collection: its queries, exclusions, instruction.
        shelf: the indexes of its documents.
        engines: opens encoders and rerankers, as `rader_ir.engines.Engines`.
        questions: gives {query_id: text} that rerankers read.
        depth: documents that a run keeps for each query.
        rerank_depth: documents of the first stage that are reranked.
        part: what opens the run of a part, made if need be, and what that run depends on.
        encoded: whether the documents are encoded by a system's checkpoint anyway, for a dense system.
        verbose: whether to show progress bars.
    """

    collection: Collection
    shelf: Shelf
    engines: object
    questions: Callable[[], Mapping[str, str]]
    depth: int
    rerank_depth: int
    part: Callable[[System, int], tuple[Callable[[], Run], dict]]
    encoded: Callable[[System], bool]
    verbose: bool = False


def reads_documents(system: System, collection: Collection) -> bool:
    """Whether a system reads the documents of a collection, itself or through the systems that it works on."""
    if system.kind == "hybrid":
        return any(reads_documents(part, collection) for part in _mixed(system, collection))
    return system.kind != "run"


def check(system: System, collection: Collection) -> None:
    """Refuse, before any work, a system that lacks what it reads of a collection.

    Raises:
        ValueError: it has no documents, or several runs.
        FileNotFoundError: a folder of runs has none of it.
    """
    if collection.documents is None and reads_documents(system, collection):
        raise ValueError(NO_DOCUMENTS.format(collection.name))
    for one in system.within():
        if one.kind == "run":
            given_run(one.folder, collection)


def facts(system: System, task: Task) -> dict:
    """What the run of a system depends on beside the collection, as JSON values: part of a cell's key."""
    return {"kind": system.kind, **_KINDS[system.kind][0](system, task)}


def make(system: System, task: Task, path: Path) -> None:
    """Write the run of a system on a collection, each list without what its query excludes and cut to the depth.

    Raises:
        ValueError: documents are needed and the collection has none; whatever the engines refuse.
    """
    _KINDS[system.kind][1](system, task, path)


def hybrid_setting(collection: Collection) -> dict:
    """How a hybrid mixes its two runs, as keyword arguments of `interpolate`: by the task of BRIGHT, elsewhere as on most."""
    group, _, task = collection.name.rpartition("/")
    known = group == "bright" and task in bright.TASKS
    return PUBLISHED[published_setting(task) if known else "bright-hybrid"]


def given_run(folder: str | Path, collection: Collection) -> Path:
    """The file in a folder of runs that is for a collection.

    Raises:
        FileNotFoundError: none is there.
        ValueError: several are.
    """
    name = short(collection.name)
    path = find_file(folder, name, RUN_ENDINGS)
    if path is None:
        raise FileNotFoundError(
            f"{folder} holds no run of {name}; expected {name}{', '.join(RUN_ENDINGS)}, or packed as .gz"
        )
    return path


def _bm25_facts(system: System, task: Task) -> dict:
    return {"variant": BM25[system.kind], "depth": task.depth}


def _bm25(system: System, task: Task, path: Path) -> None:
    index = task.shelf.bm25(BM25[system.kind])
    found = index.retrieve(task.collection.queries, depth=task.depth, excluded=task.collection.excluded)
    write_run(found, path, tag=system.kind)


def _dense_facts(system: System, task: Task) -> dict:
    told = task.engines.describe(task.engines.encoder(system, task.collection))
    return {"model": {**told, "instruction": task.collection.instruction}, "depth": task.depth}


def _dense_run(system: System, task: Task, path: Path) -> None:
    collection, encoder = task.collection, task.engines.encoder(system, task.collection)
    index = task.shelf.dense(encoder)
    told = dict.fromkeys(collection.queries, collection.instruction) if collection.instruction else None
    found = index.retrieve(
        collection.queries, encoder, depth=task.depth, excluded=collection.excluded, instructions=told
    )
    write_run(found, path, tag="dense")


def _mixed(system: System, collection: Collection) -> tuple[System, ...]:
    """The parts of a hybrid that count; a dense run that keeps its own documents and scores needs no BM25."""
    setting = hybrid_setting(collection)
    alone = setting["alpha"] == 1 and setting["missing"] == "first"
    return system.parts[:1] if alone else system.parts


def _hybrid_parts(system: System, task: Task) -> list:
    """(opens the run, key) of each part that counts."""
    depth = max(task.depth, hybrid_setting(task.collection)["depth"])
    return [task.part(part, depth) for part in _mixed(system, task.collection)]


def _hybrid_facts(system: System, task: Task) -> dict:
    parts = [key for _, key in _hybrid_parts(system, task)]
    return {"parts": parts, "fusion": hybrid_setting(task.collection), "depth": task.depth}


def _hybrid(system: System, task: Task, path: Path) -> None:
    dense, *lexical = [opened() for opened, _ in _hybrid_parts(system, task)]
    fused = interpolate(dense, lexical[0] if lexical else {}, **hybrid_setting(task.collection))
    write_run(fused, path, tag="hybrid", depth=task.depth)


def _rerank_part(system: System, task: Task):
    return task.part(system.parts[0], max(task.depth, task.rerank_depth))


def _rerank_facts(system: System, task: Task) -> dict:
    reranker = task.engines.reranker(system, task.collection)
    _, first = _rerank_part(system, task)
    asked = hashlib.sha256(json.dumps(task.questions(), sort_keys=True).encode()).hexdigest()[:16]
    told = {"reranker": system.reranker, "model": task.engines.describe(reranker)}
    return {**told, "parts": [first], "questions": asked, "depth": task.rerank_depth}


def _rerank(system: System, task: Task, path: Path) -> None:
    found = _rerank_part(system, task)[0]()  # before the reranker is opened, so that one model is live at a time
    first = {query_id: found[query_id] for query_id in found if query_id in task.collection.queries}
    if system.reranker == "biencoder" and task.encoded(system):
        return write_run(_by_vectors(first, system, task), path, tag="rerank")
    rerank_file(
        first,
        task.questions(),
        task.shelf.documents(),
        task.engines.reranker(system, task.collection),
        path,
        depth=task.rerank_depth,
        excluded=task.collection.excluded,
        group_size=GROUP_SIZES.get(system.reranker, GROUP_SIZE),
        verbose=task.verbose,
    )


def _by_vectors(first: Run, system: System, task: Task) -> Run:
    """What a bi-encoder's scores are, from the vectors of the documents' index."""
    collection, encoder = task.collection, task.engines.encoder(system, task.collection)
    index = task.shelf.dense(encoder)
    questions = [task.questions()[query_id] for query_id in first]
    vectors = encoder.encode_queries(questions, [collection.instruction] * len(questions))
    scored: Run = {}
    for (query_id, scores), vector in zip(without(first, collection.excluded).items(), vectors, strict=True):
        doc_ids = [doc_id for doc_id, _ in ranked(scores, task.rerank_depth)]
        found = (index.doc_vectors(doc_ids) @ vector).tolist() if doc_ids else []
        scored[query_id] = dict(zip(doc_ids, found, strict=True))
    return scored


def _run_facts(system: System, task: Task) -> dict:
    path = given_run(system.folder, task.collection)
    return {"file": hashlib.sha256(path.read_bytes()).hexdigest(), "depth": task.depth}


def _run(system: System, task: Task, path: Path) -> None:
    run = read_run(given_run(system.folder, task.collection))
    tag = re.sub(r"\s+", "_", system.label)
    write_run(without(run, task.collection.excluded), path, tag=tag, depth=task.depth)


_KINDS = {
    **dict.fromkeys(BM25, (_bm25_facts, _bm25)),
    "dense": (_dense_facts, _dense_run),
    "hybrid": (_hybrid_facts, _hybrid),
    "rerank": (_rerank_facts, _rerank),
    "run": (_run_facts, _run),
}
