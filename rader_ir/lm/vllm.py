"""An instruct model in this process through vLLM's offline engine, for machines with its kind of GPU.

It keeps `Generates` and `ScoresTokens`; vLLM batches by itself, so calls are handed over many at a time. What calls vLLM here
was run against a stand-in for its interface alone, for want of a machine with it; a server of vLLM's is reached by `server`.
"""

import json
import math
import time
from pathlib import Path

from rader_ir.lm.in_process import InProcess, Scoring, Writing, reply_of
from rader_ir.lm.replies import Reply, TokenScores

_MOST_TOLD = 20  # log-probabilities that vLLM tells unless it is set up otherwise


class Vllm(InProcess):
    """A model that vLLM can serve, from a folder or the hub, to be entered by `async with`.

    Args:
        path: a folder, or a name on the hub.
        batch_size: calls handed to vLLM together.
        max_model_len: tokens of prompt and reply; None takes the model's own.
        chat_template: Jinja text in place of the model's own.
        prices: of a million tokens read and of a million written, for the meter.

    Raises:
        ModuleNotFoundError: on entering: vLLM is not installed.
    """

    def __init__(
        self,
        path: str | Path,
        *,
        batch_size: int = 256,
        max_model_len: int | None = None,
        chat_template: str | None = None,
        prices: tuple[float, float] = (0.0, 0.0),
    ):
        super().__init__(path, batch_size=batch_size, chat_template=chat_template, prices=prices)
        self.max_model_len = max_model_len

    def load(self) -> None:
        """Start the engine."""
        try:
            from vllm import LLM, SamplingParams
        except ModuleNotFoundError as error:
            raise ModuleNotFoundError(
                f"{self.path} through vLLM needs vllm; run pip install vllm, or name a server"
            ) from error
        self._params = SamplingParams
        self._llm = LLM(model=self.path, max_model_len=self.max_model_len, generation_config="vllm")
        self.tokenizer = self._llm.get_tokenizer()
        self.context = self._llm.llm_engine.model_config.max_model_len
        self.identity = json.dumps(["vllm", self.path, self.chat_template])

    def write(self, jobs: list[Writing]) -> list[Reply]:
        """Replies to a batch, each drawn by its own seed."""
        params = [self._sampling(job) for job in jobs]
        rows, seconds = self._run(jobs, params)
        return [
            reply_of(
                row.text,
                finish=row.finish_reason,
                tokens_in=len(job.ids),
                tokens_out=len(row.token_ids),
                seconds=seconds,
            )
            for job, row in zip(jobs, rows, strict=True)
        ]

    def score(self, jobs: list[Scoring]) -> list[TokenScores]:
        """Scores for a batch; -inf for tokens that are not among the 20 most likely."""
        params = [self._params(max_tokens=1, temperature=1.0, logprobs=_MOST_TOLD) for _ in jobs]
        rows, seconds = self._run(jobs, params)
        return [
            TokenScores(
                logprobs=tuple(getattr(row.logprobs[0].get(token), "logprob", -math.inf) for token in job.tokens),
                tokens_in=len(job.ids),
                seconds=seconds,
            )
            for job, row in zip(jobs, rows, strict=True)
        ]

    def _sampling(self, job: Writing):
        sampling = job.sampling
        return self._params(
            temperature=sampling.temperature,
            top_p=sampling.top_p,
            max_tokens=sampling.max_tokens,
            stop=list(sampling.stop),
            seed=job.seed,
            **({} if sampling.top_k is None else {"top_k": sampling.top_k}),
        )

    def _run(self, jobs, params):
        began = time.perf_counter()
        prompts = [{"prompt_token_ids": list(job.ids)} for job in jobs]
        outputs = self._llm.generate(prompts, params, use_tqdm=False)
        return [output.outputs[0] for output in outputs], time.perf_counter() - began
