"""Maps of probability and of uncertainty that belong to segments, kept in memory for what comes after a run."""

from __future__ import annotations

from collections import OrderedDict
from dataclasses import dataclass

import numpy as np
import slicer

from dsm.core.boxes import CroppedArray

# A liver in a CT of 512 x 512 x 400 voxels takes some 40 MB.
_MAX_BYTES = 512 * 2**20


@dataclass(frozen=True, slots=True, eq=False)
class SegmentMap:
    """A map and where it lies.

    Args:
        values: float16, 0 to 1; 0 outside its box.
        affine: `(4, 4)` of the full grid, to the RAS of the segmentation.
    """

    values: CroppedArray
    affine: np.ndarray


class MapStore:
    """Keeps the newest maps; the oldest ones go when they take more than `maxBytes` together.

    Args:
        maxBytes: Most memory for all maps.
    """

    def __init__(self, maxBytes: int = _MAX_BYTES) -> None:
        self._maxBytes = maxBytes
        self._maps: OrderedDict[tuple[str, str], SegmentMap] = OrderedDict()

    def put(self, segmentationNode: slicer.vtkMRMLSegmentationNode, segmentId: str, map_: SegmentMap | None) -> None:
        """Remember the map of a segment; None forgets the one before."""
        key = (segmentationNode.GetID(), segmentId)
        self._maps.pop(key, None)
        if map_ is None:
            return
        self._maps[key] = map_
        while len(self._maps) > 1 and self._numBytes > self._maxBytes:
            self._maps.popitem(last=False)

    def get(self, segmentationNode: slicer.vtkMRMLSegmentationNode | None, segmentId: str) -> SegmentMap | None:
        """Return the map of a segment; None where none is kept (any more)."""
        return self._maps.get((segmentationNode.GetID(), segmentId)) if segmentationNode is not None else None

    def clear(self) -> None:
        """Forget all maps."""
        self._maps.clear()

    @property
    def _numBytes(self) -> int:
        return sum(map_.values.array.nbytes for map_ in self._maps.values())
