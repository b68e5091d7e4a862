"""Volume node of a scan read from a file, with display and subject hierarchy item."""

from __future__ import annotations

import slicer

from dsm.core.volume import Volume
from DSMSegmentLib.scene.mrml import setVolume

# Soft tissue: what a radiologist would choose for the organs that are segmented.
_CT_WINDOW_HU, _CT_LEVEL_HU = 400.0, 40.0


def add_volume_node(scene: slicer.vtkMRMLScene, volume: Volume, name: str) -> slicer.vtkMRMLScalarVolumeNode:
    """Add a scan to a scene, with a display that suits its modality and an item in the subject hierarchy."""
    node = scene.AddNewNodeByClass("vtkMRMLScalarVolumeNode", name)
    setVolume(node, volume)
    node.CreateDefaultDisplayNodes()
    display = node.GetDisplayNode()
    display.SetAndObserveColorNodeID("vtkMRMLColorTableNodeGrey")
    if volume.modality == "CT":
        display.AutoWindowLevelOff()
        display.SetWindowLevel(_CT_WINDOW_HU, _CT_LEVEL_HU)
    hierarchy = slicer.vtkMRMLSubjectHierarchyNode.GetSubjectHierarchyNode(scene)
    item = hierarchy.CreateItem(hierarchy.GetSceneItemID(), node)
    # The modality of the header, where `volumeFromNode` looks for it; a guessed one is determined again there.
    if not any(note.code == "modality.guessed" for note in volume.notes):
        hierarchy.SetItemAttribute(item, "DICOM.Modality", volume.modality)
    return node
