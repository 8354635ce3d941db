"""ProRank in PyTerrier: `bm25 % 100 >> loader >> ProRankReranker()`; where others run the model, `ProRankLMReranker(URL)`.

Both ask the same question about each document and take the same two tokens; a model in this process tells their logits, a server
or vLLM their log-probabilities.
"""

import os

from pyterrier_rader.configured import shown_as
from pyterrier_rader.llm_rerankers import AsksLM
from pyterrier_rader.rerankers import RaDeRReranker

PRORANK = "mixedbread-ai/mxbai-rerank-base-v2"


class ProRankReranker(RaDeRReranker):
    """ProRank (arXiv:2506.03487): a language model is asked whether a document is relevant, and scored by its logits of 1 and 0.

    Args:
        checkpoint: as `rader_ir.rerank.prorank.ProRank`: by default mxbai-rerank-base-v2, which is the paper's small model; or a
            ready object with `score(queries, docs)`.
        prompt: a TOML file of your own wording, laid out as `rader_ir/prompts/prorank.toml`.
        instruction: a line of its own before each query.
        max_length: tokens of prompt, query and document together.
        query_field, text_field, passage_length, passage_stride, num_results, revision, batch_tokens, device, dtype, verbose: as
            `RaDeRReranker`.

    Raises:
        ValueError: as `RaDeRReranker`.
    """

    schematic = shown_as("ProRank")
    _system = "prorank"

    def __init__(
        self,
        checkpoint=PRORANK,
        *,
        prompt: str | os.PathLike | None = None,
        instruction: str = "",
        query_field: str = "query",
        text_field: str = "text",
        passage_length: int | None = None,
        passage_stride: int | None = None,
        num_results: int | None = None,
        max_length: int | None = None,
        revision: str | None = None,
        batch_tokens: int | None = None,
        device: str | None = None,
        dtype: str | None = None,
        verbose: bool = False,
    ):
        super().__init__(
            checkpoint,
            query_field=query_field,
            text_field=text_field,
            passage_length=passage_length,
            passage_stride=passage_stride,
            num_results=num_results,
            max_length=max_length,
            revision=revision,
            batch_tokens=batch_tokens,
            device=device,
            dtype=dtype,
            verbose=verbose,
        )
        self.prompt, self.instruction = prompt, instruction

    def _options(self) -> dict:
        options = super()._options()
        del options["forms"]
        return {**options, "prompt": self.prompt, "instruction": self.instruction}


class ProRankLMReranker(AsksLM):
    """ProRank (arXiv:2506.03487) where a server, or vLLM in this process, runs the model: one call of one token per document.

    Args:
        lm: as `RankR1Reranker`, and so all that is not told here; it must tell log-probabilities.
        prompt: a TOML file of your own wording, laid out as `rader_ir/prompts/prorank.toml`; give the one that the model was
            trained with.
        instruction: a line of its own before each query.

    Raises:
        ValueError: as `RankR1Reranker`.
    """

    schematic = shown_as("ProRank")
    _system = "prorank-lm"

    def __init__(
        self,
        lm,
        *,
        lm_model: str | None = None,
        api_key_env: str | None = None,
        prompt: str | os.PathLike | None = None,
        instruction: str = "",
        passage_words: int | None = None,
        query_words: int | None = None,
        context: int | None = None,
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
