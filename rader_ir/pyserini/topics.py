"""Topics and excluded documents, from files without Java, or from Pyserini's own names with it.

Pyserini reads topics through Anserini, turns newlines of TSV into blanks, and removes BRIGHT's excluded documents
only after the cut, by the index's name and over the network. Here a local file is read as every door reads it.
"""

from collections.abc import Collection, Mapping
from pathlib import Path

from rader_ir.corpus import read_queries
from rader_ir.files import numbered_lines

Excluded = Mapping[str, Collection[str]]
_OURS = (".jsonl", ".jsonl.gz", ".tsv", ".tsv.gz")


def read_topics(topics: str, topics_format: str = "default") -> tuple[dict[str, str], dict[str, frozenset[str]]]:
    """({query_id: text}, {query_id: excluded docids}) of a JSONL or TSV file, or of what Pyserini knows by `topics`.

    Raises:
        ValueError: a broken file (the line is named).
        PyseriniUnavailable: not a file of ours, and Pyserini, which may know it, cannot be used.
    """
    if is_local(topics):
        return read_queries(topics)
    from rader_ir.pyserini.environment import prepare

    prepare()
    from pyserini.query_iterator import TopicsFormat, get_query_iterator

    found = get_query_iterator(topics, TopicsFormat(topics_format))
    return {str(qid): query["query"] if isinstance(query, Mapping) else query for qid, query in found}, {}


def is_local(topics: str) -> bool:
    """Whether `topics` is a file that `read_queries` reads."""
    return topics.endswith(_OURS) and Path(topics).is_file()


def read_excluded(path: str | Path) -> dict[str, frozenset[str]]:
    """{query_id: docids that must not be ranked for it}.

    Args:
        path: lines `qid docid` parted by blanks (or .gz), or a queries file (.jsonl, .jsonl.gz) with `excluded_ids`.

    Raises:
        ValueError: a line without two parts; names the file and the line.
    """
    if str(path).endswith((".jsonl", ".jsonl.gz")):
        return read_queries(path)[1]
    pairs: dict[str, set[str]] = {}
    for number, line in numbered_lines(path):
        parts = line.split(maxsplit=1)
        if len(parts) != 2:
            raise ValueError(f"{path}:{number}: {line!r} is not `qid docid`")
        pairs.setdefault(parts[0], set()).add(parts[1].strip())
    return {qid: frozenset(docids) for qid, docids in pairs.items()}


def excluded_of(topics: str, path: str | Path | None) -> Excluded:
    """What `path` excludes; without it, the `excluded_ids` of a local topics file."""
    if path is not None:
        return read_excluded(path)
    return read_queries(topics)[1] if is_local(topics) else {}
