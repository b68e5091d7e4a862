"""`dsm batch` as a process."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import dsm

Batch = Callable[..., "subprocess.CompletedProcess[str]"]


def command(root: Path, out: Path, *arguments: str) -> list[str]:
    """The command line; random weights find little, so a low threshold."""
    fixed = ["--prompt", "liver; liver tumor", "--out", str(out), "--model", "dsm-tiny", "--threshold", "0.1"]
    return [sys.executable, "-m", "dsm", "batch", str(root), *fixed, *arguments]


def environment() -> dict[str, str]:
    return {**os.environ, "PYTHONPATH": str(Path(dsm.__file__).parents[1]), "OMP_NUM_THREADS": "1"}
