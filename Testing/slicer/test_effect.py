"""The effect *Text prompt*: the editor's masking and undo apply to what the network finds."""

from __future__ import annotations

import importlib
import sys
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest
import slicer
import vtk
from acting_backend import wait_for_cancel
from clicked_masks import clicked_mask
from panel_backends import PanelBackend
from patience import PATIENCE_S
from phantoms import affine_of, browser_of_frames, mask_in, mask_of, obliqueness, tag_of, volume_node

import DSMSegment as module
from dsm.core.boxes import CroppedArray
from dsm.core.click import Click
from dsm.models.store import model_entry
from DSMSegmentLib.panel.hints import PromptContext
from DSMSegmentLib.panel.result_rows import resultRows
from DSMSegmentLib.registration import registerEffect
from DSMSegmentLib.scene.layer_packer import packLayers
from DSMSegmentLib.scene.mrml import (
    cropFromOrientedImage,
    ijkToRAS,
    orientedImageFromCrop,
    orientedImageFromSegment,
    setSegmentMask,
    volumeFromNode,
)
from DSMSegmentLib.scene.placement import createSegmentation
from DSMSegmentLib.scene.segment_volumes import volumeOfSegment

panel_host = pytest.importorskip("panel_host", reason="PySide6 is not installed")
import mouse  # noqa: E402
import qt  # noqa: E402
import segment_editor  # noqa: E402
from PySide6.QtTest import QTest  # noqa: E402

FILE = Path(module.__file__).parent / "DSMSegmentEffect" / "SegmentEditorTextPromptEffect.py"
SCREENS = panel_host.SCREENS
MASKS = {"liver": mask_of(seed=1), "spleen": mask_of(seed=2)}


CONTEXT = PromptContext("CT", ("liver", "spleen"))


class PanelOfEffect:
    """The part of the panel that the effect uses."""

    def __init__(self, logic: Any) -> None:
        self.logic, self.context = logic, CONTEXT

    def reasonNotReady(self) -> str:
        return ""

    def chooseModel(self, name: str) -> None:
        self.model = name
        self.context = replace(self.context, trained=("sternum",))

    def promptContext(self, _volume: Any) -> PromptContext:
        return self.context


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
    panel = PanelOfEffect(logic)
    monkeypatch.setattr(slicer.util, "getModuleWidget", lambda _: panel)
    editor = segment_editor.SegmentEditor(node, volume, "liver")
    effect = editor.setActiveEffectByName("Text prompt").self()
    effect.runs, effect.editor, effect.panel = logic, editor, panel
    yield effect
    editor.close()
    logic.close()


def apply(effect: Any, prompt: str | None = None) -> None:
    if prompt is not None:
        effect._promptEdit.setPlainText(prompt)
    effect._applyButton.click()
    deadline = time.monotonic() + PATIENCE_S
    while not effect.runs.poll():
        assert time.monotonic() < deadline


def ml(volume: Any, mask: np.ndarray) -> Any:
    return pytest.approx(np.count_nonzero(mask) * volumeFromNode(volume).voxel_ml, abs=1e-4)


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


def test_modality_and_guess_are_those_of_the_panel(effect: Any, backend: PanelBackend) -> None:
    apply(effect)
    assert (backend.volumes[-1].modality, backend.requests[-1].options.guess) == ("CT", False)
    effect.panel.context = PromptContext("MR", guess=True)
    apply(effect)
    assert (backend.volumes[-1].modality, backend.requests[-1].options.guess) == ("MR", True)


def test_guess_is_called_one_and_an_unknown_name_too(effect: Any, backend: PanelBackend) -> None:
    backend.masks, backend.trained = {"heart": MASKS["liver"]}, ("liver",)
    apply(effect, "heart")
    assert effect._statusLabel.text == "Not known to this model."
    effect.panel.context = replace(CONTEXT, guess=True)
    apply(effect, "heart")
    assert effect._statusLabel.text.startswith("guess, check: ")
    assert effect._statusLabel.text.endswith(" ml, score –")


def test_hints_follow_the_settings_of_the_panel(effect: Any, node: Any) -> None:
    effect._promptEdit.setPlainText("aneurysm")
    assert effect._hintsLabel.text.startswith("! aneurysm: not known to this model")
    effect.panel.context = replace(CONTEXT, guess=True)
    effect.activate()
    assert effect._hintsLabel.text.startswith("? aneurysm: not known to this model; the result will be a guess")


