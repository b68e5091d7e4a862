"""Free disk space on each operating system."""

from __future__ import annotations

import shutil
from pathlib import Path, PureWindowsPath
from types import SimpleNamespace

import pytest

from dsm.io import free_space
from dsm.io.free_space import free_bytes


def test_free_space_of_a_folder(tmp_path: Path) -> None:
    assert 0 < free_bytes(tmp_path) <= shutil.disk_usage(tmp_path).total


@pytest.mark.parametrize(
    ("folder", "asked"),
    [
        ("//server/share", "\\\\server\\share\\"),
        ("//server/share/scans", "\\\\server\\share\\scans\\"),
        ("D:/", "D:\\"),
        ("D:/scans", "D:\\scans\\"),
    ],
)
def test_free_space_of_a_windows_share(monkeypatch: pytest.MonkeyPatch, folder: str, asked: str) -> None:
    """There the function wants the name of a share with a backslash at its end."""
    import ntpath

    names: list[str] = []
    monkeypatch.setattr(free_space, "os", SimpleNamespace(path=ntpath, fspath=str))
    monkeypatch.setattr(shutil, "disk_usage", lambda name: names.append(name) or SimpleNamespace(free=1))
    assert free_bytes(PureWindowsPath(folder)) == 1
    assert names == [asked]
