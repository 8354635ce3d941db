"""LoRA adapters merged into the weights that they change: W <- W + scale * B A (Hu et al., arXiv:2106.09685).

The sum is made in float32 whatever the model's own type, once, at loading; afterwards the model costs what its base costs. Layers
that were trained whole (a reranker's head) replace the base's. Adapters of other kinds are refused with their name.
"""

import json
import math
import re
from collections.abc import Iterable, Mapping, Sequence
from itertools import product
from pathlib import Path

import torch
from safetensors import safe_open

from rader_ir.checkpoint_folders import read_json

_PREFIX = "base_model.model."
_DOWN = ".lora_A.weight"
_SAMPLE = "base_sample"  # in the metadata of an adapter's file: some weights of its base, by layer
_SAMPLED = 8  # weights of a layer
_ROUNDING = 2**-7  # twice what bfloat16 leaves of a weight's digits


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
    check_base(model, folder)
    config, tensors = read_adapter(folder)
    parameters = dict(model.named_parameters())
    touched = set()
    with torch.no_grad():
        for name, tensor in tensors.items():
            if name.endswith(".lora_B.weight"):
                continue
            if name.endswith(_DOWN):
                module = name.removesuffix(_DOWN)
                change = _change(module, tensor, tensors[f"{module}.lora_B.weight"], config)
                touched.add(_apply(parameters, f"{module}.weight", change, folder, add=True))
            else:
                touched.add(_apply(parameters, name.replace(".modules_to_save.", "."), tensor, folder, add=False))
    return touched


def sample_of_base(base: Path, tensors: Iterable[str]) -> dict[str, str]:
    """Metadata by which `check_base` knows the base of an adapter again, whatever type and files its weights are then in.

    Args:
        base: its folder.
        tensors: the adapter's, by their names in its file.
    """
    layers = sorted(name.removeprefix(_PREFIX).removesuffix(_DOWN) for name in tensors if name.endswith(_DOWN))
    wanted = {f"{layers[place]}.weight" for place in (0, len(layers) // 2, -1)} if layers else set()
    found = {}
    for path in sorted(base.glob("*.safetensors")):
        with safe_open(path, framework="pt") as file:
            for key, name in product(file.keys(), wanted):
                if f".{name}".endswith(f".{key}") or f".{key}".endswith(f".{name}"):
                    found[name] = _sampled(file.get_tensor(key))
    return {_SAMPLE: json.dumps(found, sort_keys=True)} if found else {}


def check_base(model: torch.nn.Module, folder: Path) -> None:
    """Raise ValueError where weights of `model` are none that the adapter in `folder` was trained over, as its file tells."""
    with safe_open(folder / "adapter_model.safetensors", framework="pt") as file:
        told = json.loads((file.metadata() or {}).get(_SAMPLE, "{}"))
    parameters = dict(model.named_parameters())
    for name, values in told.items():
        found = _named(parameters, name)
        if found is None:
            continue  # whoever merges or trains says which layers are lacking
        there = _sampled(parameters[found])
        if any(abs(a - b) > _ROUNDING * max(abs(a), abs(b)) + 1e-7 for a, b in zip(values, there, strict=False)):
            raise ValueError(
                f"{folder} was trained for another base: weights of its {found!r} are {values[:3]}..., here {there[:3]}...; "
                "set `base` of its checkpoint, or base_model_name_or_path in adapter_config.json, to the one it was trained over"
            )


def _sampled(weights: torch.Tensor) -> list[float]:
    """Evenly spaced weights of a layer, in four digits."""
    flat = weights.detach().flatten()
    return [float(f"{value:.4g}") for value in flat[:: max(1, len(flat) // _SAMPLED)][:_SAMPLED].float().tolist()]


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


def _named(parameters: Mapping[str, torch.Tensor], name: str) -> str | None:
    return next((n for n in (name, name.removeprefix("model."), f"model.{name}") if n in parameters), None)


def find_target(parameters: Mapping[str, torch.Tensor], name: str, shape: Sequence[int], folder: Path) -> str:
    """The name among `parameters` of what the adapter in `folder` calls `name`.

    An adapter made for a model with a head names `model.layers...`, one for the bare model `layers...`.

    Raises:
        ValueError: no such parameter, or one of another shape.
    """
    found = _named(parameters, name)
    if found is None:
        raise ValueError(f"{folder} changes {name!r}, which its base lacks: it was trained for another base")
    if parameters[found].shape != shape:
        raise ValueError(
            f"{folder} changes {name!r} of shape {tuple(shape)}, its base has {tuple(parameters[found].shape)}: "
            "it was trained for another base"
        )
    return found
