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

# Those of which no checkpoint is published, by what makes one
UNPUBLISHED = {"idcm": "`rader train idcm`"}


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
        ValueError: an unknown system, an option that it does not have, no model where it needs one.
    """
    if system not in SYSTEMS:
        raise ValueError(f"system {system!r} is unknown; choose {', '.join(map(repr, SYSTEMS))}")
    if system in ASKING and options.get("lm") is None:
        raise ValueError(
            f"system {system!r} asks a language model; give `lm`: a server's URL, local:FOLDER or vllm:FOLDER"
        )
    if system in UNPUBLISHED and options.get("checkpoint") is None:
        raise ValueError(
            f"system {system!r} has no published model; give `checkpoint`: a folder of {UNPUBLISHED[system]}"
        )
    module, name = SYSTEMS[system]
    try:
        return getattr(import_module(module), name)(**options)
    except TypeError as error:
        raise ValueError(f"system {system!r}: {error}") from error
