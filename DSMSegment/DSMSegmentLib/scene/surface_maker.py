"""Incremental creation of 3D surfaces: thirty organs at once would block the window for long."""

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
    """Return whether the 3D views show a segmentation."""
    return bool(segmentationNode.GetSegmentation().ContainsRepresentation(SURFACE))


class SurfaceMaker:
    """Create the surfaces of one segmentation, one segment per event-loop iteration.

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
        """Segmentation whose surfaces are being created; None when idle."""
        return self._node

    def start(self, segmentationNode: slicer.vtkMRMLSegmentationNode) -> None:
        """Start in the next event-loop iteration; returns immediately."""
        self.finish()
        segmentation = segmentationNode.GetSegmentation()
        self._node = segmentationNode
        # Slicer asks the first segment in the order of the ids whether there are surfaces. That one is left to Slicer,
        # at the end: it then tells its views and buttons.
        segmentIds = sorted(segmentation.GetSegmentIDs(), key=str.encode)
        self._segmentIds = [] if _areJoint(segmentation) else segmentIds[1:]
        self._timer.start()

    def finish(self) -> None:
        """Create all missing surfaces now."""
        self._timer.stop()
        node, self._node = self._node, None
        if node is None:
            return
        if node.GetScene() is not None:
            node.CreateClosedSurfaceRepresentation()
        self._onDone()

    def stop(self) -> None:
        """Stop creating surfaces."""
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
