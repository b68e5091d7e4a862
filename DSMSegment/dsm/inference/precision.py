"""Encoding in bfloat16 or 8-bit integers, where the device supports it and the user requests it."""

from __future__ import annotations

from contextlib import AbstractContextManager, nullcontext
from dataclasses import fields, is_dataclass, replace
from typing import Any, TypeVar

import torch
from torch import Tensor

from dsm.core.precision import PRECISIONS
from dsm.errors import DeviceError
from dsm.ops.int8_convolution import has_int8

T = TypeVar("T")


def check_precision(precision: str, device: torch.device) -> None:
    """Check that a precision is not slower than float32.

    Raises:
        DeviceError: If there is no such precision, or the device would only emulate it: 30 times slower on CPUs.
    """
    if precision not in PRECISIONS:
        raise DeviceError(f"There is no precision {precision!r}.", hint=f"Use {' or '.join(PRECISIONS)}.")
    if not is_available(precision, device):
        raise DeviceError(f"The device {str(device)!r} does not compute in {precision}.", hint="Use auto or float32.")


def is_available(precision: str, device: torch.device) -> bool:
    """Return whether the device computes in this precision, one of `PRECISIONS`, without emulating it."""
    if precision == "int8":
        return device.type == "cpu" and has_int8()
    return precision == "float32" or has_bfloat16(device)


def has_bfloat16(device: torch.device) -> bool:
    """Return whether the device has instructions for bfloat16."""
    if device.type == "cuda":
        return torch.cuda.is_bf16_supported()
    names = ("_is_avx512_bf16_supported", "_is_amx_tile_supported")
    return device.type == "cpu" and any(getattr(torch.cpu, name, bool)() for name in names)


def autocast_for(precision: str, device: torch.device) -> AbstractContextManager[Any]:
    """Return a context in which layers compute in `precision`; scans, diffusion and norms stay in float32.

    For int8 the layers themselves are others (`dsm.inference.int8_network`).
    """
    return torch.autocast(device.type, torch.bfloat16) if precision == "bfloat16" else nullcontext()


def to_float32(value: T) -> T:
    """Turn bfloat16 tensors in dataclasses and tuples to float32; the rest stays as it is."""
    if isinstance(value, Tensor):
        return value.float() if value.dtype == torch.bfloat16 else value  # type: ignore[return-value]
    if isinstance(value, tuple):
        return tuple(to_float32(part) for part in value)  # type: ignore[return-value]
    if is_dataclass(value) and not isinstance(value, type):
        return replace(value, **{f.name: to_float32(getattr(value, f.name)) for f in fields(value)})
    return value
