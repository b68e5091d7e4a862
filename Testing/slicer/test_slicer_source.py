"""With `DSM_SLICER_SOURCE`, the tests of this folder run on Slicer's own Python files; a wrong path is said."""

from __future__ import annotations

import importlib
import os
import subprocess
import sys
from pathlib import Path

import pytest

pytest.importorskip("panel_host", reason="PySide6 is not installed")
import checkout

HOST = Path(__file__).parents[1] / "slicer_host"
MODULES = (
    "slicer.i18n",
    "slicer.packaging",
    "slicer.parameterNodeWrapper",
    "slicer.ScriptedLoadableModule",
    "slicer.util",
    "DICOMLib",
    "DICOMSegmentationPlugin",
    "SampleData",
    "SegmentEditorEffects",
)
# Not there yet in these versions.
NOT_YET = {"5.10": {"slicer.packaging", "DICOMSegmentationPlugin"}}


def test_path_that_is_no_checkout_is_said(tmp_path: Path) -> None:
    paths = [str(HOST / folder) for folder in ("", "panel", "source")]
    done = subprocess.run(
        [sys.executable, "-c", f"import sys; sys.path[:0] = {paths!r}; import panel_host"],
        env={**os.environ, "DSM_SLICER_SOURCE": str(tmp_path)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode
    assert f"DSM_SLICER_SOURCE={tmp_path} is no checkout of Slicer" in done.stderr


@pytest.mark.skipif(checkout.CHECKOUT is None, reason="DSM_SLICER_SOURCE names no checkout of Slicer")
def test_modules_are_those_of_the_checkout() -> None:
    for name in MODULES:
        if name in NOT_YET.get(checkout.version(), ()):
            with pytest.raises(ImportError):
                importlib.import_module(name)
        else:
            assert Path(importlib.import_module(name).__file__).is_relative_to(checkout.CHECKOUT), name
