"""The effect *Text prompt*: the editor's masking and undo apply to what the network finds."""

from __future__ import annotations

import importlib
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

import numpy as np
import pytest
import slicer
import vtk
from acting_backend import wait_for_cancel
from panel_backends import PanelBackend
from phantoms import affine_of, browser_of_frames, mask_in, mask_of, obliqueness, tag_of, volume_node

import DSMSegment as module
from DSMSegmentLib.panel.result_rows import resultRows
from DSMSegmentLib.registration import registerEffect
from DSMSegmentLib.scene.mrml import cropFromOrientedImage, ijkToRAS, orientedImageFromSegment, volumeFromNode
from DSMSegmentLib.scene.placement import createSegmentation
from DSMSegmentLib.scene.segment_volumes import volumeOfSegment

panel_host = pytest.importorskip("panel_host", reason="PySide6 is not installed")
import qt  # noqa: E402
import segment_editor  # noqa: E402
from PySide6.QtTest import QTest  # noqa: E402

FILE = Path(module.__file__).parent / "DSMSegmentEffect" / "SegmentEditorTextPromptEffect.py"
SCREENS = panel_host.SCREENS
MASKS = {"liver": mask_of(seed=1), "spleen": mask_of(seed=2)}


@pytest.fixture
def volume() -> Any:
    return volume_node(affine_of(obliqueness(20) @ np.diag([-1.0, 1.0, 1.0])))


@pytest.fixture
def node(volume: Any) -> Any:
    node = createSegmentation(volume)
    node.SetReferenceImageGeometryParameterFromVolumeNode(volume)
    for name in ("liver", "other"):
        node.GetSegmentation().AddEmptySegment(name, name)
    return node


@pytest.fixture
def backend() -> PanelBackend:
    return PanelBackend(MASKS)


