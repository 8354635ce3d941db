"""LoRA adapters merged into the weights that they change: W <- W + scale * B A (Hu et al., arXiv:2106.09685).

The sum is made in float32 whatever the model's own type, once, at loading; afterwards the model costs what its base costs. Layers
that were trained whole (a reranker's head) replace the base's. Adapters of other kinds are refused with their name.
"""

import math
import re
from collections.abc import Mapping, Sequence
from pathlib import Path

import torch
from safetensors import safe_open

from rader_ir.checkpoint_folders import read_json

_PREFIX = "base_model.model."


def read_adapter(folder: Path) -> tuple[dict, dict[str, torch.Tensor]]:
    """The adapter's configuration and its tensors, named as in the model that was adapted.

    Raises:
        ValueError: no LoRA adapter.
    """
    config = read_json(folder / "adapter_config.json")
    _refuse_other_kinds(config, folder)
    with safe_open(folder / "adapter_model.safetensors", framework="pt") as file:
        return config, {name.removeprefix(_PREFIX): file.get_tensor(name) for name in file.keys()}  # noqa: SIM118


def merge_adapter(model: torch.nn.Module, folder: Path) -> set[str]:
    """Merge the adapter in `folder` into `model`, in place.

    Returns:
        Names of the parameters that the adapter changed or replaced.

    Raises:
        ValueError: no LoRA adapter, or one that was trained for another base.
    """
    config, tensors = read_adapter(folder)
    parameters = dict(model.named_parameters())
    touched = set()
    with torch.no_grad():
        for name, tensor in tensors.items():
            if name.endswith(".lora_B.weight"):
                continue
            if name.endswith(".lora_A.weight"):
                module = name.removesuffix(".lora_A.weight")
                change = _change(module, tensor, tensors[f"{module}.lora_B.weight"], config)
                touched.add(_apply(parameters, f"{module}.weight", change, folder, add=True))
            else:
                touched.add(_apply(parameters, name.replace(".modules_to_save.", "."), tensor, folder, add=False))
    return touched


def _refuse_other_kinds(config: dict, folder: Path) -> None:
    kind = config.get("peft_type")
    if kind != "LORA" or config.get("use_dora") or config.get("alora_invocation_tokens"):
        kind = "DoRA" if config.get("use_dora") else kind
        raise ValueError(
            f"{folder}: adapters of kind {kind!r} cannot be merged here; merge it with peft and save the model"
        )


def _change(module: str, down: torch.Tensor, up: torch.Tensor, config: dict) -> torch.Tensor:
    rank = _setting(config.get("rank_pattern"), module, config["r"])
    alpha = _setting(config.get("alpha_pattern"), module, config["lora_alpha"])
    scale = alpha / (math.sqrt(rank) if config.get("use_rslora") else rank)
    change = (up.float() @ down.float()) * scale
    return change.T if config.get("fan_in_fan_out") else change


def _setting(patterns: dict | None, module: str, default: float) -> float:
    """A module's own rank or alpha; patterns match the end of its name, as peft matches them."""
    for pattern, value in (patterns or {}).items():
        if re.match(rf"(.*\.)?({pattern})$", module):
            return value
    return default


def _apply(parameters: dict, name: str, tensor: torch.Tensor, folder: Path, *, add: bool) -> str:
    found = find_target(parameters, name, tensor.shape, folder)
    target = parameters[found]
    target.copy_(target.float() + tensor.to(target.device) if add else tensor)
    return found


def find_target(parameters: Mapping[str, torch.Tensor], name: str, shape: Sequence[int], folder: Path) -> str:
    """The name among `parameters` of what the adapter in `folder` calls `name`.

    An adapter made for a model with a head names `model.layers...`, one for the bare model `layers...`.

    Raises:
        ValueError: no such parameter, or one of another shape.
    """
    found = next((n for n in (name, name.removeprefix("model."), f"model.{name}") if n in parameters), None)
    if found is None:
        raise ValueError(f"{folder} changes {name!r}, which its base lacks: it was trained for another base")
    if parameters[found].shape != shape:
        raise ValueError(
            f"{folder} changes {name!r} of shape {tuple(shape)}, its base has {tuple(parameters[found].shape)}: "
            "it was trained for another base"
        )
    return found
