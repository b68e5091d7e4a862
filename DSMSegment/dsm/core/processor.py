"""The name of this machine's processor."""

from __future__ import annotations

import platform
import subprocess
import sys
from functools import cache
from pathlib import Path

_TIMEOUT_S = 5.0


@cache
def processor_name() -> str:
    """Return the name that the maker gave the processor, e.g. `"Intel(R) Xeon(R) Gold 6330 CPU @ 2.00GHz"`."""
    return _name_by_system() or platform.processor() or platform.machine() or "CPU"


def _name_by_system() -> str:
    """Ask the system; empty where it does not say."""
    try:
        if sys.platform == "darwin":
            command = ["/usr/sbin/sysctl", "-n", "machdep.cpu.brand_string"]
            return subprocess.run(
                command, capture_output=True, timeout=_TIMEOUT_S, check=True, text=True
            ).stdout.strip()
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8", errors="replace").splitlines()
    except (OSError, subprocess.SubprocessError):
        return ""
    return next((line.partition(":")[2].strip() for line in lines if line.startswith("model name")), "")
