"""Devices of this machine, found without importing PyTorch (which takes seconds)."""

from __future__ import annotations

import platform
import shutil
import subprocess
import sys
from importlib.metadata import PackageNotFoundError, version

from dsm.core.memory import main_memory
from dsm.core.processor import processor_name
from dsm.wire.messages import Device

_DRIVER_TIMEOUT_S = 5.0
_MIB = 2**20
_NO_TORCH = "PyTorch is not installed."


def torch_version() -> str:
    """Return the version of the installed PyTorch, e.g. `"2.13.0+cpu"`; empty when there is none."""
    try:
        return version("torch")
    except PackageNotFoundError:
        return ""


def find_devices() -> tuple[Device, ...]:
    """Return the CPU and the GPUs of this machine, each with the reason when it cannot be used.

    The driver is asked, not PyTorch; whether both fit together shows when a model is loaded.
    """
    torch = torch_version()
    memory = main_memory()
    reason = "" if torch else _NO_TORCH
    cpu = Device(
        id="cpu", name=processor_name(), free=memory.free, total=memory.total, usable=bool(torch), reason=reason
    )
    return (cpu, *(_apple_gpu(torch) if sys.platform == "darwin" else _nvidia_gpus(torch)))


def _nvidia_gpus(torch: str) -> list[Device]:
    if not torch:
        reason = _NO_TORCH
    elif torch.endswith("+cpu"):
        reason = "The installed PyTorch is the build without CUDA."
    else:
        reason = ""
    rows = _ask_driver()
    if not rows:
        return [Device(id="cuda", name="NVIDIA GPU", usable=False, reason="No NVIDIA GPU with a driver was found.")]
    return [
        Device(id=f"cuda:{index}", name=name, free=free, total=total, usable=not reason, reason=reason)
        for index, (name, free, total) in enumerate(rows)
    ]


def _ask_driver() -> list[tuple[str, int, int]]:
    """Return name, free and total bytes of each GPU; empty when there is none or the driver does not answer."""
    command = shutil.which("nvidia-smi")
    if command is None:
        return []
    query = [command, "--query-gpu=name,memory.free,memory.total", "--format=csv,noheader,nounits"]
    try:
        table = subprocess.run(query, capture_output=True, timeout=_DRIVER_TIMEOUT_S, check=True, text=True).stdout
        rows = [line.rsplit(",", 2) for line in table.splitlines() if line.strip()]
        return [(name.strip(), int(free) * _MIB, int(total) * _MIB) for name, free, total in rows]
    except (OSError, subprocess.SubprocessError, ValueError):
        return []


def _apple_gpu(torch: str) -> list[Device]:
    if platform.machine() != "arm64":
        return []
    memory = main_memory()  # shared with the CPU
    reason = "" if torch else _NO_TORCH
    return [Device(id="mps", name="Apple GPU", free=memory.free, total=memory.total, usable=not reason, reason=reason)]
