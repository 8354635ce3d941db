"""Attention over packed texts: each token attends to its own text and to the prefix that the text continues, to nothing else.

Texts of equal length are one dense batch. The shared prefix is read once for all of them, and the two softmaxes are joined by
their normalisers (the log-sum-exp identity that FlashAttention's blocks use, arXiv:2205.14135, section 3.1), so that neither
keys nor masks are copied per text.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import groupby

import torch

from rader_ir.packed.packs import Pack


@dataclass(frozen=True)
class Prefixes:
    """Keys and values of prefixes that are read once.

    Attributes:
        keys, values: for each layer and prefix [P, kv heads, head dimension], positions applied.
    """

    keys: list[Sequence[torch.Tensor]]
    values: list[Sequence[torch.Tensor]]

    def layer(self, number: int) -> "list[tuple[torch.Tensor, torch.Tensor]]":
        """(keys, values) of each prefix in one layer."""
        return list(zip(self.keys[number], self.values[number], strict=True))


def attend(
    query: torch.Tensor,
    key: torch.Tensor,
    value: torch.Tensor,
    pack: Pack,
    *,
    causal: bool,
    scale: float,
    prefixes: "Sequence[tuple[torch.Tensor, torch.Tensor]] | None" = None,
) -> torch.Tensor:
    """Attention of packed texts.

    Args:
        query: [N, heads, head dimension], or [n, heads, head dimension] where each text asks for one token only, which sees
            its whole text.
        key, value: [N, kv heads, head dimension]; fewer heads than `query` has are shared by groups of its heads.
        pack: how the texts lie in the sequence.
        causal: whether a token sees only those before it.
        scale: factor of the inner products.
        prefixes: keys and values of the prefixes that the runs of `pack` name.

    Returns:
        The shape of `query`.
    """
    if query.is_cuda:
        from rader_ir.packed import flash_varlen  # brings torch's compiler, as much to import as torch itself

        if flash_varlen.serves(query):
            return flash_varlen.attend(query, key, value, pack, causal=causal, scale=scale, prefixes=prefixes)
    single = len(query) == len(pack) and len(key) != len(pack)
    out, normalisers, texts = torch.empty_like(query), [], 0
    for run in pack.runs:
        rows = slice(texts, texts + run.count) if single else slice(run.start, run.stop)
        shape = (run.count, -1, query.shape[1], query.shape[2])
        theirs = (run.count, run.length, key.shape[1], key.shape[2])
        parts = (
            query[rows].view(shape),
            key[run.start : run.stop].view(theirs),
            value[run.start : run.stop].view(theirs),
        )
        states, normaliser = _attention(*parts, causal=causal and not single, scale=scale)
        out[rows].view(shape).copy_(states)
        normalisers.append(normaliser)
        texts += run.count
    if prefixes is not None:
        _add_prefixes(out, normalisers, query, pack, prefixes, scale=scale, single=single)
    return out


def _add_prefixes(out, normalisers, query, pack, prefixes, *, scale: float, single: bool) -> None:
    """Join to `out`, in place, what each text sees of its prefix."""
    start = 0
    for number, runs in groupby(zip(pack.runs, normalisers, strict=True), key=lambda pair: pair[0].prefix):
        own = torch.cat([normaliser.reshape(-1, out.shape[1]) for _, normaliser in runs])
        rows = slice(start, start + len(own))
        start += len(own)
        if number < 0:
            continue
        key, value = prefixes[number]
        if not len(key):
            continue
        states, normaliser = _attention(query[rows][None], key[None], value[None], causal=False, scale=scale)
        share = torch.sigmoid(normaliser[0] - own).unsqueeze(-1)
        out[rows] = torch.lerp(out[rows], states[0], share.to(out.dtype))


def _attention(query, key, value, *, causal: bool, scale: float) -> tuple[torch.Tensor, torch.Tensor]:
    """Dense attention with its normalisers. [B, L, H, D], [B, K, G, D] twice -> [B, L, H, D] and float32 [B, L, H]."""
    query, key, value = (states.transpose(1, 2) for states in (query, key, value))
    if query.device.type == "cpu":
        flash = torch.ops.aten._scaled_dot_product_flash_attention_for_cpu
        states, normaliser = flash(query, key, value, is_causal=causal, scale=scale)
    else:
        key, value = (part.repeat_interleave(query.shape[1] // part.shape[1], dim=1) for part in (key, value))
        efficient = torch.ops.aten._scaled_dot_product_efficient_attention
        states, normaliser, *_ = efficient(query, key, value, None, True, is_causal=causal, scale=scale)
        normaliser = normaliser[:, :, : query.shape[2]]  # the kernel rounds its length up
    return states.transpose(1, 2), normaliser.transpose(1, 2)
