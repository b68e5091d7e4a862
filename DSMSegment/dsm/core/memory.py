"""Main memory: how much this process may still take, and how much it took.

psutil asks the system; the control group of a container and `ulimit -v`, which it does not know, are asked here.
"""

from __future__ import annotations

import sys
from dataclasses import dataclass
from pathlib import Path

import psutil

_CONTROL_GROUP = Path("/sys/fs/cgroup")


@dataclass(frozen=True, slots=True)
class MainMemory:
    """Main memory in bytes, within the limits of the container and of this process.

    Args:
        free: What this process can still take without swapping; the page cache counts as free.
        total: All of it.
    """

    free: int
    total: int


def main_memory() -> MainMemory:
    """Return the main memory available to this process."""
    memory = psutil.virtual_memory()
    limits = [limit for limit in (_container_limit(), _address_space_limit()) if limit is not None]
    return MainMemory(
        free=min([memory.available, *(limit.free for limit in limits)]),
        total=min([memory.total, *(limit.total for limit in limits)]),
    )


def peak_memory_bytes(device: str) -> int:
    """Return the largest memory so far: of the GPU for a CUDA device, else of this process.

    Args:
        device: PyTorch's name of the device, e.g. `"cuda:0"`.
    """
    torch = sys.modules.get("torch")  # asked only when it is loaded already: importing it takes seconds
    if device.startswith("cuda") and torch is not None:
        return int(torch.cuda.max_memory_allocated(device))
    if sys.platform == "win32":
        return int(psutil.Process().memory_info().peak_wset)
    import resource  # noqa: PLC0415  (not on Windows)

    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak if sys.platform == "darwin" else peak * 1024  # bytes on macOS, kilobytes elsewhere


def _container_limit() -> MainMemory | None:
    """The limit of the control group (version 2); None where there is none."""
    try:
        limit = (_CONTROL_GROUP / "memory.max").read_text(encoding="ascii").strip()
        used = (_CONTROL_GROUP / "memory.current").read_text(encoding="ascii").strip()
    except OSError:
        return None
    return MainMemory(max(0, int(limit) - int(used)), int(limit)) if limit.isdigit() else None


def _address_space_limit() -> MainMemory | None:
    """The limit of `ulimit -v`; None where there is none."""
    if sys.platform == "win32":
        return None
    import resource  # noqa: PLC0415  (not on Windows)

    limit, _ = resource.getrlimit(resource.RLIMIT_AS)
    if limit == resource.RLIM_INFINITY:
        return None
    return MainMemory(max(0, limit - psutil.Process().memory_info().vms), limit)
