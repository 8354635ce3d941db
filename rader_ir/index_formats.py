"""Files through which other tools read an index: faiss and Pyserini, pyterrier_dr's FlexIndex, Lucene, encoded queries.

Everything is written without importing those tools, and streamed, so memory stays bounded. The bytes of `index` and
`docid` are those of faiss.write_index and of Pyserini's own writer; docnos.npids follows version 1 of the npids
package.
"""

import json
import os
import struct
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from rader_ir.index import Index

FAISS_HEADER = 45  # bytes before the first row of a flat index
LUCENE_DIMENSIONS = 4096  # Lucene drops longer vectors without a word
_NPIDS_HEADER = "<IqqI"  # kind, where the next header begins (-1: nowhere), documents, length of the configuration
_NPIDS_MAGIC, _NPIDS_FORWARD, _NPIDS_INVERSE = 1145655374, 0, 1
_FNV_BASIS, _FNV_PRIME = 2166136261, 16777619


def faiss_flat_header(count: int, dimension: int) -> bytes:
    """The 45 bytes that make `count` float32 rows after them a faiss IndexFlatIP."""
    spare, trained, inner_product = 1 << 20, 1, 0
    fields = (dimension, count, spare, spare, trained, inner_product, count * dimension)
    return b"IxFI" + struct.pack("<iqqqBiQ", *fields)


def pt_meta(count: int, dimension: int, formats: Iterable[str]) -> dict:
    """What PyTerrier's Artifact reads as pt_meta.json.

    FlexIndex opens only what calls itself `flex`, so with that format the folder does, and `pt.Artifact.load` gives a
    FlexIndex; without it the folder is a `rader` artifact.
    """
    if "flex" not in formats:
        return {"type": "dense_index", "format": "rader", "package_hint": "rader-ir"}
    shape = {"vec_size": dimension, "doc_count": count}
    return {"type": "dense_index", "format": "flex", "package_hint": "pyterrier-dr", **shape}


def write_npids(path: Path, count: int, blocks: Callable[[], Iterable[list[bytes]]]) -> None:
    """Write `count` doc ids as an npids lookup: fixed-width records, then a table from hash to position.

    Args:
        path: the file to write.
        count: number of doc ids.
        blocks: called twice; yields all ids in order, as lists of UTF-8 bytes.
    """
    width = max((len(doc_id) for block in blocks() for doc_id in block), default=1)
    bits = (count - 1).bit_length()
    with open(path, "wb") as file:
        _npids_header(file, _NPIDS_MAGIC, 0, {"version": 1}, length=0)
        forward = {"format": "fixedbytes", "length": width, "prefix": ""}
        _npids_header(file, _NPIDS_FORWARD, count, forward, length=count * width)
        buckets = np.zeros(count, np.uint32)
        done = 0
        for block in blocks():
            records = np.array(block, dtype=f"S{width}")
            file.write(records.tobytes())
            buckets[done : done + len(block)] = _fnv(records) & ((1 << bits) - 1)
            done += len(block)
        _npids_header(file, _NPIDS_INVERSE, count, {"format": "hash", "hash_bits": bits, "hash_fn": "fnv1_32"})
        ends = np.cumsum(np.bincount(buckets, minlength=1 << bits))
        file.write(np.uint32(0).tobytes() + ends.astype("<u4").tobytes())
        file.write(np.argsort(buckets, kind="stable").astype("<u4").tobytes())


def write_embeddings_jsonl(index: "Index", path: str | Path) -> None:
    """Write an index as the JSON lines that Anserini's flat and HNSW dense indexers and pyserini.index.faiss read.

    Each line has `docid` (for Lucene), `id` (for Pyserini) and `vector`. The file appears whole or not at all.

    Raises:
        ValueError: more than 4,096 dimensions, which Lucene would drop without an error.
    """
    if index.dimension > LUCENE_DIMENSIONS:
        raise ValueError(
            f"{index.folder} has {index.dimension} dimensions and Lucene indexes at most {LUCENE_DIMENSIONS}; "
            "search it with faiss instead (rader_ir, FaissSearcher or FlexIndex)"
        )
    unfinished = Path(f"{path}.part")
    with open(unfinished, "w", encoding="utf-8") as file:
        for doc_id, vector in zip(index.doc_ids, index.vectors, strict=True):
            file.write(
                json.dumps({"id": doc_id, "docid": doc_id, "vector": vector.tolist()}, ensure_ascii=False) + "\n"
            )
    os.replace(unfinished, path)


def write_encoded_queries(queries: Mapping[str, str], vectors: np.ndarray, folder: str | Path) -> Path:
    """Write `embedding.pkl`, which Pyserini takes by `--encoded-queries FOLDER`; returns its path. Needs pandas.

    Args:
        queries: text by query id; Pyserini looks a vector up by the text.
        vectors: float32 [queries, d] in the same order.
        folder: where to put the file; made if absent.
    """
    import pandas as pd

    if len(queries) != len(vectors):
        raise ValueError(f"{len(queries)} queries came with {len(vectors)} vectors; give one vector for each query")
    columns = {"id": list(queries), "text": list(queries.values()), "embedding": list(np.asarray(vectors, np.float32))}
    folder = Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    unfinished = folder / "embedding.pkl.part"
    # objects throughout: pandas 2 cannot read the string columns that pandas 3 makes
    pd.DataFrame(columns, dtype=object).to_pickle(unfinished)
    os.replace(unfinished, folder / "embedding.pkl")
    return folder / "embedding.pkl"


def _npids_header(file, kind: int, count: int, settings: dict, *, length: int | None = None) -> None:
    """Write the header of a section whose data takes `length` bytes, or of the last section."""
    encoded = json.dumps(settings).encode()
    after = file.tell() + struct.calcsize(_NPIDS_HEADER) + len(encoded)
    file.write(
        struct.pack(_NPIDS_HEADER, kind, -1 if length is None else after + length, count, len(encoded)) + encoded
    )


def _fnv(records: np.ndarray) -> np.ndarray:
    """32-bit FNV-1a of each fixed-width record without its trailing zeros, uint32 [n]."""
    hashes = np.full(len(records), _FNV_BASIS, np.uint32)
    for column in records.view(np.uint8).reshape(len(records), records.itemsize).T:
        hashes = np.where(column != 0, (hashes ^ column) * np.uint32(_FNV_PRIME), hashes)
    return hashes
