"""Unusual paths of input and output: spaces, umlauts, other scripts, quotes, more than 260 characters."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from dsm.cli.main import main
from dsm.inference import scan as scan_module

pytest.importorskip("highdicom")

UNUSUAL_NAMES = {
    "blanks": " a  folder with blanks ",
    "umlauts": "Größe_ÄÖÜ_ß",
    "other scripts": "臓器 и почка",
    "combining": "Mu\u0308ller",
    "quotes": """it's a "quoted" & $HOME; `ls` %s {x}""",
    "dashes": "-rf --out",
    "long": "/".join(["a rather long name of a folder, sixty characters in a line.."] * 5),
}


@pytest.fixture(autouse=True)
def every_score_counts(monkeypatch: pytest.MonkeyPatch) -> None:
    """Accept masks of any score: random weights find little, and there has to be something to write."""
    monkeypatch.setattr(scan_module, "_LEAST_CONFIDENCE", 0.0)


@pytest.mark.parametrize("suffix", ["seg.nrrd", "nii.gz", "dcm", "rtstruct.dcm"])
@pytest.mark.parametrize("name", UNUSUAL_NAMES)
def test_segment_command_reads_and_writes_unusual_paths(
    tmp_path: Path, series: Path, tiny_model: Path, monkeypatch: pytest.MonkeyPatch, name: str, suffix: str
) -> None:
    folder = tmp_path / UNUSUAL_NAMES[name]
    folder.mkdir(parents=True)
    shutil.move(series, folder / "series")
    out = folder / f"result.{suffix}"
    command = ["segment", str(folder / "series"), "-p", "liver", "--model", str(tiny_model), "--threshold", "0.1"]
    assert main([*command, "-o", str(out)]) == 0
    assert out.stat().st_size > 200
    assert not list(folder.glob(".dsm-part-*"))
