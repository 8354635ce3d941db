"""The texts of a pack, handed to FlashAttention's kernel, come back as dense attention has them."""

from itertools import pairwise

import numpy as np
import pytest
import torch

from rader_ir.packed import Pack, flash_varlen
from rader_ir.packed.attention import attend

pytestmark = pytest.mark.skipif(flash_varlen.varlen_attn is None, reason="torch before 2.10 has no such kernel")

# rows, the prefixes that they continue, and how long those are
CASES = {
    "several prefixes, one of them empty": (
        [[1, 2, 3], [4], [5, 6], [7, 8, 9], [1]],
        [0, 1, 1, -1, 2],
        [3, 6, 6, 0, 0],
    ),
    "no prefix at all": ([[1], [2, 3]], [-1, -1], [0, 0]),
    "as many tokens as heads": ([[1], [2], [3, 4]], [0, -1, 0], [3, 0, 3]),
    "as many texts as heads": ([[1], [2, 3], [4], [5, 6]], [1, -1, 1, 0], [6, 0, 6, 3]),
}


def dense_kernel(query, key, value, starts, key_starts, longest, longest_key, *, scale, window_size, enable_gqa, **_):
    """What torch's kernel computes, in its own layouts, and as particular: no call without any keys."""
    assert starts.dtype == key_starts.dtype == torch.int32 and query.is_contiguous() and key.is_contiguous()
    assert longest == starts.diff().max() and longest_key == key_starts.diff().max() > 0
    groups = query.shape[1] // key.shape[1]
    assert enable_gqa == (groups > 1)
    states, normaliser = torch.zeros_like(query), torch.full(query.shape[1::-1], torch.inf)
    for (first, last), (start, stop) in zip(pairwise(starts.tolist()), pairwise(key_starts.tolist()), strict=True):
        keys, values = (part[start:stop].repeat_interleave(groups, dim=1) for part in (key, value))
        scores = scale * torch.einsum("qhd,khd->hqk", query[first:last], keys)
        if window_size == (-1, 0):
            scores = scores.masked_fill(torch.ones(scores.shape[1:], dtype=bool).triu(1), -torch.inf)
        if stop > start:  # it leaves infinity and zeros where there are no keys
            normaliser[:, first:last] = scores.logsumexp(dim=-1)
            states[first:last] = torch.einsum("hqk,khd->qhd", scores.softmax(dim=-1), values)
    return states, normaliser


def attended(
    case: str, device: str, dtype: torch.dtype, single: bool, causal: bool
) -> tuple[torch.Tensor, torch.Tensor]:
    """Attention through the kernel, and dense on the CPU in float32."""
    random = torch.Generator().manual_seed(1)
    rows, belongs, offsets = CASES[case]
    packs = [
        Pack(rows, torch.device(d), prefixes=np.array(belongs), offsets=np.array(offsets)) for d in (device, "cpu")
    ]
    states = [torch.randn(len(packs[0].ids), heads, 8, generator=random).to(dtype) for heads in (4, 2, 2)]
    known = [tuple(torch.randn(size, 2, 8, generator=random).to(dtype) for _ in range(2)) for size in (3, 6, 0)]
    if single:
        states[0] = states[0][packs[1].last]
    options = dict(causal=causal, scale=0.3)
    there = [tuple(part.to(device) for part in pair) for pair in known]
    made = flash_varlen.attend(*(part.to(device) for part in states), packs[0], prefixes=there, **options)
    full = [tuple(part.float() for part in pair) for pair in known]
    return made.float().cpu(), attend(*(part.float() for part in states), packs[1], prefixes=full, **options)


@pytest.mark.parametrize("causal", [True, False])
@pytest.mark.parametrize("single", [True, False])
@pytest.mark.parametrize("case", CASES)
def test_what_is_handed_over_and_what_is_made_of_it(case, single, causal, monkeypatch):
    """On any machine: around a kernel that is dense attention in PyTorch's layouts."""
    monkeypatch.setattr(flash_varlen, "varlen_attn", dense_kernel)
    made, right = attended(case, "cpu", torch.float32, single, causal)
    assert (made - right).abs().max() < 1e-6


@pytest.mark.skipif(not torch.cuda.is_available(), reason="the kernel itself needs a CUDA device")
@pytest.mark.parametrize("causal", [True, False])
@pytest.mark.parametrize("single", [True, False])
@pytest.mark.parametrize("case", CASES)
def test_the_kernel_itself(case, single, causal):
    made, right = attended(case, "cuda", torch.bfloat16, single, causal)
    assert (made - right).abs().max() < 3e-2


def test_what_the_kernel_cannot_read_is_left_alone():
    assert not flash_varlen.serves(torch.zeros(3, 4, 8, dtype=torch.bfloat16))
