"""An IDCM over a tiny cross-encoder: random weights, large enough that windows differ."""

from pathlib import Path

import torch
from transformers import AutoConfig

from rader_ir.idcm import IDCMConfig, new_weights, write_idcm

WORDS = [
    *("law", "large", "numbers", "sample", "average", "expected", "value", "integral"),
    *("domain", "field", "graph", "bipartite", "odd", "cycle", "determinant"),
]


def made(folder: Path, strong: Path, *, seed: int = 1, **config) -> Path:
    """An IDCM in `folder` with windows of 6 + 2 * 2 tokens, of which 3 are read and the best 2 count."""
    told = IDCMConfig(**{"strong": str(strong), "core": 6, "overlap": 2, "passages": 3, "best": 2, **config})
    dimension = AutoConfig.from_pretrained(strong).hidden_size
    selector, weights = new_weights(told, dimension, seed)
    with torch.no_grad():
        generator = torch.Generator().manual_seed(seed)
        selector.combine.weight.copy_(torch.randn(selector.combine.weight.shape, generator=generator))
        selector.scale.copy_(torch.rand(selector.scale.shape, generator=generator) + 0.5)
        weights = torch.rand(weights.shape, generator=generator) + 0.5
    folder.mkdir(parents=True, exist_ok=True)
    write_idcm(folder, told, selector, weights)
    return folder


def text(length: int, start: int = 0) -> str:
    """So many words, no two windows of which are alike."""
    return " ".join(WORDS[(start + i * (1 + i // len(WORDS))) % len(WORDS)] for i in range(length))
