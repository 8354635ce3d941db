"""Training examples in the two formats of Tevatron (arXiv:2203.05765), in and out.

The old one, in which RaDeR's data is published, writes texts into every line: `query_id, query, positive_passages,
negative_passages`, each passage `{docid, title, text}`. The new one names documents, `query_id, query_text,
positive_document_ids, negative_document_ids`, and keeps them in a corpus of `{docid, text}`. Neither has a place for an
example's kind and provenance, nor the new one for scores.
"""

import json
from collections.abc import Iterable, Mapping
from contextlib import nullcontext
from pathlib import Path
from typing import Any

from rader_ir.corpus import DOC_ID_FIELDS, read_documents
from rader_ir.examples import Example, Passage, unique_examples
from rader_ir.files import replacing
from rader_ir.records import checked_id, jsonl_records, record_id, record_text

_OLD = ("positive_passages", "negative_passages")
_NEW = ("positive_document_ids", "negative_document_ids")


def read_tevatron(path: str | Path, *, corpus: str | Path | None = None, clashes: str = "refuse") -> list[Example]:
    """Read a JSONL file of either format, plain or .gz; fields that the formats do not have are passed over.

    A title stands before its text, parted by a newline, as in every corpus here (Tevatron itself parts them by a blank).
    Integer ids become text.

    Args:
        path: the file.
        corpus: the documents of the new format, a source as `read_documents` takes it; None for the old one.
        clashes: "refuse" a negative that is a positive too, by id or by text, and an id that stands twice, or "drop" it.

    Raises:
        ValueError: a line of the other format, a broken or unsound one, a query_id that stands twice, a document that the
            corpus lacks or holds twice; names file and line.
    """
    if clashes not in ("refuse", "drop"):
        raise ValueError(f"clashes {clashes!r} is unknown; choose 'refuse' or 'drop'")
    known: dict[Passage, Passage] = {}
    rows = [(where, _row(record, known, where, new=corpus is not None)) for where, record in jsonl_records(path)]
    if corpus is not None:
        wanted = {doc_id for _, row in rows for name in _NEW for doc_id in row[name]}
        documents = _documents(corpus, wanted)
        rows = [(where, _filled(row, documents, corpus, where)) for where, row in rows]
    return list(unique_examples((where, _example(row, where, clashes)) for where, row in rows))


def write_tevatron(examples: Iterable[Example], path: str | Path, *, corpus: str | Path | None = None) -> None:
    """Write examples in the old format, or in the new one with their documents in the file `corpus`; .gz packs.

    Titles are empty, as in RaDeR's data, since an example's text holds them.

    Raises:
        ValueError: a query_id that stands twice; in the new format a doc_id with two texts, or one file for both.
    """
    if corpus is not None and Path(corpus).absolute() == Path(path).absolute():
        raise ValueError(f"examples and corpus are both to go into {path}; give them files of their own")
    named = ((f"example {number}", example) for number, example in enumerate(examples, start=1))
    texts: dict[str, str] = {}
    with replacing(path) as file, nullcontext() if corpus is None else replacing(corpus) as documents:
        for example in unique_examples(named):
            record = _old_record(example) if corpus is None else _new_record(example, texts)
            file.write(json.dumps(record, ensure_ascii=False) + "\n")
        for doc_id, text in texts.items():
            documents.write(json.dumps({"docid": doc_id, "text": text}, ensure_ascii=False) + "\n")


