"""Rerank a run into a file: a long job that goes on after a kill and ends equal.

Queries are scored in groups whose make-up is fixed by the run's order, and every finished group is one line of
OUT.part, keyed by a digest of all that its scores depend on: the reranker's fingerprint, the query texts, the
candidates and their texts. The same call again takes what it finds there and scores the rest; a changed model, query
or document changes the key, so a stale line is never believed.
"""

import hashlib
import json
import os
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from itertools import islice
from pathlib import Path

import numpy as np

from rader_ir.rerank import ASKING
from rader_ir.runs import Run, ranked, without, write_run

GROUP_SIZE = 8  # queries; enough to fill batches, little to lose
# A bi-encoder encodes each text once per group, and queries share candidates; its own bar shows how far a group is.
# A query that is sorted by comparisons has few calls under way, so many queries fill a server.
# One whose queries do not share batches loses nothing by groups of one.
GROUP_SIZES = {"biencoder": 1024, "icr": 1} | dict.fromkeys(ASKING, 32)


def rerank_file(
    run: Run,
    queries: Mapping[str, str],
    documents: Iterable[tuple[str, str]],
    reranker,
    out: str | Path,
    *,
    depth: int = 100,
    excluded: Mapping[str, Collection[str]] | None = None,
    group_size: int = GROUP_SIZE,
    verbose: bool = False,
    kept: Callable[[int], object] = lambda queries: None,
) -> Run:
    """Scores the first `depth` documents of every query's list with `reranker` and writes the new run to `out`.

    Args:
        run: the candidates; `excluded` documents leave it before the cut.
        queries: {query_id: text}, for all queries of the run.
        documents: (doc_id, text) pairs, read once; only the candidates' texts stay in memory.
        reranker: has `score(queries, docs) -> list of arrays` and `fingerprint() -> str`.
        out: a TREC file, which appears whole at the end; `out`.part holds the finished groups until then.
        group_size: queries scored together; a resumed call needs the same one to find its lines.
        kept: is told the number of queries of each group that an earlier, unfinished call had finished.

    Returns:
        The new run, {query_id: {doc_id: score}}.

    Raises:
        ValueError: a query or document without text, a candidate that comes twice among the documents, a score that is no
            finite number, a broken line in `out`.part.
        FileNotFoundError: the folder of `out` does not exist.
    """
    if not Path(out).absolute().parent.is_dir():
        raise FileNotFoundError(f"{out}: its folder does not exist; make the folder, or choose another file")
    candidates = _candidates(without(run, excluded or {}), queries, depth)
    texts = _texts(candidates, documents)
    part = Path(f"{out}.part")
    finished = _read_part(part)
    reranked: Run = {}
    with part.open("ab") as file, _bar(candidates, verbose) as bar:
        for group in _groups(candidates, group_size):
            key = _digest(reranker.fingerprint(), group, queries, texts)
            if key in finished:
                kept(len(group))
            else:
                finished[key] = _score(reranker, group, queries, texts)
                _append(file, {"key": key, "scores": finished[key]})
            reranked |= finished[key]
            bar.update(sum(map(len, group.values())))
    write_run(reranked, out)
    part.unlink()
    return reranked


def _candidates(run: Run, queries: Mapping[str, str], depth: int) -> dict[str, list[str]]:
    """{query_id: its first documents}; ValueError where a query has no text."""
    if missing := [query_id for query_id in run if query_id not in queries]:
        raise ValueError(
            f"{len(missing)} queries of the run have no text, first {missing[0]!r}; give the queries it was made with"
        )
    return {query_id: [doc_id for doc_id, _ in ranked(scores, depth)] for query_id, scores in run.items()}


def _texts(candidates: Mapping[str, list[str]], documents: Iterable[tuple[str, str]]) -> dict[str, str]:
    wanted = {doc_id for doc_ids in candidates.values() for doc_id in doc_ids}
    texts: dict[str, str] = {}
    for doc_id, text in documents:
        if doc_id in texts:
            raise ValueError(f"document {doc_id!r} comes twice among the documents; keep one text for each doc_id")
        if doc_id in wanted:
            texts[doc_id] = text
    if missing := sorted(wanted - texts.keys()):
        raise ValueError(
            f"{len(missing)} documents of the run have no text, first {missing[0]!r}; give the documents it ranks"
        )
    return texts


def _groups(candidates: dict[str, list[str]], size: int) -> Iterator[dict[str, list[str]]]:
    rest = iter(candidates.items())
    while group := dict(islice(rest, size)):
        yield group


def _digest(fingerprint: str, group: dict[str, list[str]], queries, texts) -> str:
    content = [
        [query_id, queries[query_id], [[doc_id, texts[doc_id]] for doc_id in doc_ids]]
        for query_id, doc_ids in group.items()
    ]
    return hashlib.sha256(json.dumps([fingerprint, content]).encode()).hexdigest()


def _score(reranker, group: dict[str, list[str]], queries, texts) -> Run:
    """{query_id: {doc_id: score}} of one group, which goes to the model in one call."""
    asked = [queries[query_id] for query_id in group]
    scored = reranker.score(asked, [[texts[doc_id] for doc_id in doc_ids] for doc_ids in group.values()])
    for query_id, scores in zip(group, scored, strict=True):
        if not np.isfinite(scores).all():
            raise ValueError(
                f"query {query_id!r} got a score that is no finite number; check the weights or try float32"
            )
    return {
        query_id: dict(zip(doc_ids, map(float, scores), strict=True))
        for (query_id, doc_ids), scores in zip(group.items(), scored, strict=True)
    }


def _append(file, record: dict) -> None:
    file.write(json.dumps(record).encode() + b"\n")
    file.flush()
    os.fsync(file.fileno())


def _read_part(part: Path) -> dict[str, Run]:
    """{key: scores} of the finished groups; a last line that a kill cut short is taken off the file."""
    if not part.exists():
        return {}
    whole, _, torn = part.read_bytes().rpartition(b"\n")
    if torn:
        os.truncate(part, len(whole) + 1 if whole else 0)
    finished = {}
    for number, line in enumerate(whole.splitlines(), start=1):
        try:
            record = json.loads(line)
            finished[record["key"]] = record["scores"]
        except (ValueError, KeyError, TypeError) as error:
            raise ValueError(f"{part}:{number}: no finished group ({error}); delete the file to begin anew") from error
    return finished


def _bar(candidates: Mapping[str, list[str]], verbose: bool):
    from tqdm import tqdm

    total = sum(map(len, candidates.values()))
    return tqdm(total=total, desc="rerank", unit="pair", disable=not verbose)
