"""The other steps of a pipeline around engines that cost nothing, for `tests.benchmarks.plumbing`.

A retriever, a loader of texts, fusions, an encoder's three parts and exclusions: each with a frame of its own, so that what is
timed is what PyTerrier's side of it costs.
"""

import tempfile
from pathlib import Path

import numpy as np
import pandas as pd
import pyterrier as pt

from pyterrier_rader import (
    ExcludeDocuments,
    RaDeREncoder,
    RaDeRFusion,
    RaDeRRetriever,
    ReciprocalRankFusion,
    TextLoader,
)
from rader_ir.index_ids import DocIds


class FreeEncoder:
    """An encoder that costs nothing: zeros."""

    dimension = 8

    def encode_queries(self, texts, instructions=None) -> np.ndarray:
        """float32 [n, 8]."""
        return np.zeros((len(texts), self.dimension), dtype=np.float32)

    def encode_docs(self, texts) -> np.ndarray:
        """float32 [n, 8]."""
        return np.zeros((len(texts), self.dimension), dtype=np.float32)


class FreeIndex:
    """An index whose search costs nothing; its docnos are read from a file, as those of any index."""

    dimension, made_by = FreeEncoder.dimension, {}

    def __init__(self, frame: pd.DataFrame, depth: int):
        self.path = Path(tempfile.mkdtemp()) / "docids"
        self.path.write_text("\n".join([*frame["docno"], ""]))
        self.doc_ids = DocIds(self.path, len(frame))
        self.scores = -np.arange(depth, dtype=np.float32)
        self.found = np.arange(len(frame)).reshape(-1, depth)

    def open(self) -> "FreeIndex":
        """Itself: nothing is loaded."""
        return self

    def search(self, vectors, *, depth, kind, excluded) -> list[tuple[np.ndarray, np.ndarray]]:
        """Every query's own positions, with falling scores."""
        return [(positions, self.scores) for positions in self.found[: len(vectors)]]


def steps(frame: pd.DataFrame) -> dict[str, tuple[pt.Transformer, pd.DataFrame]]:
    """A name, a transformer and the frame that it is given, for each step; `frame` is a result frame with texts."""
    topics = frame[["qid", "query"]].drop_duplicates("qid")
    bare, depth = frame.drop(columns="text"), len(frame) // len(topics)
    other = frame.sample(frac=1, random_state=1).assign(score=frame["score"].to_numpy())
    systems = [pt.apply.generic(lambda _, found=found: found) for found in (frame, other)]
    encoder = RaDeREncoder(FreeEncoder())
    return {
        "retrieve": (RaDeRRetriever(FreeIndex(frame, depth), encoder, num_results=depth), topics),
        "attach texts": (TextLoader(dict(zip(frame["docno"], frame["text"], strict=True))), bare),
        "fuse two systems": (RaDeRFusion(*systems), topics),
        "fuse two columns": (RaDeRFusion("score", "second"), frame.assign(second=other["score"].to_numpy())),
        "fuse two systems by ranks": (ReciprocalRankFusion(*systems), topics),
        "encode queries of results": (encoder.query_encoder(), frame),
        "encode documents": (encoder.doc_encoder(), frame),
        "score texts by vectors": (encoder.text_scorer(), frame),
        "leave out excluded documents": (ExcludeDocuments({qid: ["doc1"] for qid in topics["qid"]}), frame),
    }
