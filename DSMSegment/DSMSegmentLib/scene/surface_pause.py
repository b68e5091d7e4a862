"""Suspension of 3D surfaces during a run: Slicer would rebuild them at each segment, and block the window."""

from __future__ import annotations

from typing import Any

from DSMSegmentLib.scene.surface_maker import SurfaceMaker, hasSurfaces


class SurfacePause:
    """Remove the surfaces of a segmentation during a run, and recreate them once afterwards."""

    def __init__(self) -> None:
        self._node: Any = None
        self._maker = SurfaceMaker()

    def begin(self, segmentationNode: Any) -> None:
        """Suspend surfaces at the start of a run; None for a segmentation that does not exist yet."""
        if segmentationNode is not self._node:
            self.end()
        if segmentationNode is not None and segmentationNode is self._maker.node:
            self._maker.finish()
        if segmentationNode is not None and hasSurfaces(segmentationNode):
            segmentationNode.RemoveClosedSurfaceRepresentation()
            self._node = segmentationNode

    def endSoon(self) -> None:
        """Recreate the surfaces after the run, once the window has been updated."""
        if self._node is not None:
            self._maker.start(self._node)
            self._node = None

    def end(self) -> None:
        """Recreate the surfaces now, if they were removed and the segmentation still exists."""
        self.endSoon()
        self._maker.finish()
