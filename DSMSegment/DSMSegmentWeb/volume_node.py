"""A scan that was read from a file, as a volume node: the way back of `DSMSegmentLib.volumeFromNode`."""

from __future__ import annotations

import slicer
import vtk
from vtk.util import numpy_support

from dsm.core.volume import Volume

# Soft tissue: what a radiologist would choose for the organs that are segmented.
_CT_WINDOW_HU, _CT_LEVEL_HU = 400.0, 40.0


def add_volume_node(scene: slicer.vtkMRMLScene, volume: Volume, name: str) -> slicer.vtkMRMLScalarVolumeNode:
    """Add a scan to a scene, with a display that suits its modality and an item in the subject hierarchy."""
    node = scene.AddNewNodeByClass("vtkMRMLScalarVolumeNode", scene.GenerateUniqueName(name))
    node.SetAndObserveImageData(_image(volume))
    matrix = vtk.vtkMatrix4x4()
    matrix.DeepCopy(volume.affine.ravel().tolist())
    node.SetIJKToRASMatrix(matrix)
    node.CreateDefaultDisplayNodes()
    display = node.GetDisplayNode()
    display.SetAndObserveColorNodeID("vtkMRMLColorTableNodeGrey")
    if volume.modality == "CT":
        display.AutoWindowLevelOff()
        display.SetWindowLevel(_CT_WINDOW_HU, _CT_LEVEL_HU)
    hierarchy = slicer.vtkMRMLSubjectHierarchyNode.GetSubjectHierarchyNode(scene)
    item = hierarchy.CreateItem(hierarchy.GetSceneItemID(), node)
    # What the reader knows about the modality, where `volumeFromNode` looks for it.
    hierarchy.SetItemAttribute(item, "DICOM.Modality", volume.modality)
    return node


def _image(volume: Volume) -> vtk.vtkImageData:
    image = vtk.vtkImageData()
    image.SetDimensions(*volume.shape)
    # VTK counts i fastest, which is column-major order of an [I, J, K] array.
    image.GetPointData().SetScalars(numpy_support.numpy_to_vtk(volume.array.ravel(order="F"), deep=True))
    return image