def _row(record: Mapping[str, Any], known: dict[Passage, Passage], where: str, *, new: bool) -> dict[str, Any]:
    """query_id, query, and the two lists: of passages, equal ones shared by way of `known`, or in the new format of doc_ids."""
    if new and _OLD[0] in record:
        raise ValueError(f"{where}: the old format, which carries its texts; leave corpus out")
    if not new and _NEW[0] in record:
        raise ValueError(f"{where}: the new format, whose texts are in a corpus; give its file as corpus")
    query, lists = ("query_text", _NEW) if new else ("query", _OLD)
    if missing := [name for name in ("query_id", query, *lists) if name not in record]:
        raise ValueError(f"{where}: no field {missing[0]!r}; the record has {', '.join(record)}")
    row = {"query_id": checked_id(record["query_id"], f"{where}: query_id"), "query": record[query]}
    for name in lists:
        items = [] if record[name] is None else record[name]
        if not isinstance(items, list):
            raise ValueError(f"{where}: {name} is {items!r}; expected a list")
        read = checked_id if new else _passage
        read_items = (read(item, f"{where}: {name}, number {number}") for number, item in enumerate(items, start=1))
        row[name] = list(read_items) if new else [known.setdefault(passage, passage) for passage in read_items]
    return row


def _passage(record: Any, where: str) -> Passage:
    if not isinstance(record, dict):
        raise ValueError(f"{where} is {record!r}; expected an object {{docid, title, text}}")
    doc_id, text = record_id(record, DOC_ID_FIELDS, where), record_text(record, None, ("title", "text"), where)
    try:
        return Passage(doc_id, text, record.get("score"))
    except ValueError as error:
        raise ValueError(f"{where}: {error}") from None


def _documents(corpus: str | Path, wanted: set[str]) -> dict[str, Passage]:
    documents: dict[str, Passage] = {}
    for doc_id, text in read_documents(corpus):
        if doc_id in documents:
            raise ValueError(f"{corpus}: document {doc_id!r} stands twice; keep one record")
        if doc_id in wanted:
            documents[doc_id] = Passage(doc_id, text)
    return documents


def _filled(row: dict[str, Any], documents: Mapping[str, Passage], corpus: str | Path, where: str) -> dict[str, Any]:
    """The row with passages in place of doc_ids, under the names of the old format."""
    filled = {"query_id": row["query_id"], "query": row["query"]}
    for name, filled_name in zip(_NEW, _OLD, strict=True):
        if missing := [doc_id for doc_id in row[name] if doc_id not in documents]:
            raise ValueError(f"{where}: document {missing[0]!r} is not in {corpus}; give the corpus of these examples")
        filled[filled_name] = [documents[doc_id] for doc_id in row[name]]
    return filled


def _example(row: dict[str, Any], where: str, clashes: str) -> Example:
    positives, negatives = (row[name] for name in _OLD)
    if clashes == "drop":
        positives = _once(positives)
        ids, texts = {passage.doc_id for passage in positives}, {passage.text for passage in positives}
        negatives = _once(p for p in negatives if p.doc_id not in ids and p.text not in texts)
    try:
        return Example(row["query_id"], row["query"], positives, negatives)
    except ValueError as error:
        raise ValueError(f"{where}: {error}") from None


def _once(passages: Iterable[Passage]) -> list[Passage]:
    """The first passage of each doc_id, in order."""
    first: dict[str, Passage] = {}
    for passage in passages:
        first.setdefault(passage.doc_id, passage)
    return list(first.values())


def _old_record(example: Example) -> dict[str, Any]:
    record: dict[str, Any] = {"query_id": example.query_id, "query": example.query}
    for name, passages in zip(_OLD, (example.positives, example.negatives), strict=True):
        record[name] = [_old_passage(passage) for passage in passages]
    return record


def _old_passage(passage: Passage) -> dict[str, Any]:
    record = {"docid": passage.doc_id, "title": "", "text": passage.text}
    return record if passage.score is None else {**record, "score": passage.score}


def _new_record(example: Example, texts: dict[str, str]) -> dict[str, Any]:
    """The line of an example; its documents go into `texts`."""
    for passage in (*example.positives, *example.negatives):
        if texts.setdefault(passage.doc_id, passage.text) != passage.text:
            raise ValueError(
                f"query {example.query_id!r}: document {passage.doc_id!r} has another text than before; give each text an "
                "id of its own, or write the old format"
            )
    ids = ([passage.doc_id for passage in passages] for passages in (example.positives, example.negatives))
    return {"query_id": example.query_id, "query_text": example.query} | dict(zip(_NEW, ids, strict=True))
