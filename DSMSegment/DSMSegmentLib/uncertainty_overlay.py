"""A map of uncertainty over the slices: a volume of its own in the foreground, which goes again when it is hidden."""

from __future__ import annotations

import numpy as np
import slicer

from dsm.core.volume import Volume
from DSMSegmentLib.map_store import SegmentMap
from DSMSegmentLib.mrml import setVolume

_OPACITY = 0.6
# Below, the voxel is sure and the image shines through.
_FAINTEST = 0.1
_COLORS = "vtkMRMLColorTableNodeFileInferno.txt"


class UncertaintyOverlay:
    """Shows one map at a time."""

    def __init__(self) -> None:
        self._node: slicer.vtkMRMLScalarVolumeNode | None = None
        self.segmentId = ""

    @property
    def isShown(self) -> bool:
        """Whether a map is shown."""
        return self._node is not None and self._node.GetScene() is not None

    def show(self, segmentationNode: slicer.vtkMRMLSegmentationNode, segmentId: str, map_: SegmentMap) -> None:
        """Show the map of a segment, in place of the one before."""
        self.hide()
        scene = segmentationNode.GetScene()
        name = segmentationNode.GetSegmentation().GetSegment(segmentId).GetName()
        affine = map_.affine.copy()
        affine[:3, 3] += affine[:3, :3] @ map_.values.offset_ijk
        # VTK has no float16; 255 steps are more than the eye sees.
        values = np.round(map_.values.array.astype(np.float32) * 255).astype(np.uint8)
        node = scene.AddNewNodeByClass("vtkMRMLScalarVolumeNode", f"{name} uncertainty")
        setVolume(node, Volume(np.pad(values, 1), _shifted(affine), modality="MR", name=node.GetName()))
        node.SetAndObserveTransformNodeID(segmentationNode.GetTransformNodeID())
        node.CreateDefaultDisplayNodes()
        display = node.GetDisplayNode()
        display.SetAndObserveColorNodeID(_COLORS)
        display.AutoWindowLevelOff()
        display.SetWindowLevelMinMax(0, 255)
        display.SetLowerThreshold(255 * _FAINTEST)
        display.SetUpperThreshold(255)
        display.ApplyThresholdOn()
        self._node, self.segmentId = node, segmentId
        slicer.util.setSliceViewerLayers(foreground=node, foregroundOpacity=_OPACITY)

    def hide(self) -> None:
        """Take the map away; the slices show what they showed."""
        if self.isShown and self._node is not None:
            slicer.util.setSliceViewerLayers(foreground=None)
            scene = self._node.GetScene()
            scene.RemoveNode(self._node.GetDisplayNode())
            scene.RemoveNode(self._node)
        self._node, self.segmentId = None, ""


def _shifted(affine: np.ndarray) -> np.ndarray:
    """Return the affine of a grid that starts one voxel earlier: a border of sure voxels, and never a single slice."""
    moved = affine.copy()
    moved[:3, 3] -= affine[:3, :3].sum(axis=1)
    return moved
