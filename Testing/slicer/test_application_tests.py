"""The tests for the Slicer application, run in the test host: what they say of the panel holds here, too."""

from __future__ import annotations

import importlib.util
import shutil
import sys
import unittest
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
import slicer

import DSMSegment as module
from DSMSegmentLib.settings import Settings

panel_host = pytest.importorskip("panel_host", reason="PySide6 is not installed")
FILE = Path(__file__).parents[1] / "Python" / "DSMSegmentPanelTest.py"


@pytest.fixture
def tests(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    spec = importlib.util.spec_from_file_location(FILE.stem, FILE)
    assert spec is not None
    assert spec.loader is not None
    loaded = importlib.util.module_from_spec(spec)
    monkeypatch.setitem(sys.modules, FILE.stem, loaded)
    spec.loader.exec_module(loaded)
    return loaded


def test_all_pass(tests: ModuleType, dsm_tiny: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    shutil.copytree(dsm_tiny, tmp_path / "dsm-test")
    monkeypatch.setenv("DSM_MODEL_DIR", str(tmp_path))
    Settings().model = "dsm-test"
    panel = panel_host.Panel(module)
    monkeypatch.setattr(slicer.util, "getModuleWidget", lambda _: panel.widget, raising=False)
    case = tests.DSMSegmentPanelTest
    names = [name for name in dir(case) if name.startswith("test_")]
    suite = unittest.TestSuite(case(name) for name in names)
    result = unittest.TestResult()
    suite.run(result)
    panel.close()
    assert result.testsRun == len(names) == 5
    assert result.wasSuccessful(), [text for _, text in result.failures + result.errors]


def test_slicers_way_of_running_them_runs_each(tests: ModuleType, monkeypatch: pytest.MonkeyPatch) -> None:
    ran: list[str] = []
    case = tests.DSMSegmentPanelTest
    for name in [name for name in dir(case) if name.startswith("test_")]:
        monkeypatch.setattr(case, name, lambda _self, name=name: ran.append(name))
    monkeypatch.setattr(case, "setUp", lambda _: None)
    monkeypatch.setattr(case, "tearDown", lambda _: None)
    instance: Any = case()
    instance.runTest()
    assert sorted(ran) == sorted(name for name in dir(case) if name.startswith("test_"))