def test_link_of_a_hint_chooses_the_model_in_the_panel(effect: Any, body_model: Path) -> None:
    effect.panel.context = replace(CONTEXT, models=(model_entry(body_model),))
    effect.activate()
    effect._promptEdit.setPlainText("sternum")
    effect.scriptedEffect.optionsFrame().show()
    mouse.click_link(effect._hintsLabel)
    assert effect.panel.model == "dsm-body"
    assert effect._hintsLabel.text == "\N{CHECK MARK} learned"


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
    assert effect._statusLabel.text == f"found: {row.volumeMl:.1f} ml, score 0.90"
    assert (row.edited, row.prompt.name, row.score) == (True, "spleen", 0.9)
    expected = {"Name": "spleen", "Prompt": "the spleen", "Threshold": "0.5", "Seconds": "0.000", "Model": "fake"}
    assert {name: tag_of(segment, f"DSM.{name}") for name in expected} == expected
    assert (segment.GetColor(), segment.GetTerminology()) == (color, terminology), "the user's own"


def test_name_is_that_of_modules_and_title_that_of_people(effect: Any) -> None:
    assert (effect.scriptedEffect.name, effect.scriptedEffect.title) == ("Text prompt", "Text prompt")


def test_effect_of_a_removed_editor_reacts_to_nothing(
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
        panel = PanelOfEffect(logic)
        slicer.util.getModuleWidget = lambda _: panel
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


HERE, THERE = (-40.0, 15.0, 88.0), (-40.0, 17.0, 90.0)


@pytest.fixture
def view(effect: Any) -> Any:
    """A slice view with the effect's button Click pressed."""
    frame = effect.scriptedEffect.optionsFrame()
    frame.resize(420, 300)
    frame.show()
    qt.QApplication.processEvents()
    mouse.click(effect._clickButton)
    return segment_editor.SliceView(*HERE)


def settle(effect: Any) -> None:
    deadline = time.monotonic() + PATIENCE_S
    while effect.runs.isRunning:
        effect.runs.poll()
        assert time.monotonic() < deadline


def click(effect: Any, view: Any, world: Any, **keys: bool) -> bool:
    taken = bool(effect.editor.mouse(view, world, **keys))
    settle(effect)
    return taken


def clicked(volume: Any, *clicks: Click) -> np.ndarray:
    return clicked_mask(ijkToRAS(volume), mask_of().shape, clicks)


def in_slice(world: Any) -> tuple[float, float, float]:
    return (*world[:2], HERE[2])


def test_click_fills_the_selected_segment_and_ctrl_takes_away(effect: Any, view: Any, node: Any, volume: Any) -> None:
    assert click(effect, view, HERE), "the view itself must not move"
    np.testing.assert_array_equal(mask_in(node, "liver", volume), clicked(volume, Click(HERE)))
    assert click(effect, view, in_slice(THERE), ctrl=True)
    both = Click(HERE), Click(in_slice(THERE), inside=False)
    np.testing.assert_array_equal(mask_in(node, "liver", volume), clicked(volume, *both))
    assert not mask_in(node, "other", volume).any()
    segment = node.GetSegmentation().GetSegment("liver")
    assert tag_of(segment, "DICOM.SegmentAlgorithmType") == "SEMIAUTOMATIC"
    assert tag_of(segment, "DSM.Source") == "click"
    assert effect._statusLabel.text.startswith("found by click: ")
    effect.scriptedEffect.optionsFrame().grab().save(str(SCREENS / "effect_clicks.png"))


def test_clicks_are_for_slice_views_while_the_button_is_down(effect: Any, view: Any, node: Any, volume: Any) -> None:
    assert not click(effect, view, HERE, shift=True)
    mouse.click(effect._clickButton)
    assert not click(effect, view, HERE)
    assert not mask_in(node, "liver", volume).any()


def test_model_without_clicks_offers_none(effect: Any, view: Any, backend: PanelBackend) -> None:
    backend.noClicks = "The model takes no clicks."
    effect.editor.setActiveEffectByName("")
    effect.editor.setActiveEffectByName("Text prompt")
    assert (effect._clickButton.enabled, effect._clickButton.checked) == (False, False)
    assert effect._clickButton.toolTip == "The model takes no clicks."
    assert not click(effect, view, HERE)
    backend.noClicks = ""
    effect.editor.setActiveEffectByName("")
    effect.editor.setActiveEffectByName("Text prompt")
    assert effect._clickButton.enabled
    assert effect._clickButton.toolTip.startswith("Click on the structure")


def test_clicks_follow_the_undo_of_the_editor(effect: Any, view: Any, node: Any, volume: Any) -> None:
    logic = effect.editor.logic
    for world in (HERE, in_slice(THERE)):
        click(effect, view, world)
    logic.Undo()
    np.testing.assert_array_equal(mask_in(node, "liver", volume), clicked(volume, Click(HERE)))
    other = (-43.0, 15.0, 88.0)
    click(effect, view, other)
    np.testing.assert_array_equal(mask_in(node, "liver", volume), clicked(volume, Click(HERE), Click(other)))


def test_last_click_is_taken_back(effect: Any, view: Any, node: Any, volume: Any) -> None:
    apply(effect)
    assert not effect._takeBackButton.enabled
    for world in (HERE, in_slice(THERE)):
        click(effect, view, world)
    assert effect.editor.key(view, "BackSpace")
    settle(effect)
    np.testing.assert_array_equal(mask_in(node, "liver", volume), clicked(volume, Click(HERE)))
    mouse.click(effect._takeBackButton)
    settle(effect)
    np.testing.assert_array_equal(mask_in(node, "liver", volume), MASKS["liver"])
    assert effect._takeBackButton.toolTip == "There is no click to take back."


@pytest.mark.parametrize("layers", ["of their own", "shared", "of another origin"])
def test_later_click_gives_back_what_an_earlier_one_took_from_another_segment(
    effect: Any, view: Any, node: Any, volume: Any, layers: str
) -> None:
    before, other = MASKS["liver"], 1 - MASKS["liver"]
    affine, start = ijkToRAS(volume), (0, 0, 0)
    if layers == "of another origin":  # extents are negative then
        start = (-4, -5, -6)
        affine[:3, 3] -= affine[:3, :3] @ start
    for name, mask in (("liver", before), ("other", other)):
        image = orientedImageFromCrop(CroppedArray(mask, (0, 0, 0)), affine)
        image.SetExtent([start[n // 2] + end for n, end in enumerate(image.GetExtent())])
        assert setSegmentMask(node, name, image)
    if layers == "shared":
        packLayers(node)
        assert node.GetSegmentation().GetNumberOfLayers() == 1
    assert effect.editor.node.GetOverwriteMode() == slicer.vtkMRMLSegmentEditorNode.OverwriteAllSegments
    click(effect, view, HERE)
    one = clicked(volume, Click(HERE))
    np.testing.assert_array_equal(mask_in(node, "other", volume), other & ~one)
    click(effect, view, in_slice(THERE), ctrl=True)
    both = clicked(volume, Click(HERE), Click(in_slice(THERE), inside=False))
    assert np.any(other & one & ~both)
    np.testing.assert_array_equal(mask_in(node, "liver", volume), both)
    np.testing.assert_array_equal(mask_in(node, "other", volume), other & ~both)
    effect.editor.logic.Undo()
    np.testing.assert_array_equal(mask_in(node, "other", volume), other & ~one)
    assert effect.editor.key(view, "BackSpace")
    settle(effect)
    np.testing.assert_array_equal(mask_in(node, "other", volume), other)
    np.testing.assert_array_equal(mask_in(node, "liver", volume), before)


def test_only_the_latest_of_quick_clicks_is_applied(
    effect: Any, view: Any, node: Any, volume: Any, backend: PanelBackend
) -> None:
    backend.after, backend.act = 0, wait_for_cancel
    effect.editor.mouse(view, HERE)
    assert backend.delivered.wait(20)
    backend.act = None
    click(effect, view, in_slice(THERE))
    np.testing.assert_array_equal(mask_in(node, "liver", volume), clicked(volume, Click(HERE), Click(in_slice(THERE))))


def test_points_are_neither_saved_nor_left_behind(effect: Any, view: Any) -> None:
    click(effect, view, HERE)
    points = slicer.mrmlScene.GetFirstNodeByClass("vtkMRMLMarkupsFiducialNode")
    assert (points.GetSaveWithScene(), points.GetHideFromEditors(), points.GetLocked()) == (False, True, True)
    effect.editor.setCurrentSegmentID("other")
    assert points.GetScene() is None
    click(effect, view, HERE)
    effect.editor.setActiveEffectByName("")
    assert slicer.mrmlScene.GetFirstNodeByClass("vtkMRMLMarkupsFiducialNode") is None


@pytest.mark.parametrize(("name", "corrects"), [("liver", True), ("liver tumor", False)])
def test_outside_click_alone_corrects_an_organ_that_has_a_mask(
    effect: Any, view: Any, node: Any, volume: Any, backend: PanelBackend, name: str, corrects: bool
) -> None:
    mask = clicked(volume, Click(HERE))
    backend.masks = {name: mask}
    apply(effect, name)
    click(effect, view, HERE, ctrl=True)
    if corrects:
        expected = clicked_mask(ijkToRAS(volume), mask.shape, [Click(HERE, inside=False)], mask)
        assert 0 < np.count_nonzero(expected) < np.count_nonzero(mask)
    else:
        expected = mask
        assert effect._statusLabel.text.startswith("Click inside first")
    np.testing.assert_array_equal(mask_in(node, "liver", volume), expected)
    effect.onTakeBack()
    settle(effect)
    np.testing.assert_array_equal(mask_in(node, "liver", volume), mask)


def test_outside_click_alone_and_a_sequence_are_refused(effect: Any, view: Any, volume: Any) -> None:
    click(effect, view, HERE, ctrl=True)
    assert effect._statusLabel.text.startswith("Click inside first")
    browser_of_frames(volume, (-1000, 0, 100))
    click(effect, view, HERE)
    assert effect._statusLabel.text.startswith("Items of a sequence cannot be clicked")
