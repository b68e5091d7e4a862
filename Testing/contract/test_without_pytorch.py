"""The command line where PyTorch is not installed, or is and cannot be loaded: one line that says what to do."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import SimpleITK

ROOT = Path(__file__).parents[2]
ABSENT = """\
import importlib.abc, sys
class Finder(importlib.abc.MetaPathFinder):
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] == "torch":
            raise ModuleNotFoundError("No module named 'torch'", name="torch")
sys.meta_path.insert(0, Finder())
import importlib.util, importlib.metadata
find_spec, version = importlib.util.find_spec, importlib.metadata.version
importlib.util.find_spec = lambda name, package=None: None if name == "torch" else find_spec(name, package)
def without_torch(name):
    if name == "torch":
        raise importlib.metadata.PackageNotFoundError(name)
    return version(name)
importlib.metadata.version = without_torch
"""
DLL = "raise OSError(22, '[WinError 126] Error loading \"c10.dll\" or one of its dependencies.')\n"


def dsm(folder: Path, *arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
    path = os.pathsep.join([str(folder), str(ROOT / "DSMSegment")])
    return subprocess.run(
        [sys.executable, "-m", "dsm", *arguments],
        env={**os.environ, "PYTHONPATH": path, "PYTHONUTF8": "1", **environment},
        capture_output=True,
        text=True,
        encoding="utf-8",
        check=False,
    )


@pytest.fixture
def scan(tmp_path: Path) -> str:
    path = tmp_path / "scan.nii.gz"
    SimpleITK.WriteImage(SimpleITK.GetImageFromArray(np.zeros((16, 16, 16), np.int16)), str(path))
    return str(path)


@pytest.fixture
def absent(tmp_path: Path) -> Path:
    """A folder for the path of an interpreter that then has no PyTorch."""
    (tmp_path / "absent").mkdir()
    (tmp_path / "absent" / "sitecustomize.py").write_text(ABSENT, encoding="utf-8")
    return tmp_path / "absent"


def test_missing_pytorch_is_reported_with_the_install_command(absent: Path, scan: str, tmp_path: Path) -> None:
    ended = dsm(absent, "segment", scan, "--prompt", "liver", "-o", str(tmp_path / "out.nii.gz"))
    assert ended.returncode == 2
    assert ended.stderr == "dsm: PyTorch is not installed. Install it with: pip install torch\n"


@pytest.mark.skipif(sys.platform == "win32", reason="the variable is for POSIX systems")
@pytest.mark.parametrize("command", ["segment", "info"])
def test_server_is_suggested_on_unsupported_systems(absent: Path, scan: str, tmp_path: Path, command: str) -> None:
    arguments = ["segment", scan, "--prompt", "liver", "-o", str(tmp_path / "out.nii.gz")]
    arguments = arguments if command == "segment" else [command]
    ended = dsm(absent, *arguments, _PYTHON_HOST_PLATFORM="macosx-11.0-x86_64")
    said = ended.stdout + ended.stderr
    assert "The last PyTorch for macOS programs that are built for Intel processors is 2.2.2" in said
    assert "dsm serve" in said
    assert "pip install torch" not in said
    assert ended.returncode == (0 if command == "info" else 2)


def test_broken_pytorch_is_reported_in_one_line(scan: str, tmp_path: Path, dsm_tiny: Path) -> None:
    (tmp_path / "broken" / "torch").mkdir(parents=True)
    (tmp_path / "broken" / "torch" / "__init__.py").write_text(DLL, encoding="utf-8")
    arguments = ["segment", scan, "--prompt", "liver", "--model", str(dsm_tiny), "-o", str(tmp_path / "out.nii.gz")]
    ended = dsm(tmp_path / "broken", *arguments)
    assert 'A package cannot be imported ([Errno 22] [WinError 126] Error loading "c10.dll"' in ended.stderr
    assert "Visual C++ Redistributable" in ended.stderr
    assert ended.stderr.count("\n") == 1
    assert ended.returncode == 2
