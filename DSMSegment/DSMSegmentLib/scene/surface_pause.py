"""No 3D surfaces during a run: Slicer would rebuild them at each segment that is written, and block the window."""

from __future__ import annotations

from typing import Any

from DSMSegmentLib.scene.surface_maker import SurfaceMaker, hasSurfaces


class SurfacePause:
    """Takes the surfaces of a segmentation away, and makes them again once, for what the run has left."""

    def __init__(self) -> None:
        self._node: Any = None
        self._maker = SurfaceMaker()

    def begin(self, segmentationNode: Any) -> None:
        """Call when a run starts; None for a segmentation that it has yet to make."""
        if segmentationNode is not self._node:
            self.end()
        if segmentationNode is not None and segmentationNode is self._maker.node:
            self._maker.finish()
        if segmentationNode is not None and hasSurfaces(segmentationNode):
            segmentationNode.RemoveClosedSurfaceRepresentation()
            self._node = segmentationNode

    def endSoon(self) -> None:
        """Call when the run is over: the surfaces are made once the window has shown that."""
        if self._node is not None:
            self._maker.start(self._node)
            self._node = None

    def end(self) -> None:
        """Make the surfaces now, if they were taken away and the segmentation is still there."""
        self.endSoon()
        self._maker.finish()
