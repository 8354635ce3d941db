"""Linear layers by the fastest exact arithmetic that torch has on a CPU.

torch sends float32 products on CPUs to MKL, which leaves AVX-512 unused on processors that are not Intel's; oneDNN, which torch
carries too, uses it, and adds a residual or applies GELU while the product is still in cache. Where torch lacks
these operators, and on other devices, the same is computed by its ordinary functions.
"""

from collections.abc import Sequence

import torch
from torch import nn
from torch.nn import functional

_ONEDNN = torch.backends.mkldnn.is_available() and hasattr(torch.ops.mkldnn, "_linear_pointwise")
_DTYPES = (torch.float32, torch.bfloat16)


def linear(
    states: torch.Tensor,
    weight: torch.Tensor,
    bias: torch.Tensor | None = None,
    *,
    activation: str = "none",
    add: torch.Tensor | None = None,
) -> torch.Tensor:
    """`activation(states @ weight.T + bias)`, or that without an activation plus `add`.

    states: [N, D], contiguous; weight: [E, D]; bias: [E]; add: [N, E]; activation: "none", "gelu" or "relu" -> [N, E].
    """
    if _ONEDNN and states.device.type == "cpu" and states.dtype in _DTYPES:
        if add is not None:
            return torch.ops.mkldnn._linear_pointwise.binary(states, add, weight, bias, "add")
        form = "none" if activation == "gelu" else ""  # GELU by the error function
        return torch.ops.mkldnn._linear_pointwise(states, weight, bias, activation, [], form)
    product = functional.linear(states, weight, bias)
    if add is not None:
        return product.add_(add)
    return product if activation == "none" else getattr(functional, activation)(product)


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
