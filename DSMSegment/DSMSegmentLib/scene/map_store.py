"""In-memory store of probability and uncertainty maps of segments."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
import slicer

from dsm.core.boxes import Box, CroppedArray
from DSMSegmentLib.scene.sequence_item import timeOf

# A liver in a CT of 512 x 512 x 400 voxels takes some 40 MB.
_MAX_BYTES = 512 * 2**20
# Node, segment and time point.
Key = tuple[str, str, str | None]


@dataclass(frozen=True, slots=True, eq=False)
class SegmentMap:
    """A map and its position in the grid.

    Args:
        values: float16, 0 to 1; 0 outside its box.
        affine: `(4, 4)` of the full grid, to the RAS of the segmentation.
        region: Voxels of the full grid that the run looked at; what the segment has outside is not from it. None for
            all.
        others: Ids of segments whose voxels the segment leaves alone.
    """

    values: CroppedArray
    affine: np.ndarray
    region: Box | None = None
    others: tuple[str, ...] = ()


class MapStore:
    """Store of the newest maps, limited to `maxBytes` in total.

    A node that shows a sequence holds other segments at other times, under the same ids: a map belongs to the time
    point that the node showed when it was put.

    Args:
        maxBytes: Most memory for all maps.
    """

    def __init__(self, maxBytes: int = _MAX_BYTES) -> None:
        self._maxBytes = maxBytes
        self._maps: OrderedDict[Key, SegmentMap] = OrderedDict()

    def put(self, segmentationNode: slicer.vtkMRMLSegmentationNode, segmentId: str, map_: SegmentMap | None) -> None:
        """Store the map of a segment at the shown sequence item; None removes it."""
        key = (segmentationNode.GetID(), segmentId, timeOf(segmentationNode))
        self._maps.pop(key, None)
        if map_ is None:
            return
        self._maps[key] = map_
        self._dropOldest()

    def _dropOldest(self) -> None:
        while len(self._maps) > 1 and self._numBytes > self._maxBytes:
            self._maps.popitem(last=False)

    def get(self, segmentationNode: slicer.vtkMRMLSegmentationNode | None, segmentId: str) -> SegmentMap | None:
        """Return the map of a segment at the shown sequence item; None if there is none (any more)."""
        # The user may have deleted the segment.
        if segmentationNode is None or segmentationNode.GetSegmentation().GetSegment(segmentId) is None:
            return None
        return self._maps.get((segmentationNode.GetID(), segmentId, timeOf(segmentationNode)))

    def hasMapAtOtherItem(self, segmentationNode: slicer.vtkMRMLSegmentationNode | None, segmentId: str) -> bool:
        """Return whether only other sequence items have a map of this segment id."""
        if segmentationNode is None or self.get(segmentationNode, segmentId) is not None:
            return False
        return any(key[:2] == (segmentationNode.GetID(), segmentId) for key in self._maps)

    def leaveAlone(self, nodeId: str, segmentId: str, time: str | None, other: str) -> None:
        """Exclude voxels that a segment gave to another one, at any threshold."""
        map_ = self._maps.get((nodeId, segmentId, time))
        if map_ is not None and other not in map_.others:
            self._maps[nodeId, segmentId, time] = replace(map_, others=(*map_.others, other))

    def forget(self, nodeId: str, segmentId: str, time: str | None) -> None:
        """Remove the map of a segment at a sequence item; the node may be gone, or show another item."""
        self._maps.pop((nodeId, segmentId, time), None)

    def saved(self) -> dict[Key, SegmentMap]:
        """Return the maps that are there now, without copying them."""
        return dict(self._maps)

    def restore(self, then: Mapping[Key, SegmentMap], now: Mapping[Key, SegmentMap]) -> None:
        """Put back what was there `then` where it differs from `now`; other maps stay."""
        for key in then.keys() | now.keys():
            if then.get(key) is not now.get(key):
                self._maps.pop(key, None)
                if key in then:
                    self._maps[key] = then[key]
        self._dropOldest()

    def clear(self) -> None:
        """Remove all maps."""
        self._maps.clear()

    @property
    def _numBytes(self) -> int:
        return sum(map_.values.array.nbytes for map_ in self._maps.values())


@dataclass(frozen=True, slots=True, eq=False)
class MapsChange:
    """Change of the maps of some segments.

    Args:
        stores: Of probability and uncertainty.
        keys: Of the segments.
        before: Maps of each store before the change.
    """

    stores: Sequence[MapStore]
    keys: Sequence[Key]
    before: Sequence[Mapping[Key, SegmentMap]]

    def revert(self) -> MapsChange:
        """See `undo.Change.revert`."""
        now = []
        for store, before in zip(self.stores, self.before, strict=True):
            now.append({key: map_ for key, map_ in store.saved().items() if key in self.keys})
            store.restore(before, now[-1])
        return replace(self, before=now)
