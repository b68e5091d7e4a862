"""Threshold slider of the panel."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import slicer
from acting_backend import wait_for_cancel
from painting import paint
from panel_backends import MASKS, PanelBackend
from phantoms import SHAPE, mask_in, segment_of, tag_of

from dsm.core.boxes import CroppedArray
from dsm.core.segment_tags import ALGORITHM_TYPE_TAG
from DSMSegmentLib.scene.map_store import SegmentMap
from DSMSegmentLib.scene.mrml import ijkToRAS

if TYPE_CHECKING:
    from panel_driver import PanelDriver


def test_slider_moves_the_mask_of_the_selected_result(panel: PanelDriver, backend: PanelBackend, volume: Any) -> None:
    rng = np.random.default_rng(5)
    probability = (rng.random(SHAPE) * MASKS["liver"]).astype(np.float16)

    node = panel.run("liver")
    store = panel.widget.logic._probabilities
    # The fake's own map has only the values 0 and 1.
    store.put(node, "DSM_liver", SegmentMap(CroppedArray(probability, (0, 0, 0)), ijkToRAS(volume)))
    panel.ui.postprocessCheckBox.setChecked(False)
    panel.ui.resultsTable.selectRow(0)
    assert panel.ui.resultThresholdSlider.enabled
    before = panel.cells("ml")
    panel.ui.resultThresholdSlider.value = 0.75
    panel.wait_until(lambda: panel.cells("ml") != before)
    assert panel.parameters.threshold == 0.5, "that of the next run is another one"
    np.testing.assert_array_equal(mask_in(node, "DSM_liver", volume), probability > np.float16(0.75))
    assert tag_of(segment_of(node, "DSM_liver"), "DSM.Threshold") == "0.75"
    assert tag_of(segment_of(node, "DSM_liver"), ALGORITHM_TYPE_TAG) == "AUTOMATIC"
    panel.picture("threshold")


def test_slider_says_why_it_is_disabled(panel: PanelDriver, backend: PanelBackend) -> None:
    slider = panel.ui.resultThresholdSlider
    node = panel.run("liver\nspleen")
    assert (slider.enabled, slider.toolTip) == (False, "Select a segment first.")
    panel.ui.resultsTable.selectRow(0)
    assert slider.enabled
    assert slider.toolTip.startswith("Minimum probability")
    backend.after, backend.act = 0, wait_for_cancel
    panel.start("left kidney")
    assert (slider.enabled, slider.toolTip) == (False, "Wait for the end of the run, or cancel it.")
    panel.cancel()
    assert slider.enabled
    panel.widget.logic._probabilities.clear()
    panel.ui.resultsTable.selectRow(1)
    assert slider.toolTip == "The probabilities of spleen are not in memory: run it again."
    node.GetSegmentation().RemoveSegment("DSM_spleen")
    panel.widget.enter()
    assert slider.toolTip == "Select a segment first."


def test_slider_leaves_a_segment_alone_that_was_edited_a_moment_ago(panel: PanelDriver, volume: Any) -> None:
    node = panel.run("liver")
    panel.ui.resultsTable.selectRow(0)
    slicer.util.selectModule("SegmentEditor")
    corrected = paint(node, "DSM_liver", volume)
    panel.ui.resultThresholdSlider.value = 0.75
    panel.wait_until(lambda: panel.status.startswith("liver was edited by hand"))
    np.testing.assert_array_equal(mask_in(node, "DSM_liver", volume), corrected)
    assert panel.labels == ["edited"]
    assert not panel.ui.resultThresholdSlider.enabled
    assert panel.ui.resultThresholdSlider.toolTip.startswith("liver was edited by hand")
