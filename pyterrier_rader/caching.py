"""Scores that are computed once: pyterrier_caching's ScorerCache, with a folder of its own for every model.

ScorerCache keys by query and docno and knows no model. `CachedScores` gives each checkpoint, prompt, length and dtype its own
cache below one root, so that a changed setting is never answered with old scores.
"""

import hashlib
from contextlib import closing
from pathlib import Path

import numpy as np
import pandas as pd
import pyterrier as pt

from pyterrier_rader import frames
from pyterrier_rader.columns import texts
from pyterrier_rader.configured import Configured, CutsRanks, check_count, shown_as

_NEEDED = ("fingerprint", "instructions", "num_results", "query_field", "text_field")
_KEY = "cache_key"  # the query as the model reads it: its instruction and its text


class CachedScores(Configured, CutsRanks, pt.Transformer):
    """Reranks as `scorer` does and asks it only for pairs not seen before: `CachedScores(RaDeRReranker(), "scores")`.

    Give each collection its own folder: a document is known by its docno alone. Only rerankers that score each document by
    itself can be cached; a comparison's scores depend on the other documents.

    Args:
        scorer: a `RaDeRReranker` or a `text_scorer()`; all its scores are kept, whatever its `num_results`.
        folder: root of the caches; made if absent.
        num_results: documents kept per query; None keeps as many as the scorer does.

    Raises:
        TypeError: a scorer that cannot say what its scores depend on.
        ModuleNotFoundError: pyterrier-caching is not installed (at the first row).
    """

    schematic = shown_as("Cached scores", inner="combine")

    def __init__(self, scorer: pt.Transformer, folder: str | Path, *, num_results: int | None = None):
        if not all(hasattr(scorer, name) for name in _NEEDED):
            raise TypeError(f"{scorer} has no fingerprint to key a cache by; give a RaDeRReranker or a text_scorer()")
        self.scorer, self.folder = scorer, folder
        self.num_results = check_count("num_results", num_results, optional=True)

    def transform(self, inp: pd.DataFrame) -> pd.DataFrame:
        """Score every row, from the cache where it can."""
        pt.validate.result_frame(inp, extra_columns=[self.scorer.query_field, self.scorer.text_field], context=self)
        if inp.empty:
            return frames.no_results(inp)
        texts(inp, self.scorer.text_field)  # what is wrong is an error whether or not its score is known
        frames.topics(inp, self.scorer.query_field)
        scores = self._scores(frames.without_scores(inp).drop(columns=["query_vec", "doc_vec"], errors="ignore"))
        return frames.with_scores(inp, frames.group(inp), scores, self.num_results or self.scorer.num_results)

    def path(self) -> Path:
        """The folder of this scorer's cache."""
        told = f"{self.scorer.fingerprint()} {self.scorer.text_field}"
        return Path(self.folder) / hashlib.sha256(told.encode()).hexdigest()[:16]

    def _scores(self, rows: pd.DataFrame) -> np.ndarray:
        queries = frames.filled(rows, self.scorer.query_field)
        told = self.scorer.instructions(rows)
        keys = list(queries) if told is None else [f"{i}{query}" for i, query in zip(told, queries, strict=True)]
        settled = {} if told is None else {"qinstruction": told}  # the scorer may see fewer rows of a query
        rows = rows.assign(**{self.scorer.query_field: queries, _KEY: keys}, **settled)
        asked = rows.drop_duplicates([_KEY, "docno"])
        with closing(self._open()) as cache:
            scored = cache.transform(asked)
        known = dict(zip(zip(scored[_KEY], scored["docno"], strict=True), scored["score"], strict=True))
        return np.array([known[pair] for pair in zip(keys, rows["docno"], strict=True)], dtype=np.float64)

    def _open(self):
        try:
            from pyterrier_caching import ScorerCache
        except ModuleNotFoundError as error:
            raise ModuleNotFoundError(
                "CachedScores needs pyterrier-caching; run: pip install pyterrier-caching"
            ) from error
        Path(self.folder).mkdir(parents=True, exist_ok=True)
        scorer = pt.inspect.transformer_apply_attributes(self.scorer, num_results=None)
        return ScorerCache(self.path(), scorer, group=_KEY, key="docno", value="score")
