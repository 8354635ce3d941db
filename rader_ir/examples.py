"""Training examples: a query with documents that answer it and documents that do not, one JSON object per line.

Retrievers and rerankers learn from the same file (RaDeR, arXiv:2505.18405, sections 3 and 4). An example also says of what kind
its query is and where its parts came from; it is checked when it is made, so whoever holds an `Example` holds a sound one.
"""

import json
import math
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from numbers import Real
from pathlib import Path
from typing import Any

from rader_ir.files import replacing
from rader_ir.records import checked_id, encodable, jsonl_records

KINDS = ("cot", "llm", "question", "lexical")  # of queries, as the paper's Table 9 counts them
_FIELDS = ("query_id", "query", "positives", "negatives", "kind", "provenance")
_PASSAGE_FIELDS = ("doc_id", "text", "score")


@dataclass(frozen=True, slots=True)
class Passage:
    """A document of an example.

    Attributes:
        doc_id: its id, a string that fits into a TREC file.
        text: what the model reads, not empty.
        score: a teacher's or a first stage's for this query, a finite number; higher is better. None where nobody scored it.

    Raises:
        ValueError: a value of the wrong type, empty or not finite.
    """

    doc_id: str
    text: str
    score: float | None = None

    def __post_init__(self):
        _check_string(self.doc_id, "doc_id")
        checked_id(self.doc_id, "doc_id")
        _check_text(self.text, f"the text of {self.doc_id!r}")
        if self.score is not None:
            object.__setattr__(self, "score", _finite(self.score, f"the score of {self.doc_id!r}"))


@dataclass(frozen=True, slots=True)
class Example:
    """A query, documents that answer it, and documents that do not.

    Attributes:
        query_id: its id, a string that fits into a TREC file.
        query: its text, without instruction or prefix, which belong to the checkpoint.
        positives: one or more.
        negatives: any number; with none the example serves where other queries' documents are the negatives.
        kind: one of `KINDS`, or "" where it has none.
        provenance: where the parts came from; anything that JSON can keep. Two names have a meaning: `source`, the collection,
            and `excluded_ids`, the documents that are neither candidates nor ranked for this query, such as its own statement.

    Raises:
        ValueError: a value of the wrong type or empty, no positive, an id that stands twice, a negative with the text of a
            positive, an unknown kind.
    """

    query_id: str
    query: str
    positives: tuple[Passage, ...]
    negatives: tuple[Passage, ...] = ()
    kind: str = ""
    provenance: Mapping[str, Any] = field(default_factory=dict, hash=False)

    def __post_init__(self):
        _check_string(self.query_id, "query_id")
        checked_id(self.query_id, "query_id")
        where = f"query {self.query_id!r}"
        _check_text(self.query, f"the text of {where}")
        for name in ("positives", "negatives"):
            object.__setattr__(self, name, _passages(getattr(self, name), f"{where}: {name}"))
        if not self.positives:
            raise ValueError(f"{where} has no positives; give it a document that answers it, or leave the example out")
        _check_apart(self.positives, self.negatives, where)
        if self.kind not in ("", *KINDS):
            raise ValueError(f"{where}: kind {self.kind!r} is unknown; choose {', '.join(KINDS)}, or leave it empty")
        if not isinstance(self.provenance, Mapping):
            raise ValueError(f"{where}: provenance is {self.provenance!r}; expected an object {{name: value}}")


def read_examples(path: str | Path) -> list[Example]:
    """Read a JSONL file of examples, plain or .gz; equal passages share one object, so texts are in memory once.

    A line is `{"query_id", "query", "positives": [{"doc_id", "text", "score"}], "negatives": [...], "kind", "provenance"}`,
    the last three and `score` where there is something to say. Integer ids become text.

    Raises:
        ValueError: a line that is no sound example, an unknown field, a query_id that stands twice; names file and line.
    """
    known: dict[Passage, Passage] = {}
    return list(unique_examples((where, _example(record, known, where)) for where, record in jsonl_records(path)))


def write_examples(examples: Iterable[Example], path: str | Path) -> None:
    """Write examples as JSONL, packed where the name ends in .gz; the file appears whole or not at all and reads back equal.

    Raises:
        ValueError: a query_id that stands twice, provenance that JSON does not keep as it is.
    """
    named = ((f"example {number}", example) for number, example in enumerate(examples, start=1))
    with replacing(path) as file:
        for example in unique_examples(named):
            file.write(_line(example) + "\n")


def without_negatives(examples: Iterable[Example]) -> list[str]:
    """The query_ids of the examples that have no negatives; groups cannot be made of them."""
    return [example.query_id for example in examples if not example.negatives]


def source(example: Example) -> str:
    """The collection that an example comes from, "" where it does not say."""
    return str(example.provenance.get("source", ""))


def excluded_ids(example: Example) -> frozenset[str]:
    """The documents that an example says are neither candidates nor ranked.

    Raises:
        ValueError: its provenance has no list of ids there, or excludes a positive.
    """
    ids = example.provenance.get("excluded_ids", ())
    where = f"query {example.query_id!r}: excluded_ids"
    if isinstance(ids, str) or not isinstance(ids, Iterable) or not all(isinstance(each, str) for each in ids):
        raise ValueError(f"{where} is {_shown(ids)}; expected a list of document ids")
    if lost := set(ids) & {passage.doc_id for passage in example.positives}:
        raise ValueError(f"{where} has {min(lost)!r}, which is a positive; take it out of one of them")
    return frozenset(ids)


