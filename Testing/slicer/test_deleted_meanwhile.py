"""Nodes deleted outside the panel: the panel updates at once, without exceptions or log messages."""

from __future__ import annotations

import shutil
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import slicer
from panel_backends import PanelBackend
from patience import PATIENCE_S
from phantoms import mask_of, plain_affine, segment_ids, volume_node

import DSMSegment as module
from DSMSegmentLib.panel.settings import Settings

panel_host = pytest.importorskip("panel_host", reason="PySide6 is not installed")
import qt  # noqa: E402

pytestmark = pytest.mark.usefixtures("questions")

BUTTONS = ("undo", "redo", "edit", "rerun", "show3D", "uncertainty", "export", "saveCorrection")
DELETED = ("segment", "segmentation")


@pytest.fixture
def panel(dsm_tiny: Path, tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    folder = tmp_path_factory.getbasetemp() / "panel-models"
    if not folder.exists():
        shutil.copytree(dsm_tiny, folder / "dsm-test")
    monkeypatch.setenv("DSM_MODEL_DIR", str(folder))
    qt.QSettings().clear()
    Settings().model = "dsm-test"
    backend = PanelBackend({"liver": mask_of(seed=1)})
    monkeypatch.setattr(module, "WorkerBackend", lambda **_: backend)
    monkeypatch.setattr(qt.QFileDialog, "getSaveFileName", lambda *_: ("", ""))
    monkeypatch.setattr(qt.QFileDialog, "getExistingDirectory", lambda *_: "")
    volume_node(plain_affine())
    panel = panel_host.Panel(module)
    panel.ui.uncertaintyCheckBox.setChecked(True)
    panel.ui.promptsTextEdit.setPlainText("liver")
    panel.ui.applyButton.click()
    wait(panel)
    panel.ui.resultsTable.selectRow(0)
    yield panel
    wait(panel)
    panel.close()


def wait(panel: Any) -> None:
    deadline = time.monotonic() + PATIENCE_S
    while panel.widget.logic.isRunning:
        assert time.monotonic() < deadline
        panel.process_events()


def delete(what: str) -> None:
    node = slicer.mrmlScene.GetFirstNodeByClass("vtkMRMLSegmentationNode")
    if what == "segment":
        node.GetSegmentation().RemoveSegment("DSM_liver")
    else:
        slicer.mrmlScene.RemoveNode(node)


@pytest.mark.parametrize("what", DELETED)
@pytest.mark.parametrize("button", BUTTONS)
def test_button(panel: Any, button: str, what: str) -> None:
    delete(what)
    getattr(panel.ui, f"{button}Button").click()
    wait(panel)
    if button != "rerun":
        assert all(not segment_ids(node) for node in slicer.util.getNodesByClass("vtkMRMLSegmentationNode"))


@pytest.mark.parametrize("what", DELETED)
def test_eye_in_the_table(panel: Any, what: str) -> None:
    eye = panel.ui.resultsTable.cellWidget(0, 0)
    delete(what)
    eye.click()
    assert panel.ui.resultsTable.rowCount == 0


@pytest.mark.parametrize("what", DELETED)
def test_box_in_the_table(panel: Any, what: str) -> None:
    item = panel.ui.resultsTable.item(0, 5)
    delete(what)
    if panel.ui.resultsTable.rowCount:
        item.setCheckState(qt.Qt.Unchecked if item.checkState() == qt.Qt.Checked else qt.Qt.Checked)
    assert panel.ui.resultsTable.rowCount == 0


@pytest.mark.parametrize("what", DELETED)
def test_row(panel: Any, what: str) -> None:
    panel.ui.resultsTable.clearSelection()
    delete(what)
    panel.ui.resultsTable.selectRow(0)
    assert panel.ui.resultsTable.rowCount == 0


@pytest.mark.parametrize("what", DELETED)
def test_slider(panel: Any, what: str) -> None:
    panel.ui.resultThresholdSlider.value = 0.75
    delete(what)
    deadline = time.monotonic() + 0.2
    while time.monotonic() < deadline:
        panel.process_events()
    panel.ui.resultThresholdSlider.value = 0.25
    panel.process_events()
