"""Uncertainty map over the slices: coloured bands, in a temporary segmentation.

What the scene saves of the user's segmentation and slice views is never changed for it: nobody is told when a scene is
saved (Slicer declares `StartSaveEvent` and never invokes it), and it would be saved like that.
"""

from __future__ import annotations

import numpy as np
import slicer

from dsm.core.boxes import CroppedArray
from DSMSegmentLib.scene.map_store import SegmentMap
from DSMSegmentLib.scene.mrml import BINARY_LABELMAP, orientedImageFromLabels, segmentInScene
from DSMSegmentLib.scene.placement import removeSegmentation
from DSMSegmentLib.scene.sequence_item import timeOf

#: From sure to undecided: matplotlib's viridis, which no organ has.
COLORS = ("#440154", "#414487", "#2a788e", "#22a884", "#7ad151", "#fde725")
_OPACITY = 0.8
# Below the first, the voxel is sure and the image shines through.
_LIMITS = (0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9)
# Number of the band of each float16 from 0 to 1, which are as many as their bits: quick for maps of millions of voxels.
_BAND_OF_BITS = np.digitize(
    np.arange(np.float16(1.0).view(np.uint16) + 1, dtype=np.uint16).view(np.float16), _LIMITS
).astype(np.uint8)


class UncertaintyOverlay:
    """Overlay of one uncertainty map at a time."""

    def __init__(self) -> None:
        self._node: slicer.vtkMRMLSegmentationNode | None = None
        self._segmentationNode: slicer.vtkMRMLSegmentationNode | None = None
        self._time: str | None = None
        self.segmentId = ""

    @property
    def isShown(self) -> bool:
        """True if a map is shown."""
        return self._node is not None and self._node.GetScene() is not None

    def show(self, segmentationNode: slicer.vtkMRMLSegmentationNode, segmentId: str, map_: SegmentMap) -> None:
        """Show the map of a segment, replacing the previous one."""
        self.hide()
        name = segmentationNode.GetSegmentation().GetSegment(segmentId).GetName()
        self._node = _bandsNode(segmentationNode, f"{name} uncertainty", map_)
        self._segmentationNode, self.segmentId = segmentationNode, segmentId
        self._time = timeOf(segmentationNode)

    def hide(self) -> None:
        """Hide the map."""
        node = self._node
        if node is not None and node.GetScene() is not None:
            removeSegmentation(node)
            for number in range(node.GetSegmentation().GetNumberOfSegments()):
                # Else Slicer would take the voxels of one band after the other out of the image that they share.
                node.GetSegmentation().GetNthSegment(number).RemoveAllRepresentations("")
        self._node = self._segmentationNode = None
        self.segmentId = ""

    def hideIfGone(self) -> None:
        """Hide the map if its segment no longer exists.

        The run was taken back, the scene closed, or another sequence item is shown.
        """
        node = self._segmentationNode
        if segmentInScene(node, self.segmentId) is None or timeOf(node) != self._time:
            self.hide()


def _bandsNode(
    segmentationNode: slicer.vtkMRMLSegmentationNode, name: str, map_: SegmentMap
) -> slicer.vtkMRMLSegmentationNode:
    # Made before it is in the scene, where each change would be drawn.
    node = slicer.vtkMRMLSegmentationNode()
    node.SetName(name)
    node.HideFromEditorsOn()  # no place to write to
    node.SaveWithSceneOff()  # a way to look at the result, no part of it
    bands = _BAND_OF_BITS[map_.values.array.view(np.uint16)]
    image = orientedImageFromLabels(CroppedArray(bands, map_.values.offset_ijk), map_.affine)
    for number, (low, color) in enumerate(zip(_LIMITS, _colors(len(_LIMITS)), strict=True), start=1):
        segment = slicer.vtkSegment()
        segment.SetName(f"{name}, {low:.1f} or more")
        segment.SetColor(*color)
        segment.AddRepresentation(BINARY_LABELMAP, image)
        segment.SetLabelValue(number)
        node.GetSegmentation().AddSegment(segment, str(number))
    scene = segmentationNode.GetScene()
    scene.AddNode(node)
    node.SetAndObserveTransformNodeID(segmentationNode.GetTransformNodeID())
    display = scene.AddNode(_display())
    node.SetAndObserveDisplayNodeID(display.GetID())
    return node


def _display() -> slicer.vtkMRMLSegmentationDisplayNode:
    display = slicer.vtkMRMLSegmentationDisplayNode()
    display.SaveWithSceneOff()
    display.SetVisibility3D(False)
    display.SetVisibility2DOutline(False)
    display.SetOpacity2DFill(_OPACITY)
    return display


def _colors(num: int) -> list[tuple[float, float, float]]:
    """Return red, green and blue, 0 to 1, of each of `num` bands."""
    stops = np.array([[int(color[start : start + 2], 16) / 255 for start in (1, 3, 5)] for color in COLORS])
    steps = np.linspace(0, len(COLORS) - 1, num)
    channels = (np.interp(steps, np.arange(len(COLORS)), channel) for channel in stops.T)
    return [(float(red), float(green), float(blue)) for red, green, blue in zip(*channels, strict=True)]
