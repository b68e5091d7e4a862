"""The panel where clicks in the views make and mend segments, by the mouse and the keyboard of a user."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
import slicer
import view_mouse
from acting_backend import wait_for_cancel
from clicked_masks import clicked_mask
from painting import paint
from panel_backends import MASKS, PanelBackend
from phantoms import (
    SHAPE,
    affine_of,
    browser_of_frames,
    mask_in,
    obliqueness,
    segment_ids,
    segment_of,
    tag_of,
)

from dsm.core.click import Click
from dsm.core.segment_tags import ALGORITHM_TYPE_TAG
from dsm.wire.messages import Progress
from DSMSegmentLib.scene.click_list import clickListOf, clicksOf
from DSMSegmentLib.scene.mrml import ijkToRAS
from DSMSegmentLib.scene.policy import OverlapPolicy

panel_host = pytest.importorskip("panel_host", reason="PySide6 is not installed")
import mouse  # noqa: E402
import qt  # noqa: E402
from clicking_user import ClickingUser  # noqa: E402
from PySide6.QtTest import QTest  # noqa: E402

if TYPE_CHECKING:
    from panel_driver import PanelDriver

HERE, THERE, ELSEWHERE = (-41.0, 5.65, 90.0), (-41.0, 5.65, 96.0), (-44.0, 4.0, 99.0)


@pytest.fixture
def user(panel: PanelDriver, backend: PanelBackend) -> ClickingUser:
    backend.trained = ("liver", "spleen")
    return ClickingUser(panel, backend)


def ball(volume: Any, *clicks: Click) -> np.ndarray:
    return clicked_mask(ijkToRAS(volume), SHAPE, clicks)


def assert_mask(node: Any, segment_id: str, volume: Any, *clicks: Click) -> None:
    np.testing.assert_array_equal(mask_in(node, segment_id, volume), ball(volume, *clicks))


def test_unknown_name_leads_to_the_click(user: ClickingUser, volume: Any) -> None:
    panel = user.panel
    panel.start("schwannoma")
    panel.wait_for_end()
    assert "not known to this model: click on it." in panel.ui.hintsLabel.text
    assert panel.labels == ["not known: click on it"]
    user.press("schwannoma")
    assert panel.labels == ["click on it"]
    node = panel.output
    assert segment_of(node, "DSM_schwannoma").GetName() == "schwannoma"
    assert tag_of(segment_of(node, "DSM_schwannoma"), "TerminologyEntry")
    assert panel.status.startswith("Click inside of schwannoma")
    assert user.button("schwannoma").isChecked()
    user.click(HERE)
    assert panel.labels == ["found by click"]
    assert user.button("schwannoma").text == "Click (1)"
    assert_mask(node, "DSM_schwannoma", volume, Click(HERE))
    assert tag_of(segment_of(node, "DSM_schwannoma"), ALGORITHM_TYPE_TAG) == "SEMIAUTOMATIC"
    user.click(ELSEWHERE)
    mouse.click(user.ui.outsideButton)
    user.click(THERE)
    three = Click(HERE), Click(ELSEWHERE), Click(THERE, inside=False)
    assert user.clicks[-1] == three
    assert_mask(node, "DSM_schwannoma", volume, *three)
    panel.picture("clicks")
    view_mouse.right_click()
    assert not user.button("schwannoma").isChecked()
    assert not user.ui.outsideButton.enabled
    assert user.ui.outsideButton.toolTip == "Press the button Click of a result first."


def test_typed_name_is_clicked_without_a_run_before(user: ClickingUser, volume: Any) -> None:
    panel = user.panel
    panel.ui.promptsTextEdit.setPlainText("schwannoma")
    mouse.click(panel.ui.clickButton)
    assert user.backend.requests == []
    assert panel.names == ["schwannoma"]
    mouse.click(panel.ui.clickButton)
    view_mouse.right_click()
    mouse.click(panel.ui.clickButton)
    assert panel.names == ["schwannoma"], "the empty one waits"
    user.click(HERE)
    assert_mask(panel.output, "DSM_schwannoma", volume, Click(HERE))
    mouse.click(panel.ui.clickButton)
    assert panel.names == ["schwannoma", "schwannoma_1"]
    user.click(THERE)
    assert_mask(panel.output, "DSM_schwannoma", volume, Click(HERE))
    assert_mask(panel.output, "DSM_schwannoma_1", volume, Click(THERE))


def test_click_button_says_why_it_cannot_be_used(user: ClickingUser, volume: Any) -> None:
    button = user.ui.clickButton
    assert (button.enabled, button.toolTip) == (False, "Type what to segment first, one structure per line.")
    user.ui.promptsTextEdit.setPlainText("schwannoma\nliver")
    assert button.toolTip.startswith("Type one structure to click on it")
    user.ui.promptsTextEdit.setPlainText("schwannoma")
    assert button.enabled
    browser_of_frames(volume, (-1000, 0, 100))
    user.panel.parameters.Modified()
    assert not button.enabled
    assert button.toolTip.startswith("Items of a sequence cannot be clicked")


def test_model_without_clicks_offers_none(user: ClickingUser) -> None:
    panel = user.panel
    user.backend.noClicks = "The model takes no clicks."
    panel.start("schwannoma\nliver")
    panel.wait_for_end()
    panel.ui.promptsTextEdit.setPlainText("schwannoma")
    assert panel.ui.hintsLabel.text == "! schwannoma: not known to this model."
    assert sorted(panel.labels) == ["found", "not known"]
    for button in (panel.ui.clickButton, user.button("schwannoma"), user.button("liver")):
        assert (button.isEnabled(), button.toolTip) == (False, "The model takes no clicks.")
    user.backend.noClicks = ""
    panel.widget.enter()
    assert sorted(panel.labels) == ["found", "not known: click on it"]
    assert user.button("liver").isEnabled()


def test_wrong_organ_is_corrected_and_comes_back_with_the_last_click(user: ClickingUser, volume: Any) -> None:
    panel = user.panel
    node = panel.run("liver\nspleen")
    user.press("liver")
    user.click(HERE)
    user.click(THERE)
    assert panel.labels == ["found by click", "found"]
    assert_mask(node, "DSM_liver", volume, Click(HERE), Click(THERE))
    user.key(qt.Qt.Key_Backspace)
    user.settle()
    assert_mask(node, "DSM_liver", volume, Click(HERE))
    mouse.click(panel.ui.takeBackClickButton)
    user.settle()
    np.testing.assert_array_equal(mask_in(node, "DSM_liver", volume), MASKS["liver"])
    assert tag_of(segment_of(node, "DSM_liver"), ALGORITHM_TYPE_TAG) == "AUTOMATIC"
    assert panel.status == "liver is as it was before the clicks."
    assert not panel.ui.takeBackClickButton.enabled
    assert panel.ui.takeBackClickButton.toolTip == "There is no click to take back."
    panel.widget.enter()
    assert panel.labels == ["found", "found"], "that was no edit by hand"
    user.click(THERE)
    assert_mask(node, "DSM_liver", volume, Click(THERE))


def test_later_click_gives_back_what_an_earlier_one_took_from_another_segment(user: ClickingUser, volume: Any) -> None:
    panel = user.panel
    user.backend.masks = {"liver": MASKS["liver"], "spleen": np.ones_like(MASKS["liver"])}
    node = panel.run("liver\nspleen")
    mouse.choose(panel.ui.overlapPolicyComboBox, OverlapPolicy.OVERWRITE.label())
    near = (HERE[0] + 3.0, *HERE[1:])
    spleen, one = np.ones_like(MASKS["liver"]), ball(volume, Click(HERE))
    both = ball(volume, Click(HERE), Click(near, inside=False))
    assert np.any(one & ~both)
    ml, note = panel.cells("ml")[1], panel.item(1, "Result").toolTip()
    user.press("liver")
    user.click(HERE)
    np.testing.assert_array_equal(mask_in(node, "DSM_spleen", volume), spleen - one)
    assert "Voxels went to liver" in panel.item(1, "Result").toolTip()
    mouse.click(user.ui.outsideButton)
    user.click(near)
    np.testing.assert_array_equal(mask_in(node, "DSM_liver", volume), both)
    np.testing.assert_array_equal(mask_in(node, "DSM_spleen", volume), spleen - both)
    mouse.click(user.ui.undoButton)
    user.settle()
    np.testing.assert_array_equal(mask_in(node, "DSM_spleen", volume), spleen - one)
    mouse.click(user.ui.takeBackClickButton)
    user.settle()
    np.testing.assert_array_equal(mask_in(node, "DSM_spleen", volume), spleen)
    np.testing.assert_array_equal(mask_in(node, "DSM_liver", volume), MASKS["liver"])
    assert (panel.cells("ml")[1], panel.item(1, "Result").toolTip()) == (ml, note)


def test_undo_of_a_run_takes_its_click_along(user: ClickingUser, volume: Any) -> None:
    node = user.panel.run("liver")
    user.press("liver")
    user.click(HERE)
    user.click(THERE)
    num_requests = len(user.backend.requests)
    mouse.click(user.ui.undoButton)
    user.settle()
    assert_mask(node, "DSM_liver", volume, Click(HERE))
    assert user.button("liver").text == "Click (1)"
    mouse.click(user.ui.undoButton)
    user.settle()
    np.testing.assert_array_equal(mask_in(node, "DSM_liver", volume), MASKS["liver"])
    assert user.button("liver").text == "Click"
    assert len(user.backend.requests) == num_requests


def test_key_marks_the_next_clicks_as_outside(user: ClickingUser) -> None:
    user.panel.run("liver")
    user.press("liver")
    user.click(HERE)
    user.key(qt.Qt.Key_O)
    assert user.ui.outsideButton.isChecked()
    view_mouse.move(THERE)
    points = clickListOf(user.panel.output, "DSM_liver")
    assert not points.GetNthControlPointSelected(1), "the point on the mouse has the other color"
    user.click(THERE)
    user.key(qt.Qt.Key_O)
    user.click(ELSEWHERE)
    assert [click.inside for click in user.clicks[-1]] == [True, False, True]


def test_of_two_quick_clicks_only_the_latest_is_applied(user: ClickingUser, volume: Any) -> None:
    node = user.panel.run("liver")
    user.press("liver")
    backend = user.backend

    def slow(cancel: Any) -> None:
        backend.report(Progress(id="", stage="decode", done=0, total=1))
        wait_for_cancel(cancel)

    backend.after, backend.act = 0, slow
    assert view_mouse.click(HERE)
    user.panel.wait_until(lambda: user.panel.is_running)
    backend.act = None
    assert view_mouse.click(THERE)
    user.settle()
    assert_mask(node, "DSM_liver", volume, Click(HERE), Click(THERE))
    mouse.click(user.ui.undoButton)
    user.settle()
    np.testing.assert_array_equal(mask_in(node, "DSM_liver", volume), MASKS["liver"])
    assert user.button("liver").text == "Click", "the run that was cut short is no step of its own"


def test_moved_and_deleted_points_are_applied(user: ClickingUser, volume: Any) -> None:
    node = user.panel.run("liver")
    user.press("liver")
    user.click(HERE)
    user.click(ELSEWHERE)
    view_mouse.right_click()
    points = clickListOf(node, "DSM_liver")
    view_mouse.drag(points, 1, (-42.0, 5.0, 98.0), THERE)
    user.settle()
    assert_mask(node, "DSM_liver", volume, Click(HERE), Click(THERE))
    assert view_mouse.delete_under_mouse(points, 0)
    user.settle()
    assert_mask(node, "DSM_liver", volume, Click(THERE))
    slicer.mrmlScene.RemoveNode(points)
    user.settle()
    np.testing.assert_array_equal(mask_in(node, "DSM_liver", volume), MASKS["liver"])


def test_outside_clicks_alone_mark_nothing(user: ClickingUser, volume: Any) -> None:
    user.panel.start("schwannoma")
    user.panel.wait_for_end()
    user.press("schwannoma")
    mouse.click(user.ui.outsideButton)
    num_requests = len(user.backend.requests)
    user.click(THERE)
    assert user.panel.status.startswith("Click inside of schwannoma first")
    assert len(user.backend.requests) == num_requests
    mouse.click(user.ui.outsideButton)
    user.click(HERE)
    assert_mask(user.panel.output, "DSM_schwannoma", volume, Click(THERE, inside=False), Click(HERE))


def test_outside_clicks_alone_correct_an_organ_that_was_found(user: ClickingUser, volume: Any) -> None:
    node = user.panel.run("liver")
    user.press("liver")
    mouse.click(user.ui.outsideButton)
    user.click(THERE)
    expected = clicked_mask(ijkToRAS(volume), SHAPE, [Click(THERE, inside=False)], MASKS["liver"])
    assert 0 < np.count_nonzero(expected) < np.count_nonzero(MASKS["liver"])
    np.testing.assert_array_equal(mask_in(node, "DSM_liver", volume), expected)


def test_click_beside_the_volume_is_refused_and_can_be_taken_back(user: ClickingUser, volume: Any) -> None:
    node = user.panel.run("liver")
    user.press("liver")
    user.click(HERE)
    user.click((500.0, 0.0, 0.0))
    assert "outside of the volume" in user.panel.status
    assert_mask(node, "DSM_liver", volume, Click(HERE))
    num_requests = len(user.backend.requests)
    mouse.click(user.ui.takeBackClickButton)
    user.settle()
    assert len(user.backend.requests) == num_requests, "the mask is that of the other click already"


def test_hand_made_parts_are_left_alone(user: ClickingUser, volume: Any) -> None:
    panel = user.panel
    slicer.util.selectModule("SegmentEditor")
    node = panel.run("liver")
    user.press("liver")
    user.click(HERE)
    corrected = paint(node, "DSM_liver", volume)
    user.click(THERE)
    assert "edited by hand" in panel.status
    np.testing.assert_array_equal(mask_in(node, "DSM_liver", volume), corrected)
    assert panel.labels == ["edited"]
    view_mouse.right_click()
    assert not user.button("liver").isEnabled()
    assert "Run it again first" in user.button("liver").toolTip
    panel.rerun("liver")
    assert_mask(node, "DSM_liver", volume, Click(HERE), Click(THERE))
    assert panel.labels == ["found by click"]
    assert user.button("liver").isEnabled()
    mouse.click(user.ui.undoButton)
    user.settle()
    np.testing.assert_array_equal(mask_in(node, "DSM_liver", volume), corrected)
    assert user.button("liver").text == "Click (1)", "the refused one goes, too: it is no part of that mask"


def test_painted_organ_that_waits_for_clicks_is_left_alone(user: ClickingUser, volume: Any) -> None:
    slicer.util.selectModule("SegmentEditor")
    user.ui.promptsTextEdit.setPlainText("thyroid gland")
    mouse.click(user.ui.clickButton)
    corrected = paint(user.panel.output, "DSM_thyroid_gland", volume)
    user.click(HERE)
    assert "edited by hand" in user.panel.status
    np.testing.assert_array_equal(mask_in(user.panel.output, "DSM_thyroid_gland", volume), corrected)


def test_click_adds_to_a_painted_tumor(user: ClickingUser, volume: Any) -> None:
    slicer.util.selectModule("SegmentEditor")
    user.ui.promptsTextEdit.setPlainText("schwannoma")
    mouse.click(user.ui.clickButton)
    painted = paint(user.panel.output, "DSM_schwannoma", volume)
    user.click(HERE)
    expected = painted | ball(volume, Click(HERE))
    np.testing.assert_array_equal(mask_in(user.panel.output, "DSM_schwannoma", volume), expected)


def test_scene_keeps_the_clicks(user: ClickingUser, host: Any, tmp_path: Path) -> None:
    panel = user.panel
    panel.run("liver")
    user.press("liver")
    user.click(HERE)
    view_mouse.right_click()
    node = panel.reopen(host, tmp_path / "scene.mrb")
    volume = slicer.mrmlScene.GetFirstNodeByClass("vtkMRMLScalarVolumeNode")
    num_requests = len(user.backend.requests)
    panel.process_events()
    assert panel.labels == ["found by click"]
    assert user.button("liver").text == "Click (1)"
    user.press("liver")
    user.click(THERE)
    assert len(user.backend.requests) == num_requests + 1, "opening the scene starts no run"
    assert_mask(node, "DSM_liver", volume, Click(HERE), Click(THERE))
    for _ in range(2):
        mouse.click(user.ui.takeBackClickButton)
        user.settle()
    assert "its mask before the clicks is not in memory" in panel.status
    assert_mask(node, "DSM_liver", volume, Click(HERE))


def test_closing_the_scene_during_a_run_of_clicks(user: ClickingUser) -> None:
    user.panel.run("liver")
    user.press("liver")
    user.backend.after, user.backend.act = 0, wait_for_cancel
    assert view_mouse.click(HERE)
    user.panel.wait_until(lambda: user.panel.is_running)
    slicer.mrmlScene.Clear(False)
    user.settle()
    assert user.panel.names == []
    assert slicer.mrmlScene.GetFirstNodeByClass("vtkMRMLMarkupsNode") is None
    interaction = slicer.app.applicationLogic().GetInteractionNode()
    assert interaction.GetCurrentInteractionMode() == interaction.ViewTransform


def test_cancelled_click_goes(user: ClickingUser, volume: Any) -> None:
    node = user.panel.run("liver")
    user.press("liver")
    user.click(HERE)
    user.backend.after, user.backend.act = 0, wait_for_cancel
    assert view_mouse.click(THERE)
    user.panel.wait_until(lambda: user.panel.is_running)
    mouse.click(user.ui.applyButton)
    user.settle()
    num_requests = len(user.backend.requests)
    assert clicksOf(clickListOf(node, "DSM_liver"), volume) == (Click(HERE),)
    assert_mask(node, "DSM_liver", volume, Click(HERE))
    assert user.button("liver").text == "Click (1)"
    assert user.panel.status == "Cancelled: mask and clicks are as they were before."
    user.backend.act = None
    user.settle()
    assert len(user.backend.requests) == num_requests, "the mask is that of the points"
    user.click(ELSEWHERE)
    assert_mask(node, "DSM_liver", volume, Click(HERE), Click(ELSEWHERE))


def test_cancelled_first_click_leaves_a_segment_to_be_clicked(user: ClickingUser) -> None:
    panel = user.panel
    panel.run("liver\nschwannoma")
    user.press("schwannoma")
    user.backend.after, user.backend.act = 0, wait_for_cancel
    assert view_mouse.click(HERE)
    panel.wait_until(lambda: panel.is_running)
    mouse.click(user.ui.applyButton)
    user.settle()
    assert panel.labels == ["found", "click on it"]
    assert user.button("schwannoma").text == "Click"


def test_click_that_waits_for_a_run_goes_with_it(user: ClickingUser, volume: Any) -> None:
    node = user.panel.run("liver")
    user.press("liver")
    user.backend.after, user.backend.act = 0, wait_for_cancel
    user.panel.start("spleen")
    assert view_mouse.click(HERE)
    num_requests = len(user.backend.requests)
    mouse.click(user.ui.applyButton)
    user.settle()
    assert len(user.backend.requests) == num_requests
    assert clicksOf(clickListOf(node, "DSM_liver"), volume) == ()
    np.testing.assert_array_equal(mask_in(node, "DSM_liver", volume), MASKS["liver"])


def test_volume_under_a_transform(user: ClickingUser, volume: Any) -> None:
    transform = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLLinearTransformNode")
    matrix = affine_of(obliqueness(30), (1.0, 1.0, 1.0))
    transform.SetMatrixTransformToParent(slicer.util.vtkMatrixFromArray(matrix))
    volume.SetAndObserveTransformNodeID(transform.GetID())
    node = user.panel.run("liver")
    user.press("liver")
    user.click((matrix @ [*HERE, 1.0])[:3])
    np.testing.assert_allclose(user.clicks[-1][0].ras_mm, HERE, atol=2e-3)
    assert_mask(node, "DSM_liver", volume, Click(HERE))
    num_requests = len(user.backend.requests)
    transform.SetMatrixTransformToParent(slicer.util.vtkMatrixFromArray(np.eye(4)))
    user.settle()
    assert len(user.backend.requests) == num_requests, "all of them moved together"


def test_segment_that_is_deleted_during_its_run(user: ClickingUser) -> None:
    node = user.panel.run("liver\nspleen")
    user.press("liver")
    user.click(HERE)
    points = clickListOf(node, "DSM_liver")
    assert view_mouse.click(THERE)
    node.GetSegmentation().RemoveSegment("DSM_liver")
    user.settle()
    user.panel.widget.enter()
    assert points.GetScene() is None
    assert user.panel.names == ["spleen"]


def test_clicks_wait_for_a_run_of_names(user: ClickingUser, volume: Any) -> None:
    panel = user.panel
    node = panel.run("liver")
    user.press("liver")
    entered: list[bool] = []
    user.backend.after = 0
    user.backend.act = lambda cancel: [entered.append(True), cancel.wait(0.5) if hasattr(cancel, "wait") else None]
    panel.start("spleen")
    assert view_mouse.click(HERE)
    user.settle()
    assert segment_ids(node) == ["DSM_liver", "DSM_spleen"], "the click did not cancel it"
    assert_mask(node, "DSM_liver", volume, Click(HERE))


def test_reruns_of_clicked_results_are_one_at_a_time(user: ClickingUser) -> None:
    panel = user.panel
    panel.run("liver\nspleen")
    user.press("liver")
    user.click(HERE)
    panel.ui.resultsTable.selectAll()
    panel.ui.rerunButton.click()
    assert panel.status == "Run results with clicks one at a time."


def test_no_volume_to_click(user: ClickingUser, volume: Any) -> None:
    user.panel.run("liver\nschwannoma")
    slicer.mrmlScene.RemoveNode(volume)
    user.panel.widget.enter()
    for name in ("liver", "schwannoma"):
        assert not user.button(name).isEnabled()
        assert "not in the scene" in user.button(name).toolTip


def test_a_run_that_failed_leaves_the_click_to_try_again(
    user: ClickingUser, volume: Any, open_panel: Callable[[], Any]
) -> None:
    node = user.panel.run("liver")
    user.press("liver")

    def fail(_cancel: Any) -> None:
        raise RuntimeError("broken")

    user.backend.after, user.backend.act = 0, fail
    user.click(HERE)
    assert "The run failed" in user.panel.status
    user.backend.act = None
    user.click(THERE)
    assert_mask(node, "DSM_liver", volume, Click(HERE), Click(THERE))


def test_undo_key_works_in_the_whole_panel_while_clicks_are_placed(user: ClickingUser, volume: Any) -> None:
    panel = user.panel
    panel.start("schwannoma")
    panel.wait_for_end()
    user.press("schwannoma")
    user.click(HERE)
    assert user.button("schwannoma").text == "Click (1)"
    panel.window.activateWindow()
    for widget, labels in ((panel.ui.resultsTable, "click on it"), (panel.ui.learnedOrgansButton, "click on it")):
        assert panel.labels == ["found by click"]
        widget.setFocus()
        panel.process_events()
        QTest.keyClick(widget, qt.Qt.Key_Z, qt.Qt.ControlModifier)
        assert panel.labels == [labels]
        QTest.keyClick(widget, qt.Qt.Key_Y, qt.Qt.ControlModifier)
        QTest.keyRelease(widget, qt.Qt.Key_Control)
    user.press("schwannoma")
    panel.ui.learnedOrgansButton.setFocus()
    QTest.keyClick(panel.ui.learnedOrgansButton, qt.Qt.Key_Z, qt.Qt.ControlModifier)
    assert panel.labels == ["found by click"], "no clicks are placed any more"
