"""List of the lesions of a tumor in the panel: measured, shown by a click, accepted and rejected."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
import slicer
import vtk
from acting_backend import wait_for_cancel
from panel_backends import MASKS, PanelBackend
from patience import PATIENCE_S
from phantoms import SHAPE, mask_in, segment_ids, segment_of
from scene_host import SceneHost

from dsm.core.boxes import CroppedArray
from DSMSegmentLib.scene import listed_lesions
from DSMSegmentLib.scene.lesions import lesionsOf
from DSMSegmentLib.scene.map_store import SegmentMap
from DSMSegmentLib.scene.mrml import ijkToRAS

panel_host = pytest.importorskip("panel_host", reason="PySide6 is not installed")
import mouse  # noqa: E402
import qt  # noqa: E402
from PySide6.QtTest import QTest  # noqa: E402

if TYPE_CHECKING:
    from panel_driver import PanelDriver

TUMOR = np.zeros(SHAPE, np.uint8)
TUMOR[1:4, 1:4, 1:3] = TUMOR[6, 5:7, 4] = TUMOR[9:12, 6:9, 6] = 1
NUMBER, DIAMETERS, VOLUME, HU, ACCEPTED, REJECT = range(6)


@pytest.fixture
def backend() -> PanelBackend:
    return PanelBackend({**MASKS, "liver tumor": TUMOR})


@pytest.fixture
def node(panel: PanelDriver) -> Any:
    """Segmentation of liver and tumor, of which the list of lesions is open."""
    found = panel.run("liver\nliver tumor")
    unfold(panel)
    return found


def table(panel: PanelDriver) -> Any:
    return panel.ui.lesionsTable


def section(panel: PanelDriver) -> Any:
    return panel.ui.lesionsCollapsibleButton


def unfold(panel: PanelDriver) -> None:
    section(panel).collapsed = False
    panel.process_events()


def column(panel: PanelDriver, number: int) -> list[str]:
    return [table(panel).item(row, number).text() for row in range(table(panel).rowCount)]


def accepted(panel: PanelDriver) -> list[bool]:
    items = [table(panel).item(row, ACCEPTED) for row in range(table(panel).rowCount)]
    return [item.checkState() == qt.Qt.Checked for item in items]


def click(panel: PanelDriver, row: int, number: int = DIAMETERS) -> None:
    mouse.click_item(table(panel), table(panel).model().index(row, number))


def accept(panel: PanelDriver, row: int) -> None:
    index = table(panel).model().index(row, ACCEPTED)
    mouse.click_item(table(panel), index, square=True)


def reject(panel: PanelDriver, row: int) -> None:
    mouse.click(table(panel).cellWidget(row, REJECT))


@pytest.fixture
def views() -> Any:
    """One slice view of the application."""
    return slicer.mrmlScene.AddNewNodeByClass("vtkMRMLSliceNode", "Red")


def position(slice_node: Any) -> list[float]:
    """Return the position of a slice view in world RAS mm."""
    return [slice_node.GetSliceToRAS().GetElement(row, 3) for row in range(3)]


def test_list_is_there_for_a_tumor_only(panel: PanelDriver) -> None:
    panel.run("liver")
    assert not section(panel).visible
    panel.run("liver tumor")
    assert section(panel).visible
    assert section(panel).text == "3 lesions of liver tumor"
    assert not table(panel).visible
    mouse.click_item(panel.ui.resultsTable, panel.ui.resultsTable.model().index(0, panel.column("Structure")))
    assert not table(panel).visible, "the selected result is no tumor"
    mouse.click_item(panel.ui.resultsTable, panel.ui.resultsTable.model().index(1, panel.column("Structure")))
    assert table(panel).visible


def test_numbers_are_those_of_the_measurement(panel: PanelDriver, node: Any) -> None:
    lesions = lesionsOf(node, "DSM_liver_tumor")
    assert column(panel, NUMBER) == ["1", "2", "3"]
    assert column(panel, DIAMETERS) == [f"{one.longest_mm:.0f} × {one.perpendicular_mm:.0f}" for one in lesions]
    assert [float(text) for text in column(panel, VOLUME)] == pytest.approx(
        [one.volume_ml for one in lesions], abs=5e-4
    )
    assert column(panel, HU) == [f"{one.mean:.0f} ± {one.sd:.0f}" for one in lesions]
    assert table(panel).horizontalHeaderItem(HU).text() == "HU"
    assert f"Slice {lesions[0].slice_number}:" in table(panel).item(0, DIAMETERS).toolTip()
    panel.picture("lesions")


def test_click_on_a_row_moves_the_views_to_the_lesion_each_time(panel: PanelDriver, node: Any, views: Any) -> None:
    transform = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLLinearTransformNode")
    matrix = vtk.vtkMatrix4x4()
    matrix.SetElement(2, 3, 100.0)
    transform.SetMatrixTransformToParent(matrix)
    heights = [one.view_ras_mm[2] for one in lesionsOf(node, "DSM_liver_tumor")]
    assert len(set(heights)) == 3
    for _ in range(2):
        click(panel, 1)
        assert position(views)[2] == pytest.approx(heights[1], abs=0.01)
        views.JumpSlice(0, 0, 0)
    QTest.keyClick(table(panel), qt.Qt.Key_Down)
    assert position(views)[2] == pytest.approx(heights[2], abs=0.01)
    node.SetAndObserveTransformNodeID(transform.GetID())
    click(panel, 0)
    assert position(views)[2] == pytest.approx(heights[0] + 100, abs=0.01)


def test_rejected_lesion_is_removed_and_comes_back_with_undo(panel: PanelDriver, node: Any, volume: Any) -> None:
    before, shown = panel.cells("ml"), column(panel, DIAMETERS)
    reject(panel, 0)
    left = TUMOR.copy()
    left[1:4, 1:4, 1:3] = 0
    np.testing.assert_array_equal(mask_in(node, "DSM_liver_tumor", volume), left)
    np.testing.assert_array_equal(mask_in(node, "DSM_liver", volume), MASKS["liver"])
    assert column(panel, DIAMETERS) == shown[1:]
    assert panel.labels == ["found", "edited"]
    assert panel.status == "Lesion 1 was removed; Undo brings it back."
    reject(panel, 1)
    assert len(column(panel, NUMBER)) == 1
    for number in (2, 3):
        mouse.click(panel.ui.undoButton)
        assert len(column(panel, NUMBER)) == number
    np.testing.assert_array_equal(mask_in(node, "DSM_liver_tumor", volume), TUMOR)
    assert panel.cells("ml") == before
    assert panel.labels == ["found", "found"]
    panel.settle()
    assert panel.labels == ["found", "found"], "undo is no edit"
    assert panel.ui.undoButton.enabled, "the run before the lesions can still be undone"
    mouse.click(panel.ui.undoButton)
    assert slicer.mrmlScene.GetFirstNodeByClass("vtkMRMLSegmentationNode") is None
    assert not section(panel).visible


def test_selection_follows_its_lesion(panel: PanelDriver, node: Any) -> None:
    click(panel, 2)
    shown = column(panel, DIAMETERS)[2], column(panel, HU)[2]
    reject(panel, 0)
    (row,) = {index.row() for index in table(panel).selectionModel().selectedRows()}
    assert row == 1
    assert (column(panel, DIAMETERS)[row], column(panel, HU)[row]) == shown


def test_more_lesions_than_runs_can_be_taken_back(panel: PanelDriver, backend: PanelBackend, volume: Any) -> None:
    spots = np.zeros(SHAPE, np.uint8)
    spots[1::3, 1::4, 4] = 1
    backend.masks["liver tumor"] = spots
    node = panel.run("liver tumor")
    unfold(panel)
    for _ in range(5):
        reject(panel, 0)
    assert len(column(panel, NUMBER)) == 15 - 5
    for _ in range(5):
        mouse.click(panel.ui.undoButton)
    np.testing.assert_array_equal(mask_in(node, "DSM_liver_tumor", volume), spots)


def test_last_lesion_can_be_rejected(panel: PanelDriver, node: Any) -> None:
    for _ in range(3):
        reject(panel, 0)
    assert not section(panel).visible
    assert segment_ids(node) == ["DSM_liver", "DSM_liver_tumor"]
    mouse.click(panel.ui.undoButton)
    assert len(column(panel, NUMBER)) == 1


def test_lesions_that_are_not_listed_are_not_reviewed(panel: PanelDriver, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(listed_lesions, "MOST_LESIONS", 2)
    panel.run("liver\nliver tumor")
    unfold(panel)
    assert section(panel).text == "The 2 largest lesions of liver tumor"
    for row in (0, 1):
        accept(panel, row)
    assert accepted(panel) == [True, True]
    assert panel.item(1, "Reviewed").checkState() == qt.Qt.Unchecked
    assert panel.status.startswith("All listed lesions are accepted; there are smaller ones that are not listed.")
    reject(panel, 0)
    assert section(panel).text == "2 lesions of liver tumor"
    assert accepted(panel) == [True, False]
    assert panel.item(1, "Reviewed").checkState() == qt.Qt.Unchecked
    accept(panel, 1)
    assert panel.item(1, "Reviewed").checkState() == qt.Qt.Checked


def test_undo_of_a_rejection_keeps_what_was_accepted_since(panel: PanelDriver, node: Any) -> None:
    def is_reviewed() -> bool:
        return bool(panel.item(1, "Reviewed").checkState() == qt.Qt.Checked)

    accept(panel, 1)
    reject(panel, 1)
    accept(panel, 0)
    assert accepted(panel) == [True, False]
    mouse.click(panel.ui.undoButton)
    assert accepted(panel) == [True, True, False]
    assert not is_reviewed()
    mouse.click(panel.ui.redoButton)
    assert accepted(panel) == [True, False]
    accept(panel, 1)
    assert is_reviewed()
    mouse.click(panel.ui.undoButton)
    assert accepted(panel) == [True, True, True]
    assert is_reviewed()


def test_undo_of_a_rejection_brings_back_a_lesion_that_is_not_accepted(panel: PanelDriver, node: Any) -> None:
    reject(panel, 1)
    for row in (0, 1):
        accept(panel, row)
    assert panel.item(1, "Reviewed").checkState() == qt.Qt.Checked
    mouse.click(panel.ui.undoButton)
    assert accepted(panel) == [True, False, True]
    assert panel.item(1, "Reviewed").checkState() == qt.Qt.Unchecked


def test_result_is_reviewed_when_all_its_lesions_are_accepted(panel: PanelDriver, node: Any) -> None:
    def is_reviewed() -> bool:
        return bool(panel.item(1, "Reviewed").checkState() == qt.Qt.Checked)

    for row in (0, 1):
        accept(panel, row)
        assert not is_reviewed()
    assert accepted(panel) == [True, True, False]
    reject(panel, 2)
    assert is_reviewed()
    mouse.click(panel.ui.undoButton)
    assert not is_reviewed()
    assert accepted(panel) == [True, True, False]
    accept(panel, 2)
    assert is_reviewed()
    accept(panel, 1)
    assert not is_reviewed()
    assert accepted(panel) == [True, False, True]


def test_reviewed_result_has_accepted_lesions_and_a_rejection_leaves_them_accepted(
    panel: PanelDriver, node: Any
) -> None:
    panel.item(1, "Reviewed").setCheckState(qt.Qt.Checked)
    assert accepted(panel) == [True, True, True]
    reject(panel, 0)
    assert accepted(panel) == [True, True]
    assert panel.item(1, "Reviewed").checkState() == qt.Qt.Checked


def test_accepted_lesions_survive_saving_and_one_that_changes_is_looked_at_again(
    panel: PanelDriver, node: Any, host: SceneHost, tmp_path: Path, volume: Any
) -> None:
    accept(panel, 0)
    accept(panel, 1)
    node = panel.reopen(host, tmp_path / "scene.mrb")
    assert accepted(panel) == [True, True, False]
    changed = TUMOR.copy()
    changed[4, 1, 1] = 1
    slicer.util.updateSegmentBinaryLabelmapFromArray(
        np.ascontiguousarray(changed.transpose(2, 1, 0)), node, "DSM_liver_tumor", slicer.util.getNode("CT")
    )
    panel.widget._results.noteEdits()
    assert accepted(panel) == [False, True, False]


def test_list_shows_the_selected_tumor(panel: PanelDriver, backend: PanelBackend) -> None:
    one = np.zeros(SHAPE, np.uint8)
    one[2, 2, 2] = 1
    backend.masks["kidney tumor"] = one
    panel.run("liver tumor\nkidney tumor\nliver")
    assert section(panel).text == "3 lesions of liver tumor"
    panel.ui.resultsTable.selectRow(1)
    assert section(panel).text == "1 lesion of kidney tumor"
    panel.ui.resultsTable.selectRow(2)
    assert section(panel).text == "3 lesions of liver tumor"


def test_lesion_that_has_changed_since_it_was_listed_is_not_removed(
    panel: PanelDriver, node: Any, volume: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The other lesion at the same voxel is none that the user has looked at."""
    monkeypatch.setattr(panel.widget._results._editTimer, "start", lambda: None)
    joined = TUMOR.copy()
    joined[1:7, 3:7, 2:5] = 1
    slicer.util.updateSegmentBinaryLabelmapFromArray(
        np.ascontiguousarray(joined.transpose(2, 1, 0)), node, "DSM_liver_tumor", volume
    )
    reject(panel, 0)
    np.testing.assert_array_equal(mask_in(node, "DSM_liver_tumor", volume), joined)
    assert panel.status == "The lesion has changed since it was listed: look at it again."
    assert len(column(panel, NUMBER)) == 2


