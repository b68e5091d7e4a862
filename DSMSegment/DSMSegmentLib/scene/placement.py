"""Placement of a segmentation in the scene: creation beside its volume, and clean removal."""

from __future__ import annotations

import slicer


def createSegmentation(volumeNode: slicer.vtkMRMLVolumeNode) -> slicer.vtkMRMLSegmentationNode:
    """Add an empty segmentation for a volume to the volume's scene, with display and subject hierarchy item."""
    scene = volumeNode.GetScene()
    name = scene.GenerateUniqueName(f"{volumeNode.GetName()} segmentation")
    node = scene.AddNewNodeByClass("vtkMRMLSegmentationNode", name)
    node.CreateDefaultDisplayNodes()
    placeBesideVolume(node, volumeNode)
    return node


def volumeOf(segmentationNode: slicer.vtkMRMLSegmentationNode | None) -> slicer.vtkMRMLScalarVolumeNode | None:
    """Return the volume that a segmentation was made on: its reference geometry; None where it is not there (any more).

    The user may have selected another volume since.
    """
    if segmentationNode is None:
        return None
    node = segmentationNode.GetNodeReference(segmentationNode.GetReferenceImageGeometryReferenceRole())
    return node if node is not None and node.IsA("vtkMRMLScalarVolumeNode") else None


def placeBesideVolume(segmentationNode: slicer.vtkMRMLSegmentationNode, volumeNode: slicer.vtkMRMLVolumeNode) -> None:
    """Put the segmentation under the parent of the volume in the subject hierarchy: its study, for DICOM export.

    A place that the user chose for the segmentation is kept.
    """
    scene = volumeNode.GetScene()
    hierarchy = slicer.vtkMRMLSubjectHierarchyNode.GetSubjectHierarchyNode(scene)
    root = hierarchy.GetSceneItemID()
    item = hierarchy.GetItemByDataNode(segmentationNode)
    if not item:  # the application makes items by itself, a scene without it does not
        item = hierarchy.CreateItem(root, segmentationNode)
    volumeItem = hierarchy.GetItemByDataNode(volumeNode)
    if volumeItem and hierarchy.GetItemParent(item) == root:
        hierarchy.SetItemParent(item, hierarchy.GetItemParent(volumeItem))


def removeSegmentation(segmentationNode: slicer.vtkMRMLSegmentationNode) -> None:
    """Remove the node with its display and storage nodes and its subject hierarchy item."""
    scene = segmentationNode.GetScene()
    hierarchy = scene.GetFirstNodeByClass("vtkMRMLSubjectHierarchyNode")
    item = hierarchy.GetItemByDataNode(segmentationNode) if hierarchy else 0
    companions = [segmentationNode.GetNthDisplayNode(n) for n in range(segmentationNode.GetNumberOfDisplayNodes())]
    companions.append(segmentationNode.GetStorageNode())
    if item:
        hierarchy.RemoveItem(item, False)
    for node in (segmentationNode, *companions):
        if node is not None and node.GetScene() is scene:
            scene.RemoveNode(node)
