"""Texts for retrieved documents, from a mapping in memory.

Rerankers read texts, and retrievers return ids. Collections of `ir_datasets` and most indexes have their own
`text_loader()`; this is the same step for documents that are at hand, such as those of `rader_ir.read_documents`.
"""

from collections.abc import Mapping

import pandas as pd
import pyterrier as pt

from pyterrier_rader import frames
from pyterrier_rader.columns import texts
from pyterrier_rader.configured import Configured, KeepsRows, shown_as


class TextLoader(Configured, KeepsRows, pt.Transformer):
    """Adds the text of each row's document: `bm25 >> TextLoader(dict(read_documents("docs.jsonl"))) >> reranker`.

    Args:
        texts: {docno: text}.
        text_field: the column to write.

    Raises:
        ValueError: a document without a text; names the docnos (at its row).
    """

    schematic = shown_as("Texts")

    def __init__(self, texts: Mapping[str, str], *, text_field: str = "text"):
        if not isinstance(texts, Mapping):
            raise TypeError(
                f"texts is a {type(texts).__name__}; give {{docno: text}}, such as dict(read_documents(path))"
            )
        self.texts, self.text_field = texts, text_field

    def transform(self, inp: pd.DataFrame) -> pd.DataFrame:
        """Add the texts."""
        pt.validate.columns(inp, includes=["docno"], context=self)
        if inp.empty:
            return frames.typed_empty(inp, **{self.text_field: "str"})
        loaded = list(map(self.texts.get, inp["docno"].tolist()))
        out = inp.assign(**{self.text_field: pd.Series(loaded, index=inp.index, dtype=object)})
        texts(out, self.text_field)
        return out
