"""Data sets in files: tables of records in JSONL or parquet, in a folder or fetched from a hub.

Hubs keep a split of a data set as parquet files NAME-00000-of-0000N.parquet; people keep NAME.jsonl or NAME.jsonl.gz. Both are
a table NAME here, read as records one after the other, so that a corpus may be larger than memory.
"""

import re
import sys
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from rader_ir.corpus import DOC_ID_FIELDS, FIELDS
from rader_ir.records import checked_id, encodable, flat, jsonl_records

TEXT_FIELDS = (*FIELDS, "content")  # of documents: what other readers take, and what BRIGHT calls it

_SHARD = re.compile(r"-(\d{5})-of-(\d{5})\.parquet")
_ROWS = 256  # read at once: a document may have megabytes


def find_table(folder: str | Path, *names: str) -> list[Path]:
    """The files of the first table of `names` that the folder has, in their order.

    A table NAME is NAME.jsonl, NAME.jsonl.gz, NAME.parquet, or shards NAME-00000-of-0000N.parquet.

    Args:
        folder: where to look.
        *names: paths within it, without ending, such as "examples/pony".

    Raises:
        FileNotFoundError: it has none of them.
        ValueError: shards are missing, or belong to different divisions.
    """
    for name in names:
        whole = [Path(folder, f"{name}{ending}") for ending in (".jsonl", ".jsonl.gz", ".parquet")]
        for path in whole:
            if path.is_file():
                return [path]
        if shards := _shards(Path(folder, name)):
            return shards
    looked = " or ".join(f"{name}.jsonl, .jsonl.gz, .parquet, -00000-of-0000N.parquet" for name in names)
    raise FileNotFoundError(f"{folder}: no table {looked}")


def read_table(paths: Iterable[Path], fields: Sequence[str] = ()) -> Iterator[tuple[str, Mapping[str, Any]]]:
    """Yield (where it stands, record) of the files of a table; parquet gives the columns `fields` alone, if any are named.

    Raises:
        ValueError: a file is no such file or is broken, or lacks a field.
        ModuleNotFoundError: parquet without pyarrow.
    """
    for path in paths:
        if path.suffix == ".parquet":
            yield from _parquet_records(path, fields)
        else:
            yield from jsonl_records(path)


def count_rows(paths: Iterable[Path]) -> int | None:
    """The number of records of parquet files, which say it themselves; None where one of the files is another."""
    paths = list(paths)
    if any(path.suffix != ".parquet" for path in paths):
        return None
    return sum(_open(path).metadata.num_rows for path in paths)


def check_count(task: str, what: str, count: int, expected: int, *, repository: str, revision: str) -> None:
    """Raise ValueError where a pinned revision of a data set has not the `count` of published figures."""
    if count != expected:
        raise ValueError(
            f"task {task!r} has {count} {what} at revision {revision} of {repository}; published figures are measured with "
            f"{expected}. Name the revision if you mean this one"
        )


def read_corpus(paths: Iterable[Path]) -> Iterator[tuple[str, str]]:
    """Stream (doc_id, text) of a published corpus: ids as `corpus.read_documents` finds them, of texts see `published_text`."""
    for where, record in read_table(paths):
        yield published_id(record, DOC_ID_FIELDS, where), published_text(record, TEXT_FIELDS, where)


def published_id(record: Mapping[str, Any], fields: Sequence[str], where: str) -> str:
    """The id in the first of `fields` that the record has; raises ValueError if it has none, or no id in it."""
    for field in fields:
        if field in record:
            return checked_id(record[field], f"{where}: {field}")
    raise ValueError(f"{where}: no id; expected one of {', '.join(fields)}, the record has {', '.join(record)}")


def published_text(record: Mapping[str, Any], fields: Sequence[str], where: str) -> str:
    """The fields of a published record that are not blank, joined by a blank, as BEIR and MTEB join title and text.

    A list, as of sentences, is joined by blanks too. A title goes with a text: a record that has nothing but a title has its
    text elsewhere.

    A corpus that others measure on is taken as it is, the odd empty document included: leaving one out would change ranks,
    and stopping there would make the corpus unusable.

    Raises:
        ValueError: the record has none of the fields, or `title` alone, or one that is neither text nor a list of texts.
    """
    present = [field for field in fields if field in record]
    if not {*present} - {"title"}:
        raise ValueError(f"{where}: no text; expected {', '.join(fields)}, the record has {', '.join(record)}")
    texts = [flat(record[field], f"{where}: {field}") for field in present]
    return encodable(" ".join(filter(str.strip, texts)), where)


