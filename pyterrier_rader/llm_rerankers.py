"""Rerankers that ask a language model: `bm25 % 100 >> loader >> RankR1Reranker("http://127.0.0.1:8000/v1", lm_model="…")`.

All queries of a frame are asked about side by side. Scores are n, n - 1, ... along the new order, or ratings; documents are given
in the order of the earlier stage, which decides wherever the model says nothing. What is asked and how is `rader_ir.rerank`'s.
"""

import inspect
import os
import warnings
from itertools import count

import numpy as np
import pandas as pd
import pyterrier as pt

from pyterrier_rader import frames, live
from pyterrier_rader.configured import Configured, CutsRanks, SharesModel, check_count, shown_as
from rader_ir.rerank.icr import DEFAULT as ICR_DEFAULT
from rader_ir.rerank.ranking import Statistics

# Columns that `details` adds, with their types
DETAILS = {
    "reasoning": "str",
    "llm_calls": "int64",
    "llm_further": "int64",
    "llm_malformed": "int64",
    "llm_failed": "int64",
    "llm_tokens_in": "int64",
    "llm_tokens_out": "int64",
    "llm_seconds": "float64",
}
_OF_FRAMES = ("query_field", "text_field", "num_results", "details")


class AsksLM(SharesModel, Configured, CutsRanks, pt.Transformer):
    """What these transformers share: they are a system's name and its options."""

    _system = ""

    def _keep(self, given: dict) -> None:
        """Store the constructor's arguments, and say at once what is wrong with them."""
        self._store(given)
        check_count("num_results", self.num_results, optional=True)
        self.model()

    def transform(self, inp: pd.DataFrame) -> pd.DataFrame:
        """Order every query's rows."""
        pt.validate.result_frame(inp, extra_columns=[self.query_field, self.text_field], context=self)
        if inp.empty:
            return frames.no_results(inp.iloc[:0].assign(**self._typed({name: [] for name in DETAILS})))
        groups, told = frames.group(inp), []

        def places(queries, docs) -> list[np.ndarray]:
            """In place of scores: where each document stands in `told`."""
            numbers = count()
            rankings = self.model().rank(queries, docs)
            self._warn(sum((one.statistics for one in rankings), Statistics()))
            for one in rankings:
                told.extend((*pair, one.statistics) for pair in zip(one.scores.tolist(), one.reasoning, strict=True))
            return [np.fromiter(numbers, dtype=float, count=len(texts)) for texts in docs]

        fields = dict(query_field=self.query_field, text_field=self.text_field)
        rows = frames.score_pairs(inp, groups, places, **fields).astype(int)
        added = self._typed({name: [_detail(name, told[row]) for row in rows] for name in DETAILS})
        kept = inp.drop(columns=list(added), errors="ignore")
        kept = kept.assign(**{name: values.set_axis(inp.index) for name, values in added.items()})
        return frames.with_scores(kept, groups, np.array([told[row][0] for row in rows]), self.num_results)

    def _warn(self, told) -> None:
        """Say of how many calls nothing came."""
        if told.malformed or told.failed:
            why = f" ({told.trouble})" if told.trouble else ""
            message = (
                f"{type(self).__name__}: {told.failed} of {told.calls} calls got no reply{why}, {told.malformed} none that could "
                "be read; the earlier order decided there"
            )
            warnings.warn(message, stacklevel=2)

    def _typed(self, columns: dict[str, list]) -> dict[str, pd.Series]:
        return (
            {name: pd.Series(values, dtype=DETAILS[name]) for name, values in columns.items()} if self.details else {}
        )

    def model(self):
        """The live reranker of `rader_ir`, whose model is opened when it is first asked."""
        return live.judge(self._system, **self._options())

    def _options(self) -> dict:
        names = inspect.signature(type(self)).parameters
        return {name: getattr(self, name) for name in names if name not in _OF_FRAMES}

    @property
    def statistics(self) -> list:
        """Of the model's last call, one `rader_ir.rerank.ranking.Statistics` for each query, by qid."""
        return self.model().statistics


def _detail(name: str, told: tuple):
    _, reasoning, statistics = told
    return reasoning if name == "reasoning" else getattr(statistics, name.removeprefix("llm_"))


