"""Documents and queries from files and from ir_datasets, as (id, text) pairs and {id: text}.

A source is the path of a JSONL or TSV file, plain or .gz, or `irds:NAME`. Documents stream, so a corpus may be larger
than memory; a bad record stops the reading with the file and line named, for a text silently lost would show up as a
bad score.
"""

import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from rader_ir.files import numbered_lines
from rader_ir.records import checked_id, jsonl_records, record_id, record_text

FIELDS = ("title", "name", "text", "sentences", "contents")
# Of ours and ir_datasets, Pyserini, PyTerrier, BEIR, and plain.
DOC_ID_FIELDS = ("doc_id", "docid", "docno", "_id", "id")
QUERY_ID_FIELDS = ("query_id", "qid", "_id", "id")
EXCLUDED_RELEVANCE = -100  # how ir_datasets marks BRIGHT's excluded documents among the judgements
_FORMATS = (".jsonl", ".jsonl.gz", ".tsv", ".tsv.gz")


def read_documents(source: str | Path, *, fields: Sequence[str] | None = None) -> Iterator[tuple[str, str]]:
    """Stream (doc_id, text) of every document.

    The id is the first of `doc_id`, `docid`, `docno`, `_id`, `id` that a record has; integers become text. The text
    joins `fields` by newline, each list joined by a blank, empty ones dropped. TSV rows are `id<TAB>text`. Ids are not
    checked for being unique: that takes memory, and whoever stores the documents knows them.

    Args:
        source: a path ending in .jsonl, .tsv, or either with .gz; or `irds:NAME`.
        fields: names that every record must have; by default those of title, name, text, sentences, contents it has.

    Raises:
        ValueError: an unknown kind of source; a broken record, an id or a text missing, empty or of the wrong type.
        ModuleNotFoundError: an `irds:` source without ir_datasets.
    """
    records = _records(source, fields, kind="docs")
    return (
        (record_id(record, DOC_ID_FIELDS, where), record_text(record, fields, FIELDS, where))
        for where, record in records
    )


def read_queries(
    source: str | Path, *, fields: Sequence[str] | None = None
) -> tuple[dict[str, str], dict[str, frozenset[str]]]:
    """Read ({query_id: text}, {query_id: excluded doc_ids}), the latter only of queries that exclude documents.

    Ids and texts are found as in `read_documents`, ids among `query_id`, `qid`, `_id`, `id`, and `query` being one more
    default field. A record's `excluded_ids` is a list of doc_ids that must not be ranked for it; absent, null, [] or
    ["N/A"] mean none. Of ir_datasets they are the documents judged -100.

    Raises:
        ValueError: as `read_documents`; a query_id that stands twice; `excluded_ids` that is no list of ids.
        ModuleNotFoundError: an `irds:` source without ir_datasets.
    """
    queries: dict[str, str] = {}
    excluded: dict[str, frozenset[str]] = {}
    for where, record in _records(source, fields, kind="queries"):
        query_id = record_id(record, QUERY_ID_FIELDS, where)
        if query_id in queries:
            raise ValueError(f"{where}: query id {query_id!r} stands twice; keep one record")
        queries[query_id] = record_text(record, fields, (*FIELDS, "query"), where)
        if doc_ids := excluded_ids(record, where):
            excluded[query_id] = doc_ids
    return queries, excluded | (_judged_excluded(source) if _is_irds(source) else {})


def load_irds(name: str):
    """Open a dataset of ir_datasets by its name; nothing is downloaded before it is iterated.

    Raises:
        ModuleNotFoundError: ir_datasets is not installed.
        ValueError: it has no dataset of that name.
    """
    try:
        import ir_datasets
    except ModuleNotFoundError as error:
        raise ModuleNotFoundError("ir_datasets is not installed; run: pip install ir-datasets") from error
    try:
        return ir_datasets.load(name)
    except KeyError:
        raise ValueError(f"ir_datasets has no dataset {name!r}; see https://ir-datasets.com") from None


