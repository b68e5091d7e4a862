"""Maps of probabilities of segments, so that their threshold can be moved without the network."""

from __future__ import annotations

from collections import OrderedDict
from dataclasses import dataclass

import numpy as np
import slicer

from dsm.core.boxes import CroppedArray
from dsm.errors import InputError, OutputError
from DSMSegmentLib.islands import largestIsland
from DSMSegmentLib.mrml import countVoxels, orientedImageFromCrop, setSegmentMask
from DSMSegmentLib.provenance import THRESHOLD_TAG, VOLUME_TAG

# A liver in a CT of 512 x 512 x 400 voxels takes some 40 MB.
_MAX_BYTES = 512 * 2**20


@dataclass(frozen=True, slots=True, eq=False)
class _Map:
    probability: CroppedArray
    affine: np.ndarray


class ProbabilityStore:
    """Keeps the newest maps; the oldest ones go when they take more than `maxBytes` together.

    Args:
        maxBytes: Most memory for all maps.
    """

    def __init__(self, maxBytes: int = _MAX_BYTES) -> None:
        self._maxBytes = maxBytes
        self._maps: OrderedDict[tuple[str, str], _Map] = OrderedDict()

    def put(
        self,
        segmentationNode: slicer.vtkMRMLSegmentationNode,
        segmentId: str,
        probability: CroppedArray,
        affine: np.ndarray,
    ) -> None:
        """Remember the map of a segment.

        Args:
            segmentationNode: Of the segment.
            segmentId: Of the segment.
            probability: float16, 0 outside its box.
            affine: `(4, 4)` of the full grid, to the RAS of the segmentation.
        """
        key = (segmentationNode.GetID(), segmentId)
        self._maps.pop(key, None)
        self._maps[key] = _Map(probability, affine)
        while (
            len(self._maps) > 1 and sum(map_.probability.array.nbytes for map_ in self._maps.values()) > self._maxBytes
        ):
            self._maps.popitem(last=False)

    def has(self, segmentationNode: slicer.vtkMRMLSegmentationNode | None, segmentId: str) -> bool:
        """Whether the threshold of a segment can be moved."""
        return segmentationNode is not None and (segmentationNode.GetID(), segmentId) in self._maps

    def setThreshold(
        self,
        segmentationNode: slicer.vtkMRMLSegmentationNode,
        segmentId: str,
        threshold: float,
        *,
        keepLargest: bool = False,
    ) -> float:
        """Write the mask of a segment again, from its map; other segments keep their voxels.

        Returns:
            Volume of the new mask in ml.

        Raises:
            InputError: If there is no map, or the threshold does not lie between 0 and 1.
            OutputError: If the segmentation does not take the mask.
        """
        if not 0.0 < threshold < 1.0:
            raise InputError(f"The threshold is {threshold}; it must lie between 0 and 1.", code="input.threshold")
        if not self.has(segmentationNode, segmentId):
            raise InputError(
                f"The probabilities of {segmentId} are not kept any more.",
                code="input.probability",
                hint="Run its prompt again.",
            )
        map_ = self._maps[segmentationNode.GetID(), segmentId]
        mask = _above(map_.probability.array, threshold)
        if keepLargest:
            mask = largestIsland(mask)
        crop = CroppedArray.from_mask(mask)
        offset = tuple(a + b for a, b in zip(map_.probability.offset_ijk, crop.offset_ijk, strict=True))
        image = orientedImageFromCrop(CroppedArray(crop.array, offset), map_.affine)  # type: ignore[arg-type]
        segmentation = segmentationNode.GetSegmentation()
        if crop.array.size == 0:
            segmentation.ClearSegment(segmentId)
        elif not setSegmentMask(segmentationNode, segmentId, image):
            raise OutputError(f"{segmentationNode.GetName()} does not take the mask.", code="output.segment")
        volumeMl = countVoxels(image) * float(abs(np.linalg.det(map_.affine[:3, :3]))) / 1000.0
        segmentation.GetSegment(segmentId).SetTag(THRESHOLD_TAG, f"{threshold:g}")
        segmentation.GetSegment(segmentId).SetTag(VOLUME_TAG, f"{volumeMl:.4f}")
        return volumeMl

    def clear(self) -> None:
        """Forget all maps."""
        self._maps.clear()


def _above(probability: np.ndarray, threshold: float) -> np.ndarray:
    """Return the mask of what exceeds the threshold, uint8.

    The bits of float16 numbers that are not negative have the order of the numbers, and NumPy compares integers thirty
    times as fast.
    """
    limit = int(np.float16(threshold).view(np.uint16))
    return (probability.view(np.uint16) > limit).view(np.uint8)