class RankR1Reranker(AsksLM):
    """Rank-R1 (arXiv:2503.06034): a reasoning model names the best of a few passages, and a heap makes a ranking of that.

    Args:
        lm: a server's URL, ending in /v1; or `local:FOLDER`, `vllm:FOLDER`; or a back-end of `rader_ir.lm`.
        lm_model: the name under which a server has the model.
        api_key_env: the environment variable that holds a server's key.
        prompt: a TOML file of your own wording, laid out as `rader_ir/prompts/rank_r1.toml`.
        children: one less than the passages of a call; None takes what a released checkpoint of this name was trained with, 19
            for others.
        top: documents wanted in order; the rest keep theirs.
        first: documents that are looked at; None: all.
        asks: requests for one answer at most.
        passage_words, query_words: words kept; None keeps what fits, of released checkpoints as many of a passage as they were
            trained with (of a query they read 32 tokens of MS MARCO's and 1,024 of BRIGHT's).
        context: tokens of prompt and reply together; None takes what the back-end tells.
        temperature, max_tokens: in place of the prompt's.
        shuffle: whether passages are shown in an order that chance decides.
        streaming: whether a query goes on as soon as its own answers are there.
        seed: of all that chance decides.
        concurrency: calls at a time; None takes 64, of a model through transformers 8.
        timeout, retries: of a server: seconds for a reply, and how often a lost call is made again; None takes its own.
        cache: file of earlier replies.
        query_field, text_field: columns of the query's and the document's text.
        num_results: documents kept per query; None keeps all.
        details: add the columns `DETAILS`: what the model wrote when it last placed the document, and what the query cost.

    Raises:
        ValueError: a setting out of range (now); a missing text or query (at its row).
    """

    schematic = shown_as("Rank-R1")
    _system = "rank-r1"

    def __init__(
        self,
        lm,
        *,
        lm_model: str | None = None,
        api_key_env: str | None = None,
        prompt: str | os.PathLike | None = None,
        children: int | None = None,
        top: int = 10,
        first: int | None = None,
        asks: int = 3,
        passage_words: int | None = None,
        query_words: int | None = None,
        context: int | None = None,
        temperature: float | None = None,
        max_tokens: int | None = None,
        shuffle: bool = False,
        streaming: bool = True,
        seed: int = 0,
        concurrency: int | None = None,
        timeout: float | None = None,
        retries: int | None = None,
        cache: str | os.PathLike | None = None,
        query_field: str = "query",
        text_field: str = "text",
        num_results: int | None = None,
        details: bool = False,
    ):
        self._keep(locals())


class RankGPTReranker(AsksLM):
    """RankGPT (arXiv:2304.09542) and its kin, zero-shot: an instruct model orders windows of passages, or chooses among them.

    Args:
        lm: as `RankR1Reranker`, and so all that is not told here.
        method: "listwise" (windows from the end to the front), "whole", "setwise", "tournament" or "pairs".
        prompt: a TOML file of your own wording, laid out as `rader_ir/prompts/rankgpt.toml`.
        window, stride: passages in one call, and how far the next window begins before it.
        top: documents that choices put in order.

    Raises:
        ValueError: as `RankR1Reranker`.
    """

    schematic = shown_as("RankGPT")
    _system = "rankgpt"

    def __init__(
        self,
        lm,
        *,
        method: str = "listwise",
        lm_model: str | None = None,
        api_key_env: str | None = None,
        prompt: str | os.PathLike | None = None,
        window: int = 20,
        stride: int = 10,
        top: int = 10,
        first: int | None = None,
        asks: int = 3,
        passage_words: int | None = None,
        query_words: int | None = None,
        context: int | None = None,
        temperature: float | None = None,
        max_tokens: int | None = None,
        shuffle: bool = False,
        streaming: bool = True,
        seed: int = 0,
        concurrency: int | None = None,
        timeout: float | None = None,
        retries: int | None = None,
        cache: str | os.PathLike | None = None,
        query_field: str = "query",
        text_field: str = "text",
        num_results: int | None = None,
        details: bool = False,
    ):
        self._keep(locals())


class DeARListwiseReranker(AsksLM):
    """DeAR's listwise stage (arXiv:2508.16998): the first 30 in windows of 20, each ordered with its reasons.

    Args:
        lm: as `RankR1Reranker`, and so all that is not told here.
        prompt: a TOML file of your own wording, laid out as `rader_ir/prompts/dear.toml`.
        window, stride: passages in one call, and how far the next window begins before it.

    Raises:
        ValueError: as `RankR1Reranker`.
    """

    schematic = shown_as("DeAR, listwise")
    _system = "dear-listwise"

    def __init__(
        self,
        lm,
        *,
        lm_model: str | None = None,
        api_key_env: str | None = None,
        prompt: str | os.PathLike | None = None,
        window: int = 20,
        stride: int = 10,
        first: int | None = 30,
        asks: int = 3,
        passage_words: int | None = 300,
        query_words: int | None = None,
        context: int | None = None,
        temperature: float | None = None,
        max_tokens: int | None = None,
        shuffle: bool = False,
        streaming: bool = True,
        seed: int = 0,
        concurrency: int | None = None,
        timeout: float | None = None,
        retries: int | None = None,
        cache: str | os.PathLike | None = None,
        query_field: str = "query",
        text_field: str = "text",
        num_results: int | None = None,
        details: bool = False,
    ):
        self._keep(locals())