@pytest.fixture
def effect(volume: Any, node: Any, backend: PanelBackend, monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    segment_editor.publish()
    monkeypatch.setitem(sys.modules, FILE.parent.name, ModuleType("not loaded yet"))
    registerEffect()
    logic = module.DSMSegmentLogic(backend)
    monkeypatch.setattr(
        slicer.util, "getModuleWidget", lambda _: SimpleNamespace(logic=logic, reasonNotReady=lambda: "")
    )
    editor = segment_editor.SegmentEditor(node, volume, "liver")
    effect = editor.setActiveEffectByName("Text prompt").self()
    effect.runs, effect.editor = logic, editor
    yield effect
    editor.close()
    logic.close()


def apply(effect: Any, prompt: str | None = None) -> None:
    if prompt is not None:
        effect._promptEdit.setPlainText(prompt)
    effect._applyButton.click()
    deadline = time.monotonic() + 20
    while not effect.runs.poll():
        assert time.monotonic() < deadline


def ml(volume: Any, mask: np.ndarray) -> Any:
    return pytest.approx(np.count_nonzero(mask) * volumeFromNode(volume).voxel_volume_mm3 / 1000, abs=1e-4)


def test_selected_segment_gets_what_its_name_says(effect: Any, node: Any, volume: Any) -> None:
    assert effect._promptEdit.plainText == "liver"
    apply(effect)
    np.testing.assert_array_equal(mask_in(node, "liver", volume), MASKS["liver"])
    assert "ml, score 0.90" in effect._statusLabel.text
    segment = node.GetSegmentation().GetSegment("liver")
    assert tag_of(segment, "DICOM.SegmentAlgorithmType") == "SEMIAUTOMATIC"
    assert tag_of(segment, "DICOM.SegmentAlgorithmName").startswith("DSMSegment fake")
    assert tag_of(segment, "DSM.Prompt") == "liver"
    frame = effect.scriptedEffect.optionsFrame()
    frame.resize(420, 220)
    frame.grab().save(str(SCREENS / "effect.png"))


def test_undo_of_the_editor_takes_it_back(effect: Any, node: Any, volume: Any) -> None:
    apply(effect)
    apply(effect, "spleen")
    np.testing.assert_array_equal(mask_in(node, "liver", volume), MASKS["spleen"])
    effect.scriptedEffect.logic.Undo()
    np.testing.assert_array_equal(mask_in(node, "liver", volume), MASKS["liver"])


def test_masking_of_the_editor_applies(effect: Any, node: Any, volume: Any) -> None:
    array = np.ascontiguousarray(MASKS["spleen"].transpose(2, 1, 0))
    slicer.util.updateSegmentBinaryLabelmapFromArray(array, node, "other", volume)
    effect.scriptedEffect.parameterSetNode().SetMaskMode(slicer.vtkMRMLSegmentationNode.EditAllowedOutsideAllSegments)
    apply(effect)
    np.testing.assert_array_equal(mask_in(node, "liver", volume), MASKS["liver"] & (1 - MASKS["spleen"]))
    np.testing.assert_array_equal(mask_in(node, "other", volume), MASKS["spleen"])


@pytest.mark.parametrize(
    ("index", "expected"), [(1, MASKS["liver"] | MASKS["spleen"]), (2, MASKS["liver"] & ~MASKS["spleen"])]
)
def test_masks_can_be_added_and_removed(effect: Any, node: Any, volume: Any, index: int, expected: np.ndarray) -> None:
    apply(effect)
    effect._modeCombo.setCurrentIndex(index)
    apply(effect, "spleen")
    np.testing.assert_array_equal(mask_in(node, "liver", volume), expected)


@pytest.mark.parametrize("moved", ["volume", "segmentation", "each"])
def test_mask_lies_where_the_volume_is_shown_under_whatever_transform(
    effect: Any, node: Any, volume: Any, moved: str
) -> None:
    by_two_voxels = (affine_of(obliqueness(20) @ np.diag([-1.0, 1.0, 1.0]))[:3, :3] @ [2, 0, 0]).tolist()
    if moved in ("volume", "each"):
        shift(volume, by_two_voxels)
    if moved in ("segmentation", "each"):
        shift(node, [-2 * mm for mm in by_two_voxels])
    apply(effect)
    np.testing.assert_allclose(world_voxels(node), expected_voxels(volume), atol=1e-6)


@pytest.mark.parametrize("when", ["before", "during"])
def test_warp_of_the_volume_alone_is_refused_before_the_run_if_it_is_there(
    effect: Any, backend: PanelBackend, node: Any, volume: Any, when: str
) -> None:
    thin_plate = vtk.vtkThinPlateSplineTransform()
    transform = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLTransformNode")
    transform.SetAndObserveTransformToParent(thin_plate)
    if when == "during":
        effect._applyButton.click()
    volume.SetAndObserveTransformNodeID(transform.GetID())
    if when == "before":
        effect._applyButton.click()
    while not effect.runs.poll():
        pass
    assert "non-linear" in effect._statusLabel.text
    assert len(backend.requests) == (when == "during")
    assert not orientedImageFromSegment(node, "liver").GetNumberOfPoints()
    assert effect._applyButton.text == "Apply"


def test_segment_says_which_volume_filled_it(effect: Any, node: Any) -> None:
    other = volume_node(affine_of(obliqueness(20) @ np.diag([-1.0, 1.0, 1.0])), name="Other")
    effect.scriptedEffect.parameterSetNode().SetAndObserveSourceVolumeNode(other)
    apply(effect)
    assert volumeOfSegment(node, "liver") is other


def shift(node: Any, offset_mm: list[float]) -> None:
    transform = vtk.vtkTransform()
    transform.Translate(offset_mm)
    parent = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLLinearTransformNode")
    parent.SetMatrixTransformToParent(transform.GetMatrix())
    node.SetAndObserveTransformNodeID(parent.GetID())


def world_voxels(node: Any) -> np.ndarray:
    """Return the world places of the voxels of the liver, not through Slicer's sampling across transforms."""
    image = orientedImageFromSegment(node, "liver")
    crop = cropFromOrientedImage(image)
    matrix = vtk.vtkMatrix4x4()
    image.GetImageToWorldMatrix(matrix)
    return in_world(node, slicer.util.arrayFromVTKMatrix(matrix), np.argwhere(crop.array) + crop.box.start)


def expected_voxels(volume: Any) -> np.ndarray:
    return in_world(volume, ijkToRAS(volume), np.argwhere(MASKS["liver"]))


def in_world(node: Any, affine: np.ndarray, indices: np.ndarray) -> np.ndarray:
    parent = node.GetParentTransformNode()
    to_world = slicer.util.arrayFromTransformMatrix(parent) if parent is not None else np.eye(4)
    places = (np.c_[indices, np.ones(len(indices))] @ (to_world @ affine).T)[:, :3]
    return places[np.lexsort(np.round(places, 3).T)]


def test_nothing_found_changes_nothing(effect: Any, node: Any, volume: Any) -> None:
    apply(effect)
    apply(effect, "pancreas")
    assert effect._statusLabel.text == "Not found."
    np.testing.assert_array_equal(mask_in(node, "liver", volume), MASKS["liver"])


@pytest.mark.parametrize(("prompt", "said"), [("kidneys", "names several"), ("", "no prompt")])
def test_prompts_that_are_not_one_structure_are_refused(effect: Any, prompt: str, said: str) -> None:
    apply(effect, prompt)
    assert said in effect._statusLabel.text


def test_leaving_the_effect_stops_the_run(effect: Any, backend: PanelBackend, node: Any, volume: Any) -> None:
    backend.after, backend.act = 0, wait_for_cancel
    effect._applyButton.click()
    assert effect._applyButton.text == "Cancel"
    effect.editor.setActiveEffectByName("")
    while not effect.runs.poll():
        pass
    assert effect._statusLabel.text == "Cancelled."
    assert effect._applyButton.text == "Apply"


def test_selecting_another_segment_meanwhile_protects_it(effect: Any, node: Any, volume: Any) -> None:
    effect._applyButton.click()
    effect.scriptedEffect.parameterSetNode().SetSelectedSegmentID("other")
    while not effect.runs.poll():
        pass
    assert "nothing was changed" in effect._statusLabel.text
    for name in ("liver", "other"):
        assert not mask_in(node, name, volume).any()


def test_stepping_to_another_sequence_item_meanwhile_protects_it(effect: Any, volume: Any) -> None:
    browser = browser_of_frames(volume, (-1000, 0, 100))
    sequence = effect.runs.segmentSequence(volume, "liver", wait=True).segmentationNode
    editor = effect.scriptedEffect.parameterSetNode()
    editor.SetAndObserveSegmentationNode(sequence)
    editor.SetSelectedSegmentID("DSM_liver")
    browser.SetSelectedItemNumber(0)
    effect._promptEdit.setPlainText("spleen")
    effect._applyButton.click()
    browser.SetSelectedItemNumber(2)
    while not effect.runs.poll():
        pass
    assert "nothing was changed" in effect._statusLabel.text
    np.testing.assert_array_equal(mask_in(sequence, "DSM_liver", volume), MASKS["liver"])


class TestOfferedPrompt:
    def test_is_the_name_of_the_segment_that_is_selected(self, effect: Any, node: Any, volume: Any) -> None:
        node.GetSegmentation().AddEmptySegment("spleen", "spleen")
        apply(effect)
        effect.editor.setCurrentSegmentID("spleen")
        assert effect._promptEdit.plainText == "spleen"
        apply(effect)
        np.testing.assert_array_equal(mask_in(node, "spleen", volume), MASKS["spleen"])
        # The editor overwrites other segments, as it is set.
        left = MASKS["liver"] & (1 - MASKS["spleen"])
        np.testing.assert_array_equal(mask_in(node, "liver", volume), left)
        volumes = {row.segmentId: row.volumeMl for row in resultRows(node, [])}
        assert volumes["liver"] == ml(volume, left)
        assert volumes["spleen"] == ml(volume, MASKS["spleen"])

    def test_is_the_new_name_of_a_segment_that_is_renamed(self, effect: Any, node: Any) -> None:
        node.GetSegmentation().GetSegment("liver").SetName("spleen")
        assert effect._promptEdit.plainText == "spleen"

    def test_is_that_of_another_segmentation(self, effect: Any, volume: Any) -> None:
        other = createSegmentation(volume)
        other.GetSegmentation().AddEmptySegment("spleen", "spleen")
        effect.editor.setSegmentationNode(other)
        effect.editor.setCurrentSegmentID("spleen")
        effect.editor.setActiveEffectByName("Text prompt")
        assert effect._promptEdit.plainText == "spleen"
        other.GetSegmentation().GetSegment("spleen").SetName("stomach")
        assert effect._promptEdit.plainText == "stomach"

    def test_is_not_put_over_what_was_typed(self, effect: Any) -> None:
        effect._promptEdit.selectAll()
        QTest.keyClicks(effect._promptEdit, "aorta")
        effect.editor.setCurrentSegmentID("other")
        assert effect._promptEdit.plainText == "aorta"

    def test_waits_for_the_effect_to_be_chosen_again(self, effect: Any) -> None:
        effect.editor.setActiveEffectByName("")
        effect.editor.setCurrentSegmentID("other")
        assert effect._promptEdit.plainText == "liver"
        effect.editor.setActiveEffectByName("Text prompt")
        assert effect._promptEdit.plainText == "other"


class TestSegmentThatIsGone:
    def test_nothing_is_offered(self, effect: Any, node: Any) -> None:
        node.GetSegmentation().RemoveSegment("liver")
        effect.editor.setActiveEffectByName("")
        effect.editor.setActiveEffectByName("Text prompt")
        assert effect._promptEdit.plainText == "liver", "of before"

    def test_nothing_is_run(self, effect: Any, node: Any, backend: PanelBackend) -> None:
        node.GetSegmentation().RemoveSegment("liver")
        apply(effect)
        assert effect._statusLabel.text == "Select a segment first."
        assert not backend.requests

    @pytest.mark.parametrize("gone", ["segment", "segmentation", "volume"])
    def test_result_of_a_run_is_dropped(self, effect: Any, node: Any, volume: Any, gone: str) -> None:
        effect._applyButton.click()
        if gone == "segment":
            node.GetSegmentation().RemoveSegment("liver")
        else:
            slicer.mrmlScene.RemoveNode({"segmentation": node, "volume": volume}[gone])
        while not effect.runs.poll():
            pass
        assert "nothing was changed" in effect._statusLabel.text
        assert effect._applyButton.text == "Apply"


def test_segment_of_the_effect_is_a_row_of_the_table_like_any_other(effect: Any, node: Any, volume: Any) -> None:
    segment = node.GetSegmentation().GetSegment("liver")
    color, terminology = segment.GetColor(), segment.GetTerminology()
    apply(effect)
    effect._modeCombo.setCurrentIndex(1)
    apply(effect, "the spleen")
    (row,) = resultRows(node, [])
    assert row.volumeMl == ml(volume, MASKS["liver"] | MASKS["spleen"])
    assert effect._statusLabel.text == f"{row.volumeMl:.1f} ml, score 0.90"
    assert (row.edited, row.prompt.name, row.score) == (True, "spleen", 0.9)
    expected = {"Name": "spleen", "Prompt": "the spleen", "Threshold": "0.5", "Seconds": "0.000", "Model": "fake"}
    assert {name: tag_of(segment, f"DSM.{name}") for name in expected} == expected
    assert (segment.GetColor(), segment.GetTerminology()) == (color, terminology), "the user's own"


def test_name_is_that_of_modules_and_title_that_of_people(effect: Any) -> None:
    assert (effect.scriptedEffect.name, effect.scriptedEffect.title) == ("Text prompt", "Text prompt")


def test_effect_of_an_editor_that_goes_answers_nobody(
    effect: Any, node: Any, volume: Any, backend: PanelBackend
) -> None:
    editor = segment_editor.SegmentEditor(node, volume, "liver")
    mine = editor.setActiveEffectByName("Text prompt").self()
    backend.after, backend.act = 0, wait_for_cancel
    mine._applyButton.click()
    editor.close()
    while not effect.runs.poll():
        pass
    assert mine._statusLabel.text == "Segmenting...", "its widgets are about to be deleted"
    num_requests, hints = len(backend.requests), mine._hintsLabel.text
    editor.node.SetSelectedSegmentID("other")
    node.GetSegmentation().GetSegment("liver").SetName("spleen")
    assert mine._promptEdit.plainText == "liver"
    mine._promptEdit.setPlainText("stomach")
    assert mine._hintsLabel.text == hints
    mine._applyButton.click()
    assert len(backend.requests) == num_requests
    assert effect._promptEdit.plainText == "spleen", "that of the other editor, which is still there"


class TestReload:
    @pytest.fixture
    def reloaded(self, effect: Any) -> Iterator[Any]:
        """The effect of the same editor after the libraries have been loaded anew."""
        before = dict(sys.modules)
        for name in [name for name in before if name.partition(".")[0] in ("DSMSegmentLib", "dsm")]:
            del sys.modules[name]
        importlib.import_module("DSMSegmentLib.registration").reloadEffect()
        backend = importlib.import_module("DSMSegmentLib.jobs.fake_backend").FakeBackend(MASKS)
        logic = importlib.import_module("DSMSegmentLib").Runs(backend)
        slicer.util.getModuleWidget = lambda _: SimpleNamespace(logic=logic, reasonNotReady=lambda: "")
        renewed = effect.scriptedEffect.self()
        renewed.runs = logic
        yield renewed
        for name in set(sys.modules) - set(before):
            del sys.modules[name]
        sys.modules.update(before)

    def test_effect_is_of_the_new_class_and_one_set_of_widgets(self, effect: Any, reloaded: Any) -> None:
        assert type(reloaded) is not type(effect)
        panel_host.application().processEvents()
        edits = reloaded.scriptedEffect.optionsFrame().findChildren(qt.QTextEdit)
        assert edits == [reloaded._promptEdit]
        assert reloaded._promptEdit.plainText == "liver"

    def test_run_and_cancel_and_errors_are_told(self, reloaded: Any, node: Any, volume: Any) -> None:
        apply(reloaded)
        np.testing.assert_array_equal(mask_in(node, "liver", volume), MASKS["liver"])
        reloaded._applyButton.click()
        reloaded._applyButton.click()
        while not reloaded.runs.poll():
            pass
        assert reloaded._statusLabel.text == "Cancelled."
        apply(reloaded, "kidneys")
        assert "names several" in reloaded._statusLabel.text

    def test_new_editors_have_the_new_class(self, reloaded: Any, node: Any, volume: Any) -> None:
        editor = segment_editor.SegmentEditor(node, volume, "liver")
        assert type(editor.setActiveEffectByName("Text prompt").self()) is type(reloaded)
        editor.close()
