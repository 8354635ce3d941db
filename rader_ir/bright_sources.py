"""Where BRIGHT's files come from: ir_datasets, a folder, or the hub's data set; each gives the same queries and judgements.

The hub keeps, per task, a table in `examples` (questions, judged and excluded documents), in `documents` and `long_documents`,
and in one folder for each language model whose reasoning took the place of the questions. Exports for other tools keep
`topics` and `qrels` instead, and only they have the corrected judgements.
"""

import hashlib
import json
from collections.abc import Callable, Iterable, Iterator, Mapping
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

from rader_ir.collection import Documents
from rader_ir.corpus import (
    EXCLUDED_RELEVANCE,
    QUERY_ID_FIELDS,
    downloading,
    excluded_ids,
    excluded_in_qrels,
    load_irds,
)
from rader_ir.files import digest_of
from rader_ir.hub_data import (
    check_count,
    count_rows,
    fetch_tables,
    find_table,
    published_id,
    published_text,
    read_corpus,
    read_table,
)
from rader_ir.records import checked_id
from rader_ir.runs import Qrels, read_qrels

REPOSITORY = "xlangai/BRIGHT"
# The files of this commit have the sizes that ir_datasets 0.6.3 pins with its checksums; their judgements are the ones that
# published figures are measured with. The first release (a75a0eb, June 2024) has 205 and 65 TheoremQA queries.
REVISION = "3066d29c9651a576c8aba4832d249807b181ecae"

# The hub's folder of each set of queries.
FOLDERS = {
    "original": "examples",
    "gpt4_reason": "gpt4_reason",
    "claude_3_opus_reason": "claude-3-opus_reason",
    "gemini_1_0_reason": "Gemini-1.0_reason",
    "llama3_70b_reason": "llama3-70b_reason",
    "grit_reason": "grit_reason",
}
# Tasks whose judgements were corrected later, with the digests of both states; those of the other seven stayed.
CORRECTED = {
    "biology": {"plain": "d369d2c17e46356d", "fixed": "3f4741c7837f3077"},
    "earth_science": {"plain": "8cea5da268c63764", "fixed": "ba39abb71feb89cd"},
    "robotics": {"plain": "6a744a4463935ed8", "fixed": "c2220a8780a9194c"},
    "stackoverflow": {"plain": "6a28e4052ec0f6ac", "fixed": "339103d6a7fd8521"},
    "sustainable_living": {"plain": "ceb8ce5626a733a9", "fixed": "822c8d62ccd57acc"},
}
CORRECTED_FROM = "castorini/anserini-tools@5b819c1a45c8a0a3ec9426f476694f44a29dfaf3, qrels/qrels.bright-*.fixed.txt"


class Split(NamedTuple):
    """What a run of a task needs and is measured by: {query_id: text}, judgements, {query_id: excluded doc_ids}."""

    queries: dict[str, str]
    qrels: Qrels
    excluded: dict[str, frozenset[str]]


def from_irds(name: str, queries: str) -> Split:
    """The split of a dataset of ir_datasets, such as "bright/pony-long"; raises as `bright.load`."""
    with downloading(name):
        return _from_irds(name, queries)


def _from_irds(name: str, queries: str) -> Split:
    dataset = load_irds(name)
    texts = {query.query_id: query.text for query in dataset.queries_iter()}
    if queries != "original":
        path = _irds_file(name.removeprefix("bright/").removesuffix("-long"), queries)
        texts = _rewritten(read_table([path]), texts, queries, name)
    qrels: Qrels = {}
    for judgement in dataset.qrels_handler().qrels_iter():  # not dataset.qrels_iter(): see excluded_in_qrels
        if judgement.relevance != EXCLUDED_RELEVANCE:
            qrels.setdefault(judgement.query_id, {})[judgement.doc_id] = judgement.relevance
    return Split(texts, qrels, excluded_in_qrels(dataset))


def irds_documents(name: str) -> Iterator[tuple[str, str]]:
    """The documents of a dataset of ir_datasets as they were published."""
    with downloading(name):
        for number, document in enumerate(load_irds(name).docs_iter(), start=1):
            record, where = document._asdict(), f"irds:{name}, record {number}"
            yield published_id(record, ("doc_id",), where), published_text(record, ("title", "text"), where)


