"""Redo in the panel: what *Undo* took back comes again exactly, until something else is done."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
import slicer
from painting import paint
from panel_backends import MASKS, PanelBackend
from phantoms import SHAPE, mask_in, mask_of, plain_affine, segment_ids, segment_of, volume_node

from DSMSegmentLib.scene.click_list import clickListOf, clicksOf
from DSMSegmentLib.scene.policy import OverlapPolicy
from DSMSegmentLib.scene.segment_tags import tagsOf

panel_host = pytest.importorskip("panel_host", reason="PySide6 is not installed")
import mouse  # noqa: E402
import qt  # noqa: E402
from clicking_user import ClickingUser  # noqa: E402
from PySide6.QtTest import QTest  # noqa: E402

if TYPE_CHECKING:
    from panel_driver import PanelDriver

HERE, THERE = (-41.0, 5.65, 90.0), (-41.0, 5.65, 96.0)
TUMOR = np.zeros(SHAPE, np.uint8)
TUMOR[1:4, 1:4, 1:3] = TUMOR[9:12, 6:9, 6] = 1
NOTHING_TO_REDO = (False, "There is nothing to redo.")

Step = Callable[[ClickingUser], None]


@pytest.fixture
def user(panel: PanelDriver, backend: PanelBackend) -> ClickingUser:
    backend.trained = ("liver", "spleen", "left kidney", "liver tumor")
    backend.masks = {**MASKS, "liver tumor": TUMOR}
    return ClickingUser(panel, backend)


def names(text: str) -> Step:
    """Return the step that runs names."""
    return lambda user: user.panel.run(text)


def run_once_more(user: ClickingUser) -> None:
    user.panel.choose_policy("Replace it")
    user.backend.masks["liver"] = mask_of(seed=9)
    user.panel.run("liver\nleft kidney")


def press_click(user: ClickingUser) -> None:
    user.press("liver")
    user.click(HERE)


def click_outside(user: ClickingUser) -> None:
    mouse.click(user.ui.outsideButton)
    user.click((HERE[0] + 3.0, *HERE[1:]))


def take_from_others(user: ClickingUser) -> None:
    user.backend.masks["spleen"] = np.ones(SHAPE, np.uint8)
    user.panel.run("liver\nspleen")
    mouse.choose(user.ui.overlapPolicyComboBox, OverlapPolicy.OVERWRITE.label())


def click_new_name(user: ClickingUser) -> None:
    user.ui.promptsTextEdit.setPlainText("schwannoma")
    mouse.click(user.ui.clickButton)


def click_there(user: ClickingUser) -> None:
    user.click(THERE)


def reject(user: ClickingUser) -> None:
    user.ui.lesionsCollapsibleButton.collapsed = False
    user.panel.process_events()
    mouse.click(user.ui.lesionsTable.cellWidget(0, 5))


def segmentation() -> Any:
    return slicer.mrmlScene.GetFirstNodeByClass("vtkMRMLSegmentationNode")


def described(volume: Any) -> Any:
    """Return all that a person sees of the results, with voxels, codes and clicks; None without a segmentation."""
    node = segmentation()
    if node is None:
        return None
    display = node.GetDisplayNode()
    hierarchy = slicer.vtkMRMLSubjectHierarchyNode.GetSubjectHierarchyNode(slicer.mrmlScene)
    parent = hierarchy.GetItemParent(hierarchy.GetItemByDataNode(node))
    segments = []
    for id_ in segment_ids(node):
        segment = segment_of(node, id_)
        segments.append(
            (
                id_,
                segment.GetName(),
                segment.GetColor(),
                segment.GetTerminology(),
                tagsOf(segment),
                mask_in(node, id_, volume).tobytes(),
                clicksOf(clickListOf(node, id_), volume),
                display.GetSegmentVisibility(id_),
                tuple(display.GetSegmentColor(id_)),
            )
        )
    return node.GetID(), node.GetName(), node.GetTransformNodeID(), parent, segments


def state(button: Any) -> tuple[bool, str]:
    return button.enabled, button.toolTip


def walk(user: ClickingUser, volume: Any, button: Any) -> list[Any]:
    """Press a button as long as it can be pressed; returns what is to be seen each time."""
    seen = []
    while button.enabled:
        mouse.click(button)
        user.settle()
        seen.append(described(volume))
    return seen


@pytest.mark.parametrize(
    "steps",
    [
        [names("liver\nspleen")],
        [names("liver"), run_once_more],
        [names("liver\nspleen"), press_click, click_outside],
        [take_from_others, press_click, click_outside],
        [names("liver"), click_new_name, click_there],
        [names("liver\nliver tumor"), reject, reject],
    ],
    ids=["names", "replaced", "clicks", "clicks that take voxels", "new name", "lesions"],
)
def test_every_step_there_and_back_twice(user: ClickingUser, volume: Any, steps: Sequence[Step]) -> None:
    seen = [None]
    for step in steps:
        assert state(user.ui.redoButton) == NOTHING_TO_REDO
        step(user)
        seen.append(described(volume))
    num_requests = len(user.backend.requests)
    for _ in range(2):
        assert walk(user, volume, user.ui.undoButton) == seen[-2::-1]
        assert user.panel.status == "The last change was undone."
        assert walk(user, volume, user.ui.redoButton) == seen[1:]
        assert user.panel.status == "The change that was undone was done again."
        assert state(user.ui.redoButton) == NOTHING_TO_REDO
    assert len(user.backend.requests) == num_requests, "nothing is computed again"
    user.panel.settle()
    assert described(volume) == seen[-1], "redo is no edit by hand"


def test_segmentation_that_undo_removed_is_the_output_again(user: ClickingUser) -> None:
    panel = user.panel
    node = panel.run("liver")
    mouse.click(panel.ui.undoButton)
    assert panel.output is None
    assert panel.ui.redoButton.enabled
    mouse.click(panel.ui.redoButton)
    assert panel.output is node
    assert panel.parameters.outputSegmentation is node
    assert panel.names == ["liver"]
    panel.run("spleen")
    assert segment_ids(node) == ["DSM_liver", "DSM_spleen"]


def test_threshold_can_be_moved_after_redo(user: ClickingUser, volume: Any) -> None:
    panel = user.panel
    node = panel.run("liver")
    mouse.click(panel.ui.undoButton)
    mouse.click(panel.ui.redoButton)
    panel.ui.resultsTable.selectRow(0)
    assert panel.ui.resultThresholdSlider.enabled, panel.ui.resultThresholdSlider.toolTip
    panel.widget.logic.setThreshold(node, "DSM_liver", 0.9)
    np.testing.assert_array_equal(mask_in(node, "DSM_liver", volume), MASKS["liver"])


def test_segments_that_a_person_added_meanwhile_stay(user: ClickingUser) -> None:
    panel = user.panel
    node = panel.run("liver")
    node.GetSegmentation().AddEmptySegment("mine", "by hand")
    mouse.click(panel.ui.undoButton)
    assert segment_ids(node) == ["mine"]
    mouse.click(panel.ui.redoButton)
    assert segment_ids(node) == ["DSM_liver", "mine"], "in its place"
    node.GetSegmentation().RemoveSegment("DSM_liver")
    mouse.click(panel.ui.undoButton)
    assert segment_ids(node) == ["mine"]
    assert state(panel.ui.redoButton) == NOTHING_TO_REDO, "the person has deleted it"


def edit(user: ClickingUser, node: Any, volume: Any) -> None:
    paint(node, "DSM_liver", volume)
    user.panel.settle()


def move_threshold(user: ClickingUser, node: Any, _volume: Any) -> None:
    user.panel.widget.logic.setThreshold(node, "DSM_liver", 0.4)
    user.panel.widget.enter()


def run_another_name(user: ClickingUser, _node: Any, _volume: Any) -> None:
    user.panel.run("spleen")


@pytest.mark.parametrize("act", [edit, move_threshold, run_another_name])
def test_something_else_done_leaves_nothing_to_redo(user: ClickingUser, volume: Any, act: Callable[..., None]) -> None:
    panel = user.panel
    slicer.util.selectModule("SegmentEditor")
    node = panel.run("liver")
    panel.run("left kidney")
    mouse.click(panel.ui.undoButton)
    assert panel.ui.redoButton.enabled
    act(user, node, volume)
    assert state(panel.ui.redoButton) == NOTHING_TO_REDO


def test_last_click_taken_back_leaves_nothing_to_redo(user: ClickingUser, volume: Any) -> None:
    user.panel.run("liver")
    press_click(user)
    user.click(THERE)
    mouse.click(user.ui.undoButton)
    user.settle()
    assert user.ui.redoButton.enabled
    mouse.click(user.ui.takeBackClickButton)
    user.settle()
    np.testing.assert_array_equal(mask_in(segmentation(), "DSM_liver", volume), MASKS["liver"])
    assert state(user.ui.redoButton) == NOTHING_TO_REDO


def test_edit_just_before_redo_is_noticed(user: ClickingUser, volume: Any) -> None:
    panel = user.panel
    slicer.util.selectModule("SegmentEditor")
    node = panel.run("liver")
    panel.run("left kidney")
    mouse.click(panel.ui.undoButton)
    corrected = paint(node, "DSM_liver", volume)
    mouse.click(panel.ui.redoButton)
    np.testing.assert_array_equal(mask_in(node, "DSM_liver", volume), corrected)
    assert state(panel.ui.redoButton) == NOTHING_TO_REDO


def test_change_of_another_segmentation_is_no_reason_to_forget(user: ClickingUser) -> None:
    panel = user.panel
    first = panel.run("liver")
    panel.run("left kidney")
    mouse.click(panel.ui.undoButton)
    panel.ui.outputSegmentationSelector.setCurrentNode(None)
    assert state(panel.ui.redoButton) == NOTHING_TO_REDO
    panel.run("spleen")
    assert state(panel.ui.redoButton) == NOTHING_TO_REDO
    panel.ui.outputSegmentationSelector.setCurrentNode(first)
    mouse.click(panel.ui.redoButton)
    assert segment_ids(first) == ["DSM_liver", "DSM_left_kidney"]


def test_redo_waits_for_the_end_of_a_run(user: ClickingUser) -> None:
    panel = user.panel
    panel.run("liver")
    panel.run("left kidney")
    mouse.click(panel.ui.undoButton)
    panel.start("spleen")
    assert state(panel.ui.redoButton) == (False, "Wait for the end of the run, or cancel it.")
    panel.wait_for_end()


def test_nothing_of_a_closed_scene_can_be_redone(user: ClickingUser) -> None:
    panel = user.panel
    panel.run("liver")
    mouse.click(panel.ui.undoButton)
    slicer.mrmlScene.Clear(False)
    volume_node(plain_affine())
    panel.widget.enter()
    assert not panel.widget.logic.canRedo(None)
    assert state(panel.ui.redoButton) == NOTHING_TO_REDO


def test_segmentation_whose_id_was_given_to_another_does_not_come_back(
    user: ClickingUser, host: Any, tmp_path: Path
) -> None:
    """A scene that is added may have a segmentation of the same id: maps and clicks would become those of that one."""
    panel = user.panel
    node = panel.run("liver")
    host.saveScene(tmp_path / "scene.mrml")
    mouse.click(panel.ui.undoButton)
    slicer.mrmlScene.SetURL(str(tmp_path / "scene.mrml"))
    slicer.mrmlScene.Import()
    assert slicer.mrmlScene.GetNodeByID(node.GetID()) not in (None, node), "the test is void"
    panel.ui.outputSegmentationSelector.setCurrentNode(None)
    assert state(panel.ui.redoButton) == NOTHING_TO_REDO


def press(widget: Any, key: Any, modifiers: Any) -> None:
    QTest.keyClick(widget, key, modifiers)
    QTest.keyRelease(widget, qt.Qt.Key_Control)  # else Qt takes the modifiers to be still held


def test_keys_undo_and_redo_in_the_section_of_results(user: ClickingUser) -> None:
    panel = user.panel
    node = panel.run("liver")
    panel.run("left kidney")
    table = panel.ui.resultsTable
    panel.window.activateWindow()
    table.setFocus()
    panel.process_events()
    both, one = ["DSM_liver", "DSM_left_kidney"], ["DSM_liver"]
    for modifiers, key in (
        (qt.Qt.ControlModifier, qt.Qt.Key_Y),
        (qt.Qt.ControlModifier | qt.Qt.ShiftModifier, qt.Qt.Key_Z),
    ):
        press(table, qt.Qt.Key_Z, qt.Qt.ControlModifier)
        assert segment_ids(node) == one
        press(table, key, modifiers)
        assert segment_ids(node) == both
    field = panel.ui.promptsTextEdit
    field.setFocus()
    press(field, qt.Qt.Key_Z, qt.Qt.ControlModifier)
    assert segment_ids(node) == both, "a text field has its own"
