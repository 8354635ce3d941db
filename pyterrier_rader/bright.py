"""A task of BRIGHT as the frames of `pt.Experiment`: topics, judgements and excluded documents in one call.

The data come by `rader_ir.bright`. Topics have a `query` column (PyTerrier's own topics of `irds:bright/…` have none), the
judgements hold no label -100, and the exclusions go to a retriever's `excluded` or to `ExcludeDocuments`.
"""

from pathlib import Path
from typing import NamedTuple

import pandas as pd

from rader_ir import bright


class BrightFrames(NamedTuple):
    """What `bright_frames` gives.

    Attributes:
        topics: `qid`, `query`, and `qinstruction` if asked for.
        qrels: `qid`, `docno`, `label`.
        excluded: {qid: docnos}.
    """

    topics: pd.DataFrame
    qrels: pd.DataFrame
    excluded: dict[str, frozenset[str]]


def bright_frames(
    task: str,
    *,
    source: str | Path = "irds",
    queries: str = "original",
    long: bool = False,
    qrels: str = "plain",
    instructions: bool = False,
) -> BrightFrames:
    """Topics, qrels and exclusions of a BRIGHT task, for `pt.Experiment` and `ExcludeDocuments`.

    Args:
        task: such as "biology".
        source: "irds" (ir_datasets downloads on first use), "hub", or a folder, see `rader_ir.bright.load`.
        queries: "original", or the reasoning of a language model such as "gpt4_reason".
        long: judge whole pages instead of passages.
        qrels: "plain", or the later correction "fixed".
        instructions: add the column `qinstruction`, which `RaDeREncoder` puts before each query; `RaDeREncoder(task=task)`
            does the same for one task.

    Raises:
        ValueError, FileNotFoundError, ModuleNotFoundError: as `rader_ir.bright.load`.
    """
    split = bright.load(task, source=source, queries=queries, long=long, qrels=qrels)
    topics = pd.DataFrame({"qid": list(split.queries), "query": list(split.queries.values())}, dtype="str")
    if instructions:
        topics = topics.assign(qinstruction=bright.instruction(task, long=long))
    rows = [(qid, docno, label) for qid, labels in split.qrels.items() for docno, label in labels.items()]
    judged = pd.DataFrame(rows, columns=["qid", "docno", "label"]).astype(
        {"qid": "str", "docno": "str", "label": "int64"}
    )
    return BrightFrames(topics, judged, split.excluded)