def from_folder(folder: Path, task: str, *, queries: str, long: bool, fixed: bool) -> Split:
    """The split of a task in a folder of exports, or of the hub's tables; raises as `bright.load`."""
    if (folder / "examples").is_dir() and not (folder / "topics").is_dir():
        split = _from_tables(folder, task, queries=queries, long=long)
    else:
        split = _from_exports(folder, task, queries=queries, long=long)
    return split._replace(qrels=_corrected(folder, task) or split.qrels) if fixed else split


def folder_documents(folder: Path, task: str, *, long: bool) -> Documents | None:
    """How to open the documents of a task that a folder has, None where it has none."""
    paths = _document_files(folder, task, long)
    return partial(read_corpus, paths) if paths else None


def folder_corpus(folder: Path, task: str, *, long: bool) -> Callable[[], str] | None:
    """What gives a digest of these documents' files, None where there are none."""
    paths = _document_files(folder, task, long)
    return partial(digest_of, paths) if paths else None


def from_hub(task: str, *, queries: str, long: bool, revision: str | None, expected: int) -> Split:
    """The split of a task of the hub's data set; raises as `bright.load`.

    Args:
        task, queries, long: as for `bright.load`.
        revision: None takes `REVISION` and wants `expected` queries; one that is given is taken as it is.
        expected: number of queries.
    """
    tables = [f"{FOLDERS[name]}/{task}" for name in dict.fromkeys(("original", queries))]
    folder = fetch_tables(REPOSITORY, *tables, revision=revision or REVISION)
    split = _from_tables(folder, task, queries=queries, long=long)
    if revision is None:
        check_count(task, "queries", len(split.queries), expected, repository=REPOSITORY, revision=REVISION)
    return split


def hub_documents(task: str, *, long: bool, revision: str | None, expected: int | None) -> Documents:
    """How to open the documents of a task of the hub's data set; they are fetched when they are opened."""

    def documents():
        table = _document_tables(task, long)[0]
        paths = find_table(fetch_tables(REPOSITORY, table, revision=revision or REVISION), table)
        count = count_rows(paths)
        if revision is None and expected is not None and count is not None:
            check_count(task, "documents", count, expected, repository=REPOSITORY, revision=REVISION)
        return read_corpus(paths)

    return documents


def _document_files(folder: Path, task: str, long: bool) -> list[Path]:
    try:
        return find_table(folder, *_document_tables(task, long))
    except FileNotFoundError:
        return []


def _document_tables(task: str, long: bool) -> tuple[str, ...]:
    return (f"long_documents/{task}", f"documents_long/{task}") if long else (f"documents/{task}",)


def _irds_file(task: str, queries: str) -> Path:
    """The file of rewritten queries in the cache of ir_datasets, which fetches and checks it.

    Not the field of its queries: that holds the file's column `reasoning`, whereas BRIGHT's own code takes `query`.
    """
    import ir_datasets

    files = ir_datasets.util.DownloadConfig.context("bright", ir_datasets.util.home_path() / "bright")
    return Path(files[f"{task}/{FOLDERS[queries]}/queries"].path())


def _from_exports(folder: Path, task: str, *, queries: str, long: bool) -> Split:
    topics = folder / "topics" / f"{task}.jsonl.gz"
    if not topics.is_file():
        raise FileNotFoundError(f"{topics}: no such file; expected BRIGHT's topics, or the hub's tables in {folder}")
    split = _from_examples(read_table([topics]), long=long)
    if queries != "original":
        split = split._replace(queries=_rewritten_of(folder, f"queries/{queries}/{task}", split.queries, queries))
    return split if long else split._replace(qrels=read_qrels(folder / "qrels" / f"{task}.tsv"))


def _from_tables(folder: Path, task: str, *, queries: str, long: bool) -> Split:
    gold = "gold_ids_long" if long else "gold_ids"
    paths = find_table(folder, f"examples/{task}")
    split = _from_examples(read_table(paths, ("id", "query", "excluded_ids", gold)), long=long)
    if queries != "original":
        split = split._replace(queries=_rewritten_of(folder, f"{FOLDERS[queries]}/{task}", split.queries, queries))
    return split


