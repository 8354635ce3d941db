"""The forward of transformers itself over packed texts, through an attention function that is registered with it.

transformers lets a model attend by any registered function (`AttentionInterface`), with a mask function of the same name. Ours
makes no mask and keeps the texts of a pack apart; where no pack is being read it is the library's SDPA, so a model that was
given it stays what it was for everyone else. Prefixes are read into the library's own cache.
"""

from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass

import torch
from torch import nn
from transformers import AttentionInterface, AttentionMaskInterface, DynamicCache
from transformers.integrations.sdpa_attention import sdpa_attention_forward
from transformers.masking_utils import sdpa_mask

from rader_ir.packed.attention import Prefixes, attend
from rader_ir.packed.packs import Pack

NAME = "rader_packed"
MODEL_TYPES = ("qwen2", "qwen3", "llama", "mistral", "bert")


@dataclass(frozen=True)
class _Reading:
    pack: Pack
    causal: bool
    prefixes: Prefixes | None


_reading: ContextVar[_Reading | None] = ContextVar("reading", default=None)


class Library:
    """A model of transformers reading packs by its own forward.

    Args:
        model: without a head, in evaluation; from now on it attends by the registered function.
        causal: whether a token sees only those before it.
    """

    def __init__(self, model: nn.Module, *, causal: bool):
        self.model, self.causal, self.continues = model, causal, causal
        self.caches = model.config.model_type != "bert"
        model.set_attn_implementation(NAME)

    @staticmethod
    def refusal(config) -> str | None:
        """Why a configuration is not read this way, or None."""
        if config.model_type not in MODEL_TYPES:
            return f"model type {config.model_type!r} has not been tried with packed texts"
        rotation = (getattr(config, "rope_parameters", None) or {}).get("rope_type", "default")
        if rotation in ("dynamic", "longrope"):
            return f"positions of type {rotation!r} depend on the longest text of a batch"
        return None

    def pooled(self, pack: Pack, pooling: str, prefixes: Prefixes | None = None) -> torch.Tensor:
        """One state per text, [n, D], in the order of the rows; as `Decoder.pooled`."""
        options = {"use_cache": False} if self.caches else {}
        hidden = self._forward(pack, prefixes, **options).last_hidden_state
        return pack.pooled(hidden[0], pooling)

    def prefixes(self, pack: Pack) -> Prefixes:
        """Keys and values of each text of a pack, for other texts to continue."""
        cache = self._forward(pack, None, past_key_values=DynamicCache(), use_cache=True).past_key_values
        keys = [pack.by_text(layer.keys[0].transpose(0, 1)) for layer in cache.layers]
        values = [pack.by_text(layer.values[0].transpose(0, 1)) for layer in cache.layers]
        return Prefixes(keys, values)

    def _forward(self, pack: Pack, prefixes: Prefixes | None, **options):
        types = {} if pack.types is None else {"token_type_ids": pack.types[None]}
        with _attending(_Reading(pack, self.causal, prefixes)):
            return self.model(input_ids=pack.ids[None], position_ids=pack.positions[None], **types, **options)


@contextmanager
def _attending(reading: _Reading):
    token = _reading.set(reading)
    try:
        yield
    finally:
        _reading.reset(token)


def _attention(module, query, key, value, attention_mask, scaling=None, **options):
    """transformers' attention function: [1, heads, N, head dimension] -> [1, N, heads, head dimension] and no weights."""
    reading = _reading.get()
    if reading is None:
        return sdpa_attention_forward(module, query, key, value, attention_mask, scaling=scaling, **options)
    known = None if reading.prefixes is None else reading.prefixes.layer(module.layer_idx)
    scale = query.shape[-1] ** -0.5 if scaling is None else scaling
    query, key, value = (states[0].transpose(0, 1) for states in (query, key, value))
    seen = attend(query, key, value, reading.pack, causal=reading.causal, scale=scale, prefixes=known)
    return seen[None], None


def _mask(*arguments, **options):
    """transformers' mask function: none for a pack, since attention itself keeps texts apart."""
    return None if _reading.get() is not None else sdpa_mask(*arguments, **options)


AttentionInterface.register(NAME, _attention)
AttentionMaskInterface.register(NAME, _mask)
