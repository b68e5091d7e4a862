"""Section *Results* of the panel: table, undo, run again, surfaces, export."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
import slicer
from panel_backends import MASKS, PanelBackend
from phantoms import SHAPE, mask_in, mask_of, plain_affine, roi_node, segment_ids, segment_of

panel_host = pytest.importorskip("panel_host", reason="PySide6 is not installed")
import mouse  # noqa: E402
import qt  # noqa: E402

if TYPE_CHECKING:
    from panel_driver import PanelDriver


def is_shown_3d(node: Any) -> bool:
    return bool(node.GetSegmentation().ContainsRepresentation("Closed surface"))


def points_of_surfaces(node: Any) -> dict[str, int]:
    """Return how many points the surface of each segment has that has one."""
    surfaces = {id_: segment_of(node, id_).GetRepresentation("Closed surface") for id_ in segment_ids(node)}
    return {id_: surface.GetNumberOfPoints() for id_, surface in surfaces.items() if surface is not None}


def test_undo_gives_back_the_node_as_it_was(panel: PanelDriver, backend: PanelBackend, volume: Any) -> None:
    node = panel.run("liver")
    panel.choose_policy("Replace it")
    backend.masks = {**MASKS, "liver": mask_of(seed=9)}
    panel.run("liver\nspleen")
    assert segment_ids(node) == ["DSM_liver", "DSM_spleen"]
    panel.ui.undoButton.click()
    assert segment_ids(node) == ["DSM_liver"]
    np.testing.assert_array_equal(mask_in(node, "DSM_liver", volume), MASKS["liver"])
    assert panel.names == ["liver"]
    panel.ui.undoButton.click()
    assert slicer.mrmlScene.GetFirstNodeByClass("vtkMRMLSegmentationNode") is None
    assert not panel.ui.undoButton.enabled
    assert panel.ui.undoButton.toolTip == "There is nothing to undo."


def test_undo_of_a_new_segmentation_selects_no_other_to_write_to(panel: PanelDriver) -> None:
    first = panel.run("liver")
    panel.ui.outputSegmentationSelector.setCurrentNode(None)
    assert panel.run("spleen") is not first
    panel.ui.undoButton.click()
    assert panel.output is None
    assert panel.parameters.outputSegmentation is None


def test_selected_row_moves_the_views_to_its_largest_slice(panel: PanelDriver, backend: PanelBackend) -> None:
    mask = np.zeros(SHAPE, np.uint8)
    mask[2:4, 3:5, 2] = 1
    mask[2:9, 3:8, 6] = 1
    backend.masks = {"liver": mask}
    slice_node = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLSliceNode")
    panel.run("liver")
    panel.ui.resultsTable.selectRow(0)
    expected = (plain_affine() @ [5, 5, 6, 1])[:3]
    position = [slice_node.GetSliceToRAS().GetElement(row, 3) for row in range(3)]
    assert position[2] == pytest.approx(expected[2], abs=0.01)


def test_eye_hides_and_shows_a_segment_and_says_so(panel: PanelDriver) -> None:
    node = panel.run("liver\npancreas")
    eye = panel.eye("liver")
    for visible in (False, True):
        assert eye.toolTip == f"{'Show' if visible else 'Hide'} liver in the views."
        before = eye.icon.cacheKey()
        mouse.click(eye)
        assert node.GetDisplayNode().GetSegmentVisibility("DSM_liver") is visible
        assert eye.icon.cacheKey() != before
    assert (panel.eye("pancreas").enabled, panel.eye("pancreas").toolTip) == (False, "There is no segment.")


def test_structure_has_the_color_of_its_segment_in_the_views(panel: PanelDriver) -> None:
    node = panel.run("liver\npancreas")
    segment_of(node, "DSM_liver").SetColor(0.9, 0.9, 0.9)
    node.GetDisplayNode().SetSegmentOverrideColor("DSM_liver", 0.2, 0.4, 0.6)
    panel.widget.enter()
    for mode in (qt.QIcon.Normal, qt.QIcon.Selected):
        swatch = panel.item(0, "Structure").icon().pixmap(qt.QSize(14, 14), mode).toImage()
        assert swatch.pixelColor(7, 7).getRgb()[:3] == (51, 102, 153)
    assert panel.item(1, "Structure").icon().isNull()


def test_views_show_the_colors_of_slicers_own_table(panel: PanelDriver) -> None:
    node = panel.run("liver\nspleen\nleft kidney\nright kidney")
    for segment_id in segment_ids(node):
        assert tuple(node.GetDisplayNode().GetSegmentColor(segment_id)) == segment_of(node, segment_id).GetColor()


def test_check_box_reviews(panel: PanelDriver) -> None:
    node = panel.run("liver")
    logic = slicer.vtkSlicerSegmentationsModuleLogic
    assert logic.GetSegmentStatus(segment_of(node, "DSM_liver")) == logic.InProgress
    panel.item(0, "Reviewed").setCheckState(qt.Qt.Checked)
    assert logic.GetSegmentStatus(segment_of(node, "DSM_liver")) == logic.Completed


def test_rerun_replaces_the_selected_segment_only(panel: PanelDriver, backend: PanelBackend, volume: Any) -> None:
    node = panel.run("liver\nspleen")
    backend.masks = {**MASKS, "liver": mask_of(seed=9), "spleen": mask_of(seed=8)}
    panel.ui.resultsTable.selectRow(0)
    panel.ui.rerunButton.click()
    panel.wait_for_end()
    assert segment_ids(node) == ["DSM_liver", "DSM_spleen"]
    np.testing.assert_array_equal(mask_in(node, "DSM_liver", volume), mask_of(seed=9))
    np.testing.assert_array_equal(mask_in(node, "DSM_spleen", volume), MASKS["spleen"])


def test_rerun_writes_into_the_segment_of_the_row_and_into_no_other_of_its_name(
    panel: PanelDriver, backend: PanelBackend, volume: Any
) -> None:
    node = panel.run("liver")
    segment = segment_of(node, "DSM_liver")
    segment.RemoveTag("DSM.Prompt")  # as if a person had drawn it
    panel.run("liver")
    backend.masks = {"liver": mask_of(seed=9)}
    panel.rerun("liver_1")
    assert segment_ids(node) == ["DSM_liver", "DSM_liver_1"]
    np.testing.assert_array_equal(mask_in(node, "DSM_liver", volume), MASKS["liver"])
    np.testing.assert_array_equal(mask_in(node, "DSM_liver_1", volume), mask_of(seed=9))


def test_rerun_of_one_of_two_kidneys_leaves_the_other_alone(
    panel: PanelDriver, backend: PanelBackend, volume: Any
) -> None:
    node = panel.run("kidneys")
    assert segment_ids(node) == ["DSM_left_kidney", "DSM_right_kidney"]
    backend.masks = {"left kidney": mask_of(seed=8), "right kidney": mask_of(seed=9)}
    panel.rerun("left kidney")
    assert backend.requests[-1].prompts == ("left kidney",)
    np.testing.assert_array_equal(mask_in(node, "DSM_left_kidney", volume), mask_of(seed=8))
    np.testing.assert_array_equal(mask_in(node, "DSM_right_kidney", volume), MASKS["right kidney"])


def test_rerun_of_a_prompt_that_found_nothing_replaces_nothing(
    panel: PanelDriver, backend: PanelBackend, volume: Any
) -> None:
    node = panel.run("spleen\npancreas")
    node.GetSegmentation().AddEmptySegment("mine", "pancreas")
    backend.masks = {"pancreas": mask_of(seed=9)}
    panel.rerun("pancreas")
    assert segment_ids(node) == ["DSM_spleen", "mine", "DSM_pancreas"]
    assert not mask_in(node, "mine", volume).any()


def test_show_3d_makes_and_removes_surfaces(panel: PanelDriver) -> None:
    node = panel.run("liver")
    panel.ui.show3DButton.click()
    assert panel.ui.show3DButton.checked
    panel.wait_until(lambda: is_shown_3d(node))
    assert panel.ui.show3DButton.checked
    panel.ui.show3DButton.click()
    assert not is_shown_3d(node)
    assert not panel.ui.show3DButton.checked


def test_surfaces_are_made_one_in_each_turn_of_the_event_loop(panel: PanelDriver) -> None:
    node = panel.run("liver\nspleen\nleft kidney\nright kidney")
    node.CreateClosedSurfaceRepresentation()
    at_once = points_of_surfaces(node)
    node.RemoveClosedSurfaceRepresentation()
    panel.ui.show3DButton.click()
    counts = [0]
    while counts[-1] < 4:
        panel.process_events()
        counts.append(len(points_of_surfaces(node)))
        assert counts[-1] - counts[-2] <= 1
    assert points_of_surfaces(node) == at_once


def test_surfaces_that_are_being_made_can_be_had_no_more(panel: PanelDriver) -> None:
    node = panel.run("liver\nspleen\nleft kidney")
    panel.ui.show3DButton.click()
    panel.wait_until(lambda: bool(points_of_surfaces(node)))
    panel.ui.show3DButton.click()
    for _ in range(10):
        panel.process_events()
    assert points_of_surfaces(node) == {}
    assert not panel.ui.show3DButton.checked


def test_run_that_starts_while_surfaces_are_made_gives_them_back(panel: PanelDriver) -> None:
    node = panel.run("liver\nspleen\nleft kidney")
    panel.ui.show3DButton.click()
    panel.run("right kidney")
    panel.run("right kidney")
    panel.wait_until(lambda: is_shown_3d(node))
    assert len(points_of_surfaces(node)) == 5


def test_run_makes_the_surfaces_once_at_its_end(panel: PanelDriver, monkeypatch: pytest.MonkeyPatch) -> None:
    node = panel.run("liver")
    panel.ui.show3DButton.click()
    panel.wait_until(lambda: is_shown_3d(node))
    shown: list[bool] = []
    monkeypatch.setattr(panel.widget._results, "addOutcome", lambda *_: shown.append(is_shown_3d(node)))
    assert panel.run("spleen\nleft kidney") is node
    assert shown == [False, False]
    panel.wait_until(lambda: is_shown_3d(node) and panel.ui.show3DButton.checked)
    for segment_id in segment_ids(node):
        assert segment_of(node, segment_id).GetRepresentation("Closed surface").GetNumberOfPoints() > 0


@pytest.mark.parametrize("name", ["out.seg.nrrd", "out.nii.gz"])
def test_export_writes_a_file_with_the_mask(
    panel: PanelDriver, volume: Any, tmp_path: Path, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    import SimpleITK as sitk

    panel.run("liver")
    path = tmp_path / "ü 测试" / name
    path.parent.mkdir()
    monkeypatch.setattr(qt.QFileDialog, "getSaveFileName", lambda *_: (str(path), ""))
    panel.ui.exportButton.click()
    assert panel.status == f"{name} was written."
    voxels = sitk.GetArrayFromImage(sitk.ReadImage(str(path)))
    assert np.count_nonzero(voxels) == MASKS["liver"].sum()


def test_results_are_there_again_in_an_opened_scene(panel: PanelDriver, volume: Any, host: Any, tmp_path: Path) -> None:
    panel.run("liver\nspleen")
    panel.ui.roiSelector.setCurrentNode(roi_node(volume, (3, 4, 3), (6, 8, 5)))
    combos = panel.ui.existingPolicyComboBox, panel.ui.overlapPolicyComboBox
    for combo in combos:
        combo.setCurrentIndex(2)
    boxes = panel.ui.keepEmptyCheckBox, panel.ui.fastCheckBox, panel.ui.uncertaintyCheckBox
    for box in boxes:
        box.setChecked(True)
    panel.ui.postprocessCheckBox.setChecked(False)
    panel.ui.thresholdSlider.value = 0.35
    titles = "Structure", "Result", "ml", "Score"
    shown = [panel.cells(title) for title in titles]
    panel.reopen(host, tmp_path / "scene.mrb")
    assert [panel.cells(title) for title in titles] == shown
    assert panel.ui.promptsTextEdit.plainText == "liver\nspleen"
    assert panel.ui.inputVolumeSelector.currentNode().GetName() == "CT"
    assert panel.ui.roiSelector.currentNode().GetName() == "R"
    assert [combo.currentIndex for combo in combos] == [2, 2]
    assert all(box.checked for box in boxes)
    assert not panel.ui.postprocessCheckBox.checked
    assert panel.ui.thresholdSlider.value == 0.35


def test_panel_with_results_is_no_taller_than_a_window(panel: PanelDriver) -> None:
    panel.run("liver\nspleen\nleft kidney")
    panel.process_events()
    assert panel.window.sizeHint().height() <= 900
