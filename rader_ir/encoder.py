"""Dense encoder: texts to vectors as a checkpoint was trained to make them (RaDeR, arXiv:2505.18405, section 3).

A query or document is written in the checkpoint's form, its end token kept under truncation, pooled by its mask and given unit
length, so that an inner product is a cosine. Vectors come in the caller's order and do not depend on the batch size beyond
rounding (1e-6 in float32).
"""

import os
from collections.abc import Sequence

import numpy as np
import torch
from tqdm import tqdm

from rader_ir import loading
from rader_ir.checkpoints import DEFAULT_RETRIEVER, Checkpoint, check_length
from rader_ir.packed import Pack
from rader_ir.prompts import fill
from rader_ir.text_model import TextModel, check_texts
from rader_ir.tokens import Ids, ahead, for_each_batch, portions


class Encoder(TextModel):
    """Vectors of queries and documents. Nothing is loaded or downloaded before the first text.

    Args:
        checkpoint: a name, a folder, a hub id or a `Checkpoint`.
        device: `cpu`, `cuda`, `cuda:1`, `mps`; None takes the best one here.
        dtype: `float32`, `bfloat16` or `float16`, or `int8`: products in integers, for BERT encoders on CPUs with VNNI, never
            chosen unless asked for; None takes bfloat16 on CUDA and float32 elsewhere.
        batch_tokens: tokens per batch; None takes 2048 on a CPU and 16384 elsewhere.
        max_query_length, max_doc_length: tokens, in place of the checkpoint's.
        instruction: put before every query by the form's `{instruction}`, as BRIGHT's task instructions are.
        forms: `rader`, `tevatron` or `plain`, in place of the checkpoint's own forms.
        revision: of the hub repository.
        verbose: whether to show a progress bar.

    Raises:
        ValueError, FileNotFoundError: an unknown checkpoint or option (now), or files that cannot be had (at the first text).
    """

    def __init__(
        self,
        checkpoint: str | os.PathLike | Checkpoint = DEFAULT_RETRIEVER,
        *,
        device: str | None = None,
        dtype: str | None = None,
        batch_tokens: int | None = None,
        max_query_length: int | None = None,
        max_doc_length: int | None = None,
        instruction: str = "",
        forms: str | None = None,
        revision: str | None = None,
        verbose: bool = False,
    ):
        super().__init__(
            checkpoint,
            device=device,
            dtype=dtype,
            batch_tokens=batch_tokens,
            instruction=instruction,
            forms=forms,
            revision=revision,
            verbose=verbose,
        )
        for option, length in (("max_query_length", max_query_length), ("max_doc_length", max_doc_length)):
            if length is not None:
                check_length(length, option)
        self.max_query_length, self.max_doc_length = max_query_length, max_doc_length

    def encode_queries(self, texts: Sequence[str], instructions: Sequence[str | None] | None = None) -> np.ndarray:
        """Vectors of queries, float32 [n, d], in the order of `texts`.

        Args:
            texts: questions, reasoning, or any queries.
            instructions: one per text, in place of the encoder's own; None keeps that.

        Raises:
            ValueError: a text that is no string, or lists of unequal length.
        """
        if instructions is None:
            instructions = [None] * len(texts)
        elif len(instructions) != len(texts):
            raise ValueError(f"{len(instructions)} instructions were given for {len(texts)} queries; give one for each")
        check_texts(texts, "query")
        form = self.settled().query_form
        check_texts([instruction for instruction in instructions if instruction is not None], "instruction")
        told = [self.instruction if instruction is None else instruction for instruction in instructions]
        whole = [fill(form, instruction=i, text=t) for i, t in zip(told, texts, strict=True)]
        return self._encode(whole, "max_query_length", "queries")

    def encode_docs(self, texts: Sequence[str]) -> np.ndarray:
        """Vectors of documents, float32 [n, d], in the order of `texts`.

        Raises:
            ValueError: a text that is no string.
        """
        check_texts(texts, "document")
        form = self.settled().doc_form
        whole = [fill(form, text=text) for text in texts]
        return self._encode(whole, "max_doc_length", "documents")

    @property
    def dimension(self) -> int:
        """Length of a vector, from the checkpoint's configuration; fetches the files, loads no weights."""
        return loading.dimension(self.files())

    def describe(self) -> dict:
        """What makes these vectors what they are, for indexes and caches; fetches the files, loads no weights."""
        settled = self.settled()
        facts = {name: getattr(settled, name) for name in ("query_form", "doc_form", "pooling", "normalise")}
        lengths = {
            option: self._length(getattr(self, option), getattr(settled, option), option)
            for option in ("max_query_length", "max_doc_length")
        }
        told = {**super().describe(), **facts, **lengths, "dimension": self.dimension}
        return {**told, "arithmetic": "int8"} if self.dtype in ("int8", torch.int8) else told

    def _encode(self, texts: list[str], limit: str, what: str) -> np.ndarray:
        if not texts:
            return np.empty((0, self.dimension), dtype=np.float32)
        loaded = self.open()
        max_length = self._length(getattr(self, limit), getattr(self.checkpoint, limit), limit)
        unique = list(dict.fromkeys(texts))
        vectors = np.empty((len(unique), loaded.model.config.hidden_size), dtype=np.float32)
        budget, start, truncated = self._budget(loaded), 0, 0
        parts = (unique[part] for part in portions([len(text) for text in unique]))
        with tqdm(total=len(unique), desc=f"encode {what}", unit="text", disable=not self.verbose) as progress:
            for ids in ahead(self._tokens.texts(part, max_length) for part in parts):
                filled = vectors[start : start + len(ids.rows)]
                budget = self._encode_part(loaded, ids, filled, budget, progress.update)
                self._note(ids)
                start, truncated = start + len(ids.rows), truncated + ids.truncated
        self._count(truncated, len(unique), what, max_length)
        if len(unique) == len(texts):
            return vectors
        place = {text: i for i, text in enumerate(unique)}
        return vectors[[place[text] for text in texts]]

    def _encode_part(self, loaded: loading.Loaded, ids: Ids, vectors: np.ndarray, budget: int, done) -> int:
        """Fill `vectors` [n, d]; returns the budget that fitted into memory."""
        way = loaded.engine.way_for(int(ids.lengths.max()))

        @torch.inference_mode()
        def step(batch: np.ndarray) -> None:
            pack = Pack([ids.rows[i] for i in batch], loaded.device, fill=loaded.device.type == "cpu")
            pooled = way.pooled(pack, self.checkpoint.pooling).float()
            if self.checkpoint.normalise:
                pooled = torch.nn.functional.normalize(pooled, dim=-1)
            vectors[batch] = pooled.cpu().numpy()

        return for_each_batch(ids.lengths, budget, step, done)
