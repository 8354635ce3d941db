"""How much a decoder attends to each token of a long text while it reads what follows: attention as a signal (arXiv:2410.02642).

transformers lets a model attend by any registered function (`AttentionInterface`). Ours gives the library's SDPA and, for the
few rows that are asked about, computes the softmax of their products with all keys in float32 beside it. So no layer makes the
full matrix of weights that "eager" attention needs, and the long text is read once for all that may follow it.
"""

import hashlib
import json
import os
from collections.abc import Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass

import numpy as np
import torch
from torch import nn
from transformers import AttentionInterface, AttentionMaskInterface, DynamicCache
from transformers.integrations.sdpa_attention import sdpa_attention_forward
from transformers.masking_utils import sdpa_mask

from rader_ir import loading
from rader_ir.checkpoints import Checkpoint, find_checkpoint
from rader_ir.threads import fit_threads
from rader_ir.weights import Files, fetch

NAME = "rader_attention"
MODEL_TYPES = ("llama", "mistral", "qwen2", "qwen3")
_AT_ONCE = 1 << 24  # weights in memory at a time: 64 MB


class AttentionReader:
    """A decoder without its head, whose attention can be read. Nothing is loaded before the first text.

    Args:
        checkpoint: a folder, hub id, known name or `Checkpoint` of a Llama, Mistral, Qwen2 or Qwen3 model; its head is left out.
        layers: (first, last + 1) of those that count; None takes all. Layers behind them are not computed.
        heads: pairs (layer, head) of those that count, in place of `layers`.
        revision: of a checkpoint on the hub.
        device, dtype: as `loading.choose_device` and `choose_dtype`; int8 is not to be had.

    Raises:
        ValueError: layers and heads that cannot be (now, or once the model is there), or a model that is none of these.
        FileNotFoundError: files that cannot be had (at the first text).
    """

    def __init__(
        self,
        checkpoint: str | os.PathLike | Checkpoint,
        *,
        layers: tuple[int, int] | None = None,
        heads: Sequence[tuple[int, int]] | None = None,
        revision: str | None = None,
        device: str | None = None,
        dtype: str | None = None,
    ):
        if dtype == "int8":
            raise ValueError("dtype 'int8' is for encoders; choose 'float32', 'bfloat16' or 'float16'")
        self.checkpoint = find_checkpoint(checkpoint, revision=revision)
        self.layers, self.heads, self.revision = layers, heads, revision
        self.device, self.dtype = device, dtype
        self._loaded: _Loaded | None = None

    def open(self) -> "_Loaded":
        """The model and its tokenizer, loaded if need be."""
        if self._loaded is None:
            self._loaded = _load(self)
        return self._loaded

    @property
    def tokenizer(self):
        """The model's own."""
        return self.open().tokenizer

    @property
    def context(self) -> int | None:
        """Tokens that the model has positions for, where its configuration tells."""
        return loading.longest_text(self.open().files)

    @torch.inference_mode()
    def masses(self, ids: Sequence[int], endings: Sequence[Sequence[int]]) -> list[np.ndarray]:
        """What the tokens of each ending attend to, summed over layers and heads and averaged over these tokens.

        The text is read once, and each ending behind it as if no other were there.

        Args:
            ids: token ids of a text, of any length.
            endings: one or more lists of token ids, none of them empty.

        Returns:
            For each ending float32 [len(ids) + len(ending)], one number per token of text and ending; their sum is the number of
            heads that count.

        Raises:
            ValueError: weights that are no finite numbers, as float16 may give.
        """
        loaded, cache, found = self.open(), DynamicCache(), []
        if ids:
            loaded.read(ids, cache, None)
        for ending in endings:
            total = torch.zeros(len(ids) + len(ending), dtype=torch.float32, device=loaded.device)
            loaded.read(ending, cache, total)
            cache.crop(-len(ending))
            mass = total.cpu().numpy()
            if not np.isfinite(mass).all():
                raise ValueError(
                    f"{self.checkpoint.name!r} attends by no finite numbers in {loaded.dtype}; take dtype 'bfloat16' or 'float32'"
                )
            found.append(mass)
        return found

    def describe(self) -> dict:
        """What makes the numbers what they are; fetches the files, loads no weights."""
        files = fetch(self.checkpoint)
        told = {"checkpoint": files.checkpoint.name, "revision": files.checkpoint.revision, "weights": files.weights_id}
        return {**told, "layers": self.layers, "heads": self.heads}

    def fingerprint(self) -> str:
        """Sixteen hexadecimal digits that change with anything in `describe` or with the dtype."""
        dtype = loading.choose_dtype(self.dtype, loading.choose_device(self.device))
        told = json.dumps({**self.describe(), "dtype": str(dtype)}, sort_keys=True)
        return hashlib.sha256(told.encode()).hexdigest()[:16]

    def unload(self) -> None:
        """Free the model; the next text loads it again."""
        self._loaded = None
        if torch.cuda.is_available():
            torch.cuda.empty_cache()


@dataclass(frozen=True, eq=False)
class _Loaded:
    """A live model of its own: cut behind the last layer that counts, attending by the registered function."""

    files: Files
    model: nn.Module
    tokenizer: object
    device: torch.device
    dtype: torch.dtype
    chosen: dict[int, list[int]]

    def read(self, ids: Sequence[int], cache: DynamicCache, total: torch.Tensor | None) -> None:
        """Go on from `cache` with some tokens, and add to `total`, if one is given, what they attend to."""
        with _reading_out(_ReadOut(self.chosen, total)):
            self.model(
                input_ids=torch.tensor([list(ids)], device=self.device),
                past_key_values=cache,
                use_cache=True,
            )
        if total is not None:
            total /= len(ids)


