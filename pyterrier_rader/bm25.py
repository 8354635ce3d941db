"""BM25 without Java as PyTerrier's index and retriever, over `rader_ir.bm25`.

Lucene's weighting and English analysis by default; variant "bright" weights the query too, as BRIGHT's baseline does. Any
text is a query: there is no query language to trip over.
"""

from collections.abc import Collection, Iterable, Mapping
from pathlib import Path

import pandas as pd
import pyterrier as pt

from pyterrier_rader import frames
from pyterrier_rader.artifacts import Written, text_of
from pyterrier_rader.configured import Configured, CutsRanks, check_count, shown_as
from pyterrier_rader.exclusions import checked


class Bm25Index(Written):
    """A BM25 index in a folder: `Bm25Index("docs.bm25").index(documents).retriever()`.

    Documents are dicts with `docno` and a text; all their words are held in memory while the index is built.

    Args:
        path: the folder.
        variant: "lucene", or "bright" for queries weighted like documents.
        k1, b: how fast repeats saturate, and how much a long document pays. Of the three, None takes what a finished index
            has, and "lucene", 0.9 and 0.4 for a new one.
        text_field: the field of a document that is indexed.
        blank_ids: "refuse" or "allow" blanks inside docnos (BRIGHT has some; TREC runs with them need tabs).

    Raises:
        ValueError: the index in the folder was built with other settings; both are named (when it is opened).
    """

    ARTIFACT_TYPE, ARTIFACT_FORMAT, ARTIFACT_PACKAGE_HINT = "sparse_index", "rader_bm25", "rader-ir"
    schematic = shown_as("BM25 index")

    def __init__(
        self,
        path: str | Path,
        *,
        variant: str | None = None,
        k1: float | None = None,
        b: float | None = None,
        text_field: str = "text",
        blank_ids: str = "refuse",
    ):
        super().__init__(path)
        self.variant, self.k1, self.b = variant, k1, b
        self.text_field, self.blank_ids = text_field, blank_ids

    def write(self, documents: Iterable[Mapping], *, append: bool = False) -> None:
        """Build and save; called by `index` and `indexer(...).index`."""
        from rader_ir.bm25 import BM25

        pairs = (text_of(document, self.text_field) for document in documents)
        BM25.build(pairs, blank_ids=self.blank_ids, **self._asked()).save(self.path)
        self.name_artifact()
        self._opened = None

    def index_inputs(self) -> list[list[str]]:
        """The columns of a document."""
        return [["docno", self.text_field]]

    def built(self) -> bool:
        """Whether the folder holds an index."""
        return (self.path / "rader_bm25.json").is_file()

    def bm25(self):
        """The open `rader_ir.BM25`."""
        if self._opened is None:
            from rader_ir.bm25 import BM25

            opened = BM25.load(self.path)
            built = {name: opened.settings[name] for name in self._asked()}
            if built != self._asked():
                raise ValueError(
                    f"{self.path} was built with {built}, and {self._asked()} is asked for; leave the settings out to open "
                    "it as it is, or build it anew by indexer(mode='overwrite')"
                )
            self._opened = opened
        return self._opened

    def _asked(self) -> dict:
        return {name: value for name in ("variant", "k1", "b") if (value := getattr(self, name)) is not None}

    def __len__(self) -> int:
        return len(self.bm25())

    def retriever(self, **options) -> "Bm25Retriever":
        """A retriever over this index; options as `Bm25Retriever`."""
        return Bm25Retriever(self, **options)


class Bm25Retriever(Configured, CutsRanks, pt.Transformer):
    """Ranks documents by BM25; only documents that share a term with the query are ranked.

    Args:
        index: a `Bm25Index`, its folder, or a `rader_ir.BM25` in memory.
        num_results: documents kept per query.
        query_field: column of the query's text.
        excluded: {qid: docnos} that must not be ranked; they leave before the cut.
    """

    schematic = shown_as("BM25")

    def __init__(
        self,
        index,
        *,
        num_results: int = 1000,
        query_field: str = "query",
        excluded: Mapping[str, Collection[str]] | None = None,
    ):
        self.index = Bm25Index(index) if isinstance(index, str | Path) else index
        self.num_results, self.query_field = check_count("num_results", num_results), query_field
        self.excluded = None if excluded is None else checked(excluded)

    @classmethod
    def from_documents(
        cls,
        documents: Iterable[Mapping],
        *,
        variant: str = "lucene",
        k1: float = 0.9,
        b: float = 0.4,
        text_field: str = "text",
        blank_ids: str = "refuse",
    ) -> "Bm25Retriever":
        """A retriever over documents (dicts with `docno` and a text) indexed in memory; arguments as `Bm25Index`."""
        from rader_ir.bm25 import BM25

        pairs = (text_of(document, text_field) for document in documents)
        return cls(BM25.build(pairs, variant=variant, k1=k1, b=b, blank_ids=blank_ids))

    def transform(self, inp: pd.DataFrame) -> pd.DataFrame:
        """Retrieve for every query."""
        pt.validate.query_frame(inp, extra_columns=[self.query_field], context=self)
        if inp.empty:
            return frames.no_results(inp)
        topics = frames.topics(inp, self.query_field)
        qids = topics["qid"].astype(str).tolist()
        queries = dict(zip(qids, topics[self.query_field].tolist(), strict=True))
        bm25 = self.index.bm25() if isinstance(self.index, Bm25Index) else self.index
        run = bm25.retrieve(queries, depth=self.num_results, excluded=self.excluded)
        return frames.with_results(topics, [(list(run[qid]), list(run[qid].values())) for qid in qids])

    def subtransformers(self) -> dict:
        """None: the index is no stage."""
        return {}