@pytest.fixture
def measuring(monkeypatch: pytest.MonkeyPatch) -> Iterator[threading.Event]:
    """Measurements of lesions that end once the event is set, and that nobody waits for."""
    may_end = threading.Event()
    prepare = listed_lesions.lesionMeasurement

    def held(*arguments: Any, **options: Any) -> Callable[[], Any]:
        measure = prepare(*arguments, **options)

        def wait() -> Any:
            assert may_end.wait(PATIENCE_S)
            return measure()

        return wait

    monkeypatch.setattr(listed_lesions, "lesionMeasurement", held)
    monkeypatch.setattr("DSMSegmentLib.panel.lesion_section._QUICK_S", 0.0)
    yield may_end
    may_end.set()


def paint_tumor(node: Any, volume: Any, mask: np.ndarray) -> None:
    array = np.ascontiguousarray(mask.transpose(2, 1, 0))
    slicer.util.updateSegmentBinaryLabelmapFromArray(array, node, "DSM_liver_tumor", volume)


def test_panel_is_in_use_while_lesions_are_measured(panel: PanelDriver, measuring: threading.Event) -> None:
    panel.run("liver tumor")
    assert section(panel).visible
    unfold(panel)
    assert section(panel).text == "Lesions of liver tumor"
    assert panel.ui.lesionsLabel.text == "Measuring..."
    assert column(panel, NUMBER) == []
    panel.run("spleen")
    measuring.set()
    panel.wait_until(lambda: panel.ui.lesionsLabel.text != "Measuring...")
    assert column(panel, NUMBER) == ["1", "2", "3"]
    assert section(panel).text == "3 lesions of liver tumor"


