"""Dense encoders: query and document vectors, and reranking by their inner product.

`RaDeREncoder` is configuration and a factory: `.query_encoder()`, `.doc_encoder()` and `.text_scorer()` are transformers, and
used bare it does what the frame's columns ask for. Columns are PyTerrier's usual ones (`query_vec`, `doc_vec`), so other
packages' dense indexes work behind it.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import islice

import numpy as np
import pandas as pd
import pyterrier as pt

from pyterrier_rader import frames, live
from pyterrier_rader.artifacts import text_of
from pyterrier_rader.columns import distinct, texts
from pyterrier_rader.configured import Configured, CutsRanks, KeepsRows, SharesModel, check_count, shown_as
from pyterrier_rader.provenance import check_same, described, stacked
from rader_ir.bright import instruction as bright_instruction
from rader_ir.checkpoints import DEFAULT_RETRIEVER
from rader_ir.rerank.pointwise import check_passages

_CUT_TOGETHER = 256  # documents tokenised at a time
_DOT_ROWS = 4096  # rows per inner product, which bounds the memory of gathered vectors


class RaDeREncoder(SharesModel, Configured, pt.Transformer):
    """A dense encoder; the model is loaded at the first row and shared with every transformer of equal settings.

    Bare, it encodes queries (a frame with `qid`, `query`), encodes documents (`docno`, `text`) or scores results (both).
    A query's instruction comes from the column `qinstruction` if the frame has it, else from `instruction` or `task`.

    Args:
        checkpoint: a name, folder, hub id or `rader_ir.Checkpoint`; or a ready object with `encode_queries` and
            `encode_docs`. The default is a model of 7.6 billion parameters, whose size is told before anything is
            downloaded; `minilm` is small.
        task: a task of BRIGHT such as "biology", whose instruction is put before queries.
        instruction: the instruction itself, in place of `task`; "" for none. None leaves it to a ready object.
        query_field, text_field: columns of the query's and the document's text.
        passage_length, passage_stride: in tokens; `text_scorer` then scores a document by its best passage. Passages follow
            one another unless a stride is given.
        max_query_length, max_doc_length, forms, revision: in place of the checkpoint's own, see `rader_ir.Encoder`.
        batch_tokens: bound on the tokens of one batch of the model; None takes what suits the device.
        batch_size: documents that an indexing pipeline hands over at a time.
        device, dtype: such as "cuda:1" and "bfloat16", or "int8" on a CPU; None chooses.
        verbose: show progress.

    Raises:
        ValueError: an unknown task, or passages that leave gaps (now); a missing text or query (at its row).
    """

    schematic = shown_as("RaDeR encoder")

    def __init__(
        self,
        checkpoint=DEFAULT_RETRIEVER,
        *,
        task: str | None = None,
        instruction: str | None = None,
        query_field: str = "query",
        text_field: str = "text",
        passage_length: int | None = None,
        passage_stride: int | None = None,
        max_query_length: int | None = None,
        max_doc_length: int | None = None,
        forms: str | None = None,
        revision: str | None = None,
        batch_tokens: int | None = None,
        batch_size: int = 1024,
        device: str | None = None,
        dtype: str | None = None,
        verbose: bool = False,
    ):
        if task is not None and instruction is not None:
            raise ValueError(f"task {task!r} and instruction {instruction!r} are both given; give one of them")
        if task is not None:
            bright_instruction(task)  # an unknown task is refused here, not at the first row
        check_passages(passage_length, passage_stride)
        self.checkpoint, self.task, self.instruction = checkpoint, task, instruction
        self.query_field, self.text_field = query_field, text_field
        self.passage_length, self.passage_stride = passage_length, passage_stride
        self.max_query_length, self.max_doc_length = max_query_length, max_doc_length
        self.forms, self.revision = forms, revision
        self.batch_tokens, self.batch_size = batch_tokens, batch_size
        self.device, self.dtype, self.verbose = device, dtype, verbose

    def transform(self, inp: pd.DataFrame) -> pd.DataFrame:
        """Do what the columns ask for: add `query_vec`, add `doc_vec`, or score."""
        with pt.validate.any(inp, context=self) as v:
            v.query_frame(extra_columns=[self.query_field], mode="query_encoder")
            v.document_frame(extra_columns=[self.text_field], mode="doc_encoder")
            scorable(v, self, mode="text_scorer")
        return getattr(self, v.mode)().transform(inp)

    def query_encoder(self) -> "QueryEncoder":
        """A transformer that adds `query_vec` to every row of a frame with queries."""
        return QueryEncoder(self)

    def doc_encoder(self) -> "DocEncoder":
        """A transformer that adds `doc_vec` to every row of a frame with documents."""
        return DocEncoder(self)

    def text_scorer(self, *, num_results: int | None = None) -> "TextScorer":
        """A reranker by the inner product of the query's and the document's vectors, which keeps `num_results` per query."""
        return TextScorer(self, num_results=num_results)

    def passages(self, documents: Iterable[Mapping]) -> Iterator[dict]:
        """Documents cut into passages of `passage_length` of the model's tokens, for an index of passages.

        A passage of `d1` has the docno `d1%p0`, `d1%p1`, ..., which `dense >> pt.text.max_passage()` turns back into documents,
        each with its best passage's score.

        Raises:
            ValueError: the encoder has no `passage_length`; a document without a text.
        """
        if self.passage_length is None:
            raise ValueError("passages need a length in tokens; give the encoder passage_length=256, for example")
        stream = iter(documents)
        while batch := list(islice(stream, _CUT_TOGETHER)):
            pairs = [text_of(document, self.text_field) for document in batch]
            cut = self.model().passages([text for _, text in pairs], self.passage_length, self.passage_stride)
            for document, pieces in zip(batch, cut, strict=True):
                for number, piece in enumerate(pieces):
                    yield {**document, "docno": f"{document['docno']}%p{number}", self.text_field: piece}

    def model(self):
        """The live `rader_ir.Encoder`, or the ready object; weights are loaded when it gets its first text."""
        return live.encoder(
            self.checkpoint,
            max_query_length=self.max_query_length,
            max_doc_length=self.max_doc_length,
            forms=self.forms,
            revision=self.revision,
            batch_tokens=self.batch_tokens,
            device=self.device,
            dtype=self.dtype,
            verbose=self.verbose,
        )

    def query_vectors(self, frame: pd.DataFrame) -> list[np.ndarray]:
        """The vector of each row's query, [n] of float32 [d]; equal queries are encoded once."""
        queries = frames.filled(frame, self.query_field).tolist()
        instructions = self.instructions(frame)
        codes, unique = distinct(queries if instructions is None else zip(queries, instructions, strict=True))
        asked, told = (unique.tolist(), None) if instructions is None else map(list, zip(*unique, strict=True))
        rows = described(self.model().encode_queries(asked, told), self.describe())
        return [rows[code] for code in codes]

    def doc_vectors(self, frame: pd.DataFrame) -> list[np.ndarray]:
        """The vector of each row's document, [n] of float32 [d]; equal texts are encoded once."""
        codes, unique = distinct(texts(frame, self.text_field))
        rows = described(self.model().encode_docs(unique.tolist()), self.describe())
        return [rows[code] for code in codes]

    def text_scores(self, frame: pd.DataFrame, groups: frames.Groups) -> np.ndarray:
        """The score of each row from its two texts, by the best passage if passages are asked for, float64 [n]."""
        from rader_ir.rerank import open_reranker

        passages = dict(passage_length=self.passage_length, passage_stride=self.passage_stride)
        scorer = open_reranker("biencoder", checkpoint=self.model(), **passages)
        instructions = self.instructions(frames.per_query(frame, groups))
        return frames.score_pairs(
            frame,
            groups,
            lambda queries, docs: scorer.score(queries, docs, instructions),
            query_field=self.query_field,
            text_field=self.text_field,
        )

    def instructions(self, frame: pd.DataFrame) -> list[str] | None:
        """The instruction of each row's query, [n]; None leaves it to the model."""
        own = self._own_instruction()
        if "qinstruction" in frame.columns:
            return frames.filled(frame, "qinstruction", otherwise=own or "").tolist()
        return None if own is None else [own] * len(frame)

    def describe(self) -> dict | None:
        """What the model says of itself (checkpoint, revision, forms, pooling, lengths); None if a ready object says nothing."""
        model = self.model()
        return model.describe() if hasattr(model, "describe") else None

    def fingerprint(self) -> str:
        """Changes with whatever changes scores; keys caches."""
        return f"{self.model().fingerprint()}-{self.passage_length}-{self.passage_stride}-{self._own_instruction()!r}"

    def _own_instruction(self) -> str | None:
        return self.instruction if self.task is None else bright_instruction(self.task)


