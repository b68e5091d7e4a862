"""Weights in and out of a model folder: safetensors, float16 on disk, checked against the manifest."""

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


def save_model(net: DSMNet, config: ModelConfig, folder: Path | str, *, dtype: torch.dtype = torch.float16) -> None:
    """Write `config.json` and `model.safetensors`.

    Args:
        net: The network.
        config: Its configuration.
        folder: Made if it does not exist.
        dtype: Type of the floating-point tensors on disk; one that does not fit into its range stays float32.
    """
    folder = Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    config.save(folder)
    save_file({name: _on_disk(tensor, dtype) for name, tensor in net.state_dict().items()}, folder / WEIGHTS_FILE)


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
        net.load_state_dict({name: _in_memory(tensor) for name, tensor in tensors.items()}, strict=True, assign=True)
    except (RuntimeError, TypeError, ValueError) as error:
        raise WeightsError(
            f"The weights in {folder} do not fit their configuration.",
            code="model.schema",
            hint="Install the model again.",
            details=str(error),
        ) from error
    return net.to(device).eval().requires_grad_(requires_grad=False), config


def _on_disk(tensor: Tensor, dtype: torch.dtype) -> Tensor:
    tensor = tensor.detach().cpu().contiguous()
    if not tensor.is_floating_point():
        return tensor
    small = tensor.to(dtype)
    # The variance in front of a BatchNorm may exceed what float16 can hold.
    return tensor.float() if tensor.isfinite().all() and not small.isfinite().all() else small


def _in_memory(tensor: Tensor) -> Tensor:
    return tensor.float() if tensor.is_floating_point() else tensor
