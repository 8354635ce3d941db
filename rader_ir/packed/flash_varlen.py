"""Attention of packed texts by torch's FlashAttention for sequences of any length, on CUDA devices in half precision.

One kernel takes all texts of a pack, and a second one what they see of their prefixes; the two are joined by their normalisers,
as in `attention`, which serves everything else.
"""

from collections.abc import Sequence
from itertools import accumulate, groupby

import torch

from rader_ir.packed.packs import Pack

try:
    from torch.nn.attention.varlen import AuxRequest, varlen_attn
except ImportError:  # torch before 2.10
    varlen_attn = None


def serves(query: torch.Tensor) -> bool:
    """Whether these queries can be attended from here."""
    if varlen_attn is None or not query.is_cuda or query.dtype not in (torch.bfloat16, torch.float16):
        return False
    return torch.cuda.get_device_capability(query.device) >= (8, 0)  # the kernel needs Ampere or newer


def attend(
    query: torch.Tensor,
    key: torch.Tensor,
    value: torch.Tensor,
    pack: Pack,
    *,
    causal: bool,
    scale: float,
    prefixes: Sequence[tuple[torch.Tensor, torch.Tensor]] | None = None,
) -> torch.Tensor:
    """As `attention.attend`."""
    single = len(query) == len(pack) and len(key) != len(pack)
    lengths = [run.length for run in pack.runs for _ in range(run.count)]
    asked = [1] * len(lengths) if single else lengths
    own = _varlen(query, key, value, asked, lengths, causal=causal and not single, scale=scale)
    if prefixes is None or all(run.prefix < 0 or not len(prefixes[run.prefix][0]) for run in pack.runs):
        return own[0]
    segments = [(number, list(runs)) for number, runs in groupby(pack.runs, lambda run: run.prefix)]
    none = key[:0], value[:0]
    keys, values = zip(*(none if number < 0 else prefixes[number] for number, _ in segments), strict=True)
    reach = [len(part) for part in keys]
    tokens = [sum(run.count * (1 if single else run.length) for run in runs) for _, runs in segments]
    states, normaliser = _varlen(query, torch.cat(keys), torch.cat(values), tokens, reach, causal=False, scale=scale)
    share = torch.sigmoid(normaliser - own[1])
    for start, size, seen in zip(accumulate([0, *tokens]), tokens, reach, strict=False):
        if not seen:  # the kernel's normaliser of nothing is not minus infinity
            share[start : start + size] = 0
    return torch.lerp(own[0], states, share.unsqueeze(-1).to(states.dtype))


def _varlen(query, key, value, asked: list[int], lengths: list[int], *, causal: bool, scale: float):
    """Attention [N, heads, head dimension] with its normalisers, float32 [N, heads]."""
    ends = [torch.tensor([0, *accumulate(sizes)], dtype=torch.int32, device=query.device) for sizes in (asked, lengths)]
    states, normaliser = varlen_attn(
        query.contiguous(),
        key.contiguous(),
        value.contiguous(),
        *ends,
        max(asked),
        max(lengths),
        scale=scale,
        window_size=(-1, 0) if causal else (-1, -1),
        enable_gqa=key.shape[1] != query.shape[1],
        return_aux=AuxRequest(lse=True),
    )
    # documented as [N, heads], made as [heads, N]; a torch that makes the former fails in the engine's comparison
    return states, normaliser.T
