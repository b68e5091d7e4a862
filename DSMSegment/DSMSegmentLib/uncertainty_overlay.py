"""A map of uncertainty over the slices: a volume of its own in the foreground, which goes again when it is hidden."""

from __future__ import annotations

import numpy as np
import slicer

from dsm.core.volume import Volume
from DSMSegmentLib.map_store import SegmentMap
from DSMSegmentLib.mrml import setVolume
from DSMSegmentLib.time_point import timeOf

#: From sure to undecided: matplotlib's viridis, which no organ has. Slicer's own tables are not there without Slicer.
COLORS = ("#440154", "#414487", "#2a788e", "#22a884", "#7ad151", "#fde725")
_OPACITY = 0.6
# Below, the voxel is sure and the image shines through.
_FAINTEST = 0.1
_MOST = 255
_SLICE = "vtkMRMLSliceCompositeNode"


class UncertaintyOverlay:
    """Shows one map at a time. The segment's own area is not filled meanwhile, so that only its outline covers it."""

    def __init__(self) -> None:
        self._node: slicer.vtkMRMLScalarVolumeNode | None = None
        self._segmentationNode: slicer.vtkMRMLSegmentationNode | None = None
        # What lay in the foreground of each slice before, and how opaque it was.
        self._before: dict[str, tuple[str | None, float]] = {}
        self._fill = 1.0
        self._time: str | None = None
        self.segmentId = ""

    @property
    def isShown(self) -> bool:
        """Whether a map is shown."""
        return self._node is not None and self._node.GetScene() is not None

    def show(self, segmentationNode: slicer.vtkMRMLSegmentationNode, segmentId: str, map_: SegmentMap) -> None:
        """Show the map of a segment, in place of the one before."""
        self.hide()
        name = segmentationNode.GetSegmentation().GetSegment(segmentId).GetName()
        self._node = node = _mapNode(segmentationNode, f"{name} uncertainty", map_)
        self._segmentationNode, self.segmentId = segmentationNode, segmentId
        self._time = timeOf(segmentationNode)
        display = segmentationNode.GetDisplayNode()
        self._fill = display.GetSegmentOpacity2DFill(segmentId)
        display.SetSegmentOpacity2DFill(segmentId, 0.0)
        for slice_ in _slices(node.GetScene()):
            self._before[slice_.GetID()] = slice_.GetForegroundVolumeID(), slice_.GetForegroundOpacity()
            slice_.SetForegroundVolumeID(node.GetID())
            slice_.SetForegroundOpacity(_OPACITY)

    def hide(self) -> None:
        """Take the map away; slices and segment look as before.

        Call it before the scene is saved, too: how the segment is drawn would be saved.
        """
        node = self._node
        # Segments of one id are drawn alike at all time points.
        if self._segmentationNode is not None and self._isSegmentThere:
            self._segmentationNode.GetDisplayNode().SetSegmentOpacity2DFill(self.segmentId, self._fill)
        if node is not None and node.GetScene() is not None:
            scene = node.GetScene()
            for slice_ in _slices(scene):
                if slice_.GetForegroundVolumeID() == node.GetID():
                    volumeId, opacity = self._before.get(slice_.GetID(), (None, 0.0))
                    slice_.SetForegroundVolumeID(volumeId)
                    slice_.SetForegroundOpacity(opacity)
            display = node.GetDisplayNode()
            for one in (display.GetColorNode(), display, node):
                scene.RemoveNode(one)
        self._node = self._segmentationNode = None
        self.segmentId = ""
        self._before.clear()

    def hideIfGone(self) -> None:
        """Take the map away if its segment is not there any more.

        The run was taken back, the scene closed, or another time point is shown.
        """
        if not self._isSegmentThere or timeOf(self._segmentationNode) != self._time:
            self.hide()

    @property
    def _isSegmentThere(self) -> bool:
        node = self._segmentationNode
        return (
            node is not None
            and node.GetScene() is not None
            and node.GetSegmentation().GetSegment(self.segmentId) is not None
        )


def _mapNode(
    segmentationNode: slicer.vtkMRMLSegmentationNode, name: str, map_: SegmentMap
) -> slicer.vtkMRMLScalarVolumeNode:
    scene = segmentationNode.GetScene()
    affine = map_.affine.copy()
    affine[:3, 3] += affine[:3, :3] @ map_.values.offset_ijk
    # VTK has no float16; 255 steps are more than the eye sees.
    values = np.round(map_.values.array.astype(np.float32) * _MOST).astype(np.uint8)
    node = slicer.vtkMRMLScalarVolumeNode()
    node.SetName(name)
    node.HideFromEditorsOn()  # no list offers it as a volume to segment
    scene.AddNode(node)
    setVolume(node, Volume(np.pad(values, 1), _shifted(affine), modality="MR", name=name))
    node.SetAndObserveTransformNodeID(segmentationNode.GetTransformNodeID())
    node.CreateDefaultDisplayNodes()
    display = node.GetDisplayNode()
    display.SetAndObserveColorNodeID(_colorNode(scene).GetID())
    display.AutoWindowLevelOff()
    display.SetWindowLevelMinMax(0, _MOST)
    display.SetLowerThreshold(_MOST * _FAINTEST)
    display.SetUpperThreshold(_MOST)
    display.ApplyThresholdOn()
    for one in (node, display, display.GetColorNode()):
        one.SetSaveWithScene(False)  # a way to look at the result, no part of it
    return node


def _colorNode(scene: slicer.vtkMRMLScene) -> slicer.vtkMRMLColorTableNode:
    node = scene.AddNewNodeByClass("vtkMRMLColorTableNode", "Uncertainty")
    node.SetTypeToUser()
    node.HideFromEditorsOn()
    node.SetNumberOfColors(_MOST + 1)
    stops = np.array([[int(color[start : start + 2], 16) / 255 for start in (1, 3, 5)] for color in COLORS])
    steps = np.linspace(0, len(COLORS) - 1, _MOST + 1)
    channels = [np.interp(steps, np.arange(len(COLORS)), channel) for channel in stops.T]
    for number, (red, green, blue) in enumerate(zip(*channels, strict=True)):
        node.SetColor(number, f"{number / _MOST:.2f}", red, green, blue, 1.0)
    return node


def _slices(scene: slicer.vtkMRMLScene) -> list[slicer.vtkMRMLSliceCompositeNode]:
    # Not `slicer.util.getNodesByClass`: it looks into the application's scene whichever it is given.
    return [scene.GetNthNodeByClass(i, _SLICE) for i in range(scene.GetNumberOfNodesByClass(_SLICE))]


def _shifted(affine: np.ndarray) -> np.ndarray:
    """Return the affine of a grid that starts one voxel earlier: a border of sure voxels, and never a single slice."""
    moved = affine.copy()
    moved[:3, 3] -= affine[:3, :3].sum(axis=1)
    return moved
