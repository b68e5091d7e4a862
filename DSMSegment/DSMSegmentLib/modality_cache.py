"""CT or MR, known again without looking at the voxels: what changes in the panel asks at every keystroke."""

from __future__ import annotations

from typing import Any

import slicer

from DSMSegmentLib.mrml import modalityOfNode


class ModalityCache:
    """Remembers the answer for the last volume, until it or its image changes."""

    def __init__(self) -> None:
        self._key: Any = None
        self._modality = ""

    def of(self, volumeNode: slicer.vtkMRMLScalarVolumeNode | None) -> str:
        """See `modalityOfNode`."""
        image = volumeNode.GetImageData() if volumeNode is not None else None
        key = (volumeNode.GetID(), volumeNode.GetMTime(), image.GetMTime()) if image is not None else None
        if key != self._key:
            self._key, self._modality = key, modalityOfNode(volumeNode)
        return self._modality
