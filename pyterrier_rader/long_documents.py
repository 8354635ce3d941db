"""Reranking of long documents: `bm25 % 100 >> loader >> IDCMReranker("my-idcm")` reads the windows that matter, and shows them.

A light selector reads each document whole, a strong model a few of its windows; these stand in a column of their own, best
first, as snippets of the result.
"""

import os
from itertools import count

import numpy as np
import pandas as pd
import pyterrier as pt

from pyterrier_rader import frames, live
from pyterrier_rader.configured import Configured, CutsRanks, SharesModel, check_count, shown_as

SNIPPETS = "snippets"  # a list of texts on each row


class IDCMReranker(SharesModel, Configured, CutsRanks, pt.Transformer):
    """IDCM (arXiv:2105.09816): a strong model scores the best windows of each document, which a light one has chosen.

    Args:
        checkpoint: a folder that `rader train idcm` made; or a ready object with `read(queries, docs)`.
        strong: another strong model than the folder names, of the same embeddings.
        passages: windows of a document that the strong model reads, in place of the folder's (4 in the paper).
        missing: "zero", "mean" or "renormalise": how documents with few windows count, in place of the folder's.
        snippets: add the column `snippets`: the texts of the windows that were read, a list on each row, best first.
        query_field, text_field: columns of the query's and the document's text.
        num_results: documents kept per query; None keeps all.
        max_query_length, max_doc_length: tokens that are read, in place of the folder's.
        forms, revision: of the strong model.
        batch_tokens: bound on the tokens of one batch of the strong model; None takes what suits the device.
        device, dtype: such as "cuda:1" and "bfloat16"; None chooses.
        verbose: show progress.

    Raises:
        ValueError: a count below 1 (now); a missing text or query (at its row).
        FileNotFoundError: the folder is none of an IDCM (at the first row).
    """

    schematic = shown_as("IDCM")

    def __init__(
        self,
        checkpoint,
        *,
        strong: str | os.PathLike | None = None,
        passages: int | None = None,
        missing: str | None = None,
        snippets: bool = True,
        query_field: str = "query",
        text_field: str = "text",
        num_results: int | None = None,
        max_query_length: int | None = None,
        max_doc_length: int | None = None,
        forms: str | None = None,
        revision: str | None = None,
        batch_tokens: int | None = None,
        device: str | None = None,
        dtype: str | None = None,
        verbose: bool = False,
    ):
        self.checkpoint, self.strong = checkpoint, strong
        self.passages, self.missing = check_count("passages", passages, optional=True), missing
        self.snippets, self.query_field, self.text_field = snippets, query_field, text_field
        self.num_results = check_count("num_results", num_results, optional=True)
        self.max_query_length, self.max_doc_length = max_query_length, max_doc_length
        self.forms, self.revision, self.batch_tokens = forms, revision, batch_tokens
        self.device, self.dtype, self.verbose = device, dtype, verbose

    def transform(self, inp: pd.DataFrame) -> pd.DataFrame:
        """Score every row."""
        pt.validate.result_frame(inp, extra_columns=[self.query_field, self.text_field], context=self)
        if inp.empty:
            added = {SNIPPETS: pd.Series(dtype=object)} if self.snippets else {}
            return frames.no_results(inp.iloc[:0].drop(columns=list(added), errors="ignore").assign(**added))
        groups, read = frames.group(inp), []

        def places(queries, docs) -> list[np.ndarray]:
            """In place of scores: where each document's reading stands in `read`."""
            numbers = count()
            for readings in self.model().read(queries, docs):
                read.extend(readings)
            return [np.fromiter(numbers, dtype=float, count=len(texts)) for texts in docs]

        fields = dict(query_field=self.query_field, text_field=self.text_field)
        rows = frames.score_pairs(inp, groups, places, **fields).astype(int).tolist()
        if self.snippets:
            inp = frames.with_column(inp, SNIPPETS, [list(read[row].snippets) for row in rows])
        return frames.with_scores(inp, groups, np.array([read[row].score for row in rows]), self.num_results)

    def model(self):
        """The live reranker of `rader_ir`, or the ready object; weights are loaded when it gets its first pair."""
        return live.composed(
            "idcm",
            self.checkpoint,
            strong=self.strong,
            passages=self.passages,
            missing=self.missing,
            max_query_length=self.max_query_length,
            max_doc_length=self.max_doc_length,
            forms=self.forms,
            revision=self.revision,
            batch_tokens=self.batch_tokens,
            device=self.device,
            dtype=self.dtype,
            verbose=self.verbose,
        )
