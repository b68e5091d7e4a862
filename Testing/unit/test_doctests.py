"""Examples in docstrings, run in a folder that holds `scan.nii.gz`."""

from __future__ import annotations

import doctest
import importlib
import io
from contextlib import redirect_stdout
from pathlib import Path

import numpy as np
import pytest
import SimpleITK

import dsm

PACKAGE = Path(dsm.__file__).parent
SOURCES = {path: path.read_text(encoding="utf-8") for path in sorted(PACKAGE.rglob("*.py"))}
MODULES = [
    ".".join(path.relative_to(PACKAGE.parent).with_suffix("").parts) for path, text in SOURCES.items() if ">>> " in text
]


@pytest.fixture
def folder_with_a_scan(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    array = np.random.default_rng(0).integers(-200, 200, (24, 24, 24)).astype(np.int16)
    image = SimpleITK.GetImageFromArray(array)
    image.SetSpacing((2.0, 2.0, 2.0))
    SimpleITK.WriteImage(image, str(tmp_path / "scan.nii.gz"))
    monkeypatch.chdir(tmp_path)


@pytest.mark.parametrize("name", MODULES)
@pytest.mark.usefixtures("folder_with_a_scan")
def test_examples_of_a_module(name: str) -> None:
    said = io.StringIO()
    with redirect_stdout(said):
        result = doctest.testmod(importlib.import_module(name))
    assert result.attempted
    assert result.failed == 0, said.getvalue()


def test_no_example_is_skipped() -> None:
    assert len(MODULES) > 5
    assert [path.name for path, text in SOURCES.items() if "doctest: +SKIP" in text] == []
