"""An index folder opened for search: doc ids, vectors on disk, and what finds the nearest of them.

Candidates come from an exact scan, or by FAISS from an HNSW graph or from quantised vectors; every score is then the
inner product with the float32 vector itself, summed in one fixed order, so scores and ranks do not depend on the
batch of queries or on the kind of search that found them. Ties go to the smaller doc id, also at the depth cut.
"""

import json
import operator
import warnings
from collections.abc import Collection, Iterator, Mapping, Sequence
from pathlib import Path

import numpy as np

from rader_ir.index_folder import DOC_IDS, UNFINISHED, Plan, read_meta, vector_difference
from rader_ir.index_ids import DocIds

QUANTISED = ("sq8", "fp16")
KINDS = ("flat", "hnsw", *QUANTISED)
_QUERIES_AT_ONCE = 2048
_RESULTS_AT_ONCE = 1 << 20  # candidates held at a time, over all queries of a batch
_MARGIN = 16  # candidates beyond the depth, so that ties at the cut rarely need a second search
_ALIKE = 4  # searches that differ less in their numbers of candidates share one scan
_NOISE = 16  # rounding may differ by this many times the largest difference seen before ranks are in doubt


class Index:
    """A finished index folder, as `build_index` makes it. Opening reads the list of doc ids and no vectors.

    Attributes:
        folder: where it lies.
        meta: contents of rader_index.json; `meta["made_by"]` describes the encoder.
        dimension: length of a vector.
        doc_ids: the doc ids in order, read from disk as they are asked for (`DocIds`).
        vectors: float32 [documents, dimension], mapped from disk.
    """

    def __init__(self, folder: str | Path, *, meta: dict | None = None):
        """Open a folder; raises FileNotFoundError, or ValueError where files are missing or too short.

        meta: what rader_index.json would hold, for a folder of another tool that has none.
        """
        self.folder = Path(folder)
        self.meta = meta or read_meta(self.folder)
        self.dimension = self.meta["dimension"]
        self.doc_ids = DocIds(self.folder / DOC_IDS, len(self))
        self.vectors = _mapped(self.folder, Plan.of(self.meta), len(self))
        self._fetchers: dict[str, object] = {}
        if (self.folder / UNFINISHED).exists():
            warnings.warn(
                f"documents are being added to {folder}, or that was interrupted; these are the first {len(self)}. "
                "Repeating an interrupted call goes on with it",
                stacklevel=2,
            )

    def __len__(self) -> int:
        return self.meta["documents"]

    def __repr__(self) -> str:
        return f"Index({str(self.folder)!r})"

    def doc_vectors(self, doc_ids: Sequence[str]) -> np.ndarray:
        """The vectors of some documents, float32 [n, d]; KeyError names a doc id that is not here."""
        positions = self.doc_ids.positions(doc_ids)
        if (positions < 0).any():
            missing = doc_ids[int(np.argmax(positions < 0))]
            raise KeyError(f"doc id {missing!r} is not in {self.folder}, which holds {len(self)} documents")
        return np.array(self.vectors[positions])

    def retrieve(
        self,
        queries: Mapping[str, str],
        encoder,
        *,
        depth: int = 1000,
        kind: str = "flat",
        excluded: Mapping[str, Collection[str]] | None = None,
        instructions: Mapping[str, str] | None = None,
        check: bool = True,
    ) -> dict[str, dict[str, float]]:
        """Encode queries and rank the documents for them.

        Args:
            queries: text by query id.
            encoder: anything with `encode_queries(texts, instructions)`, `dimension` and `describe()`.
            depth: number of documents for each query.
            kind: as in `search`.
            excluded: doc ids by query id that are taken out before the depth cut, as BRIGHT wants it.
            instructions: instruction by query id, in place of the encoder's own; for all queries or none.
            check: refuse an encoder whose description is not that of the encoder that made the index.

        Raises:
            ValueError: the encoder differs; names the fields, the index's side first.
        """
        if not queries:
            return {}
        if check:
            require_same_encoder(self.folder, self.meta, encoder)
        if instructions is not None and (missing := queries.keys() - instructions.keys()):
            raise ValueError(f"there is no instruction for query {min(missing)!r}; give one to every query, or to none")
        told = None if instructions is None else [instructions[query_id] for query_id in queries]
        vectors = encoder.encode_queries(list(queries.values()), told)
        banned = None if excluded is None else [excluded.get(query_id, ()) for query_id in queries]
        ranked = self.search(vectors, depth=depth, kind=kind, excluded=banned)
        return {
            query_id: dict(zip(self.doc_ids[positions].tolist(), scores.tolist(), strict=True))
            for query_id, (positions, scores) in zip(queries, ranked, strict=True)
        }

    def search(
        self,
        vectors: np.ndarray,
        *,
        depth: int = 1000,
        kind: str = "flat",
        excluded: Sequence[Collection[str]] | None = None,
    ) -> list[tuple[np.ndarray, np.ndarray]]:
        """The documents nearest to each query by inner product, best first, ties by doc id.

        Args:
            vectors: queries, float32 [q, d].
            depth: number of documents for each query; fewer where the index has fewer.
            kind: "flat" finds the nearest for certain; "hnsw", "sq8" and "fp16" search what `add_hnsw` or
                `add_quantised` built, and may miss some. Give "flat" many queries at once: it reads the vectors once for all.
            excluded: for each query the doc ids to leave out, before the depth cut.

        Returns:
            For each query: positions in `doc_ids`, int64 [<= depth], and scores, float32 of that length.

        Raises:
            ValueError: wrong shape, NaN, an unknown kind, or a kind that is not built or older than the index.
        """
        vectors, depth = self._checked(vectors, kind, excluded), _whole(depth)
        fetch, found = self._fetcher(kind), {}
        if not len(self):
            return [(np.zeros(0, np.int64), np.zeros(0, np.float32)) for _ in vectors]
        banned = self._banned(excluded, len(vectors))
        wanted = {query: min(depth + len(banned[query]) + _MARGIN, len(self)) for query in range(len(vectors))}
        while wanted:
            again = {}
            for batch, k in _batches(wanted, together=kind == "flat"):
                candidates = fetch(vectors[batch], k)
                ranked, doubtful = self._ranked(
                    vectors[batch], *candidates, [banned[query] for query in batch], depth, exact=kind not in QUANTISED
                )
                found.update(zip(batch, ranked, strict=True))
                again.update((batch[row], min(2 * k, len(self))) for row in np.flatnonzero(doubtful))
            wanted = again
        return [found[query] for query in range(len(vectors))]

    def add_hnsw(self, *, m: int = 32, ef_construction: int = 200, verbose: bool = False) -> None:
        """Build the graph for `kind="hnsw"`: m neighbours for each document. Keeps all vectors in memory meanwhile."""
        from rader_ir import index_kinds

        settings = {"m": m, "ef_construction": ef_construction}
        self.meta = index_kinds.build(self.folder, self.vectors, "hnsw", verbose=verbose, **settings)
        self._fetchers.pop("hnsw", None)

    def add_quantised(self, kind: str, *, verbose: bool = False) -> None:
        """Build the smaller vectors for `kind="sq8"` (a quarter of the size) or `kind="fp16"` (half of it).

        They are scanned for one query after the other: less is read than by a flat search, but from a few queries at a time
        on that one is sooner. tests/benchmarks/RESULTS.md has the figures.
        """
        from rader_ir import index_kinds

        if kind not in QUANTISED:
            raise ValueError(f"quantised kind {kind!r} is unknown; choose {' or '.join(map(repr, QUANTISED))}")
        self.meta = index_kinds.build(self.folder, self.vectors, kind, verbose=verbose)
        self._fetchers.pop(kind, None)

    def _fetcher(self, kind: str):
        from rader_ir import index_kinds  # imports faiss

        if kind not in self._fetchers:
            self._fetchers[kind] = (
                index_kinds.flat(self.vectors) if kind == "flat" else index_kinds.built(self.folder, self.meta, kind)
            )
        return self._fetchers[kind]

    def _checked(self, vectors, kind: str, excluded) -> np.ndarray:
        vectors = np.ascontiguousarray(vectors, np.float32)
        if not len(vectors):
            vectors = vectors.reshape(0, self.dimension)
        if vectors.ndim != 2 or vectors.shape[1] != self.dimension:
            raise ValueError(
                f"queries have shape {vectors.shape}, expected (queries, {self.dimension}) for {self.folder}"
            )
        if not np.isfinite(vectors).all():
            bad = int(np.argmin(np.isfinite(vectors).all(axis=1)))
            raise ValueError(f"the vector of query {bad + 1} of {len(vectors)} holds NaN or infinity; encode it again")
        if kind not in KINDS:
            raise ValueError(f"search kind {kind!r} is unknown; choose {', '.join(map(repr, KINDS))}")
        if excluded is not None and len(excluded) != len(vectors):
            raise ValueError(f"excluded has {len(excluded)} entries for {len(vectors)} queries; give one for each")
        if isinstance(excluded, Mapping):
            raise ValueError("excluded is a mapping; give a list of doc ids for each query, or use `retrieve`")
        for entry in excluded or ():
            if isinstance(entry, str):
                raise ValueError(
                    f"excluded holds the string {entry!r} where a list of doc ids is expected; write [{entry!r}]"
                )
        return vectors

    def _banned(self, excluded: Sequence[Collection[str]] | None, count: int) -> list[np.ndarray]:
        """For each query the positions of the documents that it excludes; those that are not here are left out."""
        if excluded is None:
            return [np.zeros(0, np.int64)] * count
        positions = self.doc_ids.positions(doc_id for doc_ids in excluded for doc_id in doc_ids)
        ends = np.cumsum([len(doc_ids) for doc_ids in excluded])
        return [part[part >= 0] for part in np.split(positions, ends)[:-1]]

    def _ranked(
        self, queries, scores, positions, banned: Sequence[np.ndarray], depth: int, *, exact: bool
    ) -> tuple[list[tuple[np.ndarray, np.ndarray]], np.ndarray]:
        """The best `depth` of each query's candidates [q, k], and whether one beyond them might belong there, bool [q]."""
        from rader_ir.index_flat import inner_products  # imports faiss

        found = positions >= 0
        allowed = found.copy()
        for row, left_out in enumerate(banned):
            if len(left_out):
                allowed[row] &= ~np.isin(positions[row], left_out)
        true = inner_products(np.asarray(self.vectors), queries, positions)
        counts = np.count_nonzero(allowed, axis=1)
        doubtful = np.zeros(len(queries), bool)
        if positions.shape[1] < len(self):
            error = np.subtract(true, scores, where=found, out=np.zeros_like(true))
            noise = _NOISE * np.abs(error).max(axis=1) if exact else 0.0
            last = np.argmax(np.cumsum(allowed, axis=1) >= depth, axis=1)
            margin = scores[np.arange(len(scores)), last] - scores[:, -1]
            doubtful = (counts >= depth) & ~(margin > noise)
        falling = np.where(np.isnan(true), np.inf, -true)
        falling[~allowed] = np.nan  # which comes behind all numbers
        order = np.argsort(falling, axis=1)
        true, positions = (np.take_along_axis(values, order, axis=1) for values in (true, positions))
        self._settle_ties(true, positions, counts)
        sizes = np.minimum(counts, depth)
        return [(row[:n], values[:n]) for row, values, n in zip(positions, true, sizes, strict=True)], doubtful

    def _settle_ties(self, scores: np.ndarray, positions: np.ndarray, counts: np.ndarray) -> None:
        """Order equal scores among the first `counts` of each row of [q, k] by doc id, in place."""
        same = (scores[:, 1:] == scores[:, :-1]) & (np.arange(1, scores.shape[1]) < counts[:, None])
        tied = np.zeros(scores.shape, bool)
        tied[:, 1:] = same
        tied[:, :-1] |= same
        if tied.any():
            order = np.lexsort((self.doc_ids[positions[tied]], -scores[tied], np.nonzero(tied)[0]))
            positions[tied] = positions[tied][order]


