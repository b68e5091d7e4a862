"""The panel when scenes are closed, modules unloaded, and volumes moved."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import slicer
from acting_backend import wait_for_cancel
from panel_backends import MASKS, PanelBackend
from phantoms import affine_of, mask_in, obliqueness, plain_affine, segment_ids, volume_node

if TYPE_CHECKING:
    from panel_driver import PanelDriver


def test_closing_the_scene_during_a_run_stops_it(panel: PanelDriver, backend: PanelBackend) -> None:
    backend.after, backend.act = 1, wait_for_cancel
    panel.start("liver\nspleen")
    panel.wait_until(lambda: len(panel.names) == 1)
    slicer.mrmlScene.Clear(False)
    panel.wait_for_end()
    assert slicer.mrmlScene.GetFirstNodeByClass("vtkMRMLSegmentationNode") is None
    assert not panel.ui.resultsCollapsibleButton.visible
    again = volume_node(plain_affine())
    panel.ui.inputVolumeSelector.setCurrentNode(again)
    assert segment_ids(panel.run("liver")) == ["DSM_liver"]


def test_panel_that_is_not_open_forgets_its_results_with_the_scene(panel: PanelDriver) -> None:
    panel.run("liver")
    panel.ui.resultsTable.selectRow(0)
    assert panel.ui.editButton.enabled
    panel.widget.exit()
    panel.window.isEntered = False
    slicer.mrmlScene.Clear(False)
    assert not panel.ui.editButton.enabled
    assert panel.ui.resultsTable.rowCount == 0
    panel.ui.editButton.clicked.emit()  # as a click that was on its way
    assert slicer.app.selected_modules == []


def test_unloading_the_module_closes_the_backend(panel: PanelDriver, backend: PanelBackend) -> None:
    backend.after, backend.act = 0, wait_for_cancel
    panel.start("liver")
    panel.close()
    assert backend.closed == 1


def test_runs_add_no_nodes_but_the_segmentation(panel: PanelDriver) -> None:
    panel.run("liver")
    before = slicer.mrmlScene.GetNumberOfNodes()
    for _ in range(3):
        panel.run("liver\nspleen")
    assert slicer.mrmlScene.GetNumberOfNodes() == before


def test_volume_under_a_transform(panel: PanelDriver, volume: Any) -> None:
    transform = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLLinearTransformNode")
    matrix = slicer.util.vtkMatrixFromArray(affine_of(obliqueness(30), (1.0, 1.0, 1.0)))
    transform.SetMatrixTransformToParent(matrix)
    volume.SetAndObserveTransformNodeID(transform.GetID())
    node = panel.run("liver")
    assert node.GetParentTransformNode() is transform
    np.testing.assert_array_equal(mask_in(node, "DSM_liver", volume), MASKS["liver"])
