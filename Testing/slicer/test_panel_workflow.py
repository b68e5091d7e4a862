"""What a user does in the panel, step by step, with masks of known shape in place of the network."""

from __future__ import annotations

import shutil
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import slicer
from acting_backend import wait_for_cancel
from panel_backends import PanelBackend
from phantoms import (
    SHAPE,
    affine_of,
    browser_of_frames,
    mask_in,
    mask_of,
    obliqueness,
    plain_affine,
    roi_node,
    segment_ids,
    tag_of,
    volume_node,
)
from real_runs import node_ids

import DSMSegment as module
from dsm.core.boxes import CroppedArray
from dsm.errors import InputError, WorkerError
from dsm.wire.messages import Progress
from DSMSegmentLib.install.dependencies import missingRequirements
from DSMSegmentLib.panel.settings import Settings
from DSMSegmentLib.scene.dicom_export import dicomProblems
from DSMSegmentLib.scene.map_store import SegmentMap
from DSMSegmentLib.scene.mrml import ijkToRAS, orientedImageFromCrop, volumeFromNode
from DSMSegmentLib.scene.segment_volumes import volumeOfSegment

panel_host = pytest.importorskip("panel_host", reason="PySide6 is not installed")
import qt  # noqa: E402
from PySide6.QtTest import QTest  # noqa: E402

pytestmark = pytest.mark.usefixtures("questions")

SCREENS = panel_host.SCREENS
MASKS = {
    "liver": mask_of(seed=1),
    "spleen": mask_of(seed=2),
    "left kidney": mask_of(seed=3),
    "right kidney": mask_of(seed=4),
}
ROOT = Path(__file__).parents[2]
ALGORITHM_TYPE = "DICOM.SegmentAlgorithmType"


