"""Rerankers: a result frame with queries and texts in, the same rows with new scores and ranks out.

`bm25 % 100 >> loader >> RaDeRReranker()` groups the frame once, scores all queries in batches that cross them, and gives a
frame that depends neither on the rows' order nor on the batch size.
"""

import pandas as pd
import pyterrier as pt

from pyterrier_rader import frames, live
from pyterrier_rader.configured import Configured, CutsRanks, SharesModel, check_count, shown_as
from rader_ir.checkpoints import DEFAULT_RERANKER
from rader_ir.rerank.pointwise import check_passages


class RaDeRReranker(SharesModel, Configured, CutsRanks, pt.Transformer):
    """RaDeR's pointwise reranker (arXiv:2505.18405): one score for the query and the document read together.

    The query is read as it is: the model was trained without instructions, so a column `qinstruction`, which encoders read,
    is left alone.

    Args:
        checkpoint: a name, folder, hub id or `rader_ir.Checkpoint` with a head of one label; or a ready object with
            `score(queries, docs)`. The default is an adapter to a model of 7.6 billion parameters, whose size is told before
            anything is downloaded; `RaDeREncoder("minilm").text_scorer()` is small.
        query_field, text_field: columns of the query's and the document's text.
        passage_length, passage_stride: in tokens; a document is then scored by its best passage. Passages follow one another
            unless a stride is given.
        num_results: documents kept per query; None keeps all.
        max_length: tokens of query and document together; only the document is cut.
        forms, revision: in place of the checkpoint's own, see `rader_ir.CrossEncoder`.
        batch_tokens: bound on the tokens of one batch of the model; None takes what suits the device.
        device, dtype: such as "cuda:1" and "bfloat16"; None chooses.
        verbose: show progress.

    Raises:
        ValueError: passages that leave gaps (now); a missing text or query (at its row).
    """

    schematic = shown_as("RaDeR reranker")
    _system = "rader"

    def __init__(
        self,
        checkpoint=DEFAULT_RERANKER,
        *,
        query_field: str = "query",
        text_field: str = "text",
        passage_length: int | None = None,
        passage_stride: int | None = None,
        num_results: int | None = None,
        max_length: int | None = None,
        forms: str | None = None,
        revision: str | None = None,
        batch_tokens: int | None = None,
        device: str | None = None,
        dtype: str | None = None,
        verbose: bool = False,
    ):
        check_passages(passage_length, passage_stride)
        self.checkpoint, self.query_field, self.text_field = checkpoint, query_field, text_field
        self.passage_length, self.passage_stride = passage_length, passage_stride
        self.num_results, self.max_length = check_count("num_results", num_results, optional=True), max_length
        self.forms, self.revision, self.batch_tokens = forms, revision, batch_tokens
        self.device, self.dtype, self.verbose = device, dtype, verbose

    def transform(self, inp: pd.DataFrame) -> pd.DataFrame:
        """Score every row."""
        pt.validate.result_frame(inp, extra_columns=[self.query_field, self.text_field], context=self)
        if inp.empty:
            return frames.no_results(inp)
        groups = frames.group(inp)
        fields = dict(query_field=self.query_field, text_field=self.text_field)
        return frames.with_scores(
            inp, groups, frames.score_pairs(inp, groups, self.model().score, **fields), self.num_results
        )

    def model(self):
        """The live reranker of `rader_ir`, or the ready object; weights are loaded when it gets its first pair."""
        return live.reranker(self._system, self.checkpoint, **self._options())

    def _options(self) -> dict:
        names = ("passage_length", "passage_stride", "max_length", "forms", "revision")
        return {name: getattr(self, name) for name in (*names, "batch_tokens", "device", "dtype", "verbose")}

    def instructions(self, frame: pd.DataFrame) -> None:
        """None: the model reads queries as they are."""
