"""The fastest matrix products known here, at a model's own shapes: what its forward can at best come near to.

torch's linear layer goes to MKL or whatever torch was built with; oneDNN can be faster by a factor of two, and with weights
laid out beforehand a little more. All of them take turns with what is measured, so that the ceiling is of the same minutes.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cached_property

import torch

from tests.benchmarks.arithmetic import Shape


@dataclass(frozen=True)
class Ceiling:
    """Operations per second of the fastest way, and every way's in words."""

    rate: float
    told: str


class Products:
    """One layer's matrix products in every way that this torch has.

    Args:
        shape: whose matrices.
        tokens: rows of the left side; fewer than a batch would fill no core, many more fit into no cache.
        work: operations per call, about; what takes no time cannot be timed.
        dtype, device: of both sides.
    """

    def __init__(self, shape: Shape, *, tokens: int = 1024, work: float = 2e10, dtype=torch.float32, device="cpu"):
        once = 2 * shape.weights * tokens
        self.repeats = max(1, round(work / once))
        self.flops = once * self.repeats
        options = dict(dtype=dtype, device=device)
        sizes = {inputs for inputs, _ in shape.linears}
        self.rows = {inputs: torch.randn(tokens, inputs, **options) for inputs in sizes}
        self.matrices = [torch.randn(outputs, inputs, **options) for inputs, outputs in shape.linears]

    @cached_property
    def ways(self) -> dict[str, Callable[[], None]]:
        """Each way, to be timed; those that this build of torch lacks are left out."""
        linear = torch.nn.functional.linear
        found = {"torch linear": lambda: self._multiply(linear, self.matrices)}
        if self.matrices[0].device.type != "cpu" or not torch.backends.mkldnn.is_available():
            return found
        operations = torch.ops.mkldnn
        if hasattr(operations, "_linear_pointwise"):
            found["oneDNN"] = lambda: self._multiply(_onednn, self.matrices)
            if hasattr(operations, "_reorder_linear_weight"):
                laid_out = [operations._reorder_linear_weight(matrix, None) for matrix in self.matrices]
                found["oneDNN, weights laid out"] = lambda: self._multiply(_onednn, laid_out)
        return found

    @torch.inference_mode()
    def _multiply(self, product: Callable, matrices: list[torch.Tensor]) -> None:
        for _ in range(self.repeats):
            for plain, matrix in zip(self.matrices, matrices, strict=True):
                product(self.rows[plain.shape[1]], matrix)
        if self.matrices[0].device.type == "cuda":
            torch.cuda.synchronize()

    def ceiling(self, seconds: Mapping[str, float]) -> Ceiling:
        """From the seconds that each of `ways` took; other names are passed over."""
        rates = {name: self.flops / seconds[name] for name in self.ways}
        told = ", ".join(f"{name} {rate / 1e9:.0f}" for name, rate in rates.items())
        return Ceiling(max(rates.values()), f"GF/s: {told}")


def _onednn(rows: torch.Tensor, matrix: torch.Tensor) -> torch.Tensor:
    return torch.ops.mkldnn._linear_pointwise(rows, matrix, None, "none", [], "")