def test_list_that_is_being_measured_is_not_acted_on(
    panel: PanelDriver, measuring: threading.Event, volume: Any
) -> None:
    node = panel.run("liver tumor")
    unfold(panel)
    measuring.set()
    panel.wait_until(lambda: panel.ui.lesionsLabel.text != "Measuring...")
    measuring.clear()
    for number_of_slices in (5, 3):  # the second change comes while the first one is measured
        paint_tumor(node, volume, np.where(np.arange(SHAPE[2]) < number_of_slices, TUMOR, 0))
        panel.widget._results.noteEdits()
    assert len(column(panel, NUMBER)) == 3, "the last list stays"
    accept(panel, 0)
    assert accepted(panel) == [False, False, False]
    assert panel.status == "The lesions are being measured. Try again when the list is new."
    button = table(panel).cellWidget(0, REJECT)
    assert not button.enabled
    assert button.toolTip == "The lesions are being measured."
    measuring.set()
    panel.wait_until(lambda: panel.ui.lesionsLabel.text != "Measuring...")
    assert column(panel, NUMBER) == ["1"]
    accept(panel, 0)
    assert accepted(panel) == [True]


def test_measurement_of_one_tumor_is_not_shown_for_another(
    panel: PanelDriver, backend: PanelBackend, measuring: threading.Event
) -> None:
    one = np.zeros(SHAPE, np.uint8)
    one[2, 2, 2] = 1
    backend.masks["kidney tumor"] = one
    panel.run("liver tumor\nkidney tumor")
    unfold(panel)
    panel.ui.resultsTable.selectRow(1)
    assert section(panel).text == "Lesions of kidney tumor"
    measuring.set()
    panel.wait_until(lambda: panel.ui.lesionsLabel.text != "Measuring...")
    assert section(panel).text == "1 lesion of kidney tumor"


