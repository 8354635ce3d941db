"""Examples for the mini checkpoints: tasks with a teacher's scores.

Of a query that has a solution the teacher sees that as well (`rader_ir.train.teacher`); its best documents come with their
scores, as logits, beside the positives with theirs. Everything is a function of the tasks, the starting model and the seed.
"""

from collections.abc import Mapping, Sequence
from itertools import islice

import numpy as np

from rader_ir.bm25 import BM25
from rader_ir.examples import Example, Passage
from rader_ir.seeded import shuffled
from rader_ir.train.mini_sources import Query, Task
from rader_ir.train.teacher import DENSE, WORDS, Vectors, view

TEACHERS = dict.fromkeys(
    ("stacks", "stacks-cot", "stacks-steps"),
    ((DENSE, "solution"), (WORDS, "solution"), (DENSE, "question"), (WORDS, "question")),
)  # of a reranker, where it sees more than the query
DEPTH = 50  # documents that a teacher recommends
SHARPNESS = 0.3  # standard deviations of a teacher's scores that make a logit
SOFTNESS = 1.2  # the same for a reranker
GROUP = {"teacher": 2, WORDS: 3, DENSE: 1, "chance": 1}  # a reranker's negatives of a query, by where they come from
QUERY_CHARACTERS, DOC_CHARACTERS = 300, 450  # of what a reranker reads while it learns
# By task, what its teacher looks at. Where it has none, labels alone teach; the documents nearest to the query come unscored.
VIEWS: Mapping[str, tuple[tuple[str, str], ...]] = {
    **dict.fromkeys(
        ("stacks", "stacks-cot", "stacks-steps"), ((DENSE, "solution"), (WORDS, "solution"), (DENSE, "question"))
    ),
    **dict.fromkeys(("gsm8k", "aqua"), ((DENSE, "solution"),)),
}


def retriever_examples(tasks: Sequence[Task], vectors: Vectors) -> list[Example]:
    """What a retriever learns from: each query with its positives and the teacher's best documents.

    Args:
        tasks: of `read_tasks`.
        vectors: of the starting model.
    """
    made = []
    for task in tasks:
        views = VIEWS.get(task.name)
        scores = logits(task, views or ((DENSE, "question"),), vectors)
        made += [
            _example(task, query, row, scored=views is not None)
            for query, row in zip(task.queries, scores, strict=True)
        ]
    return made


def reranker_examples(tasks: Sequence[Task], vectors: Vectors, seed: int) -> list[Example]:
    """What a reranker learns from: each query with a group's candidates, all with the teacher's scores.

    Candidates are near the query in different ways and degrees: by the teacher, by words, by vectors, and by chance. Where
    nobody has judged a document, the teacher's best stands for the positive. Queries and documents are cut, since attention
    over pairs is dear.

    Args:
        tasks: of `read_tasks` and `short_texts`.
        vectors: of the starting model.
        seed: of the draws.
    """
    made = []
    for task in tasks:
        views = TEACHERS.get(task.name, ((DENSE, "question"), (WORDS, "question")))
        by_teacher = logits(task, views, vectors) * SHARPNESS / SOFTNESS
        by_kind = {kind: logits(task, ((kind, "text"),), vectors) for kind in (DENSE, WORDS)}
        for place, query in enumerate(task.queries):
            lists = {"teacher": by_teacher[place], **{kind: scores[place] for kind, scores in by_kind.items()}}
            made.append(_group(task, query, lists, seed))
    return made


def _group(task: Task, query: Query, lists: Mapping[str, np.ndarray], seed: int) -> Example:
    ids, barred = list(task.docs), {*query.excluded}
    ranked = {name: [ids[i] for i in np.argsort(-scores, kind="stable")[:DEPTH]] for name, scores in lists.items()}
    relevant = query.relevant or tuple(doc_id for doc_id in ranked["teacher"] if doc_id not in barred)[:1]
    scores = dict(zip(ids, lists["teacher"].tolist(), strict=True))
    answers = {_cut(task.docs[doc_id], DOC_CHARACTERS) for doc_id in relevant}
    taken: dict[str, str] = {}
    for name, count in GROUP.items():
        source = shuffled(ranked.get(name, ids), seed, query.query_id, name)
        fitting = (i for i in source if i not in barred and _cut(task.docs[i], DOC_CHARACTERS) not in answers)
        for doc_id in islice((i for i in fitting if i not in taken and i not in relevant), count):
            taken[doc_id] = name

    def passage(doc_id: str) -> Passage:
        return Passage(doc_id, _cut(task.docs[doc_id], DOC_CHARACTERS), scores[doc_id])

    text = _cut(query.text, QUERY_CHARACTERS)
    right, others = tuple(map(passage, relevant)), tuple(map(passage, taken))
    return Example(query.query_id, text, right, others, query.kind, {"source": task.name})


