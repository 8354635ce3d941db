"""The dense index as PyTerrier's artifact, its retriever, and a loader of its vectors, over `rader_ir.index`.

`(encoder >> RaDeRIndex("docs.rader")).index(documents)` writes a folder that also opens in Pyserini's FaissSearcher, and
records which encoder made its vectors; a search with vectors of another one is refused.
"""

from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from itertools import chain
from pathlib import Path

import numpy as np
import pandas as pd
import pyterrier as pt

from pyterrier_rader import frames
from pyterrier_rader.artifacts import Written, docno_of, text_of
from pyterrier_rader.columns import distinct
from pyterrier_rader.configured import Configured, CutsRanks, KeepsRows, check_count, shown_as
from pyterrier_rader.encoders import RaDeREncoder
from pyterrier_rader.exclusions import checked
from pyterrier_rader.provenance import check_same, described, maker, stacked
from rader_ir.index import KINDS
from rader_ir.recorded import recorded, recorded_dtype


class RaDeRIndex(Written):
    """Vectors and docnos in a folder; also opens folders that `rader index` or `rader_ir.build_index` wrote.

    Those serve pyterrier_dr's FlexIndex as well, which is then what `pt.Artifact.load` gives; `RaDeRIndex(path)` opens either.

    Args:
        path: the folder.
        encoder: with one, documents are dicts with `docno` and a text, which it encodes; a run that was killed goes on where
            it stopped when it is made again. Without, they have a `doc_vec`, as an encoder before the index gives them.
        formats: who reads the folder besides this class: "pyserini" (FaissSearcher), "flex" (pyterrier_dr's FlexIndex).
            With "flex", `pt.Artifact.load` takes the folder for a FlexIndex, which asks for that name; `RaDeRIndex(path)`
            opens it all the same.
        blank_ids: "refuse" or "allow" blanks inside docnos (BRIGHT has some; TREC runs with them need tabs).
        verbose: show progress while writing.
    """

    ARTIFACT_TYPE, ARTIFACT_FORMAT, ARTIFACT_PACKAGE_HINT = "dense_index", "rader", "rader-ir"
    modes = ("create", "overwrite", "append")
    schematic = shown_as("RaDeR index")

    def __init__(
        self,
        path: str | Path,
        encoder: RaDeREncoder | None = None,
        *,
        formats: Sequence[str] = ("pyserini",),
        blank_ids: str = "refuse",
        verbose: bool = False,
    ):
        super().__init__(path)
        self.encoder, self.formats, self.blank_ids, self.verbose = encoder, tuple(formats), blank_ids, verbose

    def write(self, documents: Iterable[Mapping], *, append: bool = False) -> None:
        """Write the folder; called by `index` and `indexer(...).index`.

        Raises:
            ValueError: no document, a docno missing or twice, a text or vector missing, vectors of different encoders.
        """
        from rader_ir.index_writer import build_index, write_index

        formats = None if append else self.formats
        options = dict(append=append, formats=formats, blank_ids=self.blank_ids, verbose=self.verbose)
        rows = _vectors(documents) if self.encoder is None else self._texts(documents)
        first = next(rows, None)
        if first is None:
            raise ValueError(
                f"no document came for {self.path}; give dicts with {' and '.join(self.index_inputs()[0])}"
            )
        rows = chain([first], rows)
        if self.encoder is not None:
            build_index(self.path, rows, self.encoder.model(), **options)
        else:
            shape = dict(dimension=len(first[1]), made_by=maker([first[1]]) or {})
            write_index(self.path, rows, **shape, **options)
        self._opened = None

    def _texts(self, documents: Iterable[Mapping]) -> Iterator[tuple[str, str]]:
        return (text_of(document, self.encoder.text_field) for document in documents)

    def index_inputs(self) -> list[list[str]]:
        """The columns of a document."""
        return [["docno", "doc_vec"]] if self.encoder is None else [["docno", self.encoder.text_field]]

    def built(self) -> bool:
        """Whether the folder holds a finished index."""
        return (self.path / "rader_index.json").is_file()

    def open(self):
        """The open `rader_ir.Index`."""
        if self._opened is None:
            from rader_ir.index import Index

            self._opened = Index(self.path)
        return self._opened

    @property
    def made_by(self) -> dict:
        """What the encoder said of itself; empty where it said nothing."""
        return self.open().meta["made_by"]

    def __len__(self) -> int:
        return len(self.open())

    def get_corpus_iter(self) -> Iterator[dict]:
        """The documents as dicts with `docno` and `doc_vec`, in the order of the index."""
        index = self.open()
        for docno, vector in zip(index.doc_ids, index.vectors, strict=True):
            yield {"docno": str(docno), "doc_vec": np.array(vector)}

    def retriever(self, **options) -> "RaDeRRetriever":
        """A retriever over this index; options as `RaDeRRetriever`."""
        return RaDeRRetriever(self, **options)

    def vec_loader(self) -> "VectorLoader":
        """A transformer that adds `doc_vec` to retrieved documents; `>> encoder.text_scorer()` then reranks by it (`scorer`)."""
        return VectorLoader(self)

    def scorer(self, encoder: RaDeREncoder | None = None, *, num_results: int | None = None) -> pt.Transformer:
        """A reranker by the vectors of this index, which reads no text: `bm25 >> index.scorer()`.

        Args:
            encoder: encodes queries; None opens the one that the index was made with, as `RaDeRRetriever` does.
            num_results: documents kept per query; None keeps all.
        """
        return self.vec_loader() >> (encoder or self.own_encoder()).text_scorer(num_results=num_results)

    def own_encoder(self) -> RaDeREncoder:
        """The encoder that this index was given, or else the one that its folder records.

        Raises:
            ValueError: the folder holds vectors from elsewhere.
        """
        if self.encoder:
            return self.encoder
        checkpoint = recorded(self.made_by, self.path, "give one: RaDeRIndex(path, encoder)")
        return RaDeREncoder(checkpoint, dtype=recorded_dtype(self.made_by))


