"""Two volumes in the panel: each has its own segmentation."""

from __future__ import annotations

import threading
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
import slicer
from painting import paint
from panel_backends import MASKS, PanelBackend
from phantoms import affine_of, mask_in, mask_of, obliqueness, segment_ids, volume_node

from DSMSegmentLib.scene.dicom_export import dicomProblems
from DSMSegmentLib.scene.mrml import volumeFromNode
from DSMSegmentLib.scene.segment_volumes import volumeOfSegment

panel_host = pytest.importorskip("panel_host", reason="PySide6 is not installed")
import qt  # noqa: E402

if TYPE_CHECKING:
    from panel_driver import PanelDriver


SHAPE = (10, 9, 8)
MASK = mask_of(SHAPE, seed=7)


@pytest.fixture
def other(panel: PanelDriver) -> Any:
    """A second scan, on another grid; it is there from the start, and not selected."""
    return volume_node(affine_of(obliqueness(25), (0.8, 1.0, 2.0)), SHAPE, "Other")


def run_on(panel: PanelDriver, backend: PanelBackend, other: Any) -> Any:
    panel.ui.inputVolumeSelector.setCurrentNode(other)
    backend.masks = {"liver": MASK, "spleen": MASK}
    return panel.run("liver")


def run_into(node: Any, panel: PanelDriver, backend: PanelBackend, other: Any) -> Any:
    """Put a segment among those of another volume: the output follows the volume, so it is chosen after it."""
    panel.ui.inputVolumeSelector.setCurrentNode(other)
    panel.ui.outputSegmentationSelector.setCurrentNode(node)
    return run_on(panel, backend, other)


def test_each_volume_gets_its_own_segmentation_and_shows_its_own_results(
    panel: PanelDriver, backend: PanelBackend, volume: Any, other: Any
) -> None:
    first = panel.run("liver\nspleen")
    second = run_on(panel, backend, other)
    assert second is not first
    assert segment_ids(first) == ["DSM_liver", "DSM_spleen"]
    assert segment_ids(second) == ["DSM_liver"]
    np.testing.assert_array_equal(mask_in(second, "DSM_liver", other), MASK)
    panel.ui.inputVolumeSelector.setCurrentNode(volume)
    assert panel.output is first
    assert panel.names == ["liver", "spleen"]
    panel.ui.inputVolumeSelector.setCurrentNode(other)
    assert panel.names == ["liver"]


def test_volume_selected_during_a_run_gets_none_of_it(
    panel: PanelDriver, backend: PanelBackend, volume: Any, other: Any
) -> None:
    leave = threading.Event()
    backend.after, backend.act = 1, lambda _: leave.wait(20)
    panel.start("liver\nspleen")
    panel.ui.inputVolumeSelector.setCurrentNode(other)
    leave.set()
    panel.wait_for_end()
    assert panel.output is None
    panel.ui.inputVolumeSelector.setCurrentNode(volume)
    assert panel.names == ["liver", "spleen"]


def test_hand_made_segmentation_is_not_chosen_and_one_without_volume_stays(
    panel: PanelDriver, volume: Any, other: Any
) -> None:
    drawn = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLSegmentationNode", "Drawn")
    drawn.SetReferenceImageGeometryParameterFromVolumeNode(other)
    drawn.GetSegmentation().AddEmptySegment("mine", "by hand")
    loaded = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLSegmentationNode", "Loaded")
    panel.ui.inputVolumeSelector.setCurrentNode(other)
    assert panel.output is None
    panel.ui.outputSegmentationSelector.setCurrentNode(loaded)
    panel.ui.inputVolumeSelector.setCurrentNode(volume)
    assert panel.output is loaded


