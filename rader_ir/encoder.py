"""Dense encoder: texts to vectors as a checkpoint was trained to make them (RaDeR, arXiv:2505.18405, section 3).

A query or document is written in the checkpoint's form, its end token kept under truncation, pooled by its mask and given unit
length, so that an inner product is a cosine. Vectors come in the caller's order and do not depend on the batch size beyond
rounding (1e-6 in float32).
"""

import os
from collections.abc import Sequence

import numpy as np
import torch

from rader_ir import loading
from rader_ir.checkpoints import DEFAULT_RETRIEVER, Checkpoint, check_length
from rader_ir.prompts import fill
from rader_ir.text_model import TextModel, check_texts
from rader_ir.tokens import for_each_batch, pad


class Encoder(TextModel):
    """Vectors of queries and documents. Nothing is loaded or downloaded before the first text.

    Args:
        checkpoint: a name, a folder, a hub id or a `Checkpoint`.
        device: `cpu`, `cuda`, `cuda:1`, `mps`; None takes the best one here.
        dtype: `float32`, `bfloat16` or `float16`; None takes bfloat16 on CUDA and float32 elsewhere.
        batch_tokens: tokens per batch, padding included.
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
        batch_tokens: int = 8192,
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
        return {**super().describe(), **facts, **lengths, "dimension": self.dimension}

    def _encode(self, texts: list[str], limit: str, what: str) -> np.ndarray:
        if not texts:
            return np.empty((0, self.dimension), dtype=np.float32)
        loaded = self.open()
        max_length = self._length(getattr(self, limit), getattr(self.checkpoint, limit), limit)
        unique = list(dict.fromkeys(texts))
        ids = self._tokens.texts(unique, max_length)
        self._count(ids, what, max_length)
        vectors = np.empty((len(unique), loaded.model.config.hidden_size), dtype=np.float32)

        def step(batch: np.ndarray) -> None:
            vectors[batch] = self._forward(loaded, [ids.rows[i] for i in batch])

        for_each_batch(ids.lengths, self.batch_tokens, step, description=f"encode {what}", verbose=self.verbose)
        if len(unique) == len(texts):
            return vectors
        place = {text: i for i, text in enumerate(unique)}
        return vectors[[place[text] for text in texts]]

    @torch.inference_mode()
    def _forward(self, loaded: loading.Loaded, rows: list[list[int]]) -> np.ndarray:
        inputs = pad(rows, loaded.model.config.pad_token_id, loaded.device)
        hidden = loaded.model(**inputs, **loaded.options).last_hidden_state
        pooled = POOL[self.checkpoint.pooling](hidden, inputs["attention_mask"]).float()
        if self.checkpoint.normalise:
            pooled = torch.nn.functional.normalize(pooled, dim=-1)
        return pooled.cpu().numpy()


def last_token(hidden: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:
    """Hidden state of each text's last real token, whichever side is padded. hidden: [B, T, D]; mask: [B, T] -> [B, D]."""
    positions = torch.arange(mask.shape[1], device=mask.device)
    last = (mask * positions).argmax(dim=1)
    return hidden[torch.arange(len(hidden), device=hidden.device), last]


def mean(hidden: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:
    """Mean of each text's real tokens, in float32. hidden: [B, T, D]; mask: [B, T] -> [B, D]."""
    weights = mask.unsqueeze(-1).float()
    return (hidden.float() * weights).sum(dim=1) / weights.sum(dim=1).clamp(min=1)


def first_token(hidden: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:
    """Hidden state of each text's first real token. hidden: [B, T, D]; mask: [B, T] -> [B, D]."""
    return hidden[torch.arange(len(hidden), device=hidden.device), mask.argmax(dim=1)]


POOL = {"last": last_token, "mean": mean, "first": first_token}
