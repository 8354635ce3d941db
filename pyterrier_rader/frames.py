"""Between PyTerrier's frames and the engine's lists: the only place where rows are grouped by query.

A frame is factorised once; what follows are integer codes and numpy, never a Python call per row of a data frame. Result
frames leave here in one order: qid, then score from high to low, then docno; ranks start at 0 and scores are float64.
"""

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from itertools import chain, repeat

import numpy as np
import pandas as pd
import pyterrier as pt

from pyterrier_rader.columns import NAMED, differing, distinct, refuse, texts
from rader_ir.runs import Run

Score = Callable[[Sequence[str], Sequence[Sequence[str]]], Sequence[np.ndarray]]


@dataclass(frozen=True)
class Groups:
    """The rows of a frame by query.

    Attributes:
        qids: [q], sorted.
        codes: int [n], each row's position in `qids`.
    """

    qids: np.ndarray
    codes: np.ndarray

    @property
    def sizes(self) -> np.ndarray:
        """Rows per query, int [q]."""
        return np.bincount(self.codes, minlength=len(self.qids))


def group(frame: pd.DataFrame) -> Groups:
    """Group rows by qid.

    Raises:
        ValueError: a row has no qid.
    """
    column = frame["qid"]
    if isinstance(column.dtype, pd.CategoricalDtype):  # whose own order may be any
        column = column.astype(column.cat.categories.dtype)
    codes, qids = pd.factorize(column, sort=True)
    if (codes < 0).any():
        raise ValueError(f"qid is missing on {(codes < 0).sum()} of {len(frame)} rows; give every row its query's id")
    return Groups(np.asarray(qids, dtype=object), codes)


def without_scores(frame: pd.DataFrame) -> pd.DataFrame:
    """A copy with fresh row labels (`|` and `^` repeat them) and without the scores and ranks of an earlier stage."""
    return _without(frame, "score", "rank").reset_index(drop=True)


def typed_empty(frame: pd.DataFrame, **added: str) -> pd.DataFrame:
    """`frame` without rows, every column of PyTerrier's data model in its type, and the `added` columns last.

    PyTerrier inspects with untyped empty frames; typed ones merge and concatenate with full ones.
    """
    kept = frame.drop(columns=list(added), errors="ignore").iloc[:0].reset_index(drop=True)
    known = {name: (pt.model.column_info(str(name)) or {}).get("type") for name in kept.columns}
    kept = kept.astype({name: kind for name, kind in known.items() if kind in (str, int, float)})
    return kept.assign(**{name: pd.Series(dtype=dtype) for name, dtype in added.items()})


def no_results(frame: pd.DataFrame) -> pd.DataFrame:
    """The empty result frame for `frame`: its columns, typed, then docno if it lacks one, score and rank."""
    docno = {} if "docno" in frame.columns else {"docno": "str"}
    return typed_empty(frame, **docno, score="float64", rank="int64")


def filled(frame: pd.DataFrame, field: str, otherwise: str | None = None) -> np.ndarray:
    """Column `field` as object [n]; a row without a value takes the first that its query has (the data model allows that).

    Raises:
        ValueError: a query has no value on any row and there is no `otherwise`; names the qids.
    """
    values, known = frame[field].to_numpy(dtype=object), frame[field].notna().to_numpy()
    if known.all():
        return values
    groups = group(frame)
    rows = _first_known(known, groups.codes, len(groups.qids))
    if otherwise is None:
        refuse(groups.qids[~known[rows]], "qid", _no_query(field))
    found = np.where(known[rows], values[rows], otherwise)
    return np.where(known, values, found[groups.codes])


def with_column(frame: pd.DataFrame, name: str, values: list) -> pd.DataFrame:
    """`frame` with one object per row in column `name`, put last; labels and order stay."""
    return frame.drop(columns=[name], errors="ignore").assign(
        **{name: pd.Series(values, index=frame.index, dtype=object)}
    )


def per_query(frame: pd.DataFrame, groups: Groups) -> pd.DataFrame:
    """One row per query, sorted by qid: each query column's first value among the query's rows."""
    return _collapsed(frame[_query_columns(frame)], groups.codes, len(groups.qids))


