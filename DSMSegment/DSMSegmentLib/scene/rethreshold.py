"""Change of a segment's threshold from its probability map, without the network."""

from __future__ import annotations

import numpy as np
import slicer

from dsm.core.boxes import CroppedArray
from dsm.core.options import check_threshold
from dsm.core.volume import voxel_ml
from dsm.errors import OutputError
from dsm.inference.component_policy import kept_fraction, smallest_part_ml
from DSMSegmentLib.scene.islands import keepIslands
from DSMSegmentLib.scene.map_store import SegmentMap
from DSMSegmentLib.scene.mrml import (
    addVoxelsOutside,
    countVoxels,
    orientedImageFromCrop,
    orientedImageFromSegment,
    removeVoxels,
    setSegmentMask,
)
from DSMSegmentLib.scene.segment_tags import promptOf
from DSMSegmentLib.scene.tag_writer import tagThreshold


def setThreshold(
    segmentationNode: slicer.vtkMRMLSegmentationNode,
    segmentId: str,
    probability: SegmentMap,
    threshold: float,
    *,
    postprocess: bool = False,
) -> float:
    """Rewrite the mask of a segment; other segments keep their voxels, as does this one outside of the region.

    Args:
        segmentationNode: Of the segment.
        segmentId: Of the segment.
        probability: Its map.
        threshold: Probability from which a voxel is inside, 0 to 1.
        postprocess: Whether small islands are dropped, by the rules of a run: organs keep their largest part, tumors
            all of 0.1 ml or more. Where the organ of a tumor lies, only the network knows: parts that the run dropped
            elsewhere are not in the map, nor are their rims.

    Returns:
        Volume of the new mask in ml.

    Raises:
        InputError: If the threshold does not lie between 0 and 1.
        OutputError: If the segmentation does not take the mask.
    """
    check_threshold(threshold)
    segmentation = segmentationNode.GetSegmentation()
    mask = _above(probability.values.array, threshold)
    prompt = promptOf(segmentation.GetSegment(segmentId))
    if postprocess and prompt is not None:
        smallest = round(smallest_part_ml(prompt) / voxel_ml(probability.affine))
        mask = keepIslands(mask, fraction=kept_fraction(prompt), smallest=smallest)
    image = _onFullGrid(mask, probability)
    if probability.region is not None:
        addVoxelsOutside(image, orientedImageFromSegment(segmentationNode, segmentId), probability.region)
    for other in probability.others:
        if segmentation.GetSegment(other) is not None:
            removeVoxels(image, orientedImageFromSegment(segmentationNode, other))
    if countVoxels(image) == 0:
        segmentation.ClearSegment(segmentId)
    elif not setSegmentMask(segmentationNode, segmentId, image):
        raise OutputError(f"{segmentationNode.GetName()} does not take the mask.", code="output.segment")
    return tagThreshold(segmentationNode, segmentId, threshold, image)


def _onFullGrid(mask: np.ndarray, probability: SegmentMap) -> slicer.vtkOrientedImageData:
    return orientedImageFromCrop(CroppedArray.from_mask(mask, probability.values.offset_ijk), probability.affine)


def _above(probability: np.ndarray, threshold: float) -> np.ndarray:
    """Return the mask of what exceeds the threshold, uint8.

    The bits of float16 numbers that are not negative have the order of the numbers, and NumPy compares integers thirty
    times as fast.
    """
    limit = int(np.float16(threshold).view(np.uint16))
    return (probability.view(np.uint16) > limit).view(np.uint8)