def _cut(text: str, characters: int) -> str:
    return text if len(text) <= characters else text[:characters].rsplit(None, 1)[0]


def dev_examples(tasks: Sequence[Task], most: int = 100) -> tuple[list[Example], list[tuple[str, str]]]:
    """What a retriever is measured on: queries with their positives, and (doc_id, text) of all documents to search.

    Args:
        tasks: of `read_tasks`, those kept for development. Ids of documents have their task's name before them.
        most: queries of a task, its first ones, so that none of them decides alone.
    """
    made, docs = [], []
    for task in tasks:
        docs += [(f"{task.name}/{doc_id}", text) for doc_id, text in task.docs.items()]
        made += [
            Example(
                query.query_id,
                query.text,
                tuple(Passage(f"{task.name}/{doc_id}", task.docs[doc_id]) for doc_id in query.relevant),
                kind=query.kind,
                provenance=_provenance(task, query, f"{task.name}/"),
            )
            for query in task.queries[:most]
        ]
    return made, docs


def candidates(tasks: Sequence[Task], depth: int = 20, most: int = 60) -> list[Example]:
    """What a reranker is measured on: each query with BM25's best documents, relevant or not.

    Args:
        tasks: of `read_tasks`, those kept for development.
        depth: documents per query. A query whose list holds nothing relevant is left out, as nothing could be told by it.
        most: queries of a task, its first ones.
    """
    made = []
    for task in tasks:
        queries = {query.query_id: query for query in task.queries[:most]}
        run = BM25.build(task.docs.items()).retrieve(
            {query_id: query.text for query_id, query in queries.items()},
            depth=depth,
            excluded={query_id: query.excluded for query_id, query in queries.items()},
        )
        for query_id, scores in run.items():
            query = queries[query_id]
            found = {doc_id: Passage(f"{task.name}/{doc_id}", task.docs[doc_id]) for doc_id in scores}
            right = tuple(found[doc_id] for doc_id in found if doc_id in query.relevant)
            texts = {passage.text for passage in right}
            others = tuple(found[i] for i in found if i not in query.relevant and found[i].text not in texts)
            if right and others:
                made.append(Example(query_id, query.text, right, others, query.kind, {"source": task.name}))
    return made


def logits(task: Task, views: Sequence[tuple[str, str]], vectors: Vectors) -> np.ndarray:
    """A teacher's scores of all documents of a task for its queries, float32 [queries, docs].

    Args:
        task: whose queries share questions and solutions, each of which is read once.
        views: (kind, what it reads of a query: `text`, `question` or `solution`), averaged.
        vectors: of the starting model.
    """
    asked = {"text": [query.text for query in task.queries]}
    asked["question"] = [query.question or query.text for query in task.queries]
    asked["solution"] = [
        query.solution or question for query, question in zip(task.queries, asked["question"], strict=True)
    ]
    total = np.zeros((len(task.queries), len(task.docs)), dtype=np.float32)
    for kind, part in views:
        texts = list(dict.fromkeys(asked[part]))
        rows = dict(zip(texts, view(kind, vectors, texts, task.docs), strict=True))
        total += np.stack([rows[text] for text in asked[part]])
    return np.round(total / len(views) / SHARPNESS, 3)


def _example(task: Task, query: Query, scores: np.ndarray, *, scored: bool) -> Example:
    ids = list(task.docs)
    apart = {*query.relevant, *query.excluded}
    order = np.argsort(-scores, kind="stable")[: DEPTH + len(apart)]
    best = [ids[i] for i in order if ids[i] not in apart][:DEPTH]
    places = {doc_id: place for place, doc_id in enumerate(ids)}

    def passage(doc_id: str) -> Passage:
        return Passage(doc_id, task.docs[doc_id], float(scores[places[doc_id]]) if scored else None)

    right = tuple(passage(doc_id) for doc_id in query.relevant)
    texts = {each.text for each in right}
    others = tuple(passage(doc_id) for doc_id in best if task.docs[doc_id] not in texts)
    return Example(query.query_id, query.text, right, others, query.kind, _provenance(task, query))


def _provenance(task: Task, query: Query, prefix: str = "") -> dict:
    excluded = [prefix + doc_id for doc_id in query.excluded if doc_id in task.docs]
    return {"source": task.name} | ({"excluded_ids": excluded} if excluded else {})