@dataclass(frozen=True, eq=False)
class _ReadOut:
    """What is read out of a forward: the heads that count, by layer, and where their attention is added, if anywhere."""

    chosen: dict[int, list[int]]
    total: torch.Tensor | None

    @property
    def last(self) -> int:
        """The last layer that counts."""
        return max(self.chosen)


_now: ContextVar[_ReadOut | None] = ContextVar("read_out", default=None)


@contextmanager
def _reading_out(read_out: _ReadOut):
    token = _now.set(read_out)
    try:
        yield
    finally:
        _now.reset(token)


def _attention(module, query, key, value, attention_mask, scaling=None, **options):
    """transformers' attention function: [1, heads, T, D], keys and values [1, kv heads, S, D] -> [1, T, heads, D], no weights."""
    read_out = _now.get()
    if read_out is not None:
        heads = read_out.chosen.get(module.layer_idx, [])
        if read_out.total is not None and heads:
            scale = query.shape[-1] ** -0.5 if scaling is None else scaling
            mask = None if attention_mask is None else attention_mask[0, 0]
            read_out.total.add_(attended(query[0], key[0], scale=scale, heads=heads, mask=mask))
        if module.layer_idx == read_out.last:  # nobody reads what this layer makes of its values
            return torch.zeros_like(query).transpose(1, 2), None
    return sdpa_attention_forward(module, query, key, value, attention_mask, scaling=scaling, **options)


AttentionInterface.register(NAME, _attention)
AttentionMaskInterface.register(NAME, sdpa_mask)


def attended(
    query: torch.Tensor,
    key: torch.Tensor,
    *,
    scale: float,
    heads: Sequence[int],
    mask: torch.Tensor | None = None,
    at_once: int = _AT_ONCE,
) -> torch.Tensor:
    """Attention weights of one layer, summed over some heads and all rows, in float32 and never all in memory.

    Args:
        query: [H, R, D], positions applied: the last R tokens of a text of S.
        key: [G, S, D], likewise; head h reads the keys of h // (H // G).
        scale: factor of the inner products.
        heads: those that count.
        mask: [R, S], true (or 0, where it is added to products) where a row sees a token; None lets each see all up to itself.
        at_once: how many weights may be in memory.

    Returns:
        float32 [S]; its sum is R times the number of heads.
    """
    rows, length, group = query.shape[1], key.shape[1], query.shape[0] // key.shape[0]
    if mask is None:
        hidden = torch.ones(rows, length, dtype=torch.bool, device=key.device).triu(length - rows + 1)
    else:
        hidden = ~mask if mask.dtype == torch.bool else mask != 0
    total = torch.zeros(length, dtype=torch.float32, device=key.device)
    for number in sorted({head // group for head in heads}):
        own = query[[head for head in heads if head // group == number]].float() * scale
        keys = key[number].float().T
        step = max(1, at_once // (len(own) * length))
        for start in range(0, rows, step):
            products = (own[:, start : start + step] @ keys).masked_fill_(hidden[start : start + step], -torch.inf)
            total += products.softmax(-1).sum((0, 1))
    return total


def _load(reader: AttentionReader) -> _Loaded:
    files = fetch(reader.checkpoint)
    tokenizer = loading.read_tokenizer(files)
    device = loading.choose_device(reader.device)
    dtype = loading.choose_dtype(reader.dtype, device)
    model = loading.read_model(files, tokenizer, dtype).base_model.eval().requires_grad_(False)
    name = files.checkpoint.name
    if reason := _refusal(model.config):
        raise ValueError(f"checkpoint {name!r}: {reason}; take an instruct model of type {', '.join(MODEL_TYPES)}")
    chosen = _chosen(reader, model.config, name)
    _cut(model, max(chosen) + 1)
    model.set_attn_implementation(NAME)
    if device.type == "cpu":
        fit_threads()
    return _Loaded(files, model.to(device), tokenizer, device, dtype, chosen)


def _refusal(config) -> str | None:
    """Why the attention of a configuration is not read, or None."""
    if config.model_type not in MODEL_TYPES:
        return f"the attention of model type {config.model_type!r} is not read"
    if getattr(config, "is_causal", True) is False:
        return "it attends to what follows, so a text cannot be read before its ending is known"
    rotation = (getattr(config, "rope_parameters", None) or {}).get("rope_type", "default")
    if rotation in ("dynamic", "longrope"):
        return f"positions of type {rotation!r} change with what follows"
    return None


def _chosen(reader: AttentionReader, config, name: str) -> dict[int, list[int]]:
    """By layer, the heads that count."""
    layers, heads = config.num_hidden_layers, config.num_attention_heads
    if reader.heads is not None:
        beyond = [pair for pair in reader.heads if not (0 <= pair[0] < layers and 0 <= pair[1] < heads)]
        if beyond:
            raise ValueError(f"heads hold {beyond[0]}; {name!r} has {layers} layers of {heads} heads, counted from 0")
        return {layer: sorted(head for at, head in set(reader.heads) if at == layer) for layer, _ in reader.heads}
    low, high = reader.layers or (0, layers)
    if high > layers:
        raise ValueError(f"layers are ({low}, {high}); {name!r} has {layers}, so the second is {layers} at most")
    return {layer: list(range(heads)) for layer in range(low, high)}


def _cut(model: nn.Module, depth: int) -> None:
    """Leave out the layers from `depth` on, and what the last one left does behind its attention."""
    model.layers = model.layers[:depth]
    model.config.num_hidden_layers = depth
    model.layers[-1].mlp = nn.Identity()
