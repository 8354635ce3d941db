"""Collections in the layout that BEIR and MTEB share: a corpus, queries, and judgements of three columns.

BEIR's folders hold `corpus.jsonl`, `queries.jsonl` and `qrels/test.tsv`; MTEB's data sets on the hub hold the same records as
parquet, `corpus/test-…`, `queries/test-…` and `qrels/test-…`. A text is title and text joined by a blank, as both measure it;
other names of texts are taken as everywhere (`hub_data.TEXT_FIELDS`).
"""

from collections.abc import Iterator
from pathlib import Path

from rader_ir.corpus import QUERY_ID_FIELDS
from rader_ir.files import digest_of
from rader_ir.hub_data import count_rows, find_table, published_id, published_text, read_corpus, read_table
from rader_ir.runs import Qrels, read_qrels

# Names of one table, in the order in which they are looked for; older data sets of MTEB differ from newer ones.
CORPUS = ("corpus", "corpus/test", "corpus/corpus")
QUERIES = ("queries", "queries/test", "queries/queries")
QRELS = ("qrels/test", "data/test", "default/test")


def read_judged(folder: str | Path) -> tuple[dict[str, str], Qrels]:
    """The queries that are judged, {query_id: text}, and the judgements of a folder.

    Raises:
        FileNotFoundError: a table is missing.
        ValueError: a broken record, a relevance that is no whole number, a document judged twice, a judged query without
            text.
    """
    folder = Path(folder)
    qrels = _read_judgements(folder)
    queries: dict[str, str] = {}
    for where, record in read_table(find_table(folder, *QUERIES)):
        query_id = published_id(record, QUERY_ID_FIELDS, where)
        if query_id in qrels:
            queries[query_id] = published_text(record, ("text",), where)
    if lacking := [query_id for query_id in qrels if not queries.get(query_id, "").strip()]:
        raise ValueError(
            f"{folder}: {len(lacking)} judged queries have no text, {lacking[0]!r} first; get the files again"
        )
    return queries, qrels


def read_texts(folder: str | Path) -> Iterator[tuple[str, str]]:
    """Stream (doc_id, text) of a folder's corpus; raises FileNotFoundError at once if it has none."""
    return read_corpus(find_table(folder, *CORPUS))


def has_texts(folder: str | Path) -> bool:
    """Whether the folder has a corpus."""
    try:
        return bool(find_table(folder, *CORPUS))
    except FileNotFoundError:
        return False


def texts_digest(folder: str | Path) -> str:
    """A digest of the files of a folder's corpus."""
    return digest_of(find_table(folder, *CORPUS))


def count_texts(folder: str | Path) -> int | None:
    """The number of documents of a corpus in parquet, None of another."""
    return count_rows(find_table(folder, *CORPUS))


def _read_judgements(folder: Path) -> Qrels:
    if (folder / "qrels" / "test.tsv").is_file():
        return read_qrels(folder / "qrels" / "test.tsv")
    qrels: Qrels = {}
    for where, record in read_table(find_table(folder, *QRELS)):
        query_id = published_id(record, ("query-id",), where)
        doc_id = published_id(record, ("corpus-id",), where)
        score = record.get("score")
        if isinstance(score, bool) or not isinstance(score, int | float) or score != int(score):
            raise ValueError(f"{where}: score is {score!r}; expected a whole number")
        if doc_id in qrels.setdefault(query_id, {}):
            raise ValueError(f"{where}: document {doc_id!r} is judged twice for query {query_id!r}; keep one row")
        qrels[query_id][doc_id] = int(score)
    return qrels
