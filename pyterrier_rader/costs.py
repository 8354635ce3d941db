"""What a reranker takes for some rows: calls, malformed answers, tokens and seconds, the same for every kind of system.

`measured(reranker, rows)` gives the reranked rows and their `rader_ir.reports.costs.Cost`; costs of parts of a job are added. A
call is a request to a language model or a forward pass; both stages of DeAR count together.
"""

import time

import pandas as pd
import pyterrier as pt

from pyterrier_rader.dear import DeARReranker
from rader_ir.reports.costs import Cost
from rader_ir.rerank.ranking import Statistics


def measured(reranker: pt.Transformer, rows: pd.DataFrame) -> tuple[pd.DataFrame, Cost]:
    """What a reranker of this package makes of result rows, and what it took; loading a model counts, see `warmed`.

    Of another transformer only queries and seconds are known. Tokens of a language model are None where its server tells none.
    """
    before, began = _work(reranker), time.perf_counter()
    found = reranker(rows)
    seconds = time.perf_counter() - began
    passes, tokens = (now - earlier for now, earlier in zip(_work(reranker), before, strict=True))
    queries = rows["qid"].nunique()
    if getattr(reranker, "work", None) is None and not hasattr(reranker, "statistics"):
        return found, Cost(queries, seconds=seconds)
    # Without rows nothing was asked, and an earlier call's statistics stand there
    last = getattr(reranker, "statistics", []) if queries else []
    asked, writes = sum(last, Statistics()), getattr(reranker, "lm", None) is not None
    calls, told = asked.calls + asked.further, bool(asked.tokens_in) or not asked.calls
    cost = Cost(
        queries=queries,
        calls=passes + calls,
        malformed=asked.malformed + asked.failed if writes else None,
        tokens_in=tokens + asked.tokens_in if told else None,
        tokens_out=asked.tokens_out if told else None,
        seconds=seconds,
    )
    return found, cost


def warmed(reranker: pt.Transformer, rows: pd.DataFrame) -> None:
    """Have its models loaded, by the first row, so that seconds are those of reranking; a language model is asked nothing."""
    for stage in reranker.stages() if isinstance(reranker, DeARReranker) else [reranker]:
        if getattr(stage, "lm", None) is None:
            stage(rows.head(1))
        else:
            stage.fingerprint()


def _work(reranker: pt.Transformer) -> tuple[int, int]:
    return getattr(reranker, "work", None) or (0, 0)