class QueryEncoder(Configured, KeepsRows, pt.Transformer):
    """Adds `query_vec`; made by `RaDeREncoder.query_encoder()`. Rows, their order and other columns stay."""

    schematic = shown_as("RaDeR queries")

    def __init__(self, encoder: RaDeREncoder):
        self.encoder = encoder

    def transform(self, inp: pd.DataFrame) -> pd.DataFrame:
        """Encode each row's query."""
        pt.validate.columns(inp, includes=["qid", self.encoder.query_field], context=self)
        if inp.empty:
            return frames.typed_empty(inp, query_vec="object")
        return frames.with_column(inp, "query_vec", self.encoder.query_vectors(inp))

    def subtransformers(self) -> dict:
        """None: the encoder is a model here, not a stage."""
        return {}

    def __repr__(self):
        return f"{self.encoder!r}.query_encoder()"


class DocEncoder(Configured, KeepsRows, pt.Transformer):
    """Adds `doc_vec`; made by `RaDeREncoder.doc_encoder()`. Rows, their order and other columns stay."""

    schematic = shown_as("RaDeR documents")

    def __init__(self, encoder: RaDeREncoder):
        self.encoder = encoder

    @property
    def batch_size(self) -> int:
        """Documents that an indexing pipeline hands over at a time."""
        return self.encoder.batch_size

    def transform(self, inp: pd.DataFrame) -> pd.DataFrame:
        """Encode each row's document."""
        pt.validate.columns(inp, includes=["docno", self.encoder.text_field], context=self)
        if inp.empty:
            return frames.typed_empty(inp, doc_vec="object")
        return frames.with_column(inp, "doc_vec", self.encoder.doc_vectors(inp))

    def subtransformers(self) -> dict:
        """None: the encoder is a model here, not a stage."""
        return {}

    def __repr__(self):
        return f"{self.encoder!r}.doc_encoder()"


