"""Reasoning queries: `ReasoningQuery(lm) >> retriever >> pt.rewrite.reset() >> reranker`, RaDeR's headline setting.

A language model's chain of thought searches in the question's place, which rerankers read again (arXiv:2505.18405, Tables 2 and
6). What is asked and how the reply is read is `rader_ir.reasoning`'s.
"""

import inspect
import os
import warnings

import numpy as np
import pandas as pd
import pyterrier as pt

from pyterrier_rader import frames, live
from pyterrier_rader.configured import Configured, KeepsRows, shown_as

_OF_FRAMES = ("expand",)


class ReasoningQuery(Configured, KeepsRows, pt.Transformer):
    """Puts what a language model reasons about each query in its place; the question moves to `query_0`.

    `pt.rewrite.reset()` gives the question back to rerankers:
    `ReasoningQuery(lm) >> bm25 % 100 >> pt.rewrite.reset() >> TextLoader(texts) >> RaDeRReranker()`. `SafeQueries()`, which
    Terrier needs, goes behind this step and moves queries on once more, so that it takes `pt.rewrite.reset()` twice.

    The column `qreasoning` keeps the reasoning. Where the model gives none, it is "", the question stays the query, and a warning
    counts it. Queries of a frame are asked side by side, equal ones once, and never again in one process: equal transformers
    share what they were told.

    Args:
        lm: a server's URL, ending in /v1; or `local:FOLDER`, `vllm:FOLDER`; or a back-end of `rader_ir.lm`.
        lm_model: the name under which a server has the model.
        api_key_env: the environment variable that holds a server's key.
        prompt: a TOML file of your own wording, laid out as `rader_ir/prompts/reasoning.toml`.
        expand: whether the question stands before the reasoning (query expansion); the paper's queries are the reasoning alone.
        asks: requests for one question at most, while there is no reasoning.
        temperature, max_tokens: in place of the prompt's; of a reply that runs into max_tokens, what is there counts.
        top_p: probability mass that is drawn from.
        seed: of all that chance decides.
        concurrency: calls at a time; None takes 64, of a model through transformers 8.
        timeout, retries: of a server, in place of its own (300 seconds, 5).
        cache: file of replies on disk, for later processes; None remembers them in this process alone.

    Raises:
        ValueError: a setting out of range (now); a missing query, a server without this model (at the first row).
        ConnectionError: no server answers (at the first row).
        RuntimeError: the model answered about no query (at its row).
    """

    schematic = shown_as("Reasoning query")

    def __init__(
        self,
        lm,
        *,
        lm_model: str | None = None,
        api_key_env: str | None = None,
        prompt: str | os.PathLike | None = None,
        expand: bool = False,
        asks: int = 2,
        temperature: float | None = None,
        top_p: float = 1.0,
        max_tokens: int | None = None,
        seed: int = 0,
        concurrency: int | None = None,
        timeout: float | None = None,
        retries: int | None = None,
        cache: str | os.PathLike | None = None,
    ):
        self._store(locals())
        self.model()

    def transform(self, inp: pd.DataFrame) -> pd.DataFrame:
        """Rewrite `query` on every row."""
        pt.validate.columns(inp, includes=["qid", "query"], context=self)
        if inp.empty:
            return frames.typed_empty(pt.model.push_queries(inp), query="str", qreasoning="str")
        groups = frames.group(inp)
        questions = frames.queries(inp, groups, "query")
        found = self.model().reason(questions)
        self._warn(found)
        whole = inp.drop(columns="qreasoning", errors="ignore").assign(query=_spread(questions, groups, inp))
        return pt.model.push_queries(whole).assign(
            query=_spread([each.query(expand=self.expand) for each in found], groups, inp),
            qreasoning=_spread([each.reasoning for each in found], groups, inp),
        )

    def _warn(self, found: list) -> None:
        from rader_ir.reasoning import failures

        if kinds := failures(found):
            told = ", ".join(f"{kind} {count}" for kind, count in kinds.items())
            message = f"{sum(kinds.values())} of {len(found)} queries got no reasoning and stay the question ({told})"
            warnings.warn(message, stacklevel=3)

    def model(self):
        """The live `rader_ir.reasoner.Reasoner`, whose model is opened when it is first asked."""
        names = inspect.signature(type(self)).parameters
        return live.reasoner(**{name: getattr(self, name) for name in names if name not in _OF_FRAMES})

    @property
    def statistics(self) -> list:
        """Of the model's last call, one `rader_ir.reasoning.Reasoned` for each query, by qid."""
        return self.model().statistics

    def unload(self) -> None:
        """Leave the model and forget what it said, for every transformer that shares it; the next row opens it again."""
        self.model().unload()


def _spread(values: list[str], groups: frames.Groups, frame: pd.DataFrame) -> pd.Series:
    """One value for each query on all rows of its query."""
    return pd.Series(np.array(values, dtype=object)[groups.codes], index=frame.index, dtype="str")