def fetch_tables(repository: str, *tables: str | tuple[str, ...], revision: str) -> Path:
    """Fetch tables of a data set from the hub, or find them in its cache; returns the folder that they lie in.

    Args:
        repository: such as "xlangai/BRIGHT".
        *tables: names as for `find_table`; a tuple holds names of one table, of which the repository needs to have one.
        revision: a commit, or a branch or tag. A commit that was fetched before is not asked for again.

    Raises:
        FileNotFoundError: not in the cache and not to be had; says what to do.
    """
    from huggingface_hub import snapshot_download

    tables = [(table,) if isinstance(table, str) else table for table in tables]
    endings = ("-*.parquet", ".parquet", ".jsonl", ".jsonl.gz")
    patterns = [f"{name}{ending}" for names in tables for name in names for ending in endings]
    wanted = dict(repo_id=repository, repo_type="dataset", revision=revision, allow_patterns=patterns)
    try:
        cached = Path(snapshot_download(**wanted, local_files_only=True))
        if all(_has(cached, names) for names in tables):
            return cached
    except OSError:  # nothing in the cache, or part of it: the call below goes on with it
        pass
    try:
        _announce(repository, snapshot_download(**wanted, dry_run=True))
        return Path(snapshot_download(**wanted))
    except OSError as error:  # every error of the hub's client is one
        raise FileNotFoundError(
            f"data set {repository!r}, revision {revision!r}, cannot be had from the hub ({_first_line(error)}); check the "
            "revision and the network, or download it elsewhere and give the folder as source"
        ) from error


def _shards(stem: Path) -> list[Path]:
    found = {}
    for path in sorted(stem.parent.glob(f"{stem.name}-*.parquet")):
        if match := _SHARD.fullmatch(path.name.removeprefix(stem.name)):
            found[path] = (int(match[1]), int(match[2]))
    divisions = {total for _, total in found.values()}
    if found and (len(divisions) > 1 or [number for number, _ in found.values()] != list(range(divisions.pop()))):
        raise ValueError(
            f"{stem}: the parts are not one whole: {', '.join(path.name for path in found)}; get the others"
        )
    return list(found)


def _has(folder: Path, names: tuple[str, ...]) -> bool:
    try:
        return bool(find_table(folder, *names))
    except (FileNotFoundError, ValueError):
        return False


def _parquet_records(path: Path, fields: Sequence[str]) -> Iterator[tuple[str, Mapping[str, Any]]]:
    with _open(path) as file:
        names = file.schema_arrow.names
        if lacking := [field for field in fields if field not in names]:
            raise ValueError(f"{path}: no column {lacking[0]!r}; it has {', '.join(names)}")
        number = 0
        for batch in file.iter_batches(batch_size=_ROWS, columns=list(fields) or None):
            for record in batch.to_pylist():
                number += 1
                yield f"{path}, row {number}", record


def _open(path: Path):
    try:
        import pyarrow
        from pyarrow import parquet
    except ModuleNotFoundError as error:
        raise ModuleNotFoundError(f"{path} takes pyarrow to read; run: pip install pyarrow") from error
    try:
        return parquet.ParquetFile(path)
    except pyarrow.ArrowInvalid as error:
        raise ValueError(f"{path}: no parquet file, or a broken one ({_first_line(error)}); get it again") from error


def _announce(repository: str, files: list) -> None:
    missing = sum(file.file_size or 0 for file in files if file.will_download)
    if missing:
        print(f"rader: downloading {missing / 1e6:.1f} MB of {repository}", file=sys.stderr, flush=True)


def _first_line(error: Exception) -> str:
    while error.__cause__ is not None:
        error = error.__cause__
    return str(error).strip().partition("\n")[0] or type(error).__name__
