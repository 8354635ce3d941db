"""Fusing two or more systems: interpolation of normalised scores (hybrid retrieval), and reciprocal rank.

Rows meet by (qid, docno), never by the query's text, so a branch that rewrites queries neither doubles nor loses a row; the
query columns of the first system stay. The arithmetic, with its sources, is `rader_ir.fusion`.
"""

from itertools import chain, product

import pandas as pd
import pyterrier as pt

from pyterrier_rader import frames
from pyterrier_rader.configured import Configured, CutsRanks, check_count, shown_as
from rader_ir.fusion import interpolate, reciprocal_rank


class RaDeRFusion(Configured, CutsRanks, pt.Transformer):
    """score = alpha * first + (1 - alpha) * second, each normalised per query (RaDeR, arXiv:2505.18405, hybrid with BM25).

    Behind retrieved documents it fuses rerankers too: `bm25 >> RaDeRFusion(reranker, pt.Transformer.identity())`. The settings
    of published figures have names: `RaDeRFusion(dense, bm25, **PUBLISHED["bright-hybrid"])`, from `rader_ir.fusion`.

    Args:
        first, second: two systems, by custom the dense one first; or the names of two score columns of one frame, where a
            null is a missing document. A document that stands twice for a query becomes one row, with its highest scores.
        alpha: weight of the first, in [0, 1].
        normalise: "zscore", "minmax" or "none".
        over: "topk" cuts each list to `depth` before statistics and fusion; "all" counts every document.
        missing: what a list that lacks a document gives it: "min", its lowest normalised score; "first" likewise, but only
            documents of the first stay; "drop" keeps only those of both. A query that one system has not at all gets 0 from it.
        depth: see `over`.
        num_results: documents kept per query; None keeps all.

    Raises:
        ValueError: an unknown choice or an alpha outside [0, 1].
        TypeError: a system beside a column name.
    """

    schematic = shown_as("RaDeR fusion", inner="linked")

    def __init__(
        self,
        first,
        second,
        *,
        alpha: float = 0.5,
        normalise: str = "zscore",
        over: str = "topk",
        missing: str = "min",
        depth: int = 1000,
        num_results: int | None = None,
    ):
        if isinstance(first, str) != isinstance(second, str):
            raise TypeError(f"{first!r} and {second!r}: give two systems, or the names of two score columns")
        interpolate({}, {}, alpha=alpha, normalise=normalise, over=over, missing=missing)  # refuses unknown choices now
        self.first, self.second, self.alpha, self.normalise = first, second, alpha, normalise
        self.over, self.missing, self.depth = over, missing, check_count("depth", depth)
        self.num_results = check_count("num_results", num_results, optional=True)

    def transform(self, inp: pd.DataFrame) -> pd.DataFrame:
        """Run both systems on `inp`, or take its two columns, and fuse."""
        if isinstance(self.first, str):
            return self._columns(inp)
        results = [self.first.transform(inp), self.second.transform(inp)]
        return self._fused(frames.union(results), *(frames.to_run(result) for result in results))

    def _columns(self, inp: pd.DataFrame) -> pd.DataFrame:
        pt.validate.result_frame(inp, extra_columns=[self.first, self.second], context=self)
        runs = [frames.to_run(inp[inp[column].notna()], column) for column in (self.first, self.second)]
        return self._fused(frames.one_row_each(frames.without_scores(inp)), *runs)

    def _fused(self, rows: pd.DataFrame, first, second) -> pd.DataFrame:
        options = dict(
            alpha=self.alpha, normalise=self.normalise, over=self.over, missing=self.missing, depth=self.depth
        )
        return frames.from_run(rows, interpolate(first, second, **options), self.num_results)

    def transform_inputs(self) -> list[list[str]]:
        """Column sets that both systems accept."""
        if isinstance(self.first, str):
            return [["qid", "docno", self.first, self.second]]
        return common_inputs([self.first, self.second])

    def compile(self) -> pt.Transformer:
        """Compile both systems."""
        if isinstance(self.first, str):
            return self
        compiled = dict(first=self.first.compile(), second=self.second.compile())
        return pt.inspect.transformer_apply_attributes(self, **compiled)


class ReciprocalRankFusion(Configured, CutsRanks, pt.Transformer):
    """score = sum of 1 / (k + rank) over the systems that have the document (Cormack et al., SIGIR 2009); rank from 1.

    Args:
        systems: two or more.
        k: what damps the first ranks.
        depth: each list is cut to it before the fusion.
        num_results: documents kept per query; None keeps all.

    Raises:
        ValueError: fewer than two systems, or a k below 0.
    """

    schematic = shown_as("Reciprocal rank", inner="linked")

    def __init__(self, *systems, k: int = 60, depth: int = 1000, num_results: int | None = None):
        if len(systems) < 2:
            raise ValueError(f"{len(systems)} system was given; give at least two to fuse")
        reciprocal_rank([{}], k=k)  # refuses a wrong k now
        self.systems, self.k, self.depth = systems, k, check_count("depth", depth)
        self.num_results = check_count("num_results", num_results, optional=True)

    def transform(self, inp: pd.DataFrame) -> pd.DataFrame:
        """Run every system on `inp` and fuse."""
        results = [system.transform(inp) for system in self.systems]
        run = reciprocal_rank([frames.to_run(result) for result in results], k=self.k, depth=self.depth)
        return frames.from_run(frames.union(results), run, self.num_results)

    def transform_inputs(self) -> list[list[str]]:
        """Column sets that all systems accept."""
        return common_inputs(self.systems)

    def compile(self) -> pt.Transformer:
        """Compile every system."""
        compiled = tuple(system.compile() for system in self.systems)
        return pt.inspect.transformer_apply_attributes(self, systems=compiled)


def common_inputs(systems) -> list[list[str]]:
    """Column sets that every one of several systems accepts: one set of each, joined."""
    ways = product(*(pt.inspect.transformer_inputs(system) for system in systems))
    joined = [list(columns) for columns in dict.fromkeys(tuple(dict.fromkeys(chain(*way))) for way in ways)]
    return [columns for columns in joined if all(_accepts(system, columns) for system in systems)]


def _accepts(system: pt.Transformer, columns: list[str]) -> bool:
    return pt.inspect.transformer_outputs(system, columns, strict=False) is not None
