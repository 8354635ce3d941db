"""What encoders and cross-encoders share: a checkpoint that opens at the first text, and the text path that belongs to it.

Constructing one finds the checkpoint by name and checks the options; files are fetched when something about them is asked,
weights are loaded when a text comes. Objects with equal settings share one live model.
"""

import hashlib
import json
import logging
import os
from collections.abc import Sequence

from rader_ir import loading
from rader_ir.checkpoints import Checkpoint, find_checkpoint
from rader_ir.tokens import Ids, TextTokens
from rader_ir.weights import Files, fetch

logger = logging.getLogger(__name__)


class TextModel:
    """Base of `Encoder` and `CrossEncoder`; `head` is what their checkpoints must have."""

    head = "vector"

    def __init__(
        self,
        checkpoint: str | os.PathLike | Checkpoint,
        *,
        device: str | None,
        dtype: str | None,
        batch_tokens: int | None,
        instruction: str,
        forms: str | None,
        revision: str | None,
        verbose: bool,
    ):
        self.forms, self.revision = forms, revision
        self.checkpoint = self._checked(find_checkpoint(checkpoint, forms=forms, revision=revision))
        if batch_tokens is not None and batch_tokens < 1:
            raise ValueError(f"batch_tokens is {batch_tokens}; give the tokens that a batch may hold, such as 8192")
        self.device, self.dtype, self.batch_tokens = device, dtype, batch_tokens
        self.instruction, self.verbose = instruction, verbose
        self.truncated = 0  # distinct texts cut so far
        self.work = (0, 0)  # texts or pairs read so far, each by a forward pass, and the tokens in them
        self._loaded: loading.Loaded | None = None
        self._tokens: TextTokens | None = None

    def _checked(self, checkpoint: Checkpoint) -> Checkpoint:
        if checkpoint.settled and (checkpoint.head == "vector") != (self.head == "vector"):
            does, opens = (
                ("makes vectors", "Encoder") if checkpoint.head == "vector" else ("scores pairs", "CrossEncoder")
            )
            raise ValueError(
                f"checkpoint {checkpoint.name!r} {does}; open it with {opens}"
                + (", or rerank by its vectors (system 'biencoder')" if opens == "Encoder" else "")
            )
        return checkpoint

    def settled(self) -> Checkpoint:
        """The checkpoint with everything that only its files can tell; fetches them if need be."""
        if not self.checkpoint.settled:
            self.checkpoint = self._checked(find_checkpoint(fetch(self.checkpoint).checkpoint, forms=self.forms))
        return self.checkpoint

    def files(self) -> Files:
        """The checkpoint's files: those that the live model was loaded from, else those on this machine, fetched if need be."""
        return fetch(self.settled()) if self._loaded is None else self._loaded.files

    def open(self) -> loading.Loaded:
        """The live model, loaded if need be."""
        if self._loaded is None:
            loaded = loading.live(self.settled(), device=self.device, dtype=self.dtype)
            self._tokens = TextTokens(loaded.tokenizer, self.settled())
            self._loaded = loaded  # last, since other threads look here
        return self._loaded

    def unload(self) -> None:
        """Free the model; the next text loads it again."""
        if self._loaded is not None:
            loading.unload(self._loaded)
        self._loaded = self._tokens = None

    def describe(self) -> dict:
        """What makes the results what they are, for indexes and caches; fetches the files, loads no weights."""
        settled = self.settled()
        told = {"checkpoint": settled.name, "revision": settled.revision, "weights": self.files().weights_id}
        return {**told, "eos": settled.eos, "causal": settled.causal, "instruction": self.instruction}

    def fingerprint(self) -> str:
        """Sixteen hexadecimal digits that change with anything in `describe` or with the dtype."""
        device = loading.choose_device(self.device)
        told = {**self.describe(), "dtype": str(loading.choose_dtype(self.dtype, device))}
        return hashlib.sha256(json.dumps(told, sort_keys=True).encode()).hexdigest()[:16]

    def passages(self, texts: Sequence[str], length: int, stride: int | None = None) -> list[list[str]]:
        """Each text cut into passages of `length` of the model's tokens, beginning every `stride`; the last reaches the end."""
        self.open()
        return self._tokens.passages(texts, length, stride)

    def _length(self, override: int | None, own: int, option: str) -> int:
        """Tokens that a text may have: `override`, or the checkpoint's `own` as far as the model has positions.

        Raises:
            ValueError: an override beyond the model's positions.
        """
        longest = loading.longest_text(self.files())
        if override is None:
            return own if longest is None else min(own, longest)
        if longest is not None and override > longest:
            raise ValueError(
                f"{option} is {override}, and {self.checkpoint.name!r} reads {longest} tokens at most; lower it"
            )
        return override

    def _budget(self, loaded: loading.Loaded) -> int:
        """Tokens per batch: what was asked for, or what keeps the device busy; a CPU is so by few, which stay in its cache."""
        return self.batch_tokens or (2048 if loaded.device.type == "cpu" else 16384)

    def _note(self, ids: Ids) -> None:
        """These are read now. What pairs of one query share counts for each of them, as language models count prompts."""
        passes, tokens = self.work
        self.work = (passes + len(ids.rows), tokens + int(ids.lengths.sum()))

    def _count(self, truncated: int, total: int, what: str, max_length: int) -> None:
        if truncated:
            level = logging.INFO if self.truncated else logging.WARNING  # once aloud; `truncated` goes on counting
            name = self.checkpoint.name
            logger.log(level, "%s: %d of %d %s were cut to %d tokens", name, truncated, total, what, max_length)
        self.truncated += truncated


def check_texts(texts: Sequence[str], what: str) -> None:
    """Raise ValueError unless `texts` is a sequence of strings; `what` they are goes into the message."""
    if isinstance(texts, str):
        raise ValueError(f"one string was given where a list of texts was expected; write [{texts[:30]!r}]")
    if not hasattr(texts, "__len__"):
        raise ValueError(f"a {type(texts).__name__} was given where a list of texts was expected; write list(...)")
    for i, text in enumerate(texts):
        if not isinstance(text, str):
            raise ValueError(f"{what} {i} is {text!r} ({type(text).__name__}), not a text; give strings")