class TextScorer(Configured, CutsRanks, pt.Transformer):
    """Reranks by inner products; made by `RaDeREncoder.text_scorer()`.

    A vector column that the frame already has (`query_vec`, `doc_vec`) is used in place of the text, unless documents are
    read in passages. A query vector and a document vector of different encoders are refused.
    """

    schematic = shown_as("RaDeR text scorer")

    def __init__(self, encoder: RaDeREncoder, *, num_results: int | None = None):
        self.encoder, self.num_results = encoder, check_count("num_results", num_results, optional=True)

    @property
    def query_field(self) -> str:
        """Column of the query's text."""
        return self.encoder.query_field

    @property
    def text_field(self) -> str:
        """Column of the document's text."""
        return self.encoder.text_field

    def transform(self, inp: pd.DataFrame) -> pd.DataFrame:
        """Score every row."""
        with pt.validate.any(inp, context=self) as v:
            scorable(v, self.encoder, mode="text_scorer")
        if inp.empty:
            return frames.no_results(inp)
        groups = frames.group(inp)
        return frames.with_scores(inp, groups, self._scores(inp, groups), self.num_results)

    def _scores(self, inp: pd.DataFrame, groups: frames.Groups) -> np.ndarray:
        given = {"query_vec", "doc_vec"} & set(inp.columns)
        if not given or self.encoder.passage_length is not None:
            return self.encoder.text_scores(inp, groups)
        query_vectors = frames.filled(inp, "query_vec") if "query_vec" in given else self.encoder.query_vectors(inp)
        doc_vectors = inp["doc_vec"] if "doc_vec" in given else self.encoder.doc_vectors(inp)
        return inner_products(query_vectors, doc_vectors)

    def instructions(self, frame: pd.DataFrame) -> list[str] | None:
        """The instruction of each row's query, [n]; None leaves it to the model."""
        return self.encoder.instructions(frame)

    @property
    def truncated(self) -> int | None:
        """How many texts the encoder's model has cut so far, see `RaDeREncoder.truncated`."""
        return self.encoder.truncated

    @property
    def work(self) -> tuple[int, int] | None:
        """Texts that the encoder's model has read so far, and the tokens in them, see `RaDeREncoder.work`."""
        return self.encoder.work

    def unload(self) -> None:
        """Free the encoder's model; the next row loads it again."""
        self.encoder.unload()

    def subtransformers(self) -> dict:
        """None: the encoder is a model here, not a stage."""
        return {}

    def fingerprint(self) -> str:
        """Changes with whatever changes scores; keys caches."""
        return self.encoder.fingerprint()

    def __repr__(self):
        cut = "" if self.num_results is None else f"num_results={self.num_results}"
        return f"{self.encoder!r}.text_scorer({cut})"


def scorable(validation, encoder: RaDeREncoder, *, mode: str) -> None:
    """Accept result frames with a text or a vector on either side."""
    query, text = encoder.query_field, encoder.text_field
    for columns in ([query, text], ["query_vec", "doc_vec"], ["query_vec", text], [query, "doc_vec"]):
        if encoder.passage_length is None or columns == [query, text]:
            validation.result_frame(extra_columns=columns, mode=mode)


def inner_products(query_vectors: Sequence[np.ndarray], doc_vectors: Sequence[np.ndarray]) -> np.ndarray:
    """Row by row, [n] and [n] of float32 [d] -> float64 [n]."""
    left, left_rows, query_maker = stacked(query_vectors)
    right, right_rows, doc_maker = stacked(doc_vectors)
    if query_maker is not None and doc_maker is not None:
        check_same(query_maker, doc_maker, "query_vec and doc_vec come from different encoders")
    if left.shape[1] != right.shape[1]:
        raise ValueError(
            f"query_vec has {left.shape[1]} dimensions and doc_vec {right.shape[1]}; use one encoder for both"
        )
    scores = np.empty(len(left_rows), dtype=np.float64)
    for start in range(0, len(scores), _DOT_ROWS):
        rows = slice(start, start + _DOT_ROWS)
        scores[rows] = np.einsum("nd,nd->n", left[left_rows[rows]], right[right_rows[rows]])
    return scores
