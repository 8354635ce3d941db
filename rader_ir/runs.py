"""Runs and judgements as plain dicts, read from and written to TREC files.

A `Run` is {query_id: {doc_id: score}} and `Qrels` are {query_id: {doc_id: relevance}}. A run's order is that of its
scores, highest first, ties by doc_id: the ranks in a file are written for others and never believed.
"""

import json
import math
import re
from collections.abc import Collection, Iterable, Mapping
from operator import itemgetter
from pathlib import Path

from rader_ir.files import numbered_lines, read_text, replacing

Run = dict[str, dict[str, float]]
Qrels = dict[str, dict[str, int]]

RUN_ENDINGS = (".trec", ".run", ".txt", ".json")  # of files of runs; .gz may follow
_RUN_FIELDS = "query_id Q0 doc_id rank score tag"
_QRELS_FIELDS = "query_id 0 doc_id relevance"
# Between ASCII blanks; the doc_id, third, may itself hold blanks, as some of BRIGHT's stackoverflow do.
_RUN_ROW = re.compile(r"\s*(\S+)\s+(\S+)\s+(.+?)\s+(-?\d+)\s+(\S+)\s+(\S+)\s*", re.ASCII)
_QRELS_ROW = re.compile(r"\s*(\S+)\s+(\S+)\s+(.+?)\s+([-+]?\d+)\s*", re.ASCII)
_BEIR_HEADER = ["query-id", "corpus-id", "score"]
_BEIR_ROW = re.compile(r"([^\t]+)\t([^\t]+)\t([-+]?\d+)", re.ASCII)
_BLANK = re.compile(r"\s", re.ASCII)


def read_run(path: str | Path) -> Run:
    """Read a run: TREC rows, or {query_id: {doc_id: score}} where the name ends in .json; .gz is unpacked.

    TREC rows are `query_id Q0 doc_id rank score tag`, parted by five tabs, or else by blanks.

    Raises:
        ValueError: a row of another shape, a score that is no finite number, a document twice in one list; names the
            file and, for TREC rows, the line.
    """
    if _is_json(path):
        return _read_json(path)
    run: Run = {}
    for number, line in numbered_lines(path):
        where = f"{path}:{number}"
        query_id, _, doc_id, _, score, _ = _fields(line, _RUN_ROW, _RUN_FIELDS, where)
        _put(run, query_id, doc_id, _finite(score, where), where)
    return run


def write_run(
    run: Mapping[str, Mapping[str, float]], path: str | Path, *, tag: str = "rader", depth: int | None = None
) -> None:
    """Write a run in its order, each list cut to `depth`; the file appears whole or not at all and reads back equal.

    Ranks start at 1. Fields are parted by blanks, by tabs where an id holds a blank. A name ending in .json gets
    {query_id: {doc_id: score}} instead; .gz packs either. TREC rows leave no trace of a query whose list is empty.

    Raises:
        ValueError: an id is empty or holds a tab or line break, the tag is not one word, a score is not finite.
    """
    if not tag or _BLANK.search(tag):
        raise ValueError(f"tag {tag!r} is empty or holds a blank; give one word")
    check_finite(run)
    lists = {query_id: ranked(scores, depth) for query_id, scores in run.items()}
    ids = [*lists, *(doc_id for rows in lists.values() for doc_id, _ in rows)]
    _check_ids(ids)
    with replacing(path) as file:
        if _is_json(path):
            exact = {query_id: {doc_id: float(score) for doc_id, score in rows} for query_id, rows in lists.items()}
            json.dump(exact, file, ensure_ascii=False)
            return
        separator = "\t" if any(map(_BLANK.search, ids)) else " "
        for query_id, rows in lists.items():
            for rank, (doc_id, score) in enumerate(rows, start=1):
                file.write(separator.join((query_id, "Q0", doc_id, str(rank), repr(float(score)), tag)) + "\n")


def read_qrels(path: str | Path) -> Qrels:
    """Read judgements: rows `query_id 0 doc_id relevance`, parted by three tabs, or else by blanks; .gz is unpacked.

    A file that begins with BEIR's header, `query-id corpus-id score` parted by tabs, has rows of those three fields.

    Raises:
        ValueError: a row of another shape, a relevance that is no integer, a document judged twice; names file and
            line.
    """
    qrels: Qrels = {}
    beir = False
    for number, line in numbered_lines(path):
        where = f"{path}:{number}"
        if not qrels and line.split("\t") == _BEIR_HEADER:
            beir = True
            continue
        if beir:
            query_id, doc_id, relevance = _fields(line, _BEIR_ROW, " ".join(_BEIR_HEADER), where)
        else:
            query_id, _, doc_id, relevance = _fields(line, _QRELS_ROW, _QRELS_FIELDS, where)
        _put(qrels, query_id, doc_id, _integer(relevance, where), where)
    return qrels


