"""BERT's products in 8-bit integers, by oneDNN, on CPUs whose vector units multiply these.

Scales are static, so that a text's vector does not depend on its neighbours: one per output for weights, one for all states,
whose channels are balanced against the weights first (SmoothQuant, arXiv:2211.10438, eq. 4 with alpha 0.6). A text's first token,
where attention rests and some states are many times larger than elsewhere (arXiv:2402.17762), is fed forward in float32. Texts
that are mostly one token over again, or that hold the tokenizer's own marks, have such states elsewhere too and are read in
float32 whole.
"""

from collections import Counter
from collections.abc import Sequence
from copy import copy
from dataclasses import dataclass, replace

import numpy as np
import torch

from rader_ir.linear import Linear
from rader_ir.packed.bert import Bert, Feed, Layer
from rader_ir.packed.packs import Pack

_NEAREST = 0.99  # smallest cosine to float32 that passes
_MONOTONOUS = (
    0.5  # share of a text's tokens that one token has at most; texts with more of one lose up to .3 of their cosine
)
_SAMPLES, _LONGEST_SAMPLE = 128, 256
_ALPHA, _TINY = 0.6, 1e-6
# How far beyond the extremes that were seen codes reach; farther where real texts focus attention more than made ones do
_ROOM, _ROOM_ATTENDED = 1.05, 1.5


def refusal(device: torch.device) -> str | None:
    """Why there is no int8 on a device, or None.

    CPUs without VNNI are refused because oneDNN has no fast way there, and its sums may overflow.
    """
    if device.type != "cpu":
        return f"device {str(device)!r} is no CPU"
    if not (torch.backends.mkldnn.is_available() and hasattr(torch.ops.onednn, "qlinear_pointwise")):
        return f"torch {torch.__version__} comes without oneDNN's products of int8 here"
    if not torch.cpu._is_vnni_supported():
        return "this CPU lacks the VNNI instructions of AVX-512"
    return None


def sample(tokenizer, longest: int | None) -> list[list[int]]:
    """Token ids of made texts, always the same: random words, many short texts and a few of up to `longest` tokens.

    They show the range of each channel's states as well as real texts do.
    """
    random, special = np.random.default_rng(0), set(tokenizer.all_special_ids)
    words = np.array([word for word in range(len(tokenizer)) if word not in special])
    lengths = np.geomspace(3, min(_LONGEST_SAMPLE, longest or _LONGEST_SAMPLE), _SAMPLES).astype(int).tolist()
    texts = [tokenizer.decode(random.choice(words, length)) for length in lengths]
    made = zip(texts, lengths, strict=True)
    rows = [tokenizer(text, truncation=True, max_length=length)["input_ids"] for text, length in made]
    return [row for row in rows if len(row) > 1]


def marks(tokenizer) -> frozenset[int]:
    """Ids that a tokenizer puts around texts, or into them for models to fill; not the one for what it cannot read."""
    return frozenset(tokenizer.all_special_ids) - {tokenizer.unk_token_id}


class Int8:
    """A way to read packs that takes int8 for most texts and float32 for those that lose too much.

    Args:
        exact, fast: the same BERT in float32 and in int8.
        rows: token ids of ordinary texts, each with no more marks than the tokenizer puts around it.
        marks: as the function of that name.
    """

    continues = False

    def __init__(self, exact: Bert, fast: Bert, rows: Sequence[Sequence[int]], marks: frozenset[int]):
        self.exact, self.fast, self.marks = exact, fast, marks
        self.around = max(sum(token in marks for token in row) for row in rows)

    def pooled(self, pack: Pack, pooling: str, prefixes: None = None) -> torch.Tensor:
        """As `Bert.pooled`."""
        rows = [row.tolist() for row in pack.by_text(pack.ids)]
        odd = np.array([self._loses(row) for row in rows])
        if not odd.any():
            return self.fast.pooled(pack, pooling)
        types = None if pack.types is None else [row.tolist() for row in pack.by_text(pack.types)]
        vectors: list[torch.Tensor | None] = [None] * len(rows)
        for way, chosen in ((self.exact, np.flatnonzero(odd)), (self.fast, np.flatnonzero(~odd))):
            if len(chosen):
                given = None if types is None else [types[i] for i in chosen]
                part = way.pooled(Pack([rows[i] for i in chosen], pack.ids.device, types=given, fill=True), pooling)
                for i, vector in zip(chosen, part, strict=True):
                    vectors[i] = vector
        return torch.stack(vectors)

    def _loses(self, row: list[int]) -> bool:
        counts = Counter(row)
        return max(counts.values()) > _MONOTONOUS * len(row) or sum(counts[mark] for mark in self.marks) > self.around


