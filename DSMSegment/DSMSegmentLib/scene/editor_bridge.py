"""Bridge to the Segment Editor: same node, volume and segment; edited segments are tagged."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
import slicer

from dsm.core.boxes import CroppedArray
from dsm.core.segment_tags import PROMPT_TAG
from DSMSegmentLib.scene.mrml import segmentLayer
from DSMSegmentLib.scene.placed_mask import PlacedMask
from DSMSegmentLib.scene.segment_tags import isUneditedResult, tagOf
from DSMSegmentLib.scene.sequence_item import SequenceItem
from DSMSegmentLib.scene.tag_writer import tagEdited, tagMask


def openInSegmentEditor(
    segmentationNode: slicer.vtkMRMLSegmentationNode, volumeNode: slicer.vtkMRMLVolumeNode | None, segmentId: str = ""
) -> None:
    """Open the Segment Editor on a segment, keeping the user's settings."""
    slicer.util.selectModule("SegmentEditor")
    editorNode = slicer.mrmlScene.GetSingletonNode("SegmentEditor", "vtkMRMLSegmentEditorNode")
    editorNode.SetAndObserveSegmentationNode(segmentationNode)
    if volumeNode is not None:
        editorNode.SetAndObserveSourceVolumeNode(volumeNode)
    if segmentId:
        editorNode.SetSelectedSegmentID(segmentId)


@dataclass(frozen=True, slots=True, eq=False)
class _Mask:
    """One segment inside a copy of its layer."""

    layer: slicer.vtkOrientedImageData
    label: int
    source: slicer.vtkOrientedImageData
    time: int
    isOfNetwork: bool

    @property
    def placed(self) -> PlacedMask:
        """Its voxels."""
        return PlacedMask.of(self.layer, self.label)


class EditWatch:
    """Detect segments of the network that were edited since this object was created.

    Layers are copied as they are, not segment by segment: it takes some 40 ms for a CT of 512 x 512 x 400 voxels. A
    segment is compared only when its layer has changed. In a sequence, each item is another set of masks, and
    no edit by hand: what is compared is what was done since it is shown.
    """

    def __init__(self, segmentationNode: slicer.vtkMRMLSegmentationNode) -> None:
        self.segmentationNode = segmentationNode
        self._time = SequenceItem.shownBy(segmentationNode)
        self._masks = self._copy()
        self._originals: dict[str, _Mask] = {}

    def markEdited(self) -> list[str]:
        """Tag changed segments as SEMIAUTOMATIC, the DICOM term, and update their volume.

        Returns:
            Ids of the segments that have changed since the last call.
        """
        if self._time is not None and not self._time.isShown:
            self.restart()
            return []
        edited = [segmentId for segmentId, mask in self._masks.items() if self._isEdited(segmentId, mask)]
        now = self._copy(edited)
        for segmentId in edited:
            before, self._masks[segmentId] = self._masks[segmentId], now[segmentId]
            if not now[segmentId].isOfNetwork:
                tagMask(self.segmentationNode, segmentId)
            elif segmentId in self._originals and self._originals[segmentId].placed.isSameAs(now[segmentId].placed):
                del self._originals[segmentId]  # undo in the Segment Editor, which takes the tags back, too
                continue
            else:
                tagEdited(self.segmentationNode, segmentId)
            if before.isOfNetwork:
                self._originals.setdefault(segmentId, before)
        return edited

    def original(self, segmentId: str) -> CroppedArray | None:
        """Return the network's mask of an edited segment; None if unknown."""
        mask = self._originals.get(segmentId)
        if mask is None:
            return None
        placed = mask.placed
        # Masks of the network lie inside the volume, so no offset is negative.
        return CroppedArray(placed.voxels.astype(np.uint8), placed.start)  # type: ignore[arg-type]

    def restart(self) -> None:
        """Compare with the current masks: after a run, a new threshold, or a change of the sequence item."""
        self._time = SequenceItem.shownBy(self.segmentationNode)
        self._masks = self._copy()

    def _copy(self, segmentIds: Iterable[str] | None = None) -> dict[str, _Mask]:
        """Return the masks of the segments that came from prompts, or of some of them."""
        segmentation = self.segmentationNode.GetSegmentation()
        copies: dict[int, slicer.vtkOrientedImageData] = {}
        masks = {}
        for segmentId in segmentation.GetSegmentIDs() if segmentIds is None else segmentIds:
            segment = segmentation.GetSegment(segmentId)
            layer = segmentLayer(segment)
            if layer is None or not tagOf(segment, PROMPT_TAG):
                continue
            key = id(layer)
            if key not in copies:
                copies[key] = slicer.vtkOrientedImageData()
                copies[key].DeepCopy(layer)
            masks[segmentId] = _Mask(
                copies[key], segment.GetLabelValue(), layer, layer.GetMTime(), isUneditedResult(segment)
            )
        return masks

    def _isEdited(self, segmentId: str, before: _Mask) -> bool:
        segment = self.segmentationNode.GetSegmentation().GetSegment(segmentId)
        layer = segmentLayer(segment) if segment is not None else None
        if layer is None or (layer is before.source and layer.GetMTime() == before.time):
            return False
        return not PlacedMask.of(layer, segment.GetLabelValue()).isSameAs(before.placed)
