"""An instruct model in this process through transformers: no server, batched, seeds for each reply.

It keeps `Generates` and `ScoresTokens` and is meant for trying things out and for machines without a server; vLLM is many times
sooner. Of the model's generation_config.json only the end tokens are used: how a reply is drawn is said by the caller alone.
"""

import json
import time
from collections.abc import Callable
from pathlib import Path

import torch
from huggingface_hub import snapshot_download
from transformers import (
    AutoModelForCausalLM,
    AutoTokenizer,
    GenerationConfig,
    LogitsProcessorList,
    StoppingCriteriaList,
)

from rader_ir.adapters import merge_adapter
from rader_ir.checkpoint_folders import read_json
from rader_ir.lm.drawing import Draw, Ends, before_stop
from rader_ir.lm.in_process import InProcess, Scoring, Writing, reply_of
from rader_ir.lm.replies import Failure, Outcome, Reply, TokenScores
from rader_ir.loading import choose_device, choose_dtype, progress_hidden
from rader_ir.threads import fit_threads
from rader_ir.weights import check_whole, weights_id


class Local(InProcess):
    """A causal language model with a chat template, from a folder or the hub, to be entered by `async with`.

    Replies are the same in every batch up to the rounding of logits (see `drawing`), and exactly so with batch_size=1.

    Args:
        path: a folder with safetensors, or a name on the hub; of an adapter (LoRA), which is merged into its base.
        batch_size: replies written side by side.
        device, dtype: as `loading.choose_device` and `choose_dtype`; int8 is not to be had.
        chat_template: Jinja text in place of the model's own.
        prices: of a million tokens read and of a million written, for the meter.

    Raises:
        FileNotFoundError: on entering: no such folder, and the hub has it not or is not reached.
        ValueError: on entering: the folder holds no whole model, or there is no chat template.
    """

    def __init__(
        self,
        path: str | Path,
        *,
        batch_size: int = 8,
        device: str | None = None,
        dtype: str | None = None,
        chat_template: str | None = None,
        prices: tuple[float, float] = (0.0, 0.0),
    ):
        if dtype == "int8":
            raise ValueError("dtype 'int8' is for encoders; choose 'float32', 'bfloat16' or 'float16'")
        super().__init__(path, batch_size=batch_size, chat_template=chat_template, prices=prices)
        self.device, self.dtype = device, dtype

    def load(self) -> None:
        """Read tokenizer and weights; no code that comes with them is run."""
        folder = _folder(self.path)
        base = _base(folder)
        check_whole(folder, "model" if base is None else "adapter_model")
        self._at = choose_device(self.device)
        dtype = choose_dtype(self.dtype, self._at)
        options = dict(trust_remote_code=False, local_files_only=True)
        own = base is None or (folder / "tokenizer.json").is_file()
        self.tokenizer = AutoTokenizer.from_pretrained(folder if own else base, **options)
        with progress_hidden():
            model = AutoModelForCausalLM.from_pretrained(base or folder, dtype=dtype, use_safetensors=True, **options)
        if base is not None:
            merge_adapter(model, folder)
        self.model = model.eval().requires_grad_(False).to(self._at)
        if self._at.type == "cpu":
            fit_threads()
        self.ends = _ends(model, self.tokenizer)
        self._padding = next(iter(self.ends), 0)
        self.model.generation_config = GenerationConfig(
            pad_token_id=self._padding
        )  # its defaults would sway the drawing
        self.context = model.config.get_text_config().max_position_embeddings
        template = self.chat_template or self.tokenizer.chat_template
        weights = "+".join(weights_id(place) for place in (folder, base) if place is not None)
        self.identity = json.dumps(["local", weights, str(dtype), template])

    def write(self, jobs: list[Writing]) -> list[Reply]:
        """Replies to a batch; one that the device's memory does not hold is written in halves."""
        return halved(self._write, jobs, Reply)

    def score(self, jobs: list[Scoring]) -> list[TokenScores]:
        """Scores for a batch, as `write`."""
        return halved(self._score, jobs, TokenScores)

    @torch.inference_mode()
    def _write(self, jobs: list[Writing]) -> list[Reply]:
        began = time.perf_counter()
        samplings = [job.sampling for job in jobs]
        inputs = self._inputs(jobs)
        start = inputs["input_ids"].shape[1]
        ends = Ends(self.tokenizer, samplings, ends=self.ends, start=start)
        written = self.model.generate(
            **inputs,
            do_sample=False,
            max_new_tokens=max(sampling.max_tokens for sampling in samplings),
            logits_processor=LogitsProcessorList([Draw(samplings, [job.seed for job in jobs])]),
            stopping_criteria=StoppingCriteriaList([ends]),
        )[:, start:].tolist()
        seconds = time.perf_counter() - began
        rows = zip(jobs, written, ends.lengths, ends.finish, strict=True)
        return [self._reply(job, ids[:length], finish, seconds) for job, ids, length, finish in rows]

    def _reply(self, job: Writing, ids: list[int], finish: str, seconds: float) -> Reply:
        text = self.tokenizer.decode([token for token in ids if token not in self.ends], skip_special_tokens=True)
        used = dict(finish=finish, tokens_in=len(job.ids), tokens_out=len(ids), seconds=seconds)
        return reply_of(before_stop(text, job.sampling.stop), **used)

    @torch.inference_mode()
    def _score(self, jobs: list[Scoring]) -> list[TokenScores]:
        began = time.perf_counter()
        inputs = self._inputs(jobs)
        positions = (inputs["attention_mask"].cumsum(1) - 1).clamp(min=0)
        logits = self.model(**inputs, position_ids=positions, logits_to_keep=1, use_cache=False).logits[:, -1]
        logprobs = logits.float().log_softmax(-1).cpu()
        seconds = time.perf_counter() - began
        return [
            TokenScores(logprobs=tuple(row[list(job.tokens)].tolist()), tokens_in=len(job.ids), seconds=seconds)
            for row, job in zip(logprobs, jobs, strict=True)
        ]

    def _inputs(self, jobs: list[Writing] | list[Scoring]) -> dict[str, torch.Tensor]:
        """Prompts padded on the left. input_ids, attention_mask: [B, T]."""
        longest = max(len(job.ids) for job in jobs)
        ids = [[self._padding] * (longest - len(job.ids)) + list(job.ids) for job in jobs]
        mask = [[0] * (longest - len(job.ids)) + [1] * len(job.ids) for job in jobs]
        return {"input_ids": torch.tensor(ids, device=self._at), "attention_mask": torch.tensor(mask, device=self._at)}