class LLMRatingReranker(AsksLM):
    """RaDeR's rating by an instruct model (arXiv:2505.18405): each document from 0 to 5 by itself, as 0 to 1; -1 is unreadable.

    Ratings tie often: `RaDeRFusion` with the first stage's scores breaks ties as the paper does, and `method="expected"` leaves
    none.

    Args:
        lm: as `RankR1Reranker`, and so all that is not told here.
        method: "written" (drawn and read) or "expected" (the mean of the digits by their probabilities).
        task: a task of BRIGHT, or the name of a wording: general, aops, theoq, theot, leetcode, pony.
        plain: send a text to be continued, without a chat around it.
        prompt: a TOML file of your own wording, laid out as `rader_ir/prompts/llm_rating.toml`.
        top_p: probability mass that is drawn from.

    Raises:
        ValueError: as `RankR1Reranker`.
    """

    schematic = shown_as("LLM rating")
    _system = "llm-rating"

    def __init__(
        self,
        lm,
        *,
        method: str = "written",
        task: str = "general",
        plain: bool = False,
        lm_model: str | None = None,
        api_key_env: str | None = None,
        prompt: str | os.PathLike | None = None,
        asks: int = 3,
        passage_words: int | None = None,
        query_words: int | None = None,
        context: int | None = None,
        temperature: float | None = None,
        top_p: float = 0.9,
        max_tokens: int | None = None,
        seed: int = 0,
        concurrency: int | None = None,
        timeout: float | None = None,
        retries: int | None = None,
        cache: str | os.PathLike | None = None,
        query_field: str = "query",
        text_field: str = "text",
        num_results: int | None = None,
        details: bool = False,
    ):
        self._keep(locals())


class ICRReranker(AsksLM):
    """ICR (arXiv:2410.02642): all documents in one prompt of an instruct model in this process; where the query looks decides.

    Nothing is generated: per query the documents are read once, then the query and one that says nothing. Scores are sums of
    attention, or n, n - 1, ... where the documents do not fit one prompt.

    Args:
        checkpoint: a folder, hub id, known name or `rader_ir.Checkpoint` of a Llama, Mistral, Qwen2 or Qwen3 model.
        method: the wording: "ie" (find what is of use), "qa" (answer the question), "bare" (no task).
        chat: whether the model's chat template goes around it; None: if it has one.
        prompt: a TOML file of your own wording, laid out as `rader_ir/prompts/icr.toml`.
        calibrated: whether the attention of a query that says nothing is taken off.
        layers: (first, last + 1) of the layers that count; those behind are not computed.
        heads: pairs (layer, head) that count, in place of layers.
        passage_words, query_words: words kept; None keeps what fits.
        context: tokens of a prompt at most; None takes what the model reads.
        window, stride: documents of a prompt at most, and how far the next window begins before it; None: as they fit.
        revision: of a checkpoint on the hub.
        device, dtype: such as "cuda:1" and "bfloat16"; None chooses.
        query_field, text_field: columns of the query's and the document's text.
        num_results: documents kept per query; None keeps all.
        details: add the columns `DETAILS`, where `llm_calls` counts prompts, and nothing is written as `reasoning`.
        verbose: show progress.

    Raises:
        ValueError: a setting out of range (now); a missing text or query, or a model that is none of these (at its row).
    """

    schematic = shown_as("ICR")
    _system = "icr"

    def __init__(
        self,
        checkpoint=ICR_DEFAULT,
        *,
        method: str = "ie",
        chat: bool | None = None,
        prompt: str | os.PathLike | None = None,
        calibrated: bool = True,
        layers: tuple[int, int] | None = None,
        heads: tuple[tuple[int, int], ...] | None = None,
        passage_words: int | None = 300,
        query_words: int | None = None,
        context: int | None = None,
        window: int | None = None,
        stride: int | None = None,
        revision: str | None = None,
        device: str | None = None,
        dtype: str | None = None,
        query_field: str = "query",
        text_field: str = "text",
        num_results: int | None = None,
        details: bool = False,
        verbose: bool = False,
    ):
        self._keep(locals())

    def model(self):
        """The live reranker of `rader_ir`, whose weights are loaded at the first row."""
        options = self._options()
        for name in ("layers", "heads"):  # lists too are taken; what is kept goes by hashes
            options[name] = _tuples(options[name])
        return live.reranker(self._system, options.pop("checkpoint"), **options)


def _tuples(value):
    return tuple(map(_tuples, value)) if isinstance(value, list | tuple) else value
