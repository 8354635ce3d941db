"""BERT's forward over packed texts (arXiv:1810.04805), from the weights of the loaded model of transformers.

One product makes queries, keys and values; GELU and residuals are part of the products around them. The engine compares it
with the library's own forward before it is used.
"""

from dataclasses import dataclass

import torch
from torch import nn
from torch.nn import functional

from rader_ir.packed.attention import attend
from rader_ir.packed.linear import joined, linear
from rader_ir.packed.packs import Pack

ACTIVATIONS = ("gelu", "relu")


@dataclass(frozen=True)
class _Layer:
    weight: torch.Tensor  # of queries, keys and values
    bias: torch.Tensor
    out: nn.Linear
    attended: nn.LayerNorm
    up: nn.Linear
    down: nn.Linear
    fed: nn.LayerNorm


class Bert:
    """A `BertModel`'s forward over packs.

    Args:
        model: in evaluation; its projections of queries, keys and values become views of joined weights.
        causal: never for BERT.
    """

    def __init__(self, model: nn.Module, *, causal: bool = False):
        self.continues = causal
        self.embeddings, self.config = model.embeddings, model.config
        self.layers = [_layer(layer) for layer in model.encoder.layer]

    @staticmethod
    def refusal(config) -> str | None:
        """Why a configuration is not computed here, or None."""
        if config.model_type != "bert":
            return f"model type {config.model_type!r} has no forward of its own here"
        if config.hidden_act not in ACTIVATIONS or config.is_decoder:
            return f"activation {config.hidden_act!r} or a causal BERT has no forward of its own here"
        return None

    def pooled(self, pack: Pack, pooling: str, prefixes: None = None) -> torch.Tensor:
        """One state per text, [n, D], in the order of the rows; pooling as `Pack.pooled`."""
        return pack.pooled(self._hidden(pack), pooling)

    def _hidden(self, pack: Pack) -> torch.Tensor:
        heads = self.config.num_attention_heads
        states = self._embedded(pack)
        width = states.shape[1] // heads
        for layer in self.layers:
            mixed = linear(states, layer.weight, layer.bias).view(len(states), 3, heads, width)
            seen = attend(mixed[:, 0], mixed[:, 1], mixed[:, 2], pack, causal=False, scale=width**-0.5)
            states = layer.attended(linear(seen.view_as(states), layer.out.weight, layer.out.bias, add=states))
            fed = linear(states, layer.up.weight, layer.up.bias, activation=self.config.hidden_act)
            states = layer.fed(linear(fed, layer.down.weight, layer.down.bias, add=states))
        return states

    def _embedded(self, pack: Pack) -> torch.Tensor:
        tables = self.embeddings
        states = functional.embedding(pack.ids, tables.word_embeddings.weight)
        states += functional.embedding(pack.positions, tables.position_embeddings.weight)
        kinds = tables.token_type_embeddings.weight
        states += kinds[0] if pack.types is None else functional.embedding(pack.types, kinds)
        return tables.LayerNorm(states)


def _layer(layer: nn.Module) -> _Layer:
    reads = layer.attention.self
    weight, bias = joined([reads.query, reads.key, reads.value])
    writes, up, down = layer.attention.output, layer.intermediate, layer.output
    return _Layer(weight, bias, writes.dense, writes.LayerNorm, up.dense, down.dense, down.LayerNorm)
