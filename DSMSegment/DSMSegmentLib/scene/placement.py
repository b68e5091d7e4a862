"""Placement of nodes in the scene: beside their volume, and clean removal."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

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


@dataclass(frozen=True, slots=True, eq=False)
class RemovedSegmentation:
    """A segmentation that was removed from its scene, with what belongs to it.

    Args:
        scene: That it was in.
        nodes: The segmentation, and after it its display and storage nodes.
    """

    scene: slicer.vtkMRMLScene
    nodes: Sequence[slicer.vtkMRMLNode]

    def putBack(self) -> None:
        """Add it to its scene again, beside its volume."""
        for node in reversed(self.nodes):
            self.scene.AddNode(node)
        volumeNode = volumeOf(self.nodes[0])
        if volumeNode is not None:
            placeBesideVolume(self.nodes[0], volumeNode)


def removeSegmentation(segmentationNode: slicer.vtkMRMLSegmentationNode) -> RemovedSegmentation:
    """Remove the node with its display and storage nodes and its subject hierarchy item."""
    displays = [segmentationNode.GetNthDisplayNode(n) for n in range(segmentationNode.GetNumberOfDisplayNodes())]
    scene = segmentationNode.GetScene()
    return RemovedSegmentation(scene, removeNode(segmentationNode, *displays, segmentationNode.GetStorageNode()))


def removeNode(node: slicer.vtkMRMLNode, *companions: slicer.vtkMRMLNode | None) -> list[slicer.vtkMRMLNode]:
    """Remove a node with its subject hierarchy item and its companions; returns the nodes that were in the scene."""
    scene = node.GetScene()
    hierarchy = scene.GetFirstNodeByClass("vtkMRMLSubjectHierarchyNode")
    item = hierarchy.GetItemByDataNode(node) if hierarchy else 0
    if item:
        hierarchy.RemoveItem(item, False)
    removed = [one for one in (node, *companions) if one is not None and one.GetScene() is scene]
    for one in removed:
        scene.RemoveNode(one)
    return removed
