"""The forward of Llama-like decoders over packed texts (Qwen2, Qwen3, Llama, Mistral), from the loaded model's weights.

A prefix that texts share is read once; of the last layer only what is asked for is computed: for prefixes their keys and
values, for texts the token that is pooled. The engine compares it with the library's own forward before it is used.
"""

from dataclasses import dataclass

import torch
from torch import nn
from torch.nn import functional

from rader_ir.linear import Linear, joined, worth_laying_out
from rader_ir.packed.attention import Prefixes, attend
from rader_ir.packed.packs import Pack

MODEL_TYPES = ("qwen2", "qwen3", "llama", "mistral")
# Angles that do not depend on the longest text of a batch
FIXED_ROTATIONS = ("default", "linear", "llama3", "yarn")


@dataclass(frozen=True)
class _Layer:
    before: nn.Module  # norm
    reads: Linear  # queries, keys and values
    norms: tuple[nn.Module, nn.Module] | None  # of queries and of keys, in each head (Qwen3)
    out: Linear
    between: nn.Module  # norm
    gate: Linear
    up: Linear
    down: Linear


class Decoder:
    """A decoder's forward over packs.

    Args:
        model: without a head, in evaluation; its projections of queries, keys and values become views of joined weights.
        causal: whether a token sees only those before it.
    """

    def __init__(self, model: nn.Module, *, causal: bool = True):
        self.model, self.causal = model, causal
        self.continues = causal  # a prefix that saw what follows it could not be shared
        config = model.config
        self.heads, self.kv_heads = config.num_attention_heads, config.num_key_value_heads
        self.width = getattr(config, "head_dim", None) or config.hidden_size // self.heads
        self.scale = self.width**-0.5
        laid_out = worth_laying_out(model)
        self.layers = [_layer(layer, laid_out) for layer in model.layers]

    @staticmethod
    def refusal(config) -> str | None:
        """Why a configuration is not computed here, or None."""
        if config.model_type not in MODEL_TYPES:
            return f"model type {config.model_type!r} has no forward of its own here"
        rotation = config.rope_parameters["rope_type"]
        if rotation not in FIXED_ROTATIONS or config.hidden_act != "silu":
            return (
                f"positions of type {rotation!r} or activation {config.hidden_act!r} have no forward of their own here"
            )
        return None

    def pooled(self, pack: Pack, pooling: str, prefixes: Prefixes | None = None) -> torch.Tensor:
        """One state per text, [n, D], in the order of the rows.

        Args:
            pack: texts, each continuing the prefix that its run names.
            pooling: as `Pack.pooled`.
            prefixes: what `prefixes` made.
        """
        if pooling == "mean":
            return pack.pooled(self._hidden(pack, None, prefixes), pooling)
        wanted = pack.last if pooling == "last" else pack.first
        if pooling == "first" and self.causal:
            return pack.pooled(self._hidden(pack, None, prefixes), pooling)
        return pack.in_order(self._hidden(pack, wanted, prefixes))

    def prefixes(self, pack: Pack) -> Prefixes:
        """Keys and values of each text of a pack, for other texts to continue."""
        kept = Prefixes([], [])
        states, turns = self._start(pack)
        for number, layer in enumerate(self.layers):
            query, key, value = self._projected(layer, states, turns)
            kept.keys.append(pack.by_text(key))
            kept.values.append(pack.by_text(value))
            if number < len(self.layers) - 1:
                seen = attend(query, key, value, pack, causal=self.causal, scale=self.scale)
                states = _fed(layer, layer.out(seen.flatten(1), add=states))
        return kept

    def _hidden(self, pack: Pack, wanted: torch.Tensor | None, prefixes: Prefixes | None) -> torch.Tensor:
        states, turns = self._start(pack)
        for number, layer in enumerate(self.layers):
            query, key, value = self._projected(layer, states, turns)
            if wanted is not None and number == len(self.layers) - 1:
                query, states = query[wanted], states[wanted]
            known = None if prefixes is None else prefixes.layer(number)
            seen = attend(query, key, value, pack, causal=self.causal, scale=self.scale, prefixes=known)
            states = _fed(layer, layer.out(seen.flatten(1), add=states))
        return self.model.norm(states)

    def _start(self, pack: Pack) -> tuple[torch.Tensor, tuple[torch.Tensor, torch.Tensor]]:
        states = self.model.embed_tokens(pack.ids)
        cosine, sine = self.model.rotary_emb(states, pack.positions[None])
        half = self.width // 2  # the other half of the angles repeats the first
        return states, (cosine[0, :, None, :half], sine[0, :, None, :half])

    def _projected(self, layer: _Layer, states: torch.Tensor, turns) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
        """Queries, keys and values, each [N, heads, head dimension], the first two turned by their positions."""
        mixed = layer.reads(layer.before(states)).view(len(states), -1, self.width)
        query, key, value = mixed.split([self.heads, self.kv_heads, self.kv_heads], dim=1)
        if layer.norms is not None:
            query, key = layer.norms[0](query), layer.norms[1](key)
        return _turned(query, *turns), _turned(key, *turns), value


def _turned(states: torch.Tensor, cosine: torch.Tensor, sine: torch.Tensor) -> torch.Tensor:
    """Rotary positions (arXiv:2104.09864), halves as pairs. states: [N, heads, D]; cosine, sine: [N, 1, D / 2]."""
    first, second = states.chunk(2, dim=-1)
    turned = torch.empty(states.shape, dtype=states.dtype, device=states.device)
    half = first.shape[-1]
    torch.mul(first, cosine, out=turned[..., :half]).addcmul_(second, sine, value=-1)
    torch.mul(second, cosine, out=turned[..., half:]).addcmul_(first, sine)
    return turned


def _fed(layer: _Layer, states: torch.Tensor) -> torch.Tensor:
    """The feed-forward half of a layer (SwiGLU, arXiv:2002.05202), residual added."""
    normed = layer.between(states)
    gate = functional.silu(layer.gate(normed), inplace=True)
    gate *= layer.up(normed)
    return layer.down(gate, add=states)


def _layer(layer: nn.Module, laid_out: bool) -> _Layer:
    reads, feeds = layer.self_attn, layer.mlp
    joint = Linear(*joined([reads.q_proj, reads.k_proj, reads.v_proj]), laid_out=laid_out)
    norms = (reads.q_norm, reads.k_norm) if hasattr(reads, "q_norm") else None
    out, gate, up, down = (
        Linear(part.weight, part.bias, laid_out=laid_out)
        for part in (reads.o_proj, feeds.gate_proj, feeds.up_proj, feeds.down_proj)
    )
    return _Layer(layer.input_layernorm, joint, norms, out, layer.post_attention_layernorm, gate, up, down)