def topics(frame: pd.DataFrame, field: str) -> pd.DataFrame:
    """One row per query of a query frame, sorted by qid, with all columns but score and rank.

    Raises:
        ValueError: as `queries`.
    """
    groups = group(frame)
    queries(frame, groups, field)
    return _collapsed(without_scores(frame), groups.codes, len(groups.qids))


def queries(frame: pd.DataFrame, groups: Groups, field: str) -> list:
    """Each query's value in column `field`, [q] in the order of `groups`.

    Raises:
        ValueError: a query has no value on any row, or two texts that differ; names the qids.
    """
    column = frame[field]
    known = column.notna().to_numpy()
    first = _first_known(known, groups.codes, len(groups.qids))
    refuse(groups.qids[~known[first]], "qid", _no_query(field))
    values = column.take(first).tolist()
    if all(isinstance(value, str) for value in values):
        other = known & differing(column, first[groups.codes])
        two = f"rows of one query differ in column {field!r}; give each query text a qid of its own"
        refuse(groups.qids[groups.codes[other]], "qid", two)
    return values


def spread(frame: pd.DataFrame, groups: Groups) -> pd.DataFrame:
    """Every query column's value on all rows of its query, so that no later cut loses it; a new frame if any was missing."""
    missing = [name for name in _query_columns(frame) if name != "qid" and frame[name].isna().any()]
    if not missing:
        return frame
    rows = _collapsed(frame[missing], groups.codes, len(groups.qids)).take(groups.codes)
    return frame.assign(**{name: rows[name].set_axis(frame.index) for name in missing})


def score_pairs(frame: pd.DataFrame, groups: Groups, score: Score, *, query_field: str, text_field: str) -> np.ndarray:
    """Score every row by one call of `score(queries, docs)`; float64 [n] in the order of the rows.

    A text that a query meets twice is scored once. Each query's documents are given in the order of the earlier stage
    (column `rank` if there is one, else the rows' order), which matters to rerankers that compare documents.
    """
    codes, unique = distinct(texts(frame, text_field))
    earlier = frame["rank"].to_numpy() if "rank" in frame.columns else np.zeros(len(frame), dtype=int)
    order = np.lexsort((earlier, groups.codes))
    pairs, asked = pd.factorize((groups.codes * len(unique) + codes)[order])  # first occurrences, in the earlier order
    of_query, text = np.divmod(asked, len(unique))
    docs = [part.tolist() for part in _split(unique[text], np.bincount(of_query, minlength=len(groups.qids)))]
    answer = _flat(score(queries(frame, groups, query_field), docs), docs, groups.qids)
    scores = np.empty(len(frame))
    scores[order] = answer[pairs]
    return scores


def with_scores(frame: pd.DataFrame, groups: Groups, scores: np.ndarray, depth: int | None = None) -> pd.DataFrame:
    """`frame` with `scores` [n] and ranks in place of earlier ones, in ranked order, each query cut to `depth`."""
    scores = np.asarray(scores, dtype=np.float64)
    order, ranks = _ranked(frame["docno"], groups, scores), _positions(groups.sizes)
    if depth is not None:
        order, ranks = order[ranks < depth], ranks[ranks < depth]
    kept = _without(spread(frame, groups), "score", "rank").take(order).reset_index(drop=True)
    return kept.assign(score=scores[order], rank=ranks)


def with_results(topics: pd.DataFrame, lists: Sequence[tuple[Sequence[str], Sequence[float]]]) -> pd.DataFrame:
    """One row per result: `topics` [q rows], sorted by qid, repeated for each of its (docnos, scores), in ranked order."""
    sizes = np.array([len(docnos) for docnos, _ in lists], dtype=np.int64)
    if not sizes.sum():
        return no_results(topics)
    docnos = pd.Series(np.concatenate([np.asarray(docnos, dtype=object) for docnos, _ in lists]), dtype="str")
    scores = np.concatenate([np.asarray(scores, dtype=np.float64) for _, scores in lists])
    groups = Groups(topics["qid"].to_numpy(dtype=object), np.repeat(np.arange(len(topics)), sizes))
    order = _ranked(docnos, groups, scores)
    rows = _without(topics, "docno", "score", "rank").take(groups.codes[order]).reset_index(drop=True)
    return rows.assign(docno=docnos.array.take(order), score=scores[order], rank=_positions(sizes))


