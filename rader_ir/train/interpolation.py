"""Weights between the base's and the trained ones, for a checkpoint that keeps what its base knew of other subjects.

What is learned of a few collections can cost a little on all others; a weight on the way from the base to the trained one often
keeps most of the gain and none of the loss (WiSE-FT, arXiv:2109.01903; of embedding models, LM-Cocktail, arXiv:2311.13534). Of
an adapter that is one factor.
"""

from collections.abc import Iterator
from contextlib import contextmanager

from peft import LoraConfig
from peft.tuners.lora import LoraLayer
from torch import nn


@contextmanager
def interpolated(model: nn.Module, share: float) -> Iterator[None]:
    """While the block runs, the adapters of `model` change its base `share` times as much."""
    layers = [layer for layer in model.modules() if isinstance(layer, LoraLayer)]
    before = [dict(layer.scaling) for layer in layers]
    try:
        for layer in layers:
            layer.scaling = {name: share * factor for name, factor in layer.scaling.items()}
        yield
    finally:
        for layer, factors in zip(layers, before, strict=True):
            layer.scaling = factors


def weakened(adapter: LoraConfig, share: float) -> LoraConfig:
    """The configuration of an adapter that changes its base `share` times as much: a change weighs alpha / rank."""
    return LoraConfig(**{**adapter.to_dict(), "lora_alpha": adapter.lora_alpha * share})