@torch.inference_mode()
def in_int8(bert: Bert, rows: Sequence[Sequence[int]], pooling: str) -> Bert:
    """A forward like `bert`, in float32 on a CPU, whose products are int8.

    Args:
        bert: goes on as it is.
        rows: token ids, two at least, of texts; half of these tell the ranges of states, the others how near the vectors
            come.
        pooling: of these vectors, as `Pack.pooled`.

    Raises:
        ValueError: vectors that are too far from float32's.
    """
    watching, found = copy(bert), copy(bert)
    watching.layers = [_watched(layer) for layer in bert.layers]
    device = bert.embeddings.word_embeddings.weight.device
    for row in rows[1::2]:
        watching.pooled(Pack([row], device), pooling)
    found.layers = [_quantised(*layers) for layers in zip(bert.layers, watching.layers, strict=True)]
    others = Pack(rows[::2], device)
    vectors = (way.pooled(others, pooling).float() for way in (bert, found))
    nearest = torch.cosine_similarity(*vectors).min().item()
    if not nearest >= _NEAREST:
        raise ValueError(
            f"in int8 this checkpoint's vectors have a cosine of {nearest:.3f} to those in float32, less than {_NEAREST}; "
            "take dtype 'float32'"
        )
    return found


class _Watched:
    """A product that keeps the extremes of each channel of the states that it reads, but for the first `skipped` tokens."""

    def __init__(self, product: Linear, skipped: int):
        self.product, self.skipped = product, skipped
        self.low = self.high = torch.zeros(())

    def __call__(self, states: torch.Tensor, **options) -> torch.Tensor:
        low, high = states[self.skipped :].aminmax(dim=0)
        self.low, self.high = torch.minimum(self.low, low), torch.maximum(self.high, high)
        return self.product(states, **options)


class _Int8Linear:
    """One linear layer that reads states as codes, uint8.

    Args:
        watched: the layer in float32, with the extremes of its states.
        room: factor of these extremes.
        balanced: whether channels of states and weights are balanced; not where codes come from the product before.
    """

    def __init__(self, watched: _Watched, *, room: float = _ROOM, balanced: bool = True):
        weight = watched.product.weight
        weight = weight.to_dense() if weight.is_mkldnn else weight
        shares = torch.ones(weight.shape[1])
        if balanced:
            largest = torch.maximum(-watched.low, watched.high)
            weights = weight.abs().amax(dim=0).clamp(min=_TINY)
            shares = largest.clamp(min=_TINY) ** _ALPHA / weights ** (1 - _ALPHA)
            weight = weight * shares
        low, high = room * (watched.low / shares).min().item(), room * (watched.high / shares).max().item()
        self.scale = max(high - low, _TINY) / 255
        self.zero = round(-low / self.scale)
        self.factors = 1 / (shares * self.scale)
        self.middle = torch.tensor([self.zero + 0.5])  # codes are cut down to integers
        self.scales = (weight.abs().amax(dim=1) / 127).clamp(min=_TINY)
        codes = (weight / self.scales[:, None]).round().to(torch.int8)
        self.weight = torch.ops.onednn.qlinear_prepack(codes, None)
        self.zeros = torch.zeros(len(codes), dtype=torch.int32)
        self.bias = watched.product.bias

    def codes(self, states: torch.Tensor) -> torch.Tensor:
        """float32 [N, D] -> uint8 [N, D]."""
        return torch.addcmul(self.middle, states, self.factors).clamp_(0, 255).to(torch.uint8)

    def __call__(self, states: torch.Tensor, *, add: torch.Tensor | None = None) -> torch.Tensor:
        """As `Linear`: float32 or codes [N, D] -> float32 [N, E]."""
        multiply = torch.ops.onednn.qlinear_pointwise
        product, after = self._product(states), (1.0, 0, torch.float32)
        if add is None:
            return multiply(*product, self.bias, *after, "none", [], "")
        return multiply.binary(*product, add, self.bias, *after, 1.0, 0, "add", 1.0, "none", [], "")

    def activated(self, states: torch.Tensor, activation: str, reader: "_Int8Linear") -> torch.Tensor:
        """What `reader` reads: codes of the activated product, uint8 [N, E]."""
        after = (reader.scale, reader.zero, torch.uint8, activation, [], "none" if activation == "gelu" else "")
        return torch.ops.onednn.qlinear_pointwise(*self._product(states), self.bias, *after)

    def _product(self, states: torch.Tensor) -> tuple:
        codes = states if states.dtype == torch.uint8 else self.codes(states)
        return codes, self.scale, self.zero, self.weight, self.scales, self.zeros


@dataclass(frozen=True)
class _Int8Feed:
    """The feed-forward half of a layer in int8, but `exact` for first tokens."""

    up: _Int8Linear
    down: _Int8Linear
    exact: Feed

    def __call__(self, states: torch.Tensor, pack: Pack) -> torch.Tensor:
        """[N, D] -> [N, D], the tokens of `pack`."""
        fed = self.down(self.up.activated(states, self.exact.activation, self.down), add=states)
        return fed.index_copy_(0, pack.first, self.exact(states[pack.first], pack))


def _watched(layer: Layer) -> Layer:
    feed = replace(layer.feed, up=_Watched(layer.feed.up, 1), down=_Watched(layer.feed.down, 1))
    return replace(layer, reads=_Watched(layer.reads, 0), out=_Watched(layer.out, 0), feed=feed)


def _quantised(layer: Layer, watched: Layer) -> Layer:
    up, down = _Int8Linear(watched.feed.up), _Int8Linear(watched.feed.down, balanced=False)
    reads, out = _Int8Linear(watched.reads), _Int8Linear(watched.out, room=_ROOM_ATTENDED)
    return replace(layer, reads=reads, out=out, feed=_Int8Feed(up, down, layer.feed))