def halved(work: Callable[[list], list], jobs: list, kind: type[Outcome]) -> list:
    """`work(jobs)`, in halves where the device runs out of memory; a job that fails alone is a failure, of `kind`."""
    try:
        return work(jobs)
    except torch.OutOfMemoryError as error:
        told = str(error)
    if torch.cuda.is_available():
        torch.cuda.empty_cache()
    if len(jobs) == 1:
        return [kind(failure=Failure.MEMORY, detail=told[:300])]
    half = len(jobs) // 2
    return halved(work, jobs[:half], kind) + halved(work, jobs[half:], kind)


def _ends(model, tokenizer) -> frozenset[int]:
    """The end tokens: the model's, of which there may be several, and the tokenizer's."""
    own = model.generation_config.eos_token_id
    ids = {tokenizer.eos_token_id, *(own if isinstance(own, list | tuple) else [own])}
    return frozenset(int(token) for token in ids if token is not None)


def _base(folder: Path) -> Path | None:
    """The folder of the model that an adapter changes; None where the folder is no adapter's."""
    if not (folder / "adapter_config.json").is_file() or (folder / "config.json").is_file():
        return None
    name = read_json(folder / "adapter_config.json").get("base_model_name_or_path")
    if not name:
        raise ValueError(
            f"the adapter {folder} names no base model; set base_model_name_or_path in adapter_config.json"
        )
    base = folder / name if (folder / name).is_dir() else _folder(name)
    check_whole(base, "model")
    return base


def _folder(path: str) -> Path:
    folder = Path(path).expanduser()
    if folder.is_dir():
        return folder
    try:
        return Path(snapshot_download(path, allow_patterns=["*.safetensors*", "*.json", "*.txt", "*.model", "*.jinja"]))
    except Exception as error:  # of the hub's many; each means that it is not to be had
        raise FileNotFoundError(
            f"no folder {folder}, and the hub gives no {path!r} ({type(error).__name__}); copy an instruct model with its "
            "tokenizer and safetensors into a folder and name that"
        ) from error
