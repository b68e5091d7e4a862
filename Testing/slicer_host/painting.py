"""Manual edits, made by the logic of Slicer's Segment Editor."""

from __future__ import annotations

from typing import Any

import numpy as np
import slicer
from phantoms import mask_in

from dsm.core.boxes import CroppedArray
from DSMSegmentLib.scene.mrml import ijkToRAS, orientedImageFromCrop


def paint(node: Any, segment_id: str, volume: Any) -> np.ndarray:
    """Paint one more plane of voxels into a segment; returns the mask, uint8 `[I, J, K]`."""
    editor = slicer.mrmlScene.GetSingletonNode("SegmentEditor", "vtkMRMLSegmentEditorNode")
    logic = slicer.vtkSlicerSegmentEditorLogic()
    logic.SetMRMLScene(slicer.mrmlScene)
    logic.SetSegmentEditorNode(editor)
    editor.SetOverwriteMode(editor.OverwriteNone)
    corrected = mask_in(node, segment_id, volume).copy()
    corrected[8, 3:9, 2:6] = 1
    image = orientedImageFromCrop(CroppedArray(corrected, (0, 0, 0)), ijkToRAS(volume))
    logic.ModifySegmentByLabelmap(node, segment_id, image, logic.ModificationModeSet, False, False)
    return corrected