class RaDeRRetriever(Configured, CutsRanks, pt.Transformer):
    """Searches a `RaDeRIndex`: by `query_vec` if the frame has it, else by `query`, which it encodes itself.

    Args:
        index: a `RaDeRIndex`, or its folder.
        encoder: encodes queries; None opens the checkpoint that the index was made with.
        num_results: documents kept per query.
        kind: "flat" (exact), "hnsw", "sq8" or "fp16", where the index has it.
        excluded: {qid: docnos} that must not be ranked; they leave before the cut.
        check: refuse query vectors of an encoder that differs from that of the index.

    Raises:
        ValueError: an unknown kind or a wrong count (now); vectors of another encoder or length, both sides named (at the
            first row).
    """

    schematic = shown_as("RaDeR retriever")

    def __init__(
        self,
        index,
        encoder: RaDeREncoder | None = None,
        *,
        num_results: int = 1000,
        kind: str = "flat",
        excluded: Mapping[str, Collection[str]] | None = None,
        check: bool = True,
    ):
        if kind not in KINDS:
            raise ValueError(f"search kind {kind!r} is unknown; choose {', '.join(map(repr, KINDS))}")
        self.index = RaDeRIndex(index) if isinstance(index, str | Path) else index
        self.encoder, self.num_results, self.kind = encoder, check_count("num_results", num_results), kind
        self.excluded, self.check = None if excluded is None else checked(excluded), check

    def transform(self, inp: pd.DataFrame) -> pd.DataFrame:
        """Retrieve for every query."""
        query_field = "query" if self.encoder is None else self.encoder.query_field
        with pt.validate.any(inp, context=self) as v:
            v.query_frame(extra_columns=["query_vec"], mode="query_vec")
            v.query_frame(extra_columns=[query_field], mode=query_field)
        if inp.empty:
            return frames.no_results(inp)
        topics = frames.topics(inp, v.mode)
        given = (
            topics["query_vec"]
            if v.mode == "query_vec"
            else (self.encoder or self.index.own_encoder()).query_vectors(topics)
        )
        unique, rows, made_by = stacked(given)
        if self.check and made_by and self.index.made_by:
            check_same(self.index.made_by, made_by, f"{self.index.path} and the queries come from different encoders")
        return frames.with_results(topics, self._search(unique[rows], topics["qid"].astype(str)))

    def _search(self, vectors: np.ndarray, qids: Iterable[str]) -> list[tuple[np.ndarray, np.ndarray]]:
        index, excluded = self.index.open(), None
        if vectors.shape[1] != index.dimension:
            raise ValueError(
                f"the queries have {vectors.shape[1]} dimensions and {self.index.path} has {index.dimension}; "
                "encode them with the checkpoint that the index was made with"
            )
        if self.excluded is not None:
            excluded = [self.excluded.get(qid, ()) for qid in qids]
        found = index.search(vectors, depth=self.num_results, kind=self.kind, excluded=excluded)
        return [(index.doc_ids[positions], scores) for positions, scores in found]

    def subtransformers(self) -> dict:
        """None: index and encoder are no stages here."""
        return {}


class VectorLoader(Configured, KeepsRows, pt.Transformer):
    """Adds `doc_vec` from an index; made by `RaDeRIndex.vec_loader()`.

    Raises:
        KeyError: a document that the index does not hold.
    """

    schematic = shown_as("RaDeR vectors")

    def __init__(self, index: RaDeRIndex):
        self.index = index

    def transform(self, inp: pd.DataFrame) -> pd.DataFrame:
        """Load each row's vector."""
        pt.validate.columns(inp, includes=["docno"], context=self)
        if inp.empty:
            return frames.typed_empty(inp, doc_vec="object")
        codes, docnos = distinct(inp["docno"])
        vectors = described(self.index.open().doc_vectors(docnos.tolist()), self.index.made_by or None)
        return frames.with_column(inp, "doc_vec", [vectors[code] for code in codes])

    def subtransformers(self) -> dict:
        """None: the index is no stage."""
        return {}


def _vectors(documents: Iterable[Mapping]) -> Iterator[tuple[str, np.ndarray]]:
    made_by = None
    for document in documents:
        docno = docno_of(document)
        if document.get("doc_vec") is None:
            raise ValueError(f"document {docno!r} has no doc_vec; put an encoder before the index")
        other = getattr(document["doc_vec"], "made_by", None)
        if made_by is not None and other is not made_by:
            check_same(made_by, other or {}, f"document {docno!r} and those before it come from different encoders")
        made_by = made_by or other
        yield docno, document["doc_vec"]