def excluded_rows(frame: pd.DataFrame, excluded: Mapping[str, Collection[str]]) -> np.ndarray:
    """Which rows are a document that `excluded` {qid: docnos} names for their query, bool [n]."""
    groups = group(frame)
    named = np.fromiter((str(qid) in excluded for qid in groups.qids), dtype=bool, count=len(groups.qids))
    rows = np.flatnonzero(named[groups.codes])
    pairs = zip(groups.qids[groups.codes[rows]], frame["docno"].take(rows).tolist(), strict=True)
    out = np.zeros(len(frame), dtype=bool)
    out[rows] = [str(docno) in excluded[str(qid)] for qid, docno in pairs]
    return out


def keep(frame: pd.DataFrame, rows: np.ndarray) -> pd.DataFrame:
    """The rows of a boolean mask, by query and earlier rank, with their scores; ranks, if there are any, count anew from 0."""
    groups = group(frame)
    kept = spread(frame, groups)[rows]
    left = Groups(groups.qids, groups.codes[rows])
    if "rank" not in kept.columns:
        return kept.take(np.argsort(left.codes, kind="stable")).reset_index(drop=True)
    order = np.lexsort((kept["rank"].to_numpy(), left.codes))
    return kept.take(order).reset_index(drop=True).assign(rank=_positions(left.sizes))


def to_run(frame: pd.DataFrame, column: str = "score") -> Run:
    """{qid: {docno: score}} of a result frame; of a repeated pair the highest score counts."""
    groups, scores = group(frame), frame[column].to_numpy(dtype=np.float64)
    rising = np.lexsort((scores, groups.codes))  # the highest of a pair is written last
    docnos = _split(frame["docno"].to_numpy(dtype=object)[rising], groups.sizes)
    lists = zip(groups.qids, docnos, _split(scores[rising], groups.sizes), strict=True)
    return {qid: dict(zip(names, values.tolist(), strict=True)) for qid, names, values in lists}


def from_run(frame: pd.DataFrame, run: Run, depth: int | None = None) -> pd.DataFrame:
    """The rows of `frame` whose (qid, docno) is in `run`, with the run's scores, in ranked order."""
    groups = group(frame)
    order = np.argsort(groups.codes, kind="stable")
    docnos = _split(frame["docno"].to_numpy(dtype=object)[order], groups.sizes)
    found = (map(run.get(qid, {}).get, part, repeat(np.nan)) for qid, part in zip(groups.qids, docnos, strict=True))
    scores = np.empty(len(frame))
    scores[order] = np.fromiter(chain.from_iterable(found), dtype=np.float64, count=len(frame))
    kept = ~np.isnan(scores)
    if not kept.any():
        return no_results(frame)
    if not kept.all():
        frame, groups, scores = frame[kept], Groups(groups.qids, groups.codes[kept]), scores[kept]
    return with_scores(frame, groups, scores, depth)


def union(results: Sequence[pd.DataFrame]) -> pd.DataFrame:
    """One row per (qid, docno) of several result frames, without scores, ranks and internal `docid`s.

    Query columns are those of the first frame, with its values wherever it has the query; any other column takes, pair by
    pair, the first value that a frame has.
    """
    first, *others = (result.drop(columns=["score", "rank", "docid"], errors="ignore") for result in results)
    foreign = [set(pt.model.query_columns(other)) - set(first.columns) for other in others]
    parts = [first, *(other.drop(columns=list(names)) for other, names in zip(others, foreign, strict=True))]
    columns = list(dict.fromkeys(name for part in parts for name in part.columns))
    full = [part for part in parts if not part.empty]
    if not full:
        return typed_empty(first.reindex(columns=columns))
    return one_row_each(pd.concat(full, ignore_index=True).reindex(columns=columns))


