"""Uncertainty maps over the slices, shown from the panel."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import slicer
from panel_backends import MASKS, PanelBackend
from phantoms import mask_in, segment_ids, segment_of
from real_runs import node_ids

if TYPE_CHECKING:
    from panel_driver import PanelDriver


def look_of(node: Any) -> list[Any]:
    """Display settings of a segmentation."""
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


def test_map_is_asked_for_shown_over_the_slices_and_leaves_nothing(
    panel: PanelDriver, backend: PanelBackend, volume: Any
) -> None:
    panel.run("liver")
    panel.ui.resultsTable.selectRow(0)
    assert not backend.requests[-1].options.uncertainty
    assert not panel.ui.uncertaintyButton.enabled
    panel.ui.uncertaintyCheckBox.setChecked(True)
    panel.ui.fastCheckBox.setChecked(True)
    panel.run("spleen")
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
    panel.picture("uncertainty")
    panel.ui.uncertaintyButton.click()
    # Sampling the masks above left a display node for label maps.
    assert all("LabelMapVolumeDisplay" in node_id for node_id in node_ids() - before)


def test_scene_that_is_saved_with_a_map_shown_reopens_without_it(
    panel: PanelDriver, volume: Any, host: Any, tmp_path: Path
) -> None:
    """Slicer tells nobody that it saves."""
    composite = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLSliceCompositeNode")
    composite.SetForegroundVolumeID(volume.GetID())
    composite.SetForegroundOpacity(0.25)
    panel.ui.uncertaintyCheckBox.setChecked(True)
    node = panel.run("liver")
    look, volume_name = look_of(node), volume.GetName()
    num_nodes = slicer.mrmlScene.GetNumberOfNodes()
    panel.ui.resultsTable.selectRow(0)
    panel.ui.uncertaintyButton.click()
    assert slicer.mrmlScene.GetNumberOfNodes() > num_nodes
    assert panel.output is node
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


def test_map_goes_with_its_segment(panel: PanelDriver) -> None:
    panel.ui.uncertaintyCheckBox.setChecked(True)
    panel.run("liver")
    panel.ui.resultsTable.selectRow(0)
    panel.ui.uncertaintyButton.click()
    assert slicer.util.getNodes("*uncertainty")
    panel.ui.undoButton.click()
    assert not slicer.util.getNodes("*uncertainty")
    panel.ui.uncertaintyCheckBox.setChecked(False)
    panel.run("liver")
    panel.ui.resultsTable.selectRow(0)
    assert not panel.ui.uncertaintyButton.enabled, "the map is of a run that was taken back"
