"""Rerankers, one file per system, opened by name.

Every reranker has `score(queries, docs)`: one array of scores per query, higher is better, many queries at once so that batches
cross queries. A new system is one file here and one line in `SYSTEMS`.
"""

from collections.abc import Sequence
from importlib import import_module
from typing import Protocol

import numpy as np

# name: (module, class)
SYSTEMS = {
    "rader": ("rader_ir.rerank.rader", "RaDeR"),
    "biencoder": ("rader_ir.rerank.biencoder", "BiEncoder"),
    "prorank": ("rader_ir.rerank.prorank", "ProRank"),
    "prorank-lm": ("rader_ir.rerank.prorank_lm", "ProRankLM"),
    "rank-r1": ("rader_ir.rerank.rank_r1", "RankR1"),
    "rankgpt": ("rader_ir.rerank.rankgpt", "RankGPT"),
    "dear-pointwise": ("rader_ir.rerank.dear", "DeARPointwise"),
    "dear-listwise": ("rader_ir.rerank.dear_listwise", "DeARListwise"),
    "llm-rating": ("rader_ir.rerank.llm_rating", "LLMRating"),
    "icr": ("rader_ir.rerank.icr", "ICR"),
    "idcm": ("rader_ir.rerank.idcm", "IDCM"),
}

# Those that ask a language model: made with `lm`, not with a checkpoint; beside `score` they have `rank` and `statistics`
ASKING = ("rank-r1", "rankgpt", "dear-listwise", "llm-rating", "prorank-lm")


class Reranker(Protocol):
    """What every system can do."""

    truncated: int

    def score(self, queries: Sequence[str], docs: Sequence[Sequence[str]]) -> list[np.ndarray]:
        """One float32 array [len(docs[i])] per query, in the order given."""

    def fingerprint(self) -> str:
        """Changes with whatever changes scores; keys caches and half-done work."""

    def unload(self) -> None:
        """Free the model."""


def open_reranker(system: str, **options) -> Reranker:
    """The reranker called `system`, made with `options` (see its class); nothing is loaded before the first pair.

    Raises:
        ValueError: an unknown system, or an option that it does not have.
    """
    if system not in SYSTEMS:
        raise ValueError(f"system {system!r} is unknown; choose {', '.join(map(repr, SYSTEMS))}")
    module, name = SYSTEMS[system]
    try:
        return getattr(import_module(module), name)(**options)
    except TypeError as error:
        raise ValueError(f"system {system!r}: {error}") from error
