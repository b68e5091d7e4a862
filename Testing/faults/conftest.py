"""A DICOM series, and small or read-only disks."""

from __future__ import annotations

import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

# Tests are imported by path (import-mode=importlib), so their helpers have to be found by hand.
_TESTING = Path(__file__).parents[1]
sys.path[:0] = [str(Path(__file__).parent), *(str(_TESTING / name) for name in ("dicom_phantoms", "worker", "cohort"))]


def _run(*command: str) -> bool:
    program = shutil.which(command[0])
    return program is not None and subprocess.run([program, *command[1:]], capture_output=True).returncode == 0  # noqa: PLW1510


def _mount(folder: Path) -> None:
    if sys.platform != "linux" or not _run("mount", "-t", "tmpfs", "-o", "size=256k", "tmpfs", str(folder)):
        pytest.skip("this user may not mount")


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A real disk of 256 kB."""
    folder = tmp_path / "small disk"
    folder.mkdir()
    _mount(folder)
    yield folder
    assert _run("umount", str(folder))


@pytest.fixture
def read_only_disk(tmp_path: Path) -> Iterator[Path]:
    """A real disk that nobody may write to, not even root."""
    folder = tmp_path / "read-only disk"
    folder.mkdir()
    _mount(folder)
    (folder / "old.seg.nrrd").write_text("old")
    assert _run("mount", "-o", "remount,ro", str(folder))
    yield folder
    assert _run("umount", str(folder))


@pytest.fixture
def series(tmp_path: Path) -> Path:
    """A small DICOM series."""
    from dicom_series import write_series

    folder = tmp_path / "series"
    write_series(folder)
    return folder
