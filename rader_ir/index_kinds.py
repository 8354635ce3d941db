"""How candidates are found in an index: by scanning all rows, by an HNSW graph, or by scanning quantised rows.

The first needs nothing but the vectors (index_flat.py); the others are faiss's, files beside them, built once (HNSW:
arXiv:1603.09320; scalar quantisation: a byte, or half precision, for each dimension) and memory-mapped. All give what
`Fetch` says.
"""

import os
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path

import faiss
import numpy as np
from tqdm import tqdm

from rader_ir.index_flat import nearest
from rader_ir.index_folder import META, explained, locked, read_meta, require_room, write_json

QUANTISED = {"sq8": "QT_8bit", "fp16": "QT_fp16"}
BUILT = ("hnsw", *QUANTISED)
_ROWS_AT_ONCE = 1 << 27  # bytes of vectors
_BREADTH = 128  # an HNSW search keeps at least so many candidates (efSearch)

Fetch = Callable[
    [np.ndarray, int], tuple[np.ndarray, np.ndarray]
]  # queries [q, d], k -> scores, positions [q, k] (-1: none)


def flat(vectors: np.ndarray) -> Fetch:
    """Exact search: the k rows with the largest inner products, as far as float32 sums tell."""
    return partial(nearest, np.asarray(vectors))


def built(folder: Path, meta: dict, kind: str) -> Fetch:
    """Search by what `build` made; ValueError where that is missing, damaged or older than the index."""
    made = meta["kinds"].get(kind)
    call = "add_hnsw()" if kind == "hnsw" else f"add_quantised({kind!r})"
    remedy = f"call Index({str(folder)!r}).{call}, or `rader index` with --kinds {kind},"
    if made is None:
        raise ValueError(f"{folder} has no {kind!r} search yet; {remedy} first")
    if made["documents"] != meta["documents"]:
        raise ValueError(
            f"the {kind!r} search of {folder} covers {made['documents']} documents and the index now has "
            f"{meta['documents']}; {remedy} again"
        )
    try:
        index = faiss.read_index(str(_file(folder, kind)), faiss.IO_FLAG_MMAP_IFC)
    except RuntimeError as error:
        raise ValueError(f"{_file(folder, kind)} is missing, cut short or damaged; {remedy} again") from error

    def fetch(queries: np.ndarray, k: int) -> tuple[np.ndarray, np.ndarray]:
        settings = faiss.SearchParametersHNSW(efSearch=max(k, _BREADTH)) if kind == "hnsw" else None
        return index.search(queries, k, params=settings)

    return fetch


def build(folder: Path, vectors: np.ndarray, kind: str, *, verbose: bool = False, **settings) -> dict:
    """Build one of BUILT beside the vectors, in place of an earlier one; returns the new contents of rader_index.json.

    settings: for "hnsw" `m` (neighbours of a document) and `ef_construction`.
    """
    count, dimension = vectors.shape
    if not count:
        raise ValueError(f"{folder} holds no documents, so there is nothing to build {kind!r} from")
    index = _hnsw(dimension, **settings) if kind == "hnsw" else _quantiser(vectors, QUANTISED[kind])
    for _, rows in tqdm(_blocks(vectors), desc=f"building {kind}", disable=not verbose):
        index.add(rows)
    unfinished = _file(folder, kind).with_suffix(".part")
    with explained(folder), locked(folder):
        meta = read_meta(folder)
        if meta["documents"] != count:
            raise ValueError(f"{folder} went from {count} to {meta['documents']} documents meanwhile; open it again")
        require_room(
            folder, index.sa_code_size() * count if kind != "hnsw" else vectors.nbytes + 8 * settings["m"] * count
        )
        faiss.write_index(index, str(unfinished))
        os.replace(unfinished, _file(folder, kind))
        meta["kinds"][kind] = {"documents": count, **settings}
        write_json(folder / META, meta)
    return meta


def _hnsw(dimension: int, *, m: int, ef_construction: int) -> faiss.Index:
    index = faiss.IndexHNSWFlat(dimension, m, faiss.METRIC_INNER_PRODUCT)
    index.hnsw.efConstruction = ef_construction
    return index


def _quantiser(vectors: np.ndarray, precision: str) -> faiss.Index:
    """A scalar quantiser that knows the range of every dimension; two rows, of minima and maxima, tell it that."""
    kind = getattr(faiss.ScalarQuantizer, precision)
    index = faiss.IndexScalarQuantizer(vectors.shape[1], kind, faiss.METRIC_INNER_PRODUCT)
    ranges = [(rows.min(axis=0), rows.max(axis=0)) for _, rows in _blocks(vectors)]
    index.train(np.stack([np.min([low for low, _ in ranges], axis=0), np.max([high for _, high in ranges], axis=0)]))
    return index


def _blocks(vectors: np.ndarray) -> Iterator[tuple[int, np.ndarray]]:
    """The rows in blocks, each with its first row's number.

    Behind the header of a faiss file rows begin at an odd byte; faiss reads them so when it maps its own files, too.
    """
    step = max(1, _ROWS_AT_ONCE // (4 * vectors.shape[1]))
    for start in range(0, len(vectors), step):
        yield start, np.asarray(vectors[start : start + step])


def _file(folder: Path, kind: str) -> Path:
    return folder / f"{kind}.faiss"
