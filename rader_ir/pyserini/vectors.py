"""Vectors from the files that Pyserini's own programs write: encoded queries, and index folders.

`rader_ir.index_formats` writes these files; an index folder that Pyserini wrote has no rader_index.json, so here it is read as it
is, and described to `rader_ir.index` by what its files tell.
"""

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from rader_ir.files import numbered_lines
from rader_ir.index import Index
from rader_ir.index_folder import META, Plan, new_meta, read_json
from rader_ir.pyserini.agreement import RECORD


@dataclass(frozen=True)
class Folder:
    """An index folder: where it lies, the doc_ids, and the vectors float32 [n, d], mapped and not read."""

    folder: Path
    doc_ids: list[str]
    vectors: np.ndarray

    @property
    def dimension(self) -> int:
        """Length of a vector."""
        return self.vectors.shape[1]


def open_folder(folder: str | Path) -> Folder:
    """Open a folder with a flat FAISS `index` and a `docid`, Pyserini's or ours.

    Raises:
        FileNotFoundError: one of the two is missing.
        ValueError: not a flat index, or ids and vectors differ in number.
    """
    import faiss

    folder = Path(folder)
    for name in ("index", "docid"):
        if not (folder / name).is_file():
            raise FileNotFoundError(f"{folder / name}: no such file; a Pyserini index folder holds `index` and `docid`")
    index = faiss.read_index(str(folder / "index"), faiss.IO_FLAG_MMAP)
    if not isinstance(index, faiss.IndexFlat):
        raise ValueError(
            f"{folder / 'index'} is a {type(index).__name__}; expected a flat index, which holds the vectors"
        )
    doc_ids = [line.rstrip() for _, line in numbered_lines(folder / "docid")]
    if len(doc_ids) != index.ntotal:
        raise ValueError(f"{folder} has {index.ntotal} vectors and {len(doc_ids)} docids; the folder is half-written")
    start = (folder / "index").stat().st_size - index.ntotal * index.d * 4
    vectors = np.memmap(folder / "index", np.float32, "r", offset=start, shape=(index.ntotal, index.d))
    return Folder(folder, doc_ids, vectors)


def open_index(folder: str | Path) -> Index:
    """Open an index folder for search, ours or one that Pyserini wrote; the latter may say nothing of its encoder.

    Raises:
        FileNotFoundError, ValueError: as `Index` for a folder of ours, as `open_folder` for Pyserini's.
    """
    if (Path(folder) / META).is_file() or not (Path(folder) / "index").is_file():
        return Index(folder)
    found = open_folder(folder)
    told = read_json(Path(folder) / RECORD) or {}
    plan = Plan(found.dimension, made_by=told.get("made_by", {}), chunk=1, formats=["pyserini"])
    return Index(folder, meta=new_meta(plan, [len(found.doc_ids)]))


def read_encoded_queries(folder: str | Path) -> dict[str, np.ndarray]:
    """{text: vector} of an `embedding.pkl`, Pyserini's or ours. A pickle runs code: open only those that you trust.

    Raises:
        FileNotFoundError: there is none in `folder`.
    """
    import pandas

    path = Path(folder) / "embedding.pkl"
    if not path.is_file():
        raise FileNotFoundError(f"{path}: no such file; encode queries by: python -m rader_ir.pyserini queries")
    frame = pandas.read_pickle(path)
    pairs = zip(frame["text"], frame["embedding"], strict=True)
    return {text: np.asarray(vector, np.float32) for text, vector in pairs}
