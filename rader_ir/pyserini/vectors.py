"""Vectors in the files that Pyserini's own programs read.

`embedding.pkl` holds encoded queries for `--encoded-queries`; a JSONL file with `id` and `docid` feeds Lucene's flat and HNSW
indexes, which take `docid` and drop every record without it, and `pyserini.index.faiss`, which takes `id`.
"""

import json
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from rader_ir.files import numbered_lines, replacing

QUERIES_FILE = "embedding.pkl"
VECTORS_FILE = "embeddings.jsonl"
LUCENE_DIMENSIONS = 4096  # Lucene drops longer vectors and ends with exit code 0
CHUNK = 4096


def write_encoded_queries(folder: str | Path, queries: dict[str, str], vectors: np.ndarray) -> Path:
    """Write `embedding.pkl` into `folder`: a data frame with columns id, text, embedding, as `pyserini.encode.query` writes.

    Args:
        folder: made if it is not there.
        queries: {query_id: text}.
        vectors: float32 [n, d], in the order of `queries`.

    Returns:
        The file's path. It is a pickle: pandas 3 writes what pandas 2 may not read.

    Raises:
        ValueError: not as many vectors as queries.
    """
    import pandas

    if len(vectors) != len(queries):
        raise ValueError(f"{len(vectors)} vectors were given for {len(queries)} queries; give one for each")
    rows = {"id": list(queries), "text": list(queries.values()), "embedding": list(np.asarray(vectors, np.float32))}
    path = Path(folder) / QUERIES_FILE
    path.parent.mkdir(parents=True, exist_ok=True)
    unfinished = path.with_suffix(".unfinished")
    pandas.DataFrame(rows).to_pickle(unfinished)
    unfinished.replace(path)
    return path


def read_encoded_queries(folder: str | Path) -> dict[str, np.ndarray]:
    """{text: vector} of an `embedding.pkl`, Pyserini's or ours. A pickle runs code: open only those that you trust.

    Raises:
        FileNotFoundError: there is none in `folder`.
    """
    import pandas

    path = Path(folder) / QUERIES_FILE
    if not path.is_file():
        raise FileNotFoundError(f"{path}: no such file; encode queries by: python -m rader_ir.pyserini queries")
    frame = pandas.read_pickle(path)
    return {
        text: np.asarray(vector, np.float32) for text, vector in zip(frame["text"], frame["embedding"], strict=True)
    }


def write_lucene_vectors(index: str | Path, folder: str | Path) -> Path:
    """Write the vectors of a Pyserini index folder as JSONL, one `{"id", "docid", "vector"}` per line.

    Index them by `python -m pyserini.index.lucene --collection JsonDenseVectorCollection --input FOLDER ...`, or with
    `io.anserini.index.IndexFlatDenseVectors` and `IndexHnswDenseVectors`. A float32 takes about 20 bytes so.

    Args:
        index: folder with a flat FAISS `index` and `docid`, as Pyserini and rader_ir write it.
        folder: where `embeddings.jsonl` goes; made if it is not there, and should hold nothing else.

    Raises:
        ValueError: more than 4096 dimensions, or as many ids as vectors are not there.
    """
    vectors, doc_ids = open_index(index)
    if vectors.d > LUCENE_DIMENSIONS:
        raise ValueError(
            f"{index} has {vectors.d} dimensions; Lucene takes {LUCENE_DIMENSIONS} at most and would silently index nothing. "
            "Search it with FAISS"
        )
    path = Path(folder) / VECTORS_FILE
    path.parent.mkdir(parents=True, exist_ok=True)
    with replacing(path) as file:
        for start in range(0, vectors.ntotal, CHUNK):
            rows = vectors.reconstruct_n(start, min(CHUNK, vectors.ntotal - start))
            for doc_id, row in zip(doc_ids[start : start + CHUNK], rows, strict=True):
                file.write(
                    json.dumps({"id": doc_id, "docid": doc_id, "vector": row.tolist()}, ensure_ascii=False) + "\n"
                )
    return path


def open_index(folder: str | Path) -> tuple:
    """(FAISS index, mapped and not read, and doc_ids) of a Pyserini folder.

    Raises:
        FileNotFoundError: `index` or `docid` is missing.
        ValueError: as many ids as vectors are not there.
    """
    import faiss

    folder = Path(folder)
    for name in ("index", "docid"):
        if not (folder / name).is_file():
            raise FileNotFoundError(f"{folder / name}: no such file; a Pyserini index folder holds `index` and `docid`")
    index = faiss.read_index(str(folder / "index"), faiss.IO_FLAG_MMAP)
    doc_ids: Sequence[str] = [line for _, line in numbered_lines(folder / "docid")]
    if len(doc_ids) != index.ntotal:
        raise ValueError(f"{folder} has {index.ntotal} vectors and {len(doc_ids)} docids; the folder is half-written")
    return index, doc_ids
