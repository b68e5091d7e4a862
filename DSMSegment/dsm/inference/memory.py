"""How much memory a job may take."""

from __future__ import annotations

import os
from pathlib import Path

import torch

try:
    import resource
except ImportError:  # Windows
    resource = None  # type: ignore[assignment]

# Where nothing can be asked (Windows without psutil): what a small laptop has free.
_UNKNOWN_BYTES = 4 * 2**30

# The rest belongs to the viewer, to the page cache that keeps the machine responsive, and to our own estimate's error.
_USABLE_FRACTION = 0.6


def usable_bytes(device: torch.device) -> int:
    """Return what an encoding may take on `device`: part of what is free now, within the limits of this process."""
    if device.type == "cuda":
        free, _ = torch.cuda.mem_get_info(device)
        return int(_USABLE_FRACTION * free)
    limits = [_free_bytes(), _group_bytes(), _process_bytes()]
    return int(_USABLE_FRACTION * min((limit for limit in limits if limit is not None), default=_UNKNOWN_BYTES))


def _free_bytes() -> int | None:
    """Free main memory."""
    try:
        # Counts the page cache as free, which `SC_AVPHYS_PAGES` does not.
        for line in Path("/proc/meminfo").read_text(encoding="ascii").splitlines():
            if line.startswith("MemAvailable:"):
                return int(line.split()[1]) * 1024
    except OSError:
        pass
    if hasattr(os, "sysconf") and "SC_PHYS_PAGES" in os.sysconf_names:
        return os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE") // 2
    return None


def _group_bytes() -> int | None:
    """What the control group of a container leaves."""
    folder = Path("/sys/fs/cgroup")
    try:
        limit = (folder / "memory.max").read_text(encoding="ascii").strip()
        used = (folder / "memory.current").read_text(encoding="ascii").strip()
    except OSError:
        return None
    return max(0, int(limit) - int(used)) if limit.isdigit() else None


def _process_bytes() -> int | None:
    """What `ulimit -v` leaves to this process."""
    if resource is None:
        return None
    limit, _ = resource.getrlimit(resource.RLIMIT_AS)
    if limit == resource.RLIM_INFINITY:
        return None
    try:
        pages = int(Path("/proc/self/statm").read_text(encoding="ascii").split()[0])
    except OSError:
        return limit
    return max(0, limit - pages * resource.getpagesize())