@pytest.fixture(autouse=True)
def chosen_model(dsm_tiny: Path, tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = tmp_path_factory.getbasetemp() / "panel-models"
    if not folder.exists():
        shutil.copytree(dsm_tiny, folder / "dsm-test")
    monkeypatch.setenv("DSM_MODEL_DIR", str(folder))
    qt.QSettings().clear()
    monkeypatch.setattr("DSMSegmentLib.install.free_text.missingForFreeText", list)  # whatever this interpreter has
    Settings().model = "dsm-test"


@pytest.fixture
def volume() -> Any:
    return volume_node(plain_affine())


@pytest.fixture
def backend() -> PanelBackend:
    return PanelBackend(dict(MASKS))


@pytest.fixture
def panel(volume: Any, backend: PanelBackend, monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    monkeypatch.setattr(module, "WorkerBackend", lambda **_: backend)
    panel = panel_host.Panel(module)
    yield panel
    panel.close()


def process_until(panel: Any, condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 20
    while not condition():
        assert time.monotonic() < deadline, panel.ui.statusLabel.text
        panel.process_events()
        time.sleep(0.002)


def run(panel: Any, prompts: str) -> Any:
    panel.ui.promptsTextEdit.setPlainText(prompts)
    panel.ui.applyButton.click()
    process_until(panel, lambda: not panel.widget.logic.isRunning)
    return panel.ui.outputSegmentationSelector.currentNode()


def cells(panel: Any, column: int) -> list[str]:
    table = panel.ui.resultsTable
    return [table.item(row, column).text() for row in range(table.rowCount)]


def rerun(panel: Any, name: str) -> None:
    panel.ui.resultsTable.clearSelection()
    panel.ui.resultsTable.selectRow(cells(panel, 1).index(name))
    panel.ui.rerunButton.click()
    process_until(panel, lambda: not panel.widget.logic.isRunning)


def look_of(node: Any) -> list[Any]:
    """How a segmentation is drawn."""
    display = node.GetDisplayNode()
    looks = [display.GetVisibility(), display.GetOpacity2DFill(), display.GetOpacity2DOutline(), display.GetOpacity3D()]
    for id_ in segment_ids(node):
        looks += [display.GetSegmentVisibility(id_), display.GetSegmentOpacity2DFill(id_)]
        looks += [display.GetSegmentVisibility2DFill(id_), display.GetSegmentOpacity2DOutline(id_)]
        looks += [display.GetSegmentVisibility3D(id_), *np.round(segment_of(node, id_).GetColor(), 4)]
    return looks


def names_in(scene: Any) -> list[str]:
    nodes = [scene.GetNthNode(number) for number in range(scene.GetNumberOfNodes())]
    return [node.GetName() or "" for node in nodes]


def segment_of(node: Any, segment_id: str) -> Any:
    return node.GetSegmentation().GetSegment(segment_id)


def is_shown_3d(node: Any) -> bool:
    return bool(node.GetSegmentation().ContainsRepresentation("Closed surface"))


def points_of_surfaces(node: Any) -> dict[str, int]:
    """Return how many points the surface of each segment has that has one."""
    surfaces = {id_: segment_of(node, id_).GetRepresentation("Closed surface") for id_ in segment_ids(node)}
    return {id_: surface.GetNumberOfPoints() for id_, surface in surfaces.items() if surface is not None}


def edit_by_hand(node: Any, segment_id: str, volume: Any) -> np.ndarray:
    """Paint one more voxel plane with the real logic of the Segment Editor."""
    editor = slicer.mrmlScene.GetSingletonNode("SegmentEditor", "vtkMRMLSegmentEditorNode")
    logic = slicer.vtkSlicerSegmentEditorLogic()
    logic.SetMRMLScene(slicer.mrmlScene)
    logic.SetSegmentEditorNode(editor)
    editor.SetOverwriteMode(editor.OverwriteNone)
    corrected = mask_in(node, segment_id, volume).copy()
    corrected[8, 3:9, 2:6] = 1
    image = orientedImageFromCrop(CroppedArray(corrected, (0, 0, 0)), ijkToRAS(volume))
    logic.ModifySegmentByLabelmap(node, segment_id, image, logic.ModificationModeSet, False, False)
    return corrected


class TestPrompts:
    def test_each_line_gets_a_hint(self, panel: Any) -> None:
        panel.ui.promptsTextEdit.setPlainText("liver\nlivr\nheart")
        good, doubt, other = panel.ui.hintsLabel.text.splitlines()
        assert good == "✓ liver"
        assert doubt.startswith("? livr: free text")
        assert "liver" in doubt.split("Did you mean")[1]
        assert other == "? heart: known, but this model was not trained on it."
        panel.screenshot(SCREENS / "hints.png")

    def test_free_text_without_a_language_model_is_said_while_typing_and_can_be_installed(
        self, volume: Any, backend: PanelBackend, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        missing = ["open_clip_torch"]
        monkeypatch.setattr("DSMSegmentLib.install.free_text.missingForFreeText", lambda: list(missing))
        monkeypatch.setattr("DSMSegmentLib.install.free_text.installForFreeText", missing.clear)
        monkeypatch.setattr(module, "WorkerBackend", lambda **_: backend)
        panel = panel_host.Panel(module)
        assert panel.ui.setupCollapsibleButton.collapsed, "the vocabulary needs none"
        panel.ui.promptsTextEdit.setPlainText("liver\ngrey spot")
        assert panel.ui.hintsLabel.text.splitlines()[1] == (
            "! gray spot: not in the vocabulary; for free text, see Setup."
        )
        panel.ui.setupCollapsibleButton.collapsed = False
        assert panel.ui.installFreeTextButton.visible
        panel.screenshot(SCREENS / "free_text.png")
        panel.ui.installFreeTextButton.click()
        assert panel.ui.hintsLabel.text.splitlines()[1].startswith("? gray spot: free text")
        assert not panel.ui.installFreeTextButton.visible
        panel.close()

    def test_hints_follow_the_volume(self, panel: Any) -> None:
        slicer.util.updateVolumeFromArray(mr := volume_node(plain_affine(), name="MR"), np.ones(SHAPE[::-1], np.int16))
        panel.ui.inputVolumeSelector.setCurrentNode(mr)
        panel.ui.promptsTextEdit.setPlainText("prostate tumor")
        assert "usually seen on" not in panel.ui.hintsLabel.text
        panel.ui.inputVolumeSelector.setCurrentNode(slicer.util.getNode("CT"))
        assert panel.ui.hintsLabel.text == "? prostate tumor: usually seen on MR, this volume is CT."
        panel.ui.inputVolumeSelector.setCurrentNode(mr)
        assert "usually seen on" not in panel.ui.hintsLabel.text

    def test_names_are_completed_while_typing(self, panel: Any) -> None:
        edit = panel.ui.promptsTextEdit
        panel.window.activateWindow()
        edit.setFocus()
        panel.process_events()
        QTest.keyClicks(edit, "left kid")
        popup = panel.widget._prompts._completer.popup()
        assert popup.visible
        names = [popup.model().index(row, 0).data() for row in range(popup.model().rowCount())]
        assert "left kidney" in names
        panel.screenshot(SCREENS / "completion.png")
        popup.setCurrentIndex(popup.model().index(names.index("left kidney"), 0))
        QTest.keyClick(popup, qt.Qt.Key_Return)
        assert edit.plainText == "left kidney"
        assert not popup.visible

    def test_ctrl_enter_starts(self, panel: Any) -> None:
        panel.ui.promptsTextEdit.setPlainText("liver")
        panel.window.activateWindow()
        panel.ui.promptsTextEdit.setFocus()
        panel.process_events()
        QTest.keyClick(panel.ui.promptsTextEdit, qt.Qt.Key_Return, qt.Qt.ControlModifier)
        QTest.keyClick(panel.window, qt.Qt.Key_F1)  # else Qt takes Ctrl as held down, in the tests after this one, too
        process_until(panel, lambda: cells(panel, 1) == ["liver"])
        assert panel.ui.promptsTextEdit.plainText == "liver"

    def test_names_are_picked_from_the_tree_by_region(self, panel: Any) -> None:
        assert not panel.ui.structureTree.visible
        panel.ui.browseButton.click()
        assert panel.ui.structureTree.visible
        regions = [
            panel.ui.structureTree.topLevelItem(n).text(0) for n in range(panel.ui.structureTree.topLevelItemCount)
        ]
        assert any(text.startswith("Abdomen (") for text in regions)
        panel.ui.structureFilterEdit.setText("spleen")
        region = next(
            panel.ui.structureTree.topLevelItem(n)
            for n in range(len(regions))
            if not panel.ui.structureTree.topLevelItem(n).isHidden()
        )
        items = [region.child(n) for n in range(region.childCount()) if not region.child(n).isHidden()]
        spleen = next(item for item in items if item.text(0) == "spleen")
        panel.screenshot(SCREENS / "browse.png")
        for _ in range(2):
            panel.ui.structureTree.itemActivated.emit(spleen, 0)
        assert panel.ui.promptsTextEdit.plainText == "spleen"

    def test_long_prompt_is_refused_with_a_reason(self, panel: Any) -> None:
        panel.ui.promptsTextEdit.setPlainText("x" * 400)
        assert panel.ui.hintsLabel.text.startswith("!")
        panel.ui.applyButton.click()
        assert "300 characters" in panel.ui.statusLabel.text
        assert not panel.widget.logic.isRunning

    def test_same_prompt_twice_is_one_segment(self, panel: Any) -> None:
        node = run(panel, "liver\nLiver\nthe liver")
        assert segment_ids(node) == ["DSM_liver"]


class TestRun:
    def test_results_appear_one_after_another_and_cancel_keeps_them(
        self, panel: Any, backend: PanelBackend, volume: Any
    ) -> None:
        backend.after, backend.act = 2, wait_for_cancel
        panel.ui.promptsTextEdit.setPlainText("liver\nspleen\nleft kidney")
        panel.ui.applyButton.click()
        process_until(panel, lambda: len(cells(panel, 1)) == 2)
        assert panel.ui.applyButton.text == "Cancel"
        assert panel.ui.progressBar.visible
        assert not panel.ui.setupCollapsibleButton.enabled
        panel.screenshot(SCREENS / "running.png")
        start_s = time.monotonic()
        panel.ui.applyButton.click()
        process_until(panel, lambda: not panel.widget.logic.isRunning)
        assert time.monotonic() - start_s < 2.0
        node = panel.ui.outputSegmentationSelector.currentNode()
        assert segment_ids(node) == ["DSM_liver", "DSM_spleen"]
        np.testing.assert_array_equal(mask_in(node, "DSM_liver", volume), MASKS["liver"])
        assert panel.ui.statusLabel.text == "Cancelled. 2 found; not segmented: left kidney."
        assert not panel.ui.progressBar.visible

    def test_failure_is_said_in_the_status_line_and_the_panel_goes_on(self, panel: Any, backend: PanelBackend) -> None:
        def die(_: Any) -> None:
            raise WorkerError("The worker process ended.", code="worker.died", hint="Start it again.", details="trace")

        backend.after, backend.act = 1, die
        node = run(panel, "liver\nspleen")
        assert panel.ui.statusLabel.text == (
            "The worker process ended. Start it again. 1 found; not segmented: spleen."
        )
        assert "trace" in panel.ui.logTextEdit.plainText
        panel.screenshot(SCREENS / "failed.png")
        assert segment_ids(node) == ["DSM_liver"]
        backend.act = None
        assert segment_ids(run(panel, "spleen")) == ["DSM_liver", "DSM_spleen"]

    def test_prompt_that_finds_nothing_is_a_row_and_no_segment(self, panel: Any) -> None:
        node = run(panel, "pancreas\nliver")
        assert segment_ids(node) == ["DSM_liver"]
        assert cells(panel, 1) == ["liver", "pancreas"]
        assert cells(panel, 2) == ["found", "not found"]
        assert "not found: pancreas" in panel.ui.statusLabel.text
        panel.screenshot(SCREENS / "not_found.png")

    def test_progress_shows_steps_and_the_time_left(self, panel: Any, backend: PanelBackend) -> None:
        backend.after, backend.act = 0, wait_for_cancel
        panel.ui.promptsTextEdit.setPlainText("liver\nspleen")
        panel.ui.applyButton.click()
        job = panel.widget.logic._job
        job._arrived(Progress(id="", stage="encode", done=3, total=10, eta=12.4))  # as the backend does, on its thread
        process_until(panel, lambda: panel.ui.progressBar.maximum == 10)
        assert panel.ui.progressBar.value == 3
        assert panel.ui.statusLabel.text == "Encoding the volume... about 12 s left"
        job._arrived(Progress(id="", stage="decode", done=1, total=2))
        process_until(panel, lambda: panel.ui.statusLabel.text == "Segmenting 2 of 2...")
        panel.ui.applyButton.click()
        process_until(panel, lambda: not panel.widget.logic.isRunning)

    def test_result_with_something_to_know_about_it_is_marked_also_in_an_opened_scene(
        self, panel: Any, backend: PanelBackend, host: Any, tmp_path: Path
    ) -> None:
        backend._masks = {**MASKS, "odd | thing": mask_of(seed=9)}
        run(panel, "liver\nkidney\nodd | thing")
        assert cells(panel, 2) == ["found", "found, check", "found, check", "found, check"]
        assert cells(panel, 3)[0] == f"{MASKS['liver'].sum() * 0.7 * 1.1 * 3 / 1000:.2f}", "a small one is not 0.0 ml"
        assert "names no side" in panel.ui.resultsTable.item(1, 2).toolTip()
        assert "not in the vocabulary" in panel.ui.resultsTable.item(3, 2).toolTip()
        panel.screenshot(SCREENS / "check.png")
        host.saveScene(tmp_path / "scene.mrb")
        host.loadScene(tmp_path / "scene.mrb")
        panel.process_events()
        node = slicer.mrmlScene.GetFirstNodeByClass("vtkMRMLSegmentationNode")
        panel.ui.outputSegmentationSelector.setCurrentNode(node)
        assert cells(panel, 2) == ["found", "found, check", "found, check", "found, check"]
        assert "names no side" in panel.ui.resultsTable.item(1, 2).toolTip()

    def test_policies_of_the_panel_reach_the_run(self, panel: Any, backend: PanelBackend, volume: Any) -> None:
        run(panel, "liver")
        combo = panel.ui.existingPolicyComboBox
        combo.setCurrentIndex(combo.findText("Skip the prompt"))
        panel.ui.keepLargestCheckBox.setChecked(False)
        node = run(panel, "liver\nspleen")
        assert segment_ids(node) == ["DSM_liver", "DSM_spleen"]
        assert cells(panel, 2) == ["found", "found", "skipped"]
        assert backend.requests[-1].prompts == ("spleen",)
        assert not backend.requests[-1].options.postprocess

    def test_results_are_there_for_who_left_the_panel_during_the_run(self, panel: Any, backend: PanelBackend) -> None:
        leave = threading.Event()
        backend.after, backend.act = 1, lambda _: leave.wait(20)
        panel.ui.promptsTextEdit.setPlainText("liver\nspleen")
        panel.ui.applyButton.click()
        panel.widget.exit()
        leave.set()
        process_until(panel, lambda: not panel.widget.logic.isRunning)
        panel.widget.enter()
        assert cells(panel, 1) == ["liver", "spleen"]
        assert segment_ids(panel.ui.outputSegmentationSelector.currentNode()) == ["DSM_liver", "DSM_spleen"]
        assert panel.ui.undoButton.enabled

    def test_region_limits_the_run(self, panel: Any, volume: Any) -> None:
        panel.ui.roiSelector.setCurrentNode(roi_node(volume, (3, 4, 3), (6, 8, 5)))
        mask = mask_in(run(panel, "liver"), "DSM_liver", volume)
        assert mask.any()
        mask[3:6, 4:8, 3:5] = 0
        assert not mask.any()

    def test_button_says_why_it_cannot_be_pressed(self, panel: Any) -> None:
        assert panel.ui.applyButton.toolTip == "Type what to segment first, one structure per line."
        panel.ui.promptsTextEdit.setPlainText("liver")
        panel.ui.inputVolumeSelector.setCurrentNode(None)
        assert panel.ui.applyButton.toolTip == "Select a CT or MR volume first."


class TestResults:
    def test_undo_gives_back_the_node_as_it_was(self, panel: Any, volume: Any) -> None:
        node = run(panel, "liver")
        combo = panel.ui.existingPolicyComboBox
        combo.setCurrentIndex(combo.findText("Replace it"))
        panel.widget.logic.backend._masks = {**MASKS, "liver": mask_of(seed=9)}
        run(panel, "liver\nspleen")
        assert segment_ids(node) == ["DSM_liver", "DSM_spleen"]
        panel.ui.undoButton.click()
        assert segment_ids(node) == ["DSM_liver"]
        np.testing.assert_array_equal(mask_in(node, "DSM_liver", volume), MASKS["liver"])
        assert cells(panel, 1) == ["liver"]
        panel.ui.undoButton.click()
        assert slicer.mrmlScene.GetFirstNodeByClass("vtkMRMLSegmentationNode") is None
        assert not panel.ui.undoButton.enabled
        assert panel.ui.undoButton.toolTip == "There is no run to undo."

    def test_undo_of_a_new_segmentation_selects_no_other_to_write_to(self, panel: Any) -> None:
        first = run(panel, "liver")
        panel.ui.outputSegmentationSelector.setCurrentNode(None)
        assert run(panel, "spleen") is not first
        panel.ui.undoButton.click()
        assert panel.ui.outputSegmentationSelector.currentNode() is None
        assert panel.widget._parameterNode.outputSegmentation is None

    def test_selected_row_moves_the_views_to_its_largest_slice(self, panel: Any, volume: Any) -> None:
        mask = np.zeros(SHAPE, np.uint8)
        mask[2:4, 3:5, 2] = 1
        mask[2:9, 3:8, 6] = 1
        panel.widget.logic.backend._masks = {"liver": mask}
        slice_node = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLSliceNode")
        run(panel, "liver")
        panel.ui.resultsTable.selectRow(0)
        expected = (plain_affine() @ [5, 5, 6, 1])[:3]
        position = [slice_node.GetSliceToRAS().GetElement(row, 3) for row in range(3)]
        assert position[2] == pytest.approx(expected[2], abs=0.01)

    def test_check_boxes_show_and_review(self, panel: Any) -> None:
        node = run(panel, "liver")
        logic = slicer.vtkSlicerSegmentationsModuleLogic
        assert logic.GetSegmentStatus(segment_of(node, "DSM_liver")) == logic.InProgress
        panel.ui.resultsTable.item(0, 0).setCheckState(qt.Qt.Unchecked)
        assert not node.GetDisplayNode().GetSegmentVisibility("DSM_liver")
        panel.ui.resultsTable.item(0, 6).setCheckState(qt.Qt.Checked)
        assert logic.GetSegmentStatus(segment_of(node, "DSM_liver")) == logic.Completed

    def test_rerun_replaces_the_selected_segment_only(self, panel: Any, backend: PanelBackend, volume: Any) -> None:
        node = run(panel, "liver\nspleen")
        backend._masks = {**MASKS, "liver": mask_of(seed=9), "spleen": mask_of(seed=8)}
        panel.ui.resultsTable.selectRow(0)
        panel.ui.rerunButton.click()
        process_until(panel, lambda: not panel.widget.logic.isRunning)
        assert segment_ids(node) == ["DSM_liver", "DSM_spleen"]
        np.testing.assert_array_equal(mask_in(node, "DSM_liver", volume), mask_of(seed=9))
        np.testing.assert_array_equal(mask_in(node, "DSM_spleen", volume), MASKS["spleen"])

    def test_rerun_writes_into_the_segment_of_the_row_and_into_no_other_of_its_name(
        self, panel: Any, backend: PanelBackend, volume: Any
    ) -> None:
        node = run(panel, "liver")
        segment = segment_of(node, "DSM_liver")
        segment.RemoveTag("DSM.Prompt")  # as if a person had drawn it
        run(panel, "liver")
        backend._masks = {"liver": mask_of(seed=9)}
        rerun(panel, "liver_1")
        assert segment_ids(node) == ["DSM_liver", "DSM_liver_1"]
        np.testing.assert_array_equal(mask_in(node, "DSM_liver", volume), MASKS["liver"])
        np.testing.assert_array_equal(mask_in(node, "DSM_liver_1", volume), mask_of(seed=9))

    def test_rerun_of_one_of_two_kidneys_leaves_the_other_alone(
        self, panel: Any, backend: PanelBackend, volume: Any
    ) -> None:
        node = run(panel, "kidneys")
        assert segment_ids(node) == ["DSM_left_kidney", "DSM_right_kidney"]
        backend._masks = {"left kidney": mask_of(seed=8), "right kidney": mask_of(seed=9)}
        rerun(panel, "left kidney")
        assert backend.requests[-1].prompts == ("left kidney",)
        np.testing.assert_array_equal(mask_in(node, "DSM_left_kidney", volume), mask_of(seed=8))
        np.testing.assert_array_equal(mask_in(node, "DSM_right_kidney", volume), MASKS["right kidney"])

    def test_rerun_of_a_prompt_that_found_nothing_replaces_nothing(
        self, panel: Any, backend: PanelBackend, volume: Any
    ) -> None:
        node = run(panel, "spleen\npancreas")
        node.GetSegmentation().AddEmptySegment("mine", "pancreas")
        backend._masks = {"pancreas": mask_of(seed=9)}
        rerun(panel, "pancreas")
        assert segment_ids(node) == ["DSM_spleen", "mine", "DSM_pancreas"]
        assert not mask_in(node, "mine", volume).any()

    def test_show_3d_makes_and_removes_surfaces(self, panel: Any) -> None:
        node = run(panel, "liver")
        panel.ui.show3DButton.click()
        assert panel.ui.show3DButton.checked
        process_until(panel, lambda: is_shown_3d(node))
        assert panel.ui.show3DButton.checked
        panel.ui.show3DButton.click()
        assert not is_shown_3d(node)
        assert not panel.ui.show3DButton.checked

    def test_surfaces_are_made_one_in_each_turn_of_the_event_loop(self, panel: Any) -> None:
        node = run(panel, "liver\nspleen\nleft kidney\nright kidney")
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

    def test_surfaces_that_are_being_made_can_be_had_no_more(self, panel: Any) -> None:
        node = run(panel, "liver\nspleen\nleft kidney")
        panel.ui.show3DButton.click()
        process_until(panel, lambda: bool(points_of_surfaces(node)))
        panel.ui.show3DButton.click()
        for _ in range(10):
            panel.process_events()
        assert points_of_surfaces(node) == {}
        assert not panel.ui.show3DButton.checked

    def test_run_that_starts_while_surfaces_are_made_gives_them_back(self, panel: Any) -> None:
        node = run(panel, "liver\nspleen\nleft kidney")
        panel.ui.show3DButton.click()
        run(panel, "right kidney")
        run(panel, "right kidney")
        process_until(panel, lambda: is_shown_3d(node))
        assert len(points_of_surfaces(node)) == 5

    def test_run_makes_the_surfaces_once_at_its_end(self, panel: Any, monkeypatch: pytest.MonkeyPatch) -> None:
        node = run(panel, "liver")
        panel.ui.show3DButton.click()
        process_until(panel, lambda: is_shown_3d(node))
        shown: list[bool] = []
        monkeypatch.setattr(panel.widget._results, "addOutcome", lambda *_: shown.append(is_shown_3d(node)))
        assert run(panel, "spleen\nleft kidney") is node
        assert shown == [False, False]
        process_until(panel, lambda: is_shown_3d(node) and panel.ui.show3DButton.checked)
        for segment_id in segment_ids(node):
            assert segment_of(node, segment_id).GetRepresentation("Closed surface").GetNumberOfPoints() > 0

    @pytest.mark.parametrize("name", ["out.seg.nrrd", "out.nii.gz"])
    def test_export_writes_a_file_with_the_mask(
        self, panel: Any, volume: Any, tmp_path: Path, name: str, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        import SimpleITK as sitk

        run(panel, "liver")
        path = tmp_path / "ü 测试" / name
        path.parent.mkdir()
        monkeypatch.setattr(qt.QFileDialog, "getSaveFileName", lambda *_: (str(path), ""))
        panel.ui.exportButton.click()
        assert panel.ui.statusLabel.text == f"{name} was written."
        voxels = sitk.GetArrayFromImage(sitk.ReadImage(str(path)))
        assert np.count_nonzero(voxels) == MASKS["liver"].sum()

    def test_results_are_there_again_in_an_opened_scene(
        self, panel: Any, volume: Any, host: Any, tmp_path: Path
    ) -> None:
        run(panel, "liver\nspleen")
        panel.ui.roiSelector.setCurrentNode(roi_node(volume, (3, 4, 3), (6, 8, 5)))
        combos = panel.ui.existingPolicyComboBox, panel.ui.overlapPolicyComboBox
        for combo in combos:
            combo.setCurrentIndex(2)
        boxes = panel.ui.keepEmptyCheckBox, panel.ui.fastCheckBox, panel.ui.uncertaintyCheckBox
        for box in boxes:
            box.setChecked(True)
        panel.ui.keepLargestCheckBox.setChecked(False)
        panel.ui.thresholdSlider.value = 0.35
        shown = [cells(panel, column) for column in range(1, 6)]
        host.saveScene(tmp_path / "scene.mrb")
        host.loadScene(tmp_path / "scene.mrb")
        panel.process_events()
        node = slicer.mrmlScene.GetFirstNodeByClass("vtkMRMLSegmentationNode")
        panel.ui.outputSegmentationSelector.setCurrentNode(node)
        assert [cells(panel, column) for column in range(1, 6)] == shown
        assert panel.ui.promptsTextEdit.plainText == "liver\nspleen"
        assert panel.ui.inputVolumeSelector.currentNode().GetName() == "CT"
        assert panel.ui.roiSelector.currentNode().GetName() == "R"
        assert [combo.currentIndex for combo in combos] == [2, 2]
        assert all(box.checked for box in boxes)
        assert not panel.ui.keepLargestCheckBox.checked
        assert panel.ui.thresholdSlider.value == 0.35


class TestThreshold:
    def test_slider_moves_the_mask_of_the_selected_result(self, panel: Any, backend: PanelBackend, volume: Any) -> None:
        rng = np.random.default_rng(5)
        probability = (rng.random(SHAPE) * MASKS["liver"]).astype(np.float16)

        node = run(panel, "liver")
        store = panel.widget.logic._probabilities
        # The fake's own map has only the values 0 and 1.
        store.put(node, "DSM_liver", SegmentMap(CroppedArray(probability, (0, 0, 0)), ijkToRAS(volume)))
        panel.ui.keepLargestCheckBox.setChecked(False)
        panel.ui.resultsTable.selectRow(0)
        assert panel.ui.thresholdLabel.text.startswith("Applies to liver immediately")
        before = cells(panel, 3)
        panel.ui.thresholdSlider.value = 0.75
        process_until(panel, lambda: cells(panel, 3) != before)
        np.testing.assert_array_equal(mask_in(node, "DSM_liver", volume), probability > np.float16(0.75))
        assert tag_of(segment_of(node, "DSM_liver"), "DSM.Threshold") == "0.75"
        assert tag_of(segment_of(node, "DSM_liver"), ALGORITHM_TYPE) == "AUTOMATIC"
        panel.ui.advancedCollapsibleButton.collapsed = False
        panel.screenshot(SCREENS / "threshold.png")

    def test_slider_leaves_a_segment_alone_that_was_edited_a_moment_ago(self, panel: Any, volume: Any) -> None:
        node = run(panel, "liver")
        panel.ui.resultsTable.selectRow(0)
        slicer.util.selectModule("SegmentEditor")
        corrected = edit_by_hand(node, "DSM_liver", volume)
        panel.ui.thresholdSlider.value = 0.75
        process_until(panel, lambda: panel.ui.statusLabel.text.startswith("liver was edited by hand"))
        np.testing.assert_array_equal(mask_in(node, "DSM_liver", volume), corrected)
        assert cells(panel, 2) == ["edited"]
        assert panel.ui.thresholdLabel.text == "Applies to the next run. liver was edited manually and stays unchanged."
        assert panel.widget._parameterNode.threshold == 0.75, "it is that of the next run"


class TestUncertainty:
    def test_map_is_asked_for_shown_over_the_slices_and_leaves_nothing(
        self, panel: Any, backend: PanelBackend, volume: Any
    ) -> None:
        run(panel, "liver")
        panel.ui.resultsTable.selectRow(0)
        assert not backend.requests[-1].options.uncertainty
        assert not panel.ui.uncertaintyButton.enabled
        panel.ui.uncertaintyCheckBox.setChecked(True)
        panel.ui.fastCheckBox.setChecked(True)
        run(panel, "spleen")
        assert backend.requests[-1].options.uncertainty
        assert backend.requests[-1].options.fast
        before = node_ids()
        panel.ui.resultsTable.selectRow(1)
        panel.ui.uncertaintyButton.click()
        shown = slicer.util.getNode("spleen uncertainty")
        for selector in (panel.ui.inputVolumeSelector, panel.ui.outputSegmentationSelector):
            chosen = selector.currentNode()
            selector.setCurrentNode(shown)
            assert selector.currentNode() is not shown, "it is nothing to segment, or to write to"
            selector.setCurrentNode(chosen)
        # The fake is undecided exactly where its mask is: voxel for voxel at its place in the patient.
        most = segment_ids(shown)[-1]
        np.testing.assert_array_equal(mask_in(shown, most, volume), MASKS["spleen"])
        panel.ui.advancedCollapsibleButton.collapsed = False
        panel.screenshot(SCREENS / "uncertainty.png")
        panel.ui.uncertaintyButton.click()
        # Sampling the masks above left a display node for label maps.
        assert all("LabelMapVolumeDisplay" in node_id for node_id in node_ids() - before)

    def test_scene_that_is_saved_with_a_map_shown_reopens_without_it(
        self, panel: Any, volume: Any, host: Any, tmp_path: Path
    ) -> None:
        """Slicer tells nobody that it saves."""
        composite = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLSliceCompositeNode")
        composite.SetForegroundVolumeID(volume.GetID())
        composite.SetForegroundOpacity(0.25)
        panel.ui.uncertaintyCheckBox.setChecked(True)
        node = run(panel, "liver")
        look, volume_name = look_of(node), volume.GetName()
        num_nodes = slicer.mrmlScene.GetNumberOfNodes()
        panel.ui.resultsTable.selectRow(0)
        panel.ui.uncertaintyButton.click()
        assert slicer.mrmlScene.GetNumberOfNodes() > num_nodes
        assert panel.ui.outputSegmentationSelector.currentNode() is node
        files = tmp_path / "scene.mrb", tmp_path / "folder" / "scene.mrml"
        for file in files:
            file.parent.mkdir(exist_ok=True)
            host.saveScene(file)
        for file in files:
            host.loadScene(file)
            assert not [name for name in names_in(slicer.mrmlScene) if "uncertainty" in name]
            assert look_of(slicer.mrmlScene.GetFirstNodeByClass("vtkMRMLSegmentationNode")) == look
            again = slicer.mrmlScene.GetFirstNodeByClass("vtkMRMLSliceCompositeNode")
            shown = slicer.mrmlScene.GetNodeByID(again.GetForegroundVolumeID())
            assert (shown.GetName(), again.GetForegroundOpacity()) == (volume_name, 0.25)
        assert b"liver uncertainty" not in files[1].read_bytes()

    def test_map_goes_with_its_segment(self, panel: Any) -> None:
        panel.ui.uncertaintyCheckBox.setChecked(True)
        run(panel, "liver")
        panel.ui.resultsTable.selectRow(0)
        panel.ui.uncertaintyButton.click()
        assert slicer.util.getNodes("*uncertainty")
        panel.ui.undoButton.click()
        assert not slicer.util.getNodes("*uncertainty")
        panel.ui.uncertaintyCheckBox.setChecked(False)
        run(panel, "liver")
        panel.ui.resultsTable.selectRow(0)
        assert not panel.ui.uncertaintyButton.enabled, "the map is of a run that was taken back"


class TestEditing:
    def test_editor_opens_on_the_same_things_and_an_edit_makes_the_segment_semiautomatic(
        self, panel: Any, volume: Any
    ) -> None:
        node = run(panel, "liver\nspleen")
        panel.ui.resultsTable.selectRow(1)
        panel.ui.editButton.click()
        assert slicer.app.selected_modules[-1] == "SegmentEditor"
        editor = slicer.mrmlScene.GetSingletonNode("SegmentEditor", "vtkMRMLSegmentEditorNode")
        assert editor.GetSegmentationNode() is node
        assert editor.GetSourceVolumeNode() is volume
        assert editor.GetSelectedSegmentID() == "DSM_spleen"
        edit_by_hand(node, "DSM_spleen", volume)
        process_until(panel, lambda: tag_of(segment_of(node, "DSM_spleen"), ALGORITHM_TYPE) == "SEMIAUTOMATIC")
        assert tag_of(segment_of(node, "DSM_liver"), ALGORITHM_TYPE) == "AUTOMATIC"
        panel.widget.enter()
        assert cells(panel, 2) == ["found", "edited"]
        panel.screenshot(SCREENS / "edited.png")

    def test_edit_in_an_opened_scene_is_noticed_without_the_button(self, panel: Any, host: Any, tmp_path: Path) -> None:
        run(panel, "liver")
        host.saveScene(tmp_path / "scene.mrb")
        host.loadScene(tmp_path / "scene.mrb")
        panel.process_events()
        node = slicer.mrmlScene.GetFirstNodeByClass("vtkMRMLSegmentationNode")
        panel.ui.outputSegmentationSelector.setCurrentNode(node)
        panel.widget.exit()
        slicer.util.selectModule("SegmentEditor")
        edit_by_hand(node, "DSM_liver", slicer.mrmlScene.GetFirstNodeByClass("vtkMRMLScalarVolumeNode"))
        panel.widget.enter()
        assert cells(panel, 2) == ["edited"]
        assert tag_of(segment_of(node, "DSM_liver"), ALGORITHM_TYPE) == "SEMIAUTOMATIC"

    def test_next_run_leaves_edited_and_hand_made_segments_alone(self, panel: Any, volume: Any) -> None:
        node = run(panel, "liver")
        panel.ui.resultsTable.selectRow(0)
        panel.ui.editButton.click()
        corrected = edit_by_hand(node, "DSM_liver", volume)
        node.GetSegmentation().AddEmptySegment("mine", "by hand")
        run(panel, "liver\nspleen")
        assert segment_ids(node) == ["DSM_liver", "mine", "DSM_liver_1", "DSM_spleen"]
        np.testing.assert_array_equal(mask_in(node, "DSM_liver", volume), corrected)
        assert tag_of(segment_of(node, "DSM_liver"), ALGORITHM_TYPE) == "SEMIAUTOMATIC"
        assert tag_of(segment_of(node, "DSM_liver_1"), ALGORITHM_TYPE) == "AUTOMATIC"

    def test_a_correction_becomes_a_training_case(
        self, panel: Any, volume: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        from dsm.io.image import read_volume
        from dsm.io.manifest import read_manifest

        node = run(panel, "liver")
        panel.ui.resultsTable.selectRow(0)
        assert not panel.ui.saveCorrectionButton.enabled
        panel.ui.editButton.click()
        corrected = edit_by_hand(node, "DSM_liver", volume)
        panel.widget.enter()
        assert panel.ui.saveCorrectionButton.enabled
        monkeypatch.setattr(qt.QFileDialog, "getExistingDirectory", lambda *_: str(tmp_path))
        panel.ui.saveCorrectionButton.click()
        panel.ui.saveCorrectionButton.click()
        first, second = read_manifest(tmp_path)
        assert (first.image, first.modality, first.targets) == (second.image, "CT", {"liver": (1,)})
        label = read_volume(first.label)
        np.testing.assert_array_equal(label.array, corrected)
        np.testing.assert_allclose(label.affine, plain_affine(), atol=1e-4)
        ai = read_volume(tmp_path / f"{first.case_id}_ai.nii.gz")
        np.testing.assert_array_equal(ai.array, MASKS["liver"])

    def test_what_one_does_with_a_result_concerns_the_volume_that_it_was_made_on(
        self, panel: Any, volume: Any, backend: PanelBackend, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        from dsm.io.image import read_volume
        from dsm.io.manifest import read_manifest

        node = run(panel, "liver")
        panel.ui.inputVolumeSelector.setCurrentNode(volume_node(plain_affine(), (9, 8, 7), "Other"))
        panel.ui.outputSegmentationSelector.setCurrentNode(node)
        panel.ui.resultsTable.selectRow(0)
        panel.ui.editButton.click()
        editor = slicer.mrmlScene.GetSingletonNode("SegmentEditor", "vtkMRMLSegmentEditorNode")
        assert editor.GetSourceVolumeNode() is volume
        corrected = edit_by_hand(node, "DSM_liver", volume)
        panel.widget.enter()
        monkeypatch.setattr(qt.QFileDialog, "getExistingDirectory", lambda *_: str(tmp_path))
        panel.ui.saveCorrectionButton.click()
        (case,) = read_manifest(tmp_path)
        np.testing.assert_array_equal(read_volume(case.image).array, volumeFromNode(volume).array)
        np.testing.assert_array_equal(read_volume(case.label).array, corrected)
        path = tmp_path / "out.nii.gz"
        monkeypatch.setattr(qt.QFileDialog, "getSaveFileName", lambda *_: (str(path), ""))
        panel.ui.exportButton.click()
        assert read_volume(path).shape == SHAPE
        rerun(panel, "liver")
        np.testing.assert_array_equal(mask_in(node, "DSM_liver", volume), MASKS["liver"])

    def test_correction_has_the_name_that_was_asked_for_whatever_the_segment_is_called(
        self, panel: Any, volume: Any, tmp_path: Path
    ) -> None:
        from dsm.io.manifest import read_manifest
        from DSMSegmentLib.scene.correction import saveCorrection

        run(panel, "kidneys")
        node = run(panel, "kidneys")
        saveCorrection(node, segment_ids(node)[-1], tmp_path)
        (case,) = read_manifest(tmp_path)
        assert list(case.targets) == ["right kidney"]

    def test_correction_of_a_volume_that_is_gone_is_refused(self, panel: Any, volume: Any, tmp_path: Path) -> None:
        from DSMSegmentLib.scene.correction import saveCorrection

        node = run(panel, "liver")
        slicer.mrmlScene.RemoveNode(volume)
        with pytest.raises(InputError, match="was made on is not in the scene"):
            saveCorrection(node, "DSM_liver", tmp_path)
        assert list(tmp_path.iterdir()) == []

    def test_edit_of_a_segmentation_that_is_not_the_output_any_more_is_noticed(self, panel: Any, volume: Any) -> None:
        first = run(panel, "liver")
        panel.ui.outputSegmentationSelector.setCurrentNode(None)
        second = run(panel, "liver\nspleen")
        assert second is not first
        panel.widget.exit()
        slicer.util.selectModule("SegmentEditor")
        edit_by_hand(first, "DSM_liver", volume)
        panel.widget.enter()
        assert tag_of(segment_of(first, "DSM_liver"), ALGORITHM_TYPE) == "SEMIAUTOMATIC"
        assert cells(panel, 2) == ["found", "found"]
        panel.ui.outputSegmentationSelector.setCurrentNode(first)
        assert cells(panel, 2) == ["edited"]

    def test_training_reads_a_correction_and_its_recipe(self, panel: Any, volume: Any, tmp_path: Path) -> None:
        from dsm.io.manifest import read_manifest
        from dsm.models.config import ModelConfig
        from dsm.training.cases import load_case
        from dsm.training.recipe import Recipe
        from DSMSegmentLib.scene.correction import saveCorrection

        node = run(panel, "liver")
        saveCorrection(node, "DSM_liver", tmp_path)
        recipe = Recipe.load(ROOT / "recipes" / "finetune.yaml")
        (entry,) = read_manifest(tmp_path)
        case = load_case(entry, recipe.model["windows_hu"], rng=np.random.default_rng(0))
        assert len(case.present["liver"]) == MASKS["liver"].sum()
        # It starts from the shipped weights, so it must describe the same network.
        shipped = ModelConfig.load(ROOT / recipe.start_from)
        assert tuple(recipe.model["organs"]) == shipped.organs
        assert tuple(recipe.model["channels"]) == shipped.channels


class TestSetup:
    def test_folded_when_ready_and_open_when_packages_are_missing(
        self, panel: Any, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        assert panel.ui.setupCollapsibleButton.collapsed
        assert missingRequirements() == []
        monkeypatch.setattr("DSMSegmentLib.install.dependencies.missingRequirements", lambda: ["torch>=2.6"])
        monkeypatch.setattr("DSMSegmentLib.install.dependencies.loadedTorch", lambda: "")
        second = panel_host.Panel(module)
        assert not second.ui.setupCollapsibleButton.collapsed
        second.ui.promptsTextEdit.setPlainText("liver")
        assert not second.ui.applyButton.enabled
        assert "press Install" in second.ui.applyButton.toolTip
        assert "packages are missing" in second.ui.setupStatusLabel.text
        second.ui.installButton.click()
        assert "extension PyTorch" in second.ui.statusLabel.text
        second.screenshot(SCREENS / "no_packages.png")
        second.close()

    @pytest.fixture
    def bare_panel(self, volume: Any, backend: PanelBackend, monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
        """A panel of an interpreter without PyTorch; `missing` is what it lacks."""
        missing = ["torch>=2.6"]
        monkeypatch.setattr("DSMSegmentLib.install.dependencies.missingRequirements", lambda: list(missing))
        monkeypatch.setattr("DSMSegmentLib.install.dependencies.loadedTorch", lambda: "")
        monkeypatch.setattr(module, "WorkerBackend", lambda **_: backend)
        panel = panel_host.Panel(module)
        panel.missing = missing
        yield panel
        panel.close()

    def test_install_is_followed_by_an_import_in_the_worker(
        self, bare_panel: Any, backend: PanelBackend, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr("DSMSegmentLib.install.dependencies.installMissing", bare_panel.missing.clear)
        bare_panel.ui.installButton.click()
        process_until(bare_panel, lambda: "The worker is ready" in bare_panel.ui.statusLabel.text)
        assert bare_panel.ui.deviceComboBox.count == 3

    def test_package_that_the_worker_cannot_import_is_said(
        self, bare_panel: Any, backend: PanelBackend, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        def test() -> None:
            raise WorkerError("The worker cannot import torch.", hint="Install it again.")

        backend.test = test
        monkeypatch.setattr("DSMSegmentLib.install.dependencies.installMissing", bare_panel.missing.clear)
        bare_panel.ui.installButton.click()
        process_until(bare_panel, lambda: "cannot import torch" in bare_panel.ui.statusLabel.text)

    def test_failed_pip_is_said_in_the_status_line(self, bare_panel: Any, monkeypatch: pytest.MonkeyPatch) -> None:
        from DSMSegmentLib.install.pip_call import slicerPackaging

        def pip_install(*_: Any, **__: Any) -> None:
            raise subprocess.CalledProcessError(1, ["pip"])

        # In Slicer 5.12 and later, packages are installed by a module of their own.
        monkeypatch.setattr(slicerPackaging() or slicer.util, "pip_install", pip_install, raising=False)
        monkeypatch.setattr(qt.QFileDialog, "getExistingDirectory", lambda *_: "/wheels")
        bare_panel.ui.installFolderButton.click()
        assert bare_panel.ui.statusLabel.text.startswith("pip could not install torch>=2.6 (exit status 1). Put wheels")
        assert not bare_panel.ui.testButton.enabled

    def test_test_lists_devices_with_reasons(self, panel: Any) -> None:
        panel.ui.setupCollapsibleButton.collapsed = False
        panel.ui.testButton.click()
        process_until(panel, lambda: panel.ui.deviceComboBox.count == 3)
        texts = [panel.ui.deviceComboBox.itemText(n) for n in range(3)]
        assert texts[1:] == ["Test CPU, 4.0 GB free", "NVIDIA GPU: No NVIDIA GPU with a driver was found."]
        assert "The CPU is used: No NVIDIA GPU" in panel.ui.setupStatusLabel.text
        panel.screenshot(SCREENS / "setup.png")
        panel.ui.releaseButton.click()
        assert panel.widget.logic.backend.released == 1

    def test_device_of_an_earlier_start_is_shown_and_can_be_left(
        self, volume: Any, backend: PanelBackend, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        Settings().device = "cuda:1"
        monkeypatch.setattr(module, "WorkerBackend", lambda **_: backend)
        panel = panel_host.Panel(module)
        combo = panel.ui.deviceComboBox
        assert combo.currentText == "cuda:1, not tested yet"
        assert backend.chosen[1] == "cuda:1"
        panel.ui.testButton.click()
        process_until(panel, lambda: combo.count == 4)
        assert combo.currentText == "cuda:1: not found"
        combo.setCurrentIndex(combo.findText("Automatic"))
        assert backend.chosen[1] == "auto"
        assert Settings().device == "auto"
        panel.close()

    def test_licence_is_asked_once_per_model(self, panel: Any, questions: list[str]) -> None:
        run(panel, "liver")
        run(panel, "spleen")
        assert len(questions) == 1
        assert "dsm-test" in questions[0]
        assert "see the model card" in questions[0], "this model's card has no row for it"

    def test_models_are_shown_with_size_and_licence(
        self, volume: Any, backend: PanelBackend, monkeypatch: pytest.MonkeyPatch, questions: list[str]
    ) -> None:
        monkeypatch.setenv("DSM_MODEL_DIR", str(ROOT / "model_weights"))
        Settings().model = "dsm-small"
        monkeypatch.setattr(module, "WorkerBackend", lambda **_: backend)
        opened: list[str] = []
        monkeypatch.setattr(qt.QDesktopServices, "openUrl", lambda url: opened.append(url.toLocalFile()))
        panel = panel_host.Panel(module)
        model = panel.widget._setup.model
        assert panel.ui.modelComboBox.currentText == f"dsm-small ({model.num_bytes / 2**20:.0f} MB)"
        assert panel.ui.licenceLabel.text.startswith("CC BY-NC-SA 4.0")
        assert not panel.ui.deleteModelButton.enabled, "it came with the extension"
        panel.ui.openModelFolderButton.click()
        assert [Path(path) for path in opened] == [model.path]
        run(panel, "liver")
        assert panel.ui.licenceLabel.text in questions[0]
        panel.close()

    def test_licence_refused_starts_nothing(
        self, panel: Any, backend: PanelBackend, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(slicer.util, "confirmOkCancelDisplay", lambda *_, **__: False)
        run(panel, "liver")
        assert backend.requests == []
        assert panel.ui.statusLabel.text == "The licence of the model was not accepted."

    def test_report_holds_log_and_computer(self, panel: Any) -> None:
        run(panel, "liver")
        panel.ui.copyReportButton.click()
        report = slicer.app.clipboard().text()
        assert "DSMSegment" in report
        assert "1 found" in report
        assert "worker log" in report


class TestSceneAndModule:
    def test_closing_the_scene_during_a_run_stops_it(self, panel: Any, backend: PanelBackend) -> None:
        backend.after, backend.act = 1, wait_for_cancel
        panel.ui.promptsTextEdit.setPlainText("liver\nspleen")
        panel.ui.applyButton.click()
        process_until(panel, lambda: len(cells(panel, 1)) == 1)
        slicer.mrmlScene.Clear(False)
        process_until(panel, lambda: not panel.widget.logic.isRunning)
        assert slicer.mrmlScene.GetFirstNodeByClass("vtkMRMLSegmentationNode") is None
        assert not panel.ui.resultsCollapsibleButton.visible
        again = volume_node(plain_affine())
        panel.ui.inputVolumeSelector.setCurrentNode(again)
        assert segment_ids(run(panel, "liver")) == ["DSM_liver"]

    def test_panel_that_is_not_open_forgets_its_results_with_the_scene(self, panel: Any) -> None:
        run(panel, "liver")
        panel.ui.resultsTable.selectRow(0)
        assert panel.ui.editButton.enabled
        panel.widget.exit()
        panel.window.isEntered = False
        slicer.mrmlScene.Clear(False)
        assert not panel.ui.editButton.enabled
        assert panel.ui.resultsTable.rowCount == 0
        panel.ui.editButton.clicked.emit()  # as a click that was on its way
        assert slicer.app.selected_modules == []

    def test_unloading_the_module_closes_the_backend(self, volume: Any, monkeypatch: pytest.MonkeyPatch) -> None:
        backend = PanelBackend(MASKS, 0, wait_for_cancel)
        monkeypatch.setattr(module, "WorkerBackend", lambda **_: backend)
        panel = panel_host.Panel(module)
        panel.ui.promptsTextEdit.setPlainText("liver")
        panel.ui.applyButton.click()
        panel.close()
        assert backend.closed == 1

    def test_runs_add_no_nodes_but_the_segmentation(self, panel: Any) -> None:
        run(panel, "liver")
        before = slicer.mrmlScene.GetNumberOfNodes()
        for _ in range(3):
            run(panel, "liver\nspleen")
        assert slicer.mrmlScene.GetNumberOfNodes() == before

    def test_volume_under_a_transform(self, panel: Any, volume: Any) -> None:
        transform = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLLinearTransformNode")
        matrix = slicer.util.vtkMatrixFromArray(affine_of(obliqueness(30), (1.0, 1.0, 1.0)))
        transform.SetMatrixTransformToParent(matrix)
        volume.SetAndObserveTransformNodeID(transform.GetID())
        node = run(panel, "liver")
        assert node.GetParentTransformNode() is transform
        np.testing.assert_array_equal(mask_in(node, "DSM_liver", volume), MASKS["liver"])


class TestTwoVolumes:
    SHAPE = (10, 9, 8)
    MASK = mask_of(SHAPE, seed=7)

    @pytest.fixture
    def other(self, panel: Any) -> Any:
        """A second scan, on another grid; it is there from the start, and not selected."""
        return volume_node(affine_of(obliqueness(25), (0.8, 1.0, 2.0)), self.SHAPE, "Other")

    def run_on(self, panel: Any, backend: PanelBackend, other: Any) -> Any:
        panel.ui.inputVolumeSelector.setCurrentNode(other)
        backend._masks = {"liver": self.MASK, "spleen": self.MASK}
        return run(panel, "liver")

    def run_into(self, node: Any, panel: Any, backend: PanelBackend, other: Any) -> Any:
        """Put a segment among those of another volume: the output follows the volume, so it is chosen after it."""
        panel.ui.inputVolumeSelector.setCurrentNode(other)
        panel.ui.outputSegmentationSelector.setCurrentNode(node)
        return self.run_on(panel, backend, other)

    def test_each_volume_gets_its_own_segmentation_and_shows_its_own_results(
        self, panel: Any, backend: PanelBackend, volume: Any, other: Any
    ) -> None:
        first = run(panel, "liver\nspleen")
        second = self.run_on(panel, backend, other)
        assert second is not first
        assert segment_ids(first) == ["DSM_liver", "DSM_spleen"]
        assert segment_ids(second) == ["DSM_liver"]
        np.testing.assert_array_equal(mask_in(second, "DSM_liver", other), self.MASK)
        panel.ui.inputVolumeSelector.setCurrentNode(volume)
        assert panel.ui.outputSegmentationSelector.currentNode() is first
        assert cells(panel, 1) == ["liver", "spleen"]
        panel.ui.inputVolumeSelector.setCurrentNode(other)
        assert cells(panel, 1) == ["liver"]

    def test_volume_selected_during_a_run_gets_none_of_it(
        self, panel: Any, backend: PanelBackend, volume: Any, other: Any
    ) -> None:
        leave = threading.Event()
        backend.after, backend.act = 1, lambda _: leave.wait(20)
        panel.ui.promptsTextEdit.setPlainText("liver\nspleen")
        panel.ui.applyButton.click()
        panel.ui.inputVolumeSelector.setCurrentNode(other)
        leave.set()
        process_until(panel, lambda: not panel.widget.logic.isRunning)
        assert panel.ui.outputSegmentationSelector.currentNode() is None
        panel.ui.inputVolumeSelector.setCurrentNode(volume)
        assert cells(panel, 1) == ["liver", "spleen"]

    def test_hand_made_segmentation_is_not_chosen_and_one_without_volume_stays(
        self, panel: Any, volume: Any, other: Any
    ) -> None:
        drawn = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLSegmentationNode", "Drawn")
        drawn.SetReferenceImageGeometryParameterFromVolumeNode(other)
        drawn.GetSegmentation().AddEmptySegment("mine", "by hand")
        loaded = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLSegmentationNode", "Loaded")
        panel.ui.inputVolumeSelector.setCurrentNode(other)
        assert panel.ui.outputSegmentationSelector.currentNode() is None
        panel.ui.outputSegmentationSelector.setCurrentNode(loaded)
        panel.ui.inputVolumeSelector.setCurrentNode(volume)
        assert panel.ui.outputSegmentationSelector.currentNode() is loaded

    def test_segment_put_among_those_of_another_volume_stays_one_of_its_own(
        self, panel: Any, backend: PanelBackend, volume: Any, other: Any, tmp_path: Path, monkeypatch: Any
    ) -> None:
        from dsm.io.image import read_volume
        from dsm.io.manifest import read_manifest

        node = run(panel, "liver")
        assert self.run_into(node, panel, backend, other) is node
        assert cells(panel, 1) == ["liver", "liver_1 (on Other)"]
        panel.screenshot(SCREENS / "two_volumes.png")
        panel.ui.resultsTable.selectRow(1)
        panel.ui.editButton.click()
        editor = slicer.mrmlScene.GetSingletonNode("SegmentEditor", "vtkMRMLSegmentEditorNode")
        assert editor.GetSourceVolumeNode() is other
        corrected = edit_by_hand(node, "DSM_liver_1", other)
        panel.widget.enter()
        panel.ui.resultsTable.clearSelection()
        panel.ui.resultsTable.selectRow(1)
        monkeypatch.setattr(qt.QFileDialog, "getExistingDirectory", lambda *_: str(tmp_path))
        panel.ui.saveCorrectionButton.click()
        (case,) = read_manifest(tmp_path)
        np.testing.assert_array_equal(read_volume(case.image).array, volumeFromNode(other).array)
        np.testing.assert_array_equal(read_volume(case.label).array, corrected)
        np.testing.assert_array_equal(read_volume(tmp_path / f"{case.case_id}_ai.nii.gz").array, self.MASK)
        volume.SetAttribute("DICOM.instanceUIDs", "1.2.3")
        assert dicomProblems(node, volume) == [
            "liver_1 was made on another volume; export it from a segmentation of that."
        ]

    def test_rerun_of_such_a_segment_is_on_its_volume_and_not_together_with_the_others(
        self, panel: Any, backend: PanelBackend, volume: Any, other: Any
    ) -> None:
        node = run(panel, "liver")
        self.run_into(node, panel, backend, other)
        panel.ui.resultsTable.selectAll()
        panel.ui.rerunButton.click()
        assert "of several volumes" in panel.ui.statusLabel.text
        panel.ui.inputVolumeSelector.setCurrentNode(volume)
        assert panel.ui.outputSegmentationSelector.currentNode() is node
        slicer.util.selectModule("SegmentEditor")
        edit_by_hand(node, "DSM_liver_1", other)
        rerun(panel, "liver_1 (on Other)")
        np.testing.assert_array_equal(mask_in(node, "DSM_liver_1", other), self.MASK)
        np.testing.assert_array_equal(mask_in(node, "DSM_liver", volume), MASKS["liver"])

    def test_undo_gives_a_replaced_segment_its_volume_back(
        self, panel: Any, backend: PanelBackend, volume: Any, other: Any
    ) -> None:
        node = run(panel, "liver")
        combo = panel.ui.existingPolicyComboBox
        combo.setCurrentIndex(combo.findText("Replace it"))
        self.run_into(node, panel, backend, other)
        assert cells(panel, 1) == ["liver (on Other)"]
        panel.ui.undoButton.click()
        assert cells(panel, 1) == ["liver"]
        np.testing.assert_array_equal(mask_in(node, "DSM_liver", volume), MASKS["liver"])

    def test_volume_that_is_gone_is_not_mistaken_for_a_later_one(
        self, panel: Any, backend: PanelBackend, volume: Any, other: Any, host: Any, tmp_path: Path
    ) -> None:
        node = run(panel, "liver")
        self.run_into(node, panel, backend, other)
        slicer.mrmlScene.RemoveNode(other)
        assert volumeOfSegment(node, "DSM_liver_1") is None
        third = volume_node(affine_of(obliqueness(25), (0.8, 1.0, 2.0)), self.SHAPE, "Third")
        panel.ui.inputVolumeSelector.setCurrentNode(third)
        panel.ui.outputSegmentationSelector.setCurrentNode(node)
        run(panel, "spleen")
        assert cells(panel, 1) == ["liver", "liver_1 (on a volume that is gone)", "spleen (on Third)"]
        host.saveScene(tmp_path / "scene.mrb")
        host.loadScene(tmp_path / "scene.mrb")
        node = slicer.mrmlScene.GetFirstNodeByClass("vtkMRMLSegmentationNode")
        assert volumeOfSegment(node, "DSM_liver_1") is None
        assert volumeOfSegment(node, "DSM_spleen").GetName() == "Third"


class TestSequence:
    FRAMES = (-1000, 0, 100)

    @pytest.fixture
    def browser(self, volume: Any) -> Any:
        return browser_of_frames(volume, self.FRAMES)

    @staticmethod
    def found() -> Any:
        assert slicer.mrmlScene.GetNumberOfNodesByClass("vtkMRMLSequenceNode") == 2
        return slicer.mrmlScene.GetNthNodeByClass(1, "vtkMRMLSequenceNode")

    def test_every_sequence_item_gets_its_segmentation(self, browser: Any, panel: Any, volume: Any) -> None:
        assert panel.ui.allSequenceItemsCheckBox.visible
        panel.ui.allSequenceItemsCheckBox.setChecked(True)
        panel.screenshot(SCREENS / "sequence.png")
        run(panel, "liver")
        found = self.found()
        assert found.GetNumberOfDataNodes() == len(self.FRAMES)
        for number in range(len(self.FRAMES)):
            assert list(found.GetNthDataNode(number).GetSegmentation().GetSegmentIDs()) == ["DSM_liver"]
        assert browser.GetSelectedItemNumber() == 1
        assert browser.GetProxyNode(found) is not None

    def test_table_and_status_tell_of_all_sequence_items(self, browser: Any, panel: Any, backend: PanelBackend) -> None:
        backend.after, backend.act = 0, lambda _: time.sleep(0.2)
        panel.ui.allSequenceItemsCheckBox.setChecked(True)
        run(panel, "liver\npancreas")
        assert cells(panel, 1) == ["liver", "pancreas"]
        assert cells(panel, 2) == ["found", "not found"]
        seconds, counts = panel.ui.statusLabel.text.split(" s: ")
        assert counts == "3 found; not found: pancreas."
        assert float(seconds.removeprefix("Finished in ")) >= 0.6  # all three, of 0.2 s each, said in tenths

    def test_rerun_at_all_sequence_items_goes_into_the_sequence_that_is_there(
        self, browser: Any, panel: Any, backend: PanelBackend, volume: Any
    ) -> None:
        panel.ui.allSequenceItemsCheckBox.setChecked(True)
        node = run(panel, "liver\nspleen")
        before = node_ids()
        backend._masks = {"liver": mask_of(seed=9)}
        rerun(panel, "liver")
        assert node_ids() == before
        assert panel.ui.outputSegmentationSelector.currentNode() is node
        for item in range(len(self.FRAMES)):
            browser.SetSelectedItemNumber(item)
            np.testing.assert_array_equal(mask_in(node, "DSM_liver", volume), mask_of(seed=9))
            np.testing.assert_array_equal(mask_in(node, "DSM_spleen", volume), MASKS["spleen"])

    def test_cancel_keeps_finished_sequence_items(self, browser: Any, panel: Any, backend: PanelBackend) -> None:
        panel.ui.allSequenceItemsCheckBox.setChecked(True)

        def stop_at_the_second(cancel: Any) -> None:
            if len(backend.requests) == 2:
                wait_for_cancel(cancel)

        backend.after, backend.act = 0, stop_at_the_second
        panel.ui.promptsTextEdit.setPlainText("liver")
        panel.ui.applyButton.click()
        process_until(panel, lambda: len(backend.requests) == 2)
        panel.ui.applyButton.click()
        process_until(panel, lambda: not panel.widget.logic.isRunning)
        assert self.found().GetNumberOfDataNodes() == 1
        assert browser.GetSelectedItemNumber() == 1

    def test_prompt_that_is_refused_leaves_nothing(self, browser: Any, panel: Any) -> None:
        panel.ui.allSequenceItemsCheckBox.setChecked(True)
        before = slicer.mrmlScene.GetNumberOfNodes()
        panel.ui.promptsTextEdit.setPlainText("x" * 400)
        panel.ui.applyButton.click()
        assert "300 characters" in panel.ui.statusLabel.text
        assert slicer.mrmlScene.GetNumberOfNodes() == before
        assert browser.GetSelectedItemNumber() == 1

    def test_undo_takes_all_sequence_items_back(self, browser: Any, panel: Any) -> None:
        before = node_ids()
        panel.ui.allSequenceItemsCheckBox.setChecked(True)
        run(panel, "liver")
        panel.ui.undoButton.click()
        assert panel.ui.statusLabel.text == "The last run was undone."
        assert node_ids() == before
        assert not panel.ui.undoButton.enabled
        assert cells(panel, 1) == []
        assert len(run(panel, "spleen").GetSegmentation().GetSegmentIDs()) == 1

    def test_looking_at_another_sequence_item_is_no_edit_by_hand(self, browser: Any, panel: Any) -> None:
        panel.ui.allSequenceItemsCheckBox.setChecked(True)
        masks = iter((mask_of(seed=5), mask_of(seed=6), mask_of(seed=7)))
        backend = panel.widget.logic.backend
        backend.after, backend.act = 0, lambda _: backend._masks.update(liver=next(masks))
        node = run(panel, "liver")
        results = panel.widget._results
        for item in (2, 0, 1):
            browser.SetSelectedItemNumber(item)
            assert results._editTimer.active
            process_until(panel, lambda: not results._editTimer.active)
            assert tag_of(segment_of(node, "DSM_liver"), ALGORITHM_TYPE) == "AUTOMATIC"
        slicer.util.selectModule("SegmentEditor")
        edit_by_hand(node, "DSM_liver", slicer.mrmlScene.GetFirstNodeByClass("vtkMRMLScalarVolumeNode"))
        process_until(panel, lambda: tag_of(segment_of(node, "DSM_liver"), ALGORITHM_TYPE) == "SEMIAUTOMATIC")
        browser.SetSelectedItemNumber(2)
        assert tag_of(segment_of(node, "DSM_liver"), ALGORITHM_TYPE) == "AUTOMATIC"

    @pytest.fixture
    def mapped_at_the_second(self, browser: Any, panel: Any, backend: PanelBackend) -> Any:
        """A segmentation of all sequence items, with another liver and its maps at the one that is shown."""
        panel.ui.allSequenceItemsCheckBox.setChecked(True)
        node = run(panel, "liver")
        panel.ui.allSequenceItemsCheckBox.setChecked(False)
        panel.ui.keepLargestCheckBox.setChecked(False)
        panel.ui.uncertaintyCheckBox.setChecked(True)
        backend._masks.update(liver=MASKS["spleen"])
        panel.ui.resultsTable.selectRow(0)
        panel.ui.rerunButton.click()
        process_until(panel, lambda: not panel.widget.logic.isRunning)
        backend._masks.update(liver=MASKS["liver"])
        panel.ui.resultsTable.selectRow(0)
        return node

    def test_threshold_moves_the_mask_of_its_own_sequence_item_only(
        self, browser: Any, panel: Any, volume: Any, mapped_at_the_second: Any
    ) -> None:
        node, label, slider = mapped_at_the_second, panel.ui.thresholdLabel, panel.ui.thresholdSlider
        assert label.text.startswith("Applies to liver immediately")
        browser.SetSelectedItemNumber(2)
        slider.value = 0.7  # before the panel has taken notice
        process_until(panel, lambda: "another sequence item" in label.text)
        slider.value = 0.75
        QTest.qWait(200)
        np.testing.assert_array_equal(mask_in(node, "DSM_liver", volume), MASKS["liver"])
        with pytest.raises(InputError, match="another sequence item"):
            panel.widget.logic.setThreshold(node, "DSM_liver", 0.75)
        browser.SetSelectedItemNumber(1)
        process_until(panel, lambda: label.text.startswith("Applies to liver immediately"))
        assert slider.value == 0.5, "the threshold of this sequence item"
        slider.value = 0.8
        process_until(panel, lambda: tag_of(segment_of(node, "DSM_liver"), "DSM.Threshold") == "0.8")
        np.testing.assert_array_equal(mask_in(node, "DSM_liver", volume), MASKS["spleen"])

    def test_threshold_that_was_moved_just_before_a_step_is_not_written_after_it(
        self, browser: Any, panel: Any, volume: Any, mapped_at_the_second: Any
    ) -> None:
        node, store = mapped_at_the_second, panel.widget.logic._probabilities
        browser.SetSelectedItemNumber(2)
        other = CroppedArray(MASKS["left kidney"].astype(np.float16), (0, 0, 0))
        store.put(node, "DSM_liver", SegmentMap(other, ijkToRAS(volume)))
        browser.SetSelectedItemNumber(1)
        panel.process_events()
        panel.widget._run.close()  # its timer notices the step, sooner or later than the slider's
        panel.ui.thresholdSlider.value = 0.8
        assert panel.widget._results._threshold._timer.active
        browser.SetSelectedItemNumber(2)
        QTest.qWait(200)
        np.testing.assert_array_equal(mask_in(node, "DSM_liver", volume), MASKS["liver"])

    def test_map_of_uncertainty_is_shown_at_its_own_sequence_item_only(
        self, browser: Any, panel: Any, mapped_at_the_second: Any
    ) -> None:
        button = panel.ui.uncertaintyButton
        button.click()
        assert slicer.util.getNodes("*uncertainty")
        browser.SetSelectedItemNumber(2)
        process_until(panel, lambda: not slicer.util.getNodes("*uncertainty"))
        assert not button.enabled
        assert button.toolTip == "The map of liver belongs to another sequence item."
        browser.SetSelectedItemNumber(1)
        process_until(panel, lambda: button.enabled)
        button.click()
        assert slicer.util.getNodes("*uncertainty")

    def test_failure_to_start_a_later_sequence_item_is_said_and_what_was_finished_stays(
        self, browser: Any, panel: Any, volume: Any
    ) -> None:
        panel.ui.roiSelector.setCurrentNode(roi_node(volume, (0, 0, 0), SHAPE))
        browser.GetSequenceNode(volume).GetNthDataNode(2).SetOrigin(1000.0, 0.0, 0.0)
        before = node_ids()
        panel.ui.allSequenceItemsCheckBox.setChecked(True)
        run(panel, "liver")
        assert panel.ui.statusLabel.text.startswith("Sequence item 3: R lies outside of CT.")
        assert panel.ui.applyButton.text == "Segment"
        assert self.found().GetNumberOfDataNodes() == 2
        panel.ui.undoButton.click()
        assert node_ids() == before

    def test_closing_the_panel_during_a_run_leaves_no_empty_sequence(
        self, browser: Any, volume: Any, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        backend = PanelBackend(dict(MASKS), 0, wait_for_cancel)
        monkeypatch.setattr(module, "WorkerBackend", lambda **_: backend)
        panel = panel_host.Panel(module)
        before = node_ids()
        panel.ui.allSequenceItemsCheckBox.setChecked(True)
        panel.ui.promptsTextEdit.setPlainText("liver")
        panel.ui.applyButton.click()
        process_until(panel, backend.delivered.is_set)
        panel.close()
        assert not panel.widget.logic.isRunning
        assert node_ids() == before
        assert browser.GetSelectedItemNumber() == 1

    def test_volume_that_is_no_sequence_item_has_no_such_choice(self, panel: Any) -> None:
        assert not panel.ui.allSequenceItemsCheckBox.visible