def require_same_encoder(folder: str | Path, meta: dict, encoder) -> None:
    """Refuse an encoder whose vectors are not of the kind that `folder` holds, as its rader_index.json, `meta`, tells.

    Raises:
        ValueError: the encoder differs; names the fields, the index's side first.
    """
    difference = vector_difference(meta["made_by"], json.loads(json.dumps(encoder.describe())))
    if encoder.dimension != meta["dimension"]:
        difference = f"dimension: {meta['dimension']} / {encoder.dimension}" + (difference and f"; {difference}")
    if difference:
        raise ValueError(
            f"{folder} was made by another encoder (index / this one): {difference}; open the index's own "
            "checkpoint with its settings, or pass check=False (on a command line: --allow-mismatch) to search all the same"
        )


def _mapped(folder: Path, plan: Plan, count: int) -> np.ndarray:
    name, start = plan.rows
    if (folder / name).stat().st_size < start + count * plan.row_bytes:
        raise ValueError(f"{folder / name} is shorter than {count} vectors of {plan.dimension}; build the index again")
    if not count:
        return np.zeros((0, plan.dimension), np.float32)
    return np.memmap(folder / name, "<f4", "r", offset=start, shape=(count, plan.dimension))


def _whole(depth: int) -> int:
    try:
        number = operator.index(depth)
    except TypeError as error:
        raise ValueError(f"depth is {depth!r}, expected a whole number of documents") from error
    if number < 1:
        raise ValueError(f"depth is {depth}, expected at least 1")
    return number


def _batches(wanted: Mapping[int, int], *, together: bool) -> Iterator[tuple[list[int], int]]:
    """Queries that are searched at once, and for how many candidates.

    together: queries share a scan with those that want up to _ALIKE times as many, else with those that want as many.
    """
    groups: list[tuple[list[int], int]] = []
    least = 0
    for query, k in sorted(wanted.items(), key=lambda item: item[1]):
        if not groups or k > (_ALIKE * least if together else least):
            groups.append(([], k))
            least = k
        groups[-1][0].append(query)
        groups[-1] = groups[-1][0], k
    for queries, k in groups:
        size = max(1, min(_QUERIES_AT_ONCE, _RESULTS_AT_ONCE // k))
        for start in range(0, len(queries), size):
            yield queries[start : start + size], k
