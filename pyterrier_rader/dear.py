"""DeAR in PyTerrier: `bm25 % 100 >> loader >> DeARReranker("http://127.0.0.1:8000/v1", lm_model="…")`.

The pointwise stage scores all documents by a cross-encoder, the listwise one then has a language model order the best of them.
"""

import os

import pandas as pd
import pyterrier as pt

from pyterrier_rader.configured import Configured, CutsRanks, check_count, shown_as
from pyterrier_rader.llm_rerankers import DeARListwiseReranker
from pyterrier_rader.rerankers import RaDeRReranker

STAGES = ("pointwise", "listwise", "both")
_SHARED = ("query_field", "text_field", "num_results")
_OF_PAIRS = ("checkpoint", "padding", "revision", "batch_tokens", "device", "dtype", "verbose")
_OF_LISTS = (
    "lm",
    "lm_model",
    "api_key_env",
    "prompt",
    "window",
    "stride",
    "first",
    "asks",
    "passage_words",
    "query_words",
)
_OF_LISTS += ("context", "temperature", "max_tokens", "shuffle", "streaming", "seed", "concurrency")
_OF_LISTS += ("timeout", "retries", "cache", "details")


class _Pointwise(RaDeRReranker):
    _system = "dear-pointwise"

    def __init__(self, checkpoint, *, padding: str, **options):
        super().__init__(checkpoint, **options)
        self.padding = padding

    def _options(self) -> dict:
        return {**super()._options(), "padding": self.padding}


class DeARReranker(Configured, CutsRanks, pt.Transformer):
    """DeAR (arXiv:2508.16998): a pointwise stage over all documents, a listwise one with its reasons over the best 30.

    Args:
        lm: of the listwise stage, as `RankR1Reranker`; None with `stage="pointwise"`.
        stage: "pointwise", "listwise" or "both".
        checkpoint: of the pointwise stage, as `rader_ir.rerank.dear.DeARPointwise`; or a ready object with
            `score(queries, docs)`.
        padding: of the pointwise stage: "none", or "max_length" for released checkpoints that learned so.
        revision, batch_tokens, device, dtype, verbose: of the pointwise stage, as `RaDeRReranker`.
        lm_model, api_key_env, prompt, window, stride, first, asks, passage_words, query_words, context, temperature, max_tokens,
        shuffle, streaming, seed, concurrency, timeout, retries, cache, details: of the listwise stage, as `DeARListwiseReranker`.
        query_field, text_field, num_results: as `RaDeRReranker`.

    Raises:
        ValueError: an unknown stage, a listwise stage without a language model, a setting out of range (now); a missing text
            or query (at its row).
    """

    schematic = shown_as("DeAR")

    def __init__(
        self,
        lm=None,
        *,
        stage: str = "both",
        checkpoint="abdoelsayed/dear-8b-reranker-ce-v1",
        padding: str = "none",
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
        revision: str | None = None,
        batch_tokens: int | None = None,
        device: str | None = None,
        dtype: str | None = None,
        verbose: bool = False,
        query_field: str = "query",
        text_field: str = "text",
        num_results: int | None = None,
        details: bool = False,
    ):
        if stage not in STAGES:
            raise ValueError(f"stage {stage!r} is unknown; choose {', '.join(map(repr, STAGES))}")
        if stage != "pointwise" and lm is None:
            raise ValueError(f"stage {stage!r} asks a language model; give lm, or choose stage 'pointwise'")
        self._store(locals())
        check_count("num_results", num_results, optional=True)
        self.stages()

    def stages(self) -> list[pt.Transformer]:
        """The transformers that this one is made of, first to last; the last one cuts."""
        names = {"pointwise": (_Pointwise, _OF_PAIRS), "listwise": (DeARListwiseReranker, _OF_LISTS)}
        wanted = [name for name in names if self.stage in (name, "both")]
        made = []
        for name in wanted:
            kind, own = names[name]
            given = {each: getattr(self, each) for each in (*own, *_SHARED)}
            made.append(kind(**{**given, **({} if name == wanted[-1] else {"num_results": None})}))
        return made

    def transform(self, inp: pd.DataFrame) -> pd.DataFrame:
        """Order every query's rows."""
        pt.validate.result_frame(inp, extra_columns=[self.query_field, self.text_field], context=self)
        for stage in self.stages():
            inp = stage.transform(inp)
        return inp

    @property
    def statistics(self) -> list:
        """Of the language model's last call, one `rader_ir.rerank.ranking.Statistics` for each query, by qid."""
        return self.stages()[-1].statistics if self.stage != "pointwise" else []

    @property
    def work(self) -> tuple[int, int] | None:
        """Of the pointwise stage, as `RaDeRReranker.work`; (0, 0) without one."""
        return self.stages()[0].work if self.stage != "listwise" else (0, 0)

    def unload(self) -> None:
        """Leave the models, for every transformer that shares them."""
        for stage in self.stages():
            stage.unload()

    def fingerprint(self) -> str:
        """Changes with whatever changes scores."""
        return " ".join(stage.fingerprint() for stage in self.stages())
