"""Sequences in the panel: every item gets its segmentation."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
import slicer
from acting_backend import wait_for_cancel
from painting import paint
from panel_backends import MASKS, PanelBackend
from phantoms import SHAPE, browser_of_frames, mask_in, mask_of, roi_node, segment_of, tag_of
from real_runs import node_ids

from dsm.core.boxes import CroppedArray
from dsm.core.segment_tags import ALGORITHM_TYPE_TAG
from dsm.errors import InputError
from DSMSegmentLib.scene.map_store import SegmentMap
from DSMSegmentLib.scene.mrml import ijkToRAS

if TYPE_CHECKING:
    from panel_driver import PanelDriver


FRAMES = (-1000, 0, 100)


@pytest.fixture
def browser(volume: Any) -> Any:
    return browser_of_frames(volume, FRAMES)


def found() -> Any:
    assert slicer.mrmlScene.GetNumberOfNodesByClass("vtkMRMLSequenceNode") == 2
    return slicer.mrmlScene.GetNthNodeByClass(1, "vtkMRMLSequenceNode")


def test_every_sequence_item_gets_its_segmentation(browser: Any, panel: PanelDriver, volume: Any) -> None:
    assert panel.ui.allSequenceItemsCheckBox.visible
    panel.ui.allSequenceItemsCheckBox.setChecked(True)
    panel.picture("sequence")
    panel.run("liver")
    sequence = found()
    assert sequence.GetNumberOfDataNodes() == len(FRAMES)
    for number in range(len(FRAMES)):
        assert list(sequence.GetNthDataNode(number).GetSegmentation().GetSegmentIDs()) == ["DSM_liver"]
    assert browser.GetSelectedItemNumber() == 1
    assert browser.GetProxyNode(sequence) is not None


def test_table_and_status_tell_of_all_sequence_items(browser: Any, panel: PanelDriver, backend: PanelBackend) -> None:
    backend.after, backend.act = 0, lambda _: time.sleep(0.2)
    panel.ui.allSequenceItemsCheckBox.setChecked(True)
    panel.run("liver\npancreas")
    assert panel.names == ["liver", "pancreas"]
    assert panel.labels == ["found", "not found"]
    seconds, counts = panel.status.split(" s: ")
    assert counts == "3 found; not found: pancreas."
    assert float(seconds.removeprefix("Finished in ")) >= 0.6  # all three, of 0.2 s each, said in tenths


def test_rerun_at_all_sequence_items_goes_into_the_sequence_that_is_there(
    browser: Any, panel: PanelDriver, backend: PanelBackend, volume: Any
) -> None:
    panel.ui.allSequenceItemsCheckBox.setChecked(True)
    node = panel.run("liver\nspleen")
    before = node_ids()
    backend.masks = {"liver": mask_of(seed=9)}
    panel.rerun("liver")
    assert node_ids() == before
    assert panel.output is node
    for item in range(len(FRAMES)):
        browser.SetSelectedItemNumber(item)
        np.testing.assert_array_equal(mask_in(node, "DSM_liver", volume), mask_of(seed=9))
        np.testing.assert_array_equal(mask_in(node, "DSM_spleen", volume), MASKS["spleen"])


def test_cancel_keeps_finished_sequence_items(browser: Any, panel: PanelDriver, backend: PanelBackend) -> None:
    panel.ui.allSequenceItemsCheckBox.setChecked(True)

    def stop_at_the_second(cancel: Any) -> None:
        if len(backend.requests) == 2:
            wait_for_cancel(cancel)

    backend.after, backend.act = 0, stop_at_the_second
    panel.start("liver")
    panel.wait_until(lambda: len(backend.requests) == 2)
    panel.cancel()
    assert found().GetNumberOfDataNodes() == 1
    assert browser.GetSelectedItemNumber() == 1


def test_prompt_that_is_refused_leaves_nothing(browser: Any, panel: PanelDriver) -> None:
    panel.ui.allSequenceItemsCheckBox.setChecked(True)
    before = slicer.mrmlScene.GetNumberOfNodes()
    panel.start("x" * 400)
    assert "300 characters" in panel.status
    assert slicer.mrmlScene.GetNumberOfNodes() == before
    assert browser.GetSelectedItemNumber() == 1


def test_undo_takes_all_sequence_items_back(browser: Any, panel: PanelDriver) -> None:
    before = node_ids()
    panel.ui.allSequenceItemsCheckBox.setChecked(True)
    panel.run("liver")
    panel.ui.undoButton.click()
    assert panel.status == "The last change was undone."
    assert node_ids() == before
    assert not panel.ui.undoButton.enabled
    assert panel.names == []
    assert len(panel.run("spleen").GetSegmentation().GetSegmentIDs()) == 1


def test_looking_at_another_sequence_item_is_no_edit_by_hand(
    browser: Any, panel: PanelDriver, backend: PanelBackend
) -> None:
    panel.ui.allSequenceItemsCheckBox.setChecked(True)
    masks = iter((mask_of(seed=5), mask_of(seed=6), mask_of(seed=7)))
    backend.after, backend.act = 0, lambda _: backend.masks.update(liver=next(masks))
    node = panel.run("liver")
    for item in (2, 0, 1):
        browser.SetSelectedItemNumber(item)
        assert panel.is_pending
        panel.settle()
        assert tag_of(segment_of(node, "DSM_liver"), ALGORITHM_TYPE_TAG) == "AUTOMATIC"
    slicer.util.selectModule("SegmentEditor")
    paint(node, "DSM_liver", slicer.mrmlScene.GetFirstNodeByClass("vtkMRMLScalarVolumeNode"))
    panel.wait_until(lambda: tag_of(segment_of(node, "DSM_liver"), ALGORITHM_TYPE_TAG) == "SEMIAUTOMATIC")
    browser.SetSelectedItemNumber(2)
    assert tag_of(segment_of(node, "DSM_liver"), ALGORITHM_TYPE_TAG) == "AUTOMATIC"


@pytest.fixture
def mapped_at_the_second(browser: Any, panel: PanelDriver, backend: PanelBackend) -> Any:
    """A segmentation of all sequence items, with another liver and its maps at the one that is shown."""
    panel.ui.allSequenceItemsCheckBox.setChecked(True)
    node = panel.run("liver")
    panel.ui.allSequenceItemsCheckBox.setChecked(False)
    panel.ui.postprocessCheckBox.setChecked(False)
    panel.ui.uncertaintyCheckBox.setChecked(True)
    backend.masks.update(liver=MASKS["spleen"])
    panel.ui.resultsTable.selectRow(0)
    panel.ui.rerunButton.click()
    panel.wait_for_end()
    backend.masks.update(liver=MASKS["liver"])
    panel.ui.resultsTable.selectRow(0)
    return node


def test_threshold_moves_the_mask_of_its_own_sequence_item_only(
    browser: Any, panel: PanelDriver, volume: Any, mapped_at_the_second: Any
) -> None:
    node, slider = mapped_at_the_second, panel.ui.resultThresholdSlider
    assert slider.enabled
    browser.SetSelectedItemNumber(2)
    slider.value = 0.7  # before the panel has taken notice
    panel.wait_until(lambda: "another sequence item" in slider.toolTip)
    slider.value = 0.75
    panel.settle()
    np.testing.assert_array_equal(mask_in(node, "DSM_liver", volume), MASKS["liver"])
    with pytest.raises(InputError, match="another sequence item"):
        panel.widget.logic.setThreshold(node, "DSM_liver", 0.75)
    browser.SetSelectedItemNumber(1)
    panel.wait_until(lambda: slider.enabled)
    assert slider.value == 0.5, "the threshold of this sequence item"
    slider.value = 0.8
    panel.wait_until(lambda: tag_of(segment_of(node, "DSM_liver"), "DSM.Threshold") == "0.8")
    np.testing.assert_array_equal(mask_in(node, "DSM_liver", volume), MASKS["spleen"])


def test_threshold_that_was_moved_just_before_a_step_is_not_written_after_it(
    browser: Any, panel: PanelDriver, volume: Any, mapped_at_the_second: Any
) -> None:
    node, store = mapped_at_the_second, panel.widget.logic._probabilities
    browser.SetSelectedItemNumber(2)
    other = CroppedArray(MASKS["left kidney"].astype(np.float16), (0, 0, 0))
    store.put(node, "DSM_liver", SegmentMap(other, ijkToRAS(volume)))
    browser.SetSelectedItemNumber(1)
    panel.process_events()
    panel.widget._run.close()  # its timer notices the step, sooner or later than the slider's
    panel.ui.resultThresholdSlider.value = 0.8
    assert panel.is_pending
    browser.SetSelectedItemNumber(2)
    panel.settle()
    np.testing.assert_array_equal(mask_in(node, "DSM_liver", volume), MASKS["liver"])


def test_map_of_uncertainty_is_shown_at_its_own_sequence_item_only(
    browser: Any, panel: PanelDriver, mapped_at_the_second: Any
) -> None:
    button = panel.ui.uncertaintyButton
    button.click()
    assert slicer.util.getNodes("*uncertainty")
    browser.SetSelectedItemNumber(2)
    panel.wait_until(lambda: not slicer.util.getNodes("*uncertainty"))
    assert not button.enabled
    assert button.toolTip == "The map of liver belongs to another sequence item."
    browser.SetSelectedItemNumber(1)
    panel.wait_until(lambda: button.enabled)
    button.click()
    assert slicer.util.getNodes("*uncertainty")


def test_failure_to_start_a_later_sequence_item_is_said_and_what_was_finished_stays(
    browser: Any, panel: PanelDriver, volume: Any
) -> None:
    panel.ui.roiSelector.setCurrentNode(roi_node(volume, (0, 0, 0), SHAPE))
    browser.GetSequenceNode(volume).GetNthDataNode(2).SetOrigin(1000.0, 0.0, 0.0)
    before = node_ids()
    panel.ui.allSequenceItemsCheckBox.setChecked(True)
    panel.run("liver")
    assert panel.status.startswith("Sequence item 3: R lies outside of CT.")
    assert panel.ui.applyButton.text == "Segment"
    assert found().GetNumberOfDataNodes() == 2
    panel.ui.undoButton.click()
    assert node_ids() == before


def test_closing_the_panel_during_a_run_leaves_no_empty_sequence(
    browser: Any, panel: PanelDriver, backend: PanelBackend
) -> None:
    backend.after, backend.act = 0, wait_for_cancel
    before = node_ids()
    panel.ui.allSequenceItemsCheckBox.setChecked(True)
    panel.start("liver")
    panel.wait_until(backend.delivered.is_set)
    panel.close()
    assert not panel.is_running
    assert node_ids() == before
    assert browser.GetSelectedItemNumber() == 1


def test_volume_that_is_no_sequence_item_has_no_such_choice(panel: PanelDriver) -> None:
    assert not panel.ui.allSequenceItemsCheckBox.visible
