"""Floating-point operations that a forward cannot do without: linear layers and attention products over real tokens.

A multiply-add counts two. Padding, look-ups, norms, activations and softmax count nothing, nor does what a result never
reads: a decoder that is asked for a text's last state needs of its last layer only keys and values of the other tokens. A
way that computes more than this reaches a smaller share of the ceiling.
"""

from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True)
class Shape:
    """Sizes of a transformer: `gated` layers have three matrices between hidden and inner, others two."""

    hidden: int
    inner: int
    layers: int
    heads: int
    kv_heads: int
    gated: bool

    @classmethod
    def of(cls, config) -> "Shape":
        """From a configuration of transformers: BERT's, or a Llama-like decoder's."""
        kv_heads = getattr(config, "num_key_value_heads", None)
        return cls(
            config.hidden_size,
            config.intermediate_size,
            config.num_hidden_layers,
            config.num_attention_heads,
            kv_heads or config.num_attention_heads,
            gated=kv_heads is not None,
        )

    @property
    def kv_width(self) -> int:
        """Length of a token's keys, of all heads together."""
        return self.hidden // self.heads * self.kv_heads

    @property
    def linears(self) -> list[tuple[int, int]]:
        """(inputs, outputs) of one layer's matrices: query, key, value, output, then those of the inner layer."""
        attention = [(self.hidden, self.hidden), *[(self.hidden, self.kv_width)] * 2, (self.hidden, self.hidden)]
        return attention + [(self.hidden, self.inner)] * (1 + self.gated) + [(self.inner, self.hidden)]

    @property
    def weights(self) -> int:
        """Numbers in one layer's matrices."""
        return sum(inputs * outputs for inputs, outputs in self.linears)


def encoder_flops(shape: Shape, lengths: Sequence[int]) -> int:
    """Of encoding texts of `lengths` tokens where every token reads every token of its text, and all states are pooled."""
    linear = 2 * shape.weights * sum(lengths)
    attention = 4 * shape.hidden * sum(length**2 for length in lengths)
    return shape.layers * (linear + attention)


def decoder_flops(shape: Shape, lengths: Sequence[int], *, prefix: int = 0) -> int:
    """Of the last token's state of each text, where a token reads itself, those before it, and a prefix that all share.

    The prefix is computed once. With `prefix` 0 this is the encoding of texts by their last state.
    """
    tokens = prefix + sum(lengths)
    reads = prefix * (prefix + 1) // 2 + sum(length * prefix + length * (length + 1) // 2 for length in lengths)
    last_reads = sum(prefix + length for length in lengths)
    keys_values = 2 * shape.hidden * shape.kv_width
    whole_layer = 2 * shape.weights * tokens + 4 * shape.hidden * reads
    last_layer = 2 * keys_values * tokens + 2 * (shape.weights - keys_values) * len(lengths)
    return (shape.layers - 1) * whole_layer + last_layer + 4 * shape.hidden * last_reads
