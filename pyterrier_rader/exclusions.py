"""Documents that a query must not be answered with, such as BRIGHT's excluded ids.

BRIGHT (arXiv:2407.12883) takes them out of every list before scoring; `ir_datasets` marks them in the qrels by label -100, which
`pt.Experiment` does not heed. Retrievers here take `excluded=` and leave them out before their cut; this step serves any other.
"""

from collections.abc import Collection, Iterable, Mapping

import pandas as pd
import pyterrier as pt

from pyterrier_rader import frames
from pyterrier_rader.configured import Configured, shown_as


class ExcludeDocuments(Configured, pt.Transformer):
    """Removes each query's excluded documents; the others keep score and order, and ranks count anew from 0.

    Args:
        excluded: {qid: docnos}.

    Raises:
        TypeError: no mapping, or one docno where several are expected.
    """

    schematic = shown_as("Exclude documents")

    def __init__(self, excluded: Mapping[str, Collection[str]]):
        self.excluded = checked(excluded)

    @classmethod
    def from_qrels(cls, qrels: pd.DataFrame, *, label: int = -100) -> "ExcludeDocuments":
        """From the rows of a qrels frame (`qid`, `docno`, `label`) whose label is `label`."""
        pt.validate.columns(qrels, includes=["qid", "docno", "label"])
        marked = qrels[qrels["label"] == label]
        return cls(marked.groupby("qid")["docno"].agg(list).to_dict())

    def transform(self, inp: pd.DataFrame) -> pd.DataFrame:
        """Drop the excluded rows."""
        pt.validate.result_frame(inp, context=self)
        if inp.empty:
            return frames.typed_empty(inp)
        return frames.keep(inp, ~frames.excluded_rows(inp, self.excluded))


def checked(excluded: Mapping[str, Collection[str]]) -> dict[str, frozenset[str]]:
    """{qid: docnos} with all ids as strings, since frames that pandas read may have whole numbers.

    Raises:
        TypeError: no mapping, or a value that is no collection of docnos; names its qid.
    """
    if not isinstance(excluded, Mapping):
        raise TypeError(
            f"excluded is a {type(excluded).__name__}; give {{qid: docnos}}, or qrels to ExcludeDocuments.from_qrels"
        )
    for qid, docnos in excluded.items():
        if isinstance(docnos, str) or not isinstance(docnos, Iterable):
            raise TypeError(f"excluded holds {docnos!r} for query {qid!r}; give a collection of docnos: [{docnos!r}]")
    return {str(qid): frozenset(map(str, docnos)) for qid, docnos in excluded.items()}
