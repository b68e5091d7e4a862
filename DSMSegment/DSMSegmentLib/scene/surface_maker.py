"""Surfaces for the 3D view, one segment at a time: those of thirty organs at once would block the window for long."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import slicer

from DSMSegmentLib.application import qt

SURFACE = "Closed surface"
_BINARY_LABELMAP = "Binary labelmap"
# Of Slicer's conversion: the surfaces of neighbours depend on each other then.
_JOINT = "Joint smoothing"


def hasSurfaces(segmentationNode: slicer.vtkMRMLSegmentationNode) -> bool:
    """Whether the 3D views show a segmentation."""
    return bool(segmentationNode.GetSegmentation().ContainsRepresentation(SURFACE))


class SurfaceMaker:
    """Makes the surfaces of one segmentation, one segment in each turn of the event loop.

    Args:
        onDone: Called when they are there, or their segmentation has gone.
    """

    def __init__(self, onDone: Callable[[], None] = lambda: None) -> None:
        self._onDone = onDone
        self._node: Any = None
        self._segmentIds: list[str] = []
        self._timer = qt.QTimer()
        self._timer.setSingleShot(True)
        self._timer.setInterval(0)
        self._timer.timeout.connect(self._step)

    @property
    def node(self) -> slicer.vtkMRMLSegmentationNode | None:
        """Whose surfaces are being made; None when there is nothing to do."""
        return self._node

    def start(self, segmentationNode: slicer.vtkMRMLSegmentationNode) -> None:
        """Make the surfaces from the next turn on; returns at once."""
        self.finish()
        segmentation = segmentationNode.GetSegmentation()
        self._node = segmentationNode
        # Slicer asks the first segment in the order of the ids whether there are surfaces. That one is left to Slicer,
        # at the end: it then tells its views and buttons.
        segmentIds = sorted(segmentation.GetSegmentIDs(), key=str.encode)
        self._segmentIds = [] if _areJoint(segmentation) else segmentIds[1:]
        self._timer.start()

    def finish(self) -> None:
        """Make what is still missing now."""
        self._timer.stop()
        node, self._node = self._node, None
        if node is None:
            return
        if node.GetScene() is not None:
            node.CreateClosedSurfaceRepresentation()
        self._onDone()

    def stop(self) -> None:
        """Make no more."""
        self._timer.stop()
        self._node = None

    def _step(self) -> None:
        if self._node is None or self._node.GetScene() is None or hasSurfaces(self._node) or not self._segmentIds:
            self.finish()
            return
        _makeSurface(self._node.GetSegmentation(), self._segmentIds.pop(0))
        self._timer.start()


def _makeSurface(segmentation: slicer.vtkSegmentation, segmentId: str) -> None:
    """Make one surface, in a segmentation of its own: Slicer converts all segments of one together."""
    segment = segmentation.GetSegment(segmentId)
    if segment is None or segment.GetRepresentation(SURFACE) is not None:
        return
    alone = slicer.vtkSegmentation()
    alone.SetSourceRepresentationName(_BINARY_LABELMAP)
    alone.CopyConversionParameters(segmentation)
    if alone.CopySegmentFromSegmentation(segmentation, segmentId) and alone.CreateRepresentation(SURFACE):
        segment.AddRepresentation(SURFACE, alone.GetSegment(segmentId).GetRepresentation(SURFACE))


def _areJoint(segmentation: slicer.vtkSegmentation) -> bool:
    return bool(segmentation.GetConversionParameter(_JOINT) not in ("", "0"))
