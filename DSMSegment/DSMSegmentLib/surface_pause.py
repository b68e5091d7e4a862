"""No 3D surfaces during a run: Slicer would rebuild them at each segment that is written, and block the window."""

from __future__ import annotations

from typing import Any

from DSMSegmentLib.application import qt

_SURFACE = "Closed surface"


class SurfacePause:
    """Takes the surfaces of a segmentation away, and makes them again once, for what the run has left."""

    def __init__(self) -> None:
        self._node: Any = None
        self._timer = qt.QTimer()
        self._timer.setSingleShot(True)
        self._timer.setInterval(0)
        self._timer.timeout.connect(self.end)

    def begin(self, segmentationNode: Any) -> None:
        """Call when a run starts; None for a segmentation that it has yet to make."""
        if segmentationNode is not self._node:
            self.end()
        self._timer.stop()
        if segmentationNode is not None and segmentationNode.GetSegmentation().ContainsRepresentation(_SURFACE):
            segmentationNode.RemoveClosedSurfaceRepresentation()
            self._node = segmentationNode

    def endSoon(self) -> None:
        """Call when the run is over: the surfaces are made once the window has shown that."""
        if self._node is not None:
            self._timer.start()

    def end(self) -> None:
        """Make the surfaces now, if they were taken away and the segmentation is still there."""
        self._timer.stop()
        node, self._node = self._node, None
        if node is not None and node.GetScene() is not None:
            node.CreateClosedSurfaceRepresentation()
