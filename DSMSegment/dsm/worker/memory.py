"""How much memory the machine has, and how much this process took."""

from __future__ import annotations

import sys
from pathlib import Path


def main_memory_bytes() -> tuple[int, int]:
    """Return (free, total) main memory; zeros where the system does not tell."""
    try:
        lines = Path("/proc/meminfo").read_text(encoding="ascii").splitlines()
        kilobytes = {line.split(":")[0]: int(line.split()[1]) for line in lines}
        return kilobytes["MemAvailable"] * 1024, kilobytes["MemTotal"] * 1024
    except (OSError, ValueError, LookupError):
        return _psutil_memory()


def peak_memory_bytes(device: str) -> int:
    """Return the largest memory so far: of the GPU for a CUDA device, else of this process; 0 where unknown.

    Args:
        device: PyTorch's name of the device, e.g. `"cuda:0"`.
    """
    torch = sys.modules.get("torch")  # asked only when it is loaded already: importing it takes seconds
    if device.startswith("cuda") and torch is not None:
        return int(torch.cuda.max_memory_allocated(device))
    if sys.platform == "win32":
        return 0
    import resource  # noqa: PLC0415  (not on Windows)

    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak if sys.platform == "darwin" else peak * 1024  # bytes on macOS, kilobytes elsewhere


def _psutil_memory() -> tuple[int, int]:
    try:
        import psutil  # type: ignore[import-untyped]  # noqa: PLC0415  (optional: not in Slicer)
    except ImportError:
        return 0, 0
    memory = psutil.virtual_memory()
    return int(memory.available), int(memory.total)