@contextmanager
def downloading(name: str) -> Iterator[None]:
    """Around whatever may make ir_datasets download a dataset: a network that is not there becomes one clear line.

    Raises:
        ConnectionError: in place of the errors of the library that it downloads by; says what to do.
    """
    try:
        yield
    except (OSError, RuntimeError) as error:
        if not type(error).__module__.startswith(("requests", "urllib3")) and "download sources" not in str(error):
            raise
        found = re.search(r"\[Errno -?\d+\] ([\w ,-]+)", str(error))
        reason = found[1] if found else type(error).__name__
        raise ConnectionError(
            f"ir_datasets cannot download {name} ({reason}); connect to the network, or give a folder with its files"
        ) from error


def excluded_in_qrels(dataset) -> dict[str, frozenset[str]]:
    """{query_id: doc_ids judged -100} of an ir_datasets dataset whose relevance levels include it, {} of any other.

    Asks the judgements' own handler: in ir_datasets 0.6.3 `dataset.qrels_iter()` of BRIGHT's long tasks answers for
    passages.
    """
    if not dataset.has_qrels() or EXCLUDED_RELEVANCE not in dataset.qrels_defs():
        return {}
    doc_ids: dict[str, set[str]] = {}
    for judgement in dataset.qrels_handler().qrels_iter():
        if judgement.relevance == EXCLUDED_RELEVANCE:
            doc_ids.setdefault(judgement.query_id, set()).add(judgement.doc_id)
    return {query_id: frozenset(found) for query_id, found in doc_ids.items()}


def excluded_ids(record: Mapping[str, Any], where: str) -> frozenset[str]:
    """The doc_ids in the field `excluded_ids` of a query's record; absent, null, [] or ["N/A"] mean none.

    Raises:
        ValueError: it is no list of ids.
    """
    doc_ids = record.get("excluded_ids") or []
    if not isinstance(doc_ids, list | tuple):
        raise ValueError(f"{where}: excluded_ids is {doc_ids!r}; expected a list of doc_ids")
    return frozenset(checked_id(doc_id, f"{where}: excluded_ids") for doc_id in doc_ids if doc_id != "N/A")


def _is_irds(source) -> bool:
    return str(source).startswith("irds:")


def _judged_excluded(source) -> dict[str, frozenset[str]]:
    name = str(source).removeprefix("irds:")
    with downloading(name):
        return excluded_in_qrels(load_irds(name))


def _records(source, fields, *, kind: str) -> Iterator[tuple[str, Mapping[str, Any]]]:
    """(where it stands, record) of each record; what can be told without reading is refused at once."""
    if isinstance(fields, str):
        raise ValueError(f"fields {fields!r} is one string; give a list of names")
    if _is_irds(source):
        return _irds_records(str(source), kind)
    path = Path(source)
    if not path.name.endswith(_FORMATS):
        raise ValueError(f"{path}: unknown kind of file; expected {', '.join(_FORMATS)}, or irds:NAME")
    if not path.is_file():
        raise FileNotFoundError(f"{path}: no such file")
    if path.name.endswith((".jsonl", ".jsonl.gz")):
        return jsonl_records(path)
    if fields is not None:
        raise ValueError(f"{path}: a TSV file has one text and no fields; leave fields out")
    return _tsv_records(path)


def _irds_records(source: str, kind: str) -> Iterator[tuple[str, Mapping[str, Any]]]:
    name = source.removeprefix("irds:")
    dataset = load_irds(name)
    if not getattr(dataset, f"has_{kind}")():
        raise ValueError(f"{source} has no {kind}; see what it provides at https://ir-datasets.com")
    return _irds_rows(source, name, getattr(dataset, f"{kind}_iter"))


def _irds_rows(source: str, name: str, rows: Callable[[], Iterable]) -> Iterator[tuple[str, Mapping[str, Any]]]:
    with downloading(name):
        for number, row in enumerate(rows(), start=1):
            yield f"{source}, record {number}", row._asdict()


def _tsv_records(path: Path) -> Iterator[tuple[str, Mapping[str, Any]]]:
    for number, line in numbered_lines(path):
        name, tab, text = line.partition("\t")
        if not tab:
            raise ValueError(f"{path}:{number}: no tab in {line[:80]!r}; expected id<TAB>text")
        yield f"{path}:{number}", {"id": name, "text": text}