def _from_examples(records: Iterable[tuple[str, Mapping[str, Any]]], *, long: bool) -> Split:
    split = Split({}, {}, {})
    for where, record in records:
        query_id = published_id(record, QUERY_ID_FIELDS, where)
        if query_id in split.queries:
            raise ValueError(f"{where}: query id {query_id!r} stands twice; keep one record")
        split.queries[query_id] = published_text(record, ("query",), where)
        gold = record.get("gold_ids_long" if long else "gold_ids") or []
        if gold := [checked_id(doc_id, where) for doc_id in gold if doc_id != "N/A"]:
            split.qrels[query_id] = dict.fromkeys(gold, 1)  # some examples name a document twice
        if doc_ids := excluded_ids(record, where):
            split.excluded[query_id] = doc_ids
    _check_texts(split.queries, "query", "the examples")
    return split


def check_state(task: str, qrels: Qrels, asked: str) -> None:
    """Raise ValueError where judgements asked for as "plain" are the corrected ones, or the other way round.

    Judgements of neither state, such as those of some queries alone, pass.
    """
    found = _digest(qrels)
    other = {"plain": "fixed", "fixed": "plain"}[asked]
    if found == CORRECTED.get(task, {}).get(other):
        raise ValueError(
            f"the judgements of {task!r} are the {other} ones, {asked} are asked for, and figures of the two cannot be compared; "
            f"ask for qrels {other!r} (a folder keeps them in {'qrels' if other == 'plain' else 'qrels_fixed'}), or get the "
            f"{asked} ones"
        )


def mixed_states(collections: Mapping[str, Qrels]) -> list[str]:
    """What to say where some of the judgements, by task, are corrected and others not; nothing where they are of one state."""
    digests = {name: _digest(qrels) for name, qrels in collections.items()}
    plain, fixed = (
        ", ".join(name for name, digest in digests.items() if digest in {found[state] for found in CORRECTED.values()})
        for state in ("plain", "fixed")
    )
    if not (plain and fixed):
        return []
    return [
        f"BRIGHT's judgements of {fixed} are the corrected ones, those of {plain} are not; their average means nothing"
    ]


def _digest(qrels: Qrels) -> str:
    return hashlib.sha256(json.dumps(qrels, sort_keys=True).encode()).hexdigest()[:16]


def _rewritten_of(folder: Path, table: str, original: Mapping[str, str], queries: str) -> dict[str, str]:
    try:
        paths = find_table(folder, table)
    except FileNotFoundError as error:
        raise ValueError(f"queries {queries!r} are not in folder {folder} ({error}); choose 'original'") from error
    return _rewritten(read_table(paths), original, queries, str(folder))


def _rewritten(
    records: Iterable[tuple[str, Mapping[str, Any]]], original: Mapping[str, str], queries: str, where: str
) -> dict[str, str]:
    """The texts that took the place of the questions, in the order of these: the field `query`, or `text` where there is none.

    BRIGHT's own code takes `query`. The field `reasoning` beside it is the annotators', who knew what is to be found: it is
    never a query (github.com/xlang-ai/BRIGHT, issues 3 and 4).
    """
    found: dict[str, str] = {}
    for place, record in records:
        query_id = published_id(record, QUERY_ID_FIELDS, place)
        if query_id in found:
            raise ValueError(f"{place}: query id {query_id!r} stands twice; keep one record")
        found[query_id] = published_text(record, ("query",) if "query" in record else ("text",), place)
    texts = {query_id: found.get(query_id, "") for query_id in original}
    _check_texts(texts, queries, where)
    same = [query_id for query_id, text in texts.items() if text.strip() == original[query_id].strip()]
    if 2 * len(same) > len(texts):
        raise ValueError(
            f"{where}: {len(same)} of {len(texts)} {queries} queries are the questions themselves, {same[0]!r} first; "
            "put what the language model wrote into the field query"
        )
    return texts


def _check_texts(texts: Mapping[str, str], field: str, where: str) -> None:
    if empty := [query_id for query_id, text in texts.items() if not text.strip()]:
        raise ValueError(f"{where}: {len(empty)} queries have no {field}, {empty[0]!r} first; choose other queries")


def _corrected(folder: Path, task: str) -> Qrels | None:
    path = folder / "qrels_fixed" / f"{task}.tsv"
    if path.is_file():
        return read_qrels(path)
    if task in CORRECTED:
        raise FileNotFoundError(f"{path}: no such file; put the corrected judgements there, from {CORRECTED_FROM}")
    return None
