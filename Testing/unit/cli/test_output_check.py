from __future__ import annotations

import os
from pathlib import Path

import pytest

from dsm.cli.output_check import check_distinct
from dsm.errors import OutputError


@pytest.fixture
def scan(tmp_path: Path) -> Path:
    path = tmp_path / "scan.nii.gz"
    path.write_bytes(b"x")
    return path


@pytest.mark.parametrize(
    "spelling", ["scan.nii.gz", "./scan.nii.gz", "sub/../scan.nii.gz", "link.nii.gz", "hard.nii.gz"]
)
def test_output_equal_to_input_is_refused(
    scan: Path, spelling: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    (tmp_path / "sub").mkdir()
    (tmp_path / "link.nii.gz").symlink_to(scan)
    os.link(scan, tmp_path / "hard.nii.gz")
    monkeypatch.chdir(tmp_path)
    with pytest.raises(OutputError) as caught:
        check_distinct([("--output", Path(spelling))], [scan])
    assert caught.value.code == "output.is_input"


@pytest.mark.parametrize("spelling", ["out.json", "OUT.json", "./out.json"])
def test_same_file_for_two_outputs_is_refused(tmp_path: Path, spelling: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(OutputError, match="--report") as caught:
        check_distinct([("names", tmp_path / "out.json"), ("--report", Path(spelling))], [])
    assert caught.value.code == "output.twice"


def test_different_files_pass(scan: Path, tmp_path: Path) -> None:
    existing = tmp_path / "out.nii.gz"
    existing.write_bytes(b"x")
    check_distinct([("--output", existing), ("names", tmp_path / "out.json")], [scan])