def test_segment_put_among_those_of_another_volume_stays_one_of_its_own(
    panel: PanelDriver, backend: PanelBackend, volume: Any, other: Any, tmp_path: Path, monkeypatch: Any
) -> None:
    from dsm.io.image import read_volume
    from dsm.io.manifest import read_manifest

    node = panel.run("liver")
    assert run_into(node, panel, backend, other) is node
    assert panel.names == ["liver", "liver_1 (on Other)"]
    panel.picture("two_volumes")
    panel.ui.resultsTable.selectRow(1)
    panel.ui.editButton.click()
    editor = slicer.mrmlScene.GetSingletonNode("SegmentEditor", "vtkMRMLSegmentEditorNode")
    assert editor.GetSourceVolumeNode() is other
    corrected = paint(node, "DSM_liver_1", other)
    panel.widget.enter()
    panel.ui.resultsTable.clearSelection()
    panel.ui.resultsTable.selectRow(1)
    monkeypatch.setattr(qt.QFileDialog, "getExistingDirectory", lambda *_: str(tmp_path))
    panel.ui.saveCorrectionButton.click()
    (case,) = read_manifest(tmp_path)
    np.testing.assert_array_equal(read_volume(case.image).array, volumeFromNode(other).array)
    np.testing.assert_array_equal(read_volume(case.label).array, corrected)
    np.testing.assert_array_equal(read_volume(tmp_path / f"{case.case_id}_ai.nii.gz").array, MASK)
    volume.SetAttribute("DICOM.instanceUIDs", "1.2.3")
    assert dicomProblems(node, volume) == ["liver_1 was made on another volume; export it from a segmentation of that."]


def test_rerun_of_such_a_segment_is_on_its_volume_and_not_together_with_the_others(
    panel: PanelDriver, backend: PanelBackend, volume: Any, other: Any
) -> None:
    node = panel.run("liver")
    run_into(node, panel, backend, other)
    panel.ui.resultsTable.selectAll()
    panel.ui.rerunButton.click()
    assert "of several volumes" in panel.status
    panel.ui.inputVolumeSelector.setCurrentNode(volume)
    assert panel.output is node
    slicer.util.selectModule("SegmentEditor")
    paint(node, "DSM_liver_1", other)
    panel.rerun("liver_1 (on Other)")
    np.testing.assert_array_equal(mask_in(node, "DSM_liver_1", other), MASK)
    np.testing.assert_array_equal(mask_in(node, "DSM_liver", volume), MASKS["liver"])


def test_undo_gives_a_replaced_segment_its_volume_back(
    panel: PanelDriver, backend: PanelBackend, volume: Any, other: Any
) -> None:
    node = panel.run("liver")
    panel.choose_policy("Replace it")
    run_into(node, panel, backend, other)
    assert panel.names == ["liver (on Other)"]
    panel.ui.undoButton.click()
    assert panel.names == ["liver"]
    np.testing.assert_array_equal(mask_in(node, "DSM_liver", volume), MASKS["liver"])


def test_volume_that_is_gone_is_not_mistaken_for_a_later_one(
    panel: PanelDriver, backend: PanelBackend, volume: Any, other: Any, host: Any, tmp_path: Path
) -> None:
    node = panel.run("liver")
    run_into(node, panel, backend, other)
    slicer.mrmlScene.RemoveNode(other)
    assert volumeOfSegment(node, "DSM_liver_1") is None
    third = volume_node(affine_of(obliqueness(25), (0.8, 1.0, 2.0)), SHAPE, "Third")
    panel.ui.inputVolumeSelector.setCurrentNode(third)
    panel.ui.outputSegmentationSelector.setCurrentNode(node)
    panel.run("spleen")
    assert panel.names == ["liver", "liver_1 (on a volume that is gone)", "spleen (on Third)"]
    host.saveScene(tmp_path / "scene.mrb")
    host.loadScene(tmp_path / "scene.mrb")
    node = slicer.mrmlScene.GetFirstNodeByClass("vtkMRMLSegmentationNode")
    assert volumeOfSegment(node, "DSM_liver_1") is None
    assert volumeOfSegment(node, "DSM_spleen").GetName() == "Third"
