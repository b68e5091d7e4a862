"""Validation of a device name."""

from __future__ import annotations

import torch

from dsm.errors import DeviceError


def checked_device(name: str | torch.device) -> torch.device:
    """Return the device after checking that this machine has it.

    Args:
        name: `"cpu"`, `"cuda"`, `"cuda:1"`, `"mps"`, or `"auto"` for the first GPU, else the CPU.

    Raises:
        DeviceError: If there is no such device.
    """
    if name == "auto":
        name = "cuda" if torch.cuda.is_available() else "mps" if torch.backends.mps.is_available() else "cpu"
    try:
        device = torch.device(name)
        torch.empty(1, device=device)
    except (RuntimeError, AssertionError) as error:
        # torch without CUDA raises AssertionError here.
        raise DeviceError(
            f"The device {str(name)!r} does not exist on this machine or does not work.",
            hint="Use cpu, or auto.",
            details=str(error),
        ) from error
    return device
