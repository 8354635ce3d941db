"""BERT's forward over packed texts (arXiv:1810.04805), from the weights of the loaded model of transformers.

One product makes queries, keys and values; GELU and residuals are part of the products around them. The engine compares it
with the library's own forward before it is used.
"""

from dataclasses import dataclass

import torch
from torch import nn
from torch.nn import functional

from rader_ir.linear import Linear, joined, worth_laying_out
from rader_ir.packed.attention import attend
from rader_ir.packed.packs import Pack

ACTIVATIONS = ("gelu", "relu")


@dataclass(frozen=True)
class Feed:
    """The feed-forward half of a layer, residual added."""

    up: Linear
    down: Linear
    activation: str

    def __call__(self, states: torch.Tensor, pack: Pack) -> torch.Tensor:
        """[N, D] -> [N, D]; which tokens of `pack` the states are makes no difference here."""
        return self.down(self.up(states, activation=self.activation), add=states)


@dataclass(frozen=True)
class Layer:
    """One layer's products, and the norms behind its halves."""

    reads: Linear  # queries, keys and values
    out: Linear
    attended: nn.LayerNorm
    feed: Feed
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
        laid_out = worth_laying_out(model)
        self.layers = [_layer(layer, self.config.hidden_act, laid_out) for layer in model.encoder.layer]

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
            mixed = layer.reads(states).view(len(states), 3, heads, width)
            seen = attend(mixed[:, 0], mixed[:, 1], mixed[:, 2], pack, causal=False, scale=width**-0.5)
            states = layer.attended(layer.out(seen.view_as(states), add=states))
            states = layer.fed(layer.feed(states, pack))
        return states

    def _embedded(self, pack: Pack) -> torch.Tensor:
        tables = self.embeddings
        states = functional.embedding(pack.ids, tables.word_embeddings.weight)
        states += functional.embedding(pack.positions, tables.position_embeddings.weight)
        kinds = tables.token_type_embeddings.weight
        states += kinds[0] if pack.types is None else functional.embedding(pack.types, kinds)
        return tables.LayerNorm(states)


def _layer(layer: nn.Module, activation: str, laid_out: bool) -> Layer:
    reads = layer.attention.self
    joint = Linear(*joined([reads.query, reads.key, reads.value]), laid_out=laid_out)
    writes, down = layer.attention.output, layer.output
    out, up, down_product = (
        Linear(part.weight, part.bias, laid_out=laid_out)
        for part in (writes.dense, layer.intermediate.dense, down.dense)
    )
    return Layer(joint, out, writes.LayerNorm, Feed(up, down_product, activation), down.LayerNorm)
