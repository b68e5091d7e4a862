"""Generated scans, and `dsm batch` run to its end."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

# Tests are imported by path (import-mode=importlib), so their helpers have to be found by hand.
sys.path[:0] = [str(Path(__file__).parent), str(Path(__file__).parents[1] / "dicom_phantoms")]

from batch_process import Batch, command, environment  # noqa: E402


@pytest.fixture
def batch(dsm_tiny: Path) -> Batch:
    """Run `dsm batch` to its end: `batch(root, out, *arguments)`."""

    def run(root: Path, out: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
        line = command(root, out, *arguments)
        return subprocess.run(line, env=environment(), capture_output=True, text=True, check=False, timeout=200)

    return run
