"""Linear layers and matrix products by the fastest exact arithmetic that torch has on a CPU.

torch sends float32 products on CPUs to MKL, which leaves AVX-512 unused on processors that are not Intel's; oneDNN, which torch
carries too, uses it, and adds a residual or applies GELU while the product is still in cache. Where torch lacks
these operators, and on other devices, the same is computed by its ordinary functions.
"""

import ctypes
from collections.abc import Sequence

import numpy as np
import torch
from torch import nn
from torch.nn import functional

_ONEDNN = torch.backends.mkldnn.is_available() and hasattr(torch.ops.mkldnn, "_linear_pointwise")
# processors before AVX-512 lack what oneDNN's bfloat16 needs
_HALF = _ONEDNN and torch.ops.mkldnn._is_mkldnn_bf16_supported()
_DTYPES = (torch.float32, torch.bfloat16) if _HALF else (torch.float32,)
_LAID_OUT_BYTES = 1 << 28
_NARROW = 64  # so many rows are sooner the weight, which is packed, than the states


class Linear:
    """One linear layer.

    Args:
        weight: [E, D].
        bias: [E], or None.
        laid_out: whether to hold the weight a second time, laid out for oneDNN, which reads it faster than it finds it.
    """

    def __init__(self, weight: torch.Tensor, bias: torch.Tensor | None, *, laid_out: bool = False):
        self.onednn = _ONEDNN and weight.device.type == "cpu" and weight.dtype in _DTYPES
        lays_out = self.onednn and laid_out and hasattr(torch.ops.mkldnn, "_reorder_linear_weight")
        self.weight = torch.ops.mkldnn._reorder_linear_weight(weight, None) if lays_out else weight
        self.bias = bias

    def __call__(
        self, states: torch.Tensor, *, activation: str = "none", add: torch.Tensor | None = None
    ) -> torch.Tensor:
        """`activation(states @ weight.T + bias)`, or that without an activation plus `add`.

        states: [N, D], contiguous; add: [N, E]; activation: "none", "gelu" or "relu" -> [N, E].
        """
        if self.onednn and add is not None:
            return torch.ops.mkldnn._linear_pointwise.binary(states, add, self.weight, self.bias, "add")
        if self.onednn:
            form = "none" if activation == "gelu" else ""  # GELU by the error function
            return torch.ops.mkldnn._linear_pointwise(states, self.weight, self.bias, activation, [], form)
        product = functional.linear(states, self.weight, self.bias)
        if add is not None:
            return product.add_(add)
        return product if activation == "none" else getattr(functional, activation)(product)


def matrix_product(queries: np.ndarray, rows: np.ndarray) -> np.ndarray:
    """queries [q, d] x rows [m, d] -> [q, m], all float32; the arrays may begin at any byte and be read-only."""
    some, many = _tensor(queries), _tensor(rows)
    with torch.inference_mode():
        if len(queries) <= _NARROW:
            return Linear(some, None)(many).T.contiguous().numpy()
        return Linear(many, None)(some).numpy()


def worth_laying_out(model: nn.Module) -> bool:
    """Whether a model is so small that its linear weights may be held twice."""
    return sum(part.weight.nbytes for part in model.modules() if isinstance(part, nn.Linear)) <= _LAID_OUT_BYTES


def joined(layers: Sequence[nn.Linear]) -> tuple[torch.Tensor, torch.Tensor | None]:
    """One weight [sum of E, D] and bias for layers that read the same states.

    The layers themselves go on with views of these, so that nothing is held twice.
    """
    weight = torch.cat([layer.weight.data for layer in layers])
    bias = None if layers[0].bias is None else torch.cat([layer.bias.data for layer in layers])
    start = 0
    for layer in layers:
        stop = start + layer.out_features
        layer.weight.data = weight[start:stop]
        if bias is not None:
            layer.bias.data = bias[start:stop]
        start = stop
    return weight, bias


def _tensor(array: np.ndarray) -> torch.Tensor:
    memory = (ctypes.c_float * array.size).from_address(array.ctypes.data)  # torch warns of arrays that are read-only
    return torch.frombuffer(memory, dtype=torch.float32).view(array.shape)
