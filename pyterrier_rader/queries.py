"""Queries that Terrier's query language cannot trip over.

Reasoning queries are full of LaTeX, quotes and brackets, on which `pt.terrier.Retriever`'s parser fails; none of them is an index
term anyway. The original is kept in `query_0` by PyTerrier's convention, so rerankers get it back by `pt.rewrite.reset()`.
"""

import re

import pandas as pd
import pyterrier as pt

from pyterrier_rader import frames
from pyterrier_rader.configured import Configured, KeepsRows, shown_as

_WORD = re.compile(r"[^\W_]+")


class SafeQueries(Configured, KeepsRows, pt.Transformer):
    r"""Keeps the letters and digits of each query and puts blanks for all else; the original moves to `query_0`.

    `$x^{2}$: what's \frac{1}{2}?` becomes `x 2 what s frac 1 2`, which is how Terrier's tokeniser reads documents too.
    Behind it, `SafeQueries() >> terrier >> pt.rewrite.reset() >> RaDeRReranker()` reranks by the original question, as does
    `RaDeRReranker(query_field="query_0")` without the reset.
    """

    schematic = shown_as("Safe queries")

    def __init__(self):
        pass  # PyTerrier inspects a constructor of the class's own

    def transform(self, inp: pd.DataFrame) -> pd.DataFrame:
        """Rewrite `query` on every row."""
        pt.validate.columns(inp, includes=["qid", "query"], context=self)
        if inp.empty:
            return frames.typed_empty(pt.model.push_queries(inp), query="str")
        queries = frames.filled(inp, "query")
        safe = pd.Series([" ".join(_WORD.findall(query)) for query in queries], index=inp.index, dtype="str")
        return pt.model.push_queries(inp.assign(query=queries)).assign(query=safe)