def write_qrels(qrels: Mapping[str, Mapping[str, int]], path: str | Path) -> None:
    """Write judgements as tab-parted rows in the given order; the file appears whole or not at all.

    Raises:
        ValueError: an id is empty or holds a tab or line break.
    """
    _check_ids([*qrels, *(doc_id for judged in qrels.values() for doc_id in judged)])
    with replacing(path) as file:
        for query_id, judged in qrels.items():
            file.writelines(f"{query_id}\t0\t{doc_id}\t{int(relevance)}\n" for doc_id, relevance in judged.items())


def ranked(scores: Mapping[str, float], depth: int | None = None) -> list[tuple[str, float]]:
    """The first `depth` (doc_id, score) pairs, highest score first, ties by doc_id.

    >>> ranked({"b": 1.0, "c": 2.0, "a": 1.0}, 2)
    [('c', 2.0), ('a', 1.0)]
    """
    if depth is not None and depth < 1:
        raise ValueError(f"depth {depth} keeps no document; give 1 or more, or None for all")
    rows = sorted(scores.items(), key=itemgetter(0))
    return sorted(rows, key=itemgetter(1), reverse=True)[:depth]  # stable, so ties stay by doc_id


def cut(run: Mapping[str, Mapping[str, float]], depth: int) -> Run:
    """The first `depth` documents of each list, in order."""
    return {query_id: dict(ranked(scores, depth)) for query_id, scores in run.items()}


def without(run: Mapping[str, Mapping[str, float]], excluded: Mapping[str, Collection[str]]) -> Run:
    """The run without each query's excluded documents; `excluded` is {query_id: doc_ids}, queries may be absent."""
    dropped = {query_id: frozenset(doc_ids) for query_id, doc_ids in excluded.items()}
    return {
        query_id: {doc_id: score for doc_id, score in scores.items() if doc_id not in dropped.get(query_id, ())}
        for query_id, scores in run.items()
    }


def check_finite(run: Mapping[str, Mapping[str, float]]) -> None:
    """Refuse, by a ValueError that names the query and document, a run with a score that is NaN or infinite."""
    for query_id, scores in run.items():
        if not all(map(math.isfinite, scores.values())):
            doc_id, score = next(row for row in scores.items() if not math.isfinite(row[1]))
            raise ValueError(f"query {query_id!r}, document {doc_id!r}: score {score!r} is not a finite number")


def some(ids: Iterable[str]) -> str:
    """The first three of some ids by name, for a message; "none" of none."""
    return ", ".join(map(repr, sorted(ids)[:3])) or "none"


def _is_json(path) -> bool:
    return str(path).endswith((".json", ".json.gz"))


def _read_json(path) -> Run:
    def unique(pairs):
        if len(dict(pairs)) < len(pairs):
            raise ValueError(f"{path}: a query or document stands twice among {[key for key, _ in pairs][:3]}...")
        return dict(pairs)

    try:
        lists = json.loads(read_text(path), object_pairs_hook=unique)
    except json.JSONDecodeError as error:
        raise ValueError(f"{path}:{error.lineno}: broken JSON ({error.msg})") from error
    if not isinstance(lists, dict) or not all(isinstance(scores, dict) for scores in lists.values()):
        raise ValueError(f"{path}: not a run; expected one object {{query_id: {{doc_id: score}}}}")
    return {
        query_id: {
            doc_id: _finite(score, f"{path}: query {query_id}, document {doc_id}") for doc_id, score in scores.items()
        }
        for query_id, scores in lists.items()
    }


def _fields(line: str, row: re.Pattern, names: str, where: str) -> tuple[str, ...]:
    """The fields of one line, parted by tabs where there are just enough: then ids keep blanks even at their ends."""
    parted = tuple(line.split("\t"))
    if len(parted) == len(names.split()) and all(parted):
        return parted
    match = row.fullmatch(line)
    if match is None:
        beir = names == _QRELS_FIELDS and len(line.split()) == 3
        hint = f"; BEIR's rows of three need their header before them, {'<TAB>'.join(_BEIR_HEADER)}" if beir else ""
        raise ValueError(f"{where}: {line[:80]!r} is not a row; expected {names!r}, parted by blanks or tabs{hint}")
    return match.groups()


def _put(table: dict, query_id: str, doc_id: str, value, where: str) -> None:
    values = table.setdefault(query_id, {})
    if doc_id in values:
        raise ValueError(f"{where}: document {doc_id!r} stands twice for query {query_id!r}; keep one row")
    values[doc_id] = value


def _finite(score, where: str) -> float:
    try:
        number = math.nan if isinstance(score, bool) else float(score)
    except (TypeError, ValueError):
        number = math.nan
    if not math.isfinite(number):
        raise ValueError(f"{where}: score {score!r} is not a finite number")
    return number


def _integer(text: str, where: str) -> int:
    try:
        return int(text)
    except ValueError:
        raise ValueError(f"{where}: relevance {text!r} is not an integer") from None


def _check_ids(ids: Iterable[str]) -> None:
    for name in ids:
        if not name or any(character in name for character in "\t\r\n"):
            raise ValueError(f"id {name!r} is empty or holds a tab or line break, which TREC files cannot carry")