def unique_examples(examples: Iterable[tuple[str, Example]]) -> Iterator[Example]:
    """The examples of (where it stands, example) pairs, in order.

    Raises:
        ValueError: a query_id that stands twice; names both places.
    """
    seen: dict[str, str] = {}
    for where, example in examples:
        if (first := seen.setdefault(example.query_id, where)) is not where:
            raise ValueError(
                f"{where}: query id {example.query_id!r} stands twice, first at {first}; give each example an id of its own"
            )
        yield example


def _example(record: Mapping[str, Any], known: dict[Passage, Passage], where: str) -> Example:
    if foreign := [name for name in record if name.endswith(("_passages", "_document_ids"))]:
        raise ValueError(f"{where}: {foreign[0]!r} is a field of Tevatron's; read the file by read_tevatron")
    _check_fields(record, _FIELDS, ("query_id", "query", "positives"), where)
    try:
        return Example(
            query_id=checked_id(record["query_id"], "query_id"),
            query=record["query"],
            positives=_read_passages(record["positives"], known, "positives"),
            negatives=_read_passages(record.get("negatives", []), known, "negatives"),
            kind=record.get("kind", ""),
            provenance=record.get("provenance", {}),
        )
    except ValueError as error:
        raise ValueError(f"{where}: {error}") from None


def _read_passages(records: Any, known: dict[Passage, Passage], name: str) -> tuple[Passage, ...]:
    if not isinstance(records, list):
        raise ValueError(f"{name} is {_shown(records)}; expected a list of {{doc_id, text}}")
    passages = []
    for number, record in enumerate(records, start=1):
        where = f"{name}, number {number}"
        if not isinstance(record, dict):
            raise ValueError(f"{where} is {_shown(record)}; expected an object {{doc_id, text}}")
        _check_fields(record, _PASSAGE_FIELDS, ("doc_id", "text"), where)
        try:
            passage = Passage(checked_id(record["doc_id"], "doc_id"), record["text"], record.get("score"))
        except ValueError as error:
            raise ValueError(f"{where}: {error}") from None
        passages.append(known.setdefault(passage, passage))
    return tuple(passages)


def _line(example: Example) -> str:
    record: dict[str, Any] = {"query_id": example.query_id, "query": example.query}
    for name in ("positives", "negatives"):
        record[name] = [_passage_record(passage) for passage in getattr(example, name)]
    record |= {"kind": example.kind} if example.kind else {}
    where = f"the provenance of query {example.query_id!r}"
    if example.provenance:
        record["provenance"] = dict(example.provenance)
    try:
        line = json.dumps(record, ensure_ascii=False, allow_nan=False)
    except (TypeError, ValueError, RecursionError) as error:
        raise ValueError(f"{where} is nothing that JSON keeps ({error}); give text, numbers, lists, objects") from error
    if example.provenance and json.loads(line)["provenance"] != record["provenance"]:
        raise ValueError(
            f"{where} would be read back otherwise; give lists for tuples, and text for the names of objects"
        )
    return encodable(line, where)


def _passage_record(passage: Passage) -> dict[str, Any]:
    record = {"doc_id": passage.doc_id, "text": passage.text}
    return record if passage.score is None else {**record, "score": passage.score}


def _passages(passages: Any, where: str) -> tuple[Passage, ...]:
    if isinstance(passages, str) or not isinstance(passages, Iterable):
        raise ValueError(f"{where} is {_shown(passages)}; expected a sequence of Passage")
    passages = tuple(passages)
    if strange := [passage for passage in passages if not isinstance(passage, Passage)]:
        raise ValueError(f"{where} holds {_shown(strange[0])}; expected nothing but Passage")
    return passages


def _check_apart(positives: tuple[Passage, ...], negatives: tuple[Passage, ...], where: str) -> None:
    """Refuse a document among both, by id or by text, and an id that stands twice on one side."""
    sides: dict[str, str] = {}
    for side, passages in (("positive", positives), ("negative", negatives)):
        for passage in passages:
            if other := sides.get(passage.doc_id):
                raise ValueError(f"{where}: {passage.doc_id!r} stands twice, as {other} and as {side}; keep it once")
            sides[passage.doc_id] = side
    texts = {passage.text: passage.doc_id for passage in positives}
    for passage in negatives:
        if passage.text in texts:
            raise ValueError(
                f"{where}: negative {passage.doc_id!r} has the text of positive {texts[passage.text]!r}; "
                "take it out of the negatives"
            )


def _check_fields(record: Mapping[str, Any], names: tuple[str, ...], required: tuple[str, ...], where: str) -> None:
    if unknown := [name for name in record if name not in names]:
        raise ValueError(f"{where}: unknown field {unknown[0]!r}; expected {', '.join(names)}")
    if missing := [name for name in required if name not in record]:
        raise ValueError(f"{where}: no field {missing[0]!r}; the object has {', '.join(record) or 'none'}")


def _check_string(value: Any, where: str) -> None:
    if not isinstance(value, str):
        raise ValueError(f"{where} is {_shown(value)}; expected a string")


def _check_text(value: Any, where: str) -> None:
    _check_string(value, where)
    if not value.strip():
        raise ValueError(f"{where} is empty; give one, or leave it out")
    encodable(value, where)


def _finite(value: Any, where: str) -> float:
    try:
        number = math.nan if isinstance(value, bool) or not isinstance(value, Real) else float(value)
    except OverflowError:
        number = math.inf
    if not math.isfinite(number):
        raise ValueError(f"{where} is {_shown(value)}; expected a finite number")
    return number


def _shown(value: Any) -> str:
    """A value as a message shows it, cut short, with its type."""
    text = repr(value)
    return f"{text[:60]}{'...' if len(text) > 60 else ''} ({type(value).__name__})"