def test_list_follows_the_threshold(panel: PanelDriver, node: Any, volume: Any) -> None:
    probability = np.where(np.arange(SHAPE[2]) < 4, 0.9, 0.6) * TUMOR
    smaller = SegmentMap(CroppedArray(probability.astype(np.float16), (0, 0, 0)), ijkToRAS(volume))
    panel.widget.logic._probabilities.put(node, "DSM_liver_tumor", smaller)
    panel.ui.postprocessCheckBox.setChecked(False)
    panel.ui.resultsTable.selectRow(1)
    panel.ui.resultThresholdSlider.value = 0.75
    panel.wait_until(lambda: len(column(panel, NUMBER)) == 1)
    assert section(panel).text == "1 lesion of liver tumor"


def test_nothing_is_rejected_during_a_run(panel: PanelDriver, node: Any, backend: PanelBackend) -> None:
    backend.after, backend.act = 0, wait_for_cancel
    panel.start("spleen")
    button = table(panel).cellWidget(0, REJECT)
    assert not button.enabled
    assert button.toolTip == "Wait for the end of the run, or cancel it."
    panel.cancel()
    assert button.enabled


def test_panel_with_lesions_is_no_taller_than_a_window(panel: PanelDriver) -> None:
    panel.run("liver\nspleen\nliver tumor")
    panel.process_events()
    assert section(panel).visible
    assert panel.window.sizeHint().height() <= 900


def test_tag_of_an_accepted_lesion_goes_with_a_new_run(panel: PanelDriver, node: Any) -> None:
    accept(panel, 0)
    assert segment_of(node, "DSM_liver_tumor").HasTag("DSM.AcceptedLesions")
    panel.rerun("liver tumor")
    assert not segment_of(node, "DSM_liver_tumor").HasTag("DSM.AcceptedLesions")
    assert accepted(panel) == [False, False, False]
