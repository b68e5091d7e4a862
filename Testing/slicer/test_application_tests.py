"""The tests for the Slicer application, run in the test host: what they say of the panel holds here, too."""

from __future__ import annotations

import importlib.util
import shutil
import sys
import unittest
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import slicer

import DSMSegment as module
from DSMSegmentLib.panel.settings import Settings

panel_host = pytest.importorskip("panel_host", reason="PySide6 is not installed")
import checkout  # noqa: E402
import dicom_modules  # noqa: E402

FOLDER = Path(__file__).parents[1] / "Python"
FILES = sorted(path.stem for path in FOLDER.glob("*.py"))
HAS_SLICERS_OWN = checkout.has("Modules/Scripted/DICOMPlugins/DICOMSegmentationPlugin.py")
# What the host cannot do. Names of tests, and what they say; nothing else may be skipped.
ONLY_IN_SLICER = {
    "test_slicer_reads_its_own_dicom_seg": "Only the Slicer application reads a DICOM SEG into the scene.",
}


def load(name: str, monkeypatch: pytest.MonkeyPatch) -> Any:
    """Return the class of tests in a file."""
    spec = importlib.util.spec_from_file_location(name, FOLDER / f"{name}.py")
    assert spec is not None
    assert spec.loader is not None
    loaded = importlib.util.module_from_spec(spec)
    monkeypatch.setitem(sys.modules, name, loaded)
    spec.loader.exec_module(loaded)
    return getattr(loaded, name)


def names_of(case: Any) -> list[str]:
    return [name for name in dir(case) if name.startswith("test_")]


def run(case: Any) -> unittest.TestResult:
    result = unittest.TestResult()
    unittest.TestSuite(case(name) for name in names_of(case)).run(result)
    return result


@pytest.fixture
def panel(dsm_tiny: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    shutil.copytree(dsm_tiny, tmp_path / "dsm-test")
    monkeypatch.setenv("DSM_MODEL_DIR", str(tmp_path))
    Settings().model = "dsm-test"
    panel = panel_host.Panel(module)
    monkeypatch.setattr(slicer.util, "getModuleWidget", lambda _: panel.widget, raising=False)
    yield panel
    panel.close()


@pytest.fixture
def dicom(monkeypatch: pytest.MonkeyPatch) -> None:
    """Slicer's DICOM modules exist; without its own, or before 5.12, the file is written by highdicom."""
    if HAS_SLICERS_OWN:
        pytest.importorskip("dcmqi", reason="dcmqi, with which Slicer writes DICOM SEG, is not installed")
        import dicom_database

        dicom_database.publish()
        return
    for name, stand_in in dicom_modules.modules().items():
        monkeypatch.setitem(sys.modules, name, stand_in)


def test_panel(panel: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    result = run(load("DSMSegmentPanelTest", monkeypatch))
    assert (result.testsRun, result.skipped) == (6, [])
    assert result.wasSuccessful(), [text for _, text in result.failures + result.errors]


def test_dicom(panel: Any, dicom: None, monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("highdicom")
    result = run(load("DSMSegmentDicomTest", monkeypatch))
    skipped = {test.id().split(".")[-1]: reason for test, reason in result.skipped}
    assert skipped == ({} if HAS_SLICERS_OWN else ONLY_IN_SLICER)
    assert result.testsRun == 2
    assert result.wasSuccessful(), [text for _, text in result.failures + result.errors]


def test_dicom_is_skipped_with_the_reason_where_slicer_has_no_exporter(
    panel: Any, dicom: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "DICOMSegmentationPlugin", None)
    result = run(load("DSMSegmentDicomTest", monkeypatch))
    reasons = {reason for _, reason in result.skipped}
    assert reasons == {"No exporter of DICOM SEG: before Slicer 5.12 it is in the extension QuantitativeReporting."}
    assert result.testsRun == len(result.skipped) == 2


@pytest.mark.parametrize("name", FILES)
def test_slicers_way_of_running_them_runs_each(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    ran: list[str] = []
    case = load(name, monkeypatch)
    for test in names_of(case):
        monkeypatch.setattr(case, test, lambda _self, test=test: ran.append(test))
    monkeypatch.setattr(case, "setUp", lambda _: None)
    monkeypatch.setattr(case, "tearDown", lambda _: None)
    instance: Any = case()
    instance.runTest()
    assert sorted(ran) == sorted(names_of(case))


def test_every_file_is_registered_and_run_by_the_script() -> None:
    cmake = (FOLDER / "CMakeLists.txt").read_text(encoding="utf-8")
    script = (FOLDER.parent / "run_in_slicer.sh").read_text(encoding="utf-8")
    for name in FILES:
        assert f"slicer_add_python_unittest(SCRIPT {name}.py)" in cmake
        assert f"Testing/Python/{name}.py" in script
