"""Output segmentation follows the selected volume, so that runs on different scans do not mix."""

from __future__ import annotations

from typing import Any

import slicer

from DSMSegmentLib.scene.placement import volumeOf
from DSMSegmentLib.scene.segment_tags import promptOf


class OutputChoice:
    """Update the output segmentation after a parameter change; a manual choice is respected."""

    def __init__(self) -> None:
        self._parameters: Any = None
        self._volume: Any = None

    def follow(self, parameters: Any) -> None:
        """Choose the output segmentation if another volume was selected."""
        volume = parameters.inputVolume
        if parameters is self._parameters and volume is not self._volume:
            parameters.outputSegmentation = outputFor(volume, parameters.outputSegmentation)
        self._parameters, self._volume = parameters, volume


def outputFor(
    volumeNode: slicer.vtkMRMLVolumeNode | None, chosen: slicer.vtkMRMLSegmentationNode | None
) -> slicer.vtkMRMLSegmentationNode | None:
    """Return `chosen` unless it belongs to another volume: then the last output for this one, or None."""
    if volumeNode is None or (chosen is not None and volumeOf(chosen) in (None, volumeNode)):
        return chosen
    scene = volumeNode.GetScene()
    count = scene.GetNumberOfNodesByClass("vtkMRMLSegmentationNode")
    nodes = [scene.GetNthNodeByClass(number, "vtkMRMLSegmentationNode") for number in range(count)]
    return next((node for node in reversed(nodes) if volumeOf(node) is volumeNode and _hasResults(node)), None)


def _hasResults(node: slicer.vtkMRMLSegmentationNode) -> bool:
    segmentation = node.GetSegmentation()
    return any(promptOf(segmentation.GetSegment(segmentId)) for segmentId in segmentation.GetSegmentIDs())