def one_row_each(rows: pd.DataFrame) -> pd.DataFrame:
    """One row per (qid, docno), with each column's first value among the pair's rows, of a query column among the query's."""
    groups = group(rows)
    docnos, unique = pd.factorize(rows["docno"], use_na_sentinel=False)
    codes, pairs = pd.factorize(groups.codes * len(unique) + docnos)
    by_query = per_query(rows, groups).take(pairs // len(unique)).reset_index(drop=True)
    by_pair = _collapsed(rows.drop(columns=by_query.columns), codes, len(pairs))
    return pd.concat([by_query, by_pair], axis=1)[rows.columns]


def _without(frame: pd.DataFrame, *names: str) -> pd.DataFrame:
    """`frame` itself, or a copy where it has columns of these names to leave out."""
    there = [name for name in names if name in frame.columns]
    return frame.drop(columns=there) if there else frame


def _collapsed(frame: pd.DataFrame, codes: np.ndarray, size: int) -> pd.DataFrame:
    """One row for each of `size` groups: each column's first value that is not null, if the group has one."""
    rows = frame.take(_first_known(np.ones(len(codes), dtype=bool), codes, size)).reset_index(drop=True)
    later = {name: frame[name].notna().to_numpy() for name in rows.columns if rows[name].isna().any()}
    found = {name: frame[name].take(_first_known(known, codes, size)) for name, known in later.items()}
    return rows.assign(**{name: values.reset_index(drop=True) for name, values in found.items()})


def _ranked(docnos: pd.Series, groups: Groups, scores: np.ndarray) -> np.ndarray:
    """The rows by query, then score from high to low, then docno, then as they stand; int [n]."""
    by_score = np.argsort(-scores)
    codes = groups.codes[by_score].astype(np.min_scalar_type(len(groups.qids)))  # small integers are sorted by radix
    order = by_score[np.argsort(codes, kind="stable")]
    falls = (np.diff(groups.codes[order]) > 0) | (scores[order[1:]] < scores[order[:-1]])
    tied = ~np.append(falls, True) | ~np.append(True, falls)
    if tied.any():  # docnos are compared only where they decide
        rows = np.sort(order[tied])
        names, _ = pd.factorize(docnos.take(rows), sort=True)
        order[tied] = rows[np.lexsort((names, -scores[rows], groups.codes[rows]))]
    return order


def _positions(sizes: np.ndarray) -> np.ndarray:
    """0, 1, ... within each of the lists that lie one behind another, int [sum of sizes]."""
    return np.arange(sizes.sum()) - np.repeat(np.cumsum(sizes) - sizes, sizes)


def _split(values: np.ndarray, sizes: np.ndarray) -> list[np.ndarray]:
    """The lists of these sizes that lie one behind another in `values`."""
    return [values[end - size : end] for size, end in zip(sizes.tolist(), np.cumsum(sizes).tolist(), strict=True)]


def _query_columns(frame: pd.DataFrame) -> list[str]:
    names = set(pt.model.query_columns(frame))  # which come in no fixed order
    return [name for name in frame.columns if name in names]


def _first_known(known: np.ndarray, codes: np.ndarray, size: int) -> np.ndarray:
    """For each of `size` groups its first row with `known`, or its first row if there is none; int [size]."""
    backwards = np.arange(len(codes))[::-1]
    rows = np.zeros(size, dtype=np.int64)
    rows[codes[backwards]] = backwards  # of a repeated index the last assignment stays
    backwards = backwards[known[::-1]]
    rows[codes[backwards]] = backwards
    return rows


def _flat(answer: Sequence[np.ndarray], docs: Sequence[Sequence[str]], qids: np.ndarray) -> np.ndarray:
    sizes = [len(scores) for scores in answer]
    if sizes != [len(texts) for texts in docs]:
        raise ValueError(
            f"the model gave {sizes[:NAMED]} scores for {[len(t) for t in docs][:NAMED]} documents per query"
        )
    flat = np.concatenate([np.asarray(scores, dtype=np.float64) for scores in answer])
    refuse(
        np.repeat(qids, sizes)[np.isnan(flat)], "qid", "the model's score is not a number; check its weights and dtype"
    )
    return flat


def _no_query(field: str) -> str:
    return f"no value in column {field!r} on any row of a query; give it on at least one"
