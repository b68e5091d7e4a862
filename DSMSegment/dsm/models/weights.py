"""Weights in and out of a model folder: safetensors, half precision or 8 bits on disk, float32 in memory.

On disk, `torch.int8` means: the weights of convolutions and linear layers, and the learned queries, are 8-bit integers
with one float32 scale for each slice along their first axis; all else is float16 (docs/adr/0033).
"""

from __future__ import annotations

from pathlib import Path

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import Tensor

from dsm.errors import ModelNotFoundError, WeightsError
from dsm.models.config import ModelConfig
from dsm.nn.dsm_net import DSMNet

WEIGHTS_FILE = "model.safetensors"

_SCALE = ".int8_scale"  # after the name of an 8-bit tensor: the name of its scales
_INT8_MAX = 127
_FEWEST_FOR_INT8 = 4096  # smaller tensors are not worth the rounding


def save_model(net: DSMNet, config: ModelConfig, folder: Path | str, *, dtype: torch.dtype = torch.float16) -> None:
    """Write `config.json` and `model.safetensors`.

    Args:
        net: The network.
        config: Its configuration.
        folder: Made if it does not exist.
        dtype: Type of the floating-point tensors on disk: `float32`, `float16`, `bfloat16`, or `int8` for large weights
            as 8-bit integers. A tensor that exceeds the range of a half-precision type stays float32.
    """
    folder = Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    config.save(folder)
    learned = {name for name, _ in net.named_parameters()}
    tensors: dict[str, Tensor] = {}
    for name, parameter in net.state_dict().items():
        tensor = parameter.detach().cpu().contiguous()
        if dtype == torch.int8 and name in learned and _is_large(tensor) and tensor.isfinite().all():
            tensors[name], tensors[name + _SCALE] = _to_int8(tensor)
        else:
            tensors[name] = _on_disk(tensor, torch.float16 if dtype == torch.int8 else dtype)
    save_file(tensors, folder / WEIGHTS_FILE)


def load_model(folder: Path | str, *, device: torch.device | str = "cpu") -> tuple[DSMNet, ModelConfig]:
    """Read a model folder; float32 in memory, in evaluation mode.

    Raises:
        ModelNotFoundError: If a file is missing.
        WeightsError: If the weights are damaged or belong to another network.
    """
    folder = Path(folder)
    config = ModelConfig.load(folder)
    path = folder / WEIGHTS_FILE
    if not path.is_file():
        raise ModelNotFoundError(f"{path} does not exist.", hint="Install the model again.")
    try:
        tensors = load_file(path)
    except (SafetensorError, OSError) as error:
        raise WeightsError(f"{path} cannot be read: {error}.", hint="Install the model again.") from error
    try:
        # Not on the "meta" device: the first use of that imports a compiler, a second for what takes a tenth of one.
        with torch.random.fork_rng(devices=[]):
            net = DSMNet(config)
        net.load_state_dict(_in_memory(tensors), strict=True, assign=True)
    except (LookupError, RuntimeError, TypeError, ValueError) as error:
        raise WeightsError(
            f"The weights in {folder} do not fit their configuration.",
            code="model.schema",
            hint="Install the model again.",
            details=str(error),
        ) from error
    return net.to(device).eval().requires_grad_(requires_grad=False), config


def _on_disk(tensor: Tensor, dtype: torch.dtype) -> Tensor:
    if not tensor.is_floating_point():
        return tensor
    small = tensor.to(dtype)
    # The variance in front of a BatchNorm may exceed what float16 can hold.
    return tensor.float() if tensor.isfinite().all() and not small.isfinite().all() else small


def _is_large(tensor: Tensor) -> bool:
    return tensor.is_floating_point() and tensor.ndim >= 2 and tensor.numel() >= _FEWEST_FOR_INT8


def _to_int8(tensor: Tensor) -> tuple[Tensor, Tensor]:
    """Round to 8 bits; the largest value of each slice along the first axis becomes 127."""
    rows = tensor.float().flatten(1)
    scale = (rows.abs().amax(dim=1) / _INT8_MAX).clamp_min(torch.finfo(torch.float32).tiny)
    return (rows / scale[:, None]).round().to(torch.int8).reshape(tensor.shape), scale


def _in_memory(tensors: dict[str, Tensor]) -> dict[str, Tensor]:
    """Floating-point tensors as float32, 8-bit ones multiplied by their scales."""
    found = {}
    for name, tensor in tensors.items():
        scaled = tensors.get(name.removesuffix(_SCALE))
        if name.endswith(_SCALE) and scaled is not None and scaled.dtype == torch.int8:
            continue
        if tensor.dtype == torch.int8:
            scale = tensors[name + _SCALE].float()
            found[name] = (tensor.flatten(1).float() * scale[:, None]).reshape(tensor.shape)
        else:
            found[name] = tensor.float() if tensor.is_floating_point() else tensor
    return found
