"""Conversion between MRML nodes and arrays: the only file that knows KJI order and MRML matrices.

Everything is expressed in the node's own RAS frame, before any parent transform. The result follows the same parent, so
it lies where the volume lies, in whatever way the user has moved it.
"""

from __future__ import annotations

from itertools import product

import numpy as np
import slicer
import vtk
from vtk.util import numpy_support

from dsm.core.boxes import Box, CroppedArray
from dsm.core.input_note import InputNote
from dsm.core.modality import MODALITIES, ModalityGuess, guess_modality
from dsm.core.volume import Volume, voxel_ml
from dsm.errors import GeometryError, InputError

BINARY_LABELMAP = "Binary labelmap"
_SCALARS = "ImageScalars"
_NUM_REMEMBERED = 32
_GUESSES: dict[int, ModalityGuess] = {}

_Resample = slicer.vtkOrientedImageDataResample


def volumeFromNode(volumeNode: slicer.vtkMRMLScalarVolumeNode, modality: str = "") -> Volume:
    """Return the image of a volume node as an `[I, J, K]` view with its affine to RAS millimetres.

    Voxels are not copied: the view keeps the node's memory alive, and sees later changes to it.

    Args:
        volumeNode: A scalar volume with one component.
        modality: `"CT"` or `"MR"` as the user chose; empty to find out.

    Returns:
        The volume; its note says why it is taken for CT or MR.

    Raises:
        InputError: If there is no volume, it is a label map, or it holds no image.
        ShapeError: If it is a slice, a colour image, or has voxels that are not finite.
        GeometryError: If its axes are not at right angles.
    """
    if volumeNode is None or not volumeNode.IsA("vtkMRMLScalarVolumeNode"):
        raise InputError("No volume is selected.", code="input.volume", hint="Load a CT or MR volume and select it.")
    name = volumeNode.GetName() or "volume"
    if volumeNode.IsA("vtkMRMLLabelMapVolumeNode"):
        message = f"{name} is a label map, not an image."
        raise InputError(message, code="input.labelmap", hint="Select the CT or MR volume that it belongs to.")
    image = volumeNode.GetImageData()
    if image is None or image.GetPointData().GetScalars() is None:
        raise InputError(f"{name} holds no image.", code="input.empty", hint="Load it again.")
    array = arrayIJK(image)
    decided = decideModality(volumeNode, modality)
    note = InputNote("modality.decided", decided.reason)
    return Volume(array, ijkToRAS(volumeNode), modality=decided.modality, name=name, notes=(note,))


def modalityOfNode(volumeNode: slicer.vtkMRMLScalarVolumeNode | None, chosen: str = "") -> str:
    """Return `"CT"` or `"MR"`; empty where there is no image. See `decideModality`."""
    if volumeNode is None or volumeNode.GetImageData() is None:
        return ""
    return decideModality(volumeNode, chosen).modality


def decideModality(volumeNode: slicer.vtkMRMLScalarVolumeNode, chosen: str = "") -> ModalityGuess:
    """Return the modality of a volume and the reason: the user's choice, units, DICOM header, or voxel values.

    Args:
        volumeNode: A volume with an image.
        chosen: `"CT"` or `"MR"` as the user chose; empty to find out.
    """
    if chosen:
        return ModalityGuess(chosen, f"Taken for {chosen}, as you chose.")
    units = volumeNode.GetVoxelValueUnits()
    if units is not None and units.GetCodeValue() == "[hnsf'U]":
        return ModalityGuess("CT", "Taken for CT: the values are in Hounsfield units.")
    hierarchy = volumeNode.GetScene() and volumeNode.GetScene().GetFirstNodeByClass("vtkMRMLSubjectHierarchyNode")
    if hierarchy:
        # A volume that was just added has no item yet, and Slicer logs a warning about an item that is none.
        item = hierarchy.GetItemByDataNode(volumeNode)
        said = str(hierarchy.GetItemAttribute(item, "DICOM.Modality")) if item else ""
        if said in MODALITIES:
            return ModalityGuess(said, f"Taken for {said}, as the DICOM header says.")
    return _guess(volumeNode.GetImageData())


def setVolume(volumeNode: slicer.vtkMRMLScalarVolumeNode, volume: Volume) -> None:
    """Set voxels and affine of a volume node: the inverse of `volumeFromNode`. Voxels are copied."""
    image = vtk.vtkImageData()
    image.SetDimensions(*volume.shape)
    image.GetPointData().SetScalars(_scalars(volume.array))
    volumeNode.SetAndObserveImageData(image)
    volumeNode.SetIJKToRASMatrix(_matrixFromArray(volume.affine))


def ijkToRAS(volumeNode: slicer.vtkMRMLVolumeNode) -> np.ndarray:
    """Return the `(4, 4)` affine from voxel index to RAS millimetres, without the parent transform."""
    matrix = vtk.vtkMatrix4x4()
    volumeNode.GetIJKToRASMatrix(matrix)
    return arrayFromMatrix(matrix)


def hasLinearParent(node: slicer.vtkMRMLTransformableNode) -> bool:
    """Return whether the transform to world is linear (no parent counts as linear)."""
    parent = node.GetParentTransformNode()
    return parent is None or bool(parent.IsTransformToWorldLinear())


def affineInSegmentation(
    affine: np.ndarray,
    volumeNode: slicer.vtkMRMLVolumeNode,
    segmentationNode: slicer.vtkMRMLSegmentationNode,
) -> np.ndarray:
    """Express a grid of the volume in the frame of a segmentation that has another parent transform.

    Args:
        affine: `(4, 4)` from voxel index to the volume's own RAS.
        volumeNode: Whose frame `affine` ends in.
        segmentationNode: Whose frame is wanted.

    Returns:
        `(4, 4)` from voxel index to the segmentation's own RAS; `affine` itself where both have the same parent.

    Raises:
        GeometryError: If the parents differ and one of them is not linear: a grid would not stay a grid.
    """
    source, target = volumeNode.GetParentTransformNode(), segmentationNode.GetParentTransformNode()
    if source is target:
        return affine
    start, end = (source, target) if source is not None else (target, source)  # the same way, walked from a node
    if not start.IsTransformToNodeLinear(end):
        raise GeometryError(
            f"{segmentationNode.GetName()} and {volumeNode.GetName()} have different non-linear transforms.",
            code="geometry.transform",
            hint="Choose a new segmentation, or put both under the same transform.",
        )
    matrix = vtk.vtkMatrix4x4()
    slicer.vtkMRMLTransformNode.GetMatrixTransformBetweenNodes(source, target, matrix)
    return np.asarray(arrayFromMatrix(matrix) @ affine)


def orientedImageFromCrop(crop: CroppedArray, affine: np.ndarray) -> slicer.vtkOrientedImageData:
    """Return a mask as an oriented image whose extent is the crop's position in the full grid.

    Args:
        crop: Mask of any number dtype; non-zero is inside.
        affine: `(4, 4)` of the full grid, to the RAS of the node that will hold it.
    """
    return orientedImageFromLabels(CroppedArray((crop.array != 0).astype(np.uint8), crop.offset_ijk), affine)


def orientedImageFromLabels(crop: CroppedArray, affine: np.ndarray) -> slicer.vtkOrientedImageData:
    """Return several masks that share an image, as `orientedImageFromCrop` one: each has a value, uint8, from 1."""
    (i0, j0, k0), (i1, j1, k1) = crop.box.start, crop.box.stop
    image = slicer.vtkOrientedImageData()
    image.SetExtent(i0, i1 - 1, j0, j1 - 1, k0, k1 - 1)
    image.SetGeometryFromImageToWorldMatrix(_matrixFromArray(affine))
    image.GetPointData().SetScalars(_scalars(crop.array))
    return image


def cropFromOrientedImage(image: slicer.vtkOrientedImageData) -> CroppedArray:
    """Return a mask with its position in the full grid: inverse of `orientedImageFromCrop`, without a copy."""
    if image.GetNumberOfPoints() == 0:
        return CroppedArray(np.zeros((0, 0, 0), np.uint8), (0, 0, 0))
    i0, _, j0, _, k0, _ = image.GetExtent()
    return CroppedArray(arrayIJK(image), (i0, j0, k0))


def orientedImageFromSegment(
    segmentationNode: slicer.vtkMRMLSegmentationNode, segmentId: str
) -> slicer.vtkOrientedImageData:
    """Return a copy of one segment's mask, cropped to its extent."""
    image = slicer.vtkOrientedImageData()
    if not segmentationNode.GetBinaryLabelmapRepresentation(segmentId, image):
        # A segment that was never painted has nothing to give; an image without voxels stands for that.
        image.SetExtent(0, -1, 0, -1, 0, -1)
    return image


def maskTime(segmentationNode: slicer.vtkMRMLSegmentationNode, segmentId: str) -> int:
    """Return a number that changes with the mask of a segment, and with those that share its layer; 0 without a mask.

    VTK gives each change of any object a number of its own.
    """
    layer = segmentationNode.GetSegmentation().GetSegment(segmentId).GetRepresentation(BINARY_LABELMAP)
    return int(layer.GetMTime()) if layer is not None else 0


def geometryOf(image: slicer.vtkOrientedImageData) -> np.ndarray:
    """Return the `(4, 4)` affine from voxel index to the RAS of the node that holds the image."""
    matrix = vtk.vtkMatrix4x4()
    image.GetImageToWorldMatrix(matrix)
    return arrayFromMatrix(matrix)


def setSegmentMask(
    segmentationNode: slicer.vtkMRMLSegmentationNode, segmentId: str, image: slicer.vtkOrientedImageData
) -> bool:
    """Set the mask of a segment without changing other segments; returns whether Slicer accepted it."""
    segmentation = segmentationNode.GetSegmentation()
    layer = segmentation.GetSegment(segmentId).GetRepresentation(BINARY_LABELMAP)
    if layer is not None and not _Resample.DoGeometriesMatch(layer, image):
        # Else Slicer would resample the layer, and with it the voxels of all segments that share it.
        segmentation.SeparateSegmentLabelmap(segmentId)
    logic = slicer.vtkSlicerSegmentationsModuleLogic
    return bool(logic.SetBinaryLabelmapToSegment(image, segmentationNode, segmentId, logic.MODE_REPLACE))


def removeVoxels(image: slicer.vtkOrientedImageData, other: slicer.vtkOrientedImageData) -> int:
    """Subtract mask `other`, on any grid, from mask `image`; returns the number of removed voxels."""
    if image.GetNumberOfPoints() == 0 or other.GetNumberOfPoints() == 0:
        return 0
    sampled = slicer.vtkOrientedImageData()
    _Resample.ResampleOrientedImageToReferenceOrientedImage(other, image, sampled, False)  # False: nearest neighbour
    voxels = arrayIJK(image)
    taken = (voxels != 0) & (arrayIJK(sampled) != 0)
    voxels[taken] = 0
    return int(np.count_nonzero(taken))


def addVoxelsOutside(image: slicer.vtkOrientedImageData, other: slicer.vtkOrientedImageData, box: Box) -> None:
    """Add mask `other`, on any grid, to mask `image` outside of `box` (on the grid of `image`).

    The extent of `image` grows as it must; none of its voxels is lost.
    """
    if other.GetNumberOfPoints() == 0:
        return
    inner = image.GetExtent()
    outer = _extentIn(other, image)
    extent = [min(inner[n], outer[n]) if n % 2 == 0 else max(inner[n], outer[n]) for n in range(6)]
    matrix = vtk.vtkMatrix4x4()
    image.GetImageToWorldMatrix(matrix)
    union, sampled = slicer.vtkOrientedImageData(), slicer.vtkOrientedImageData()
    union.SetExtent(*extent)
    union.AllocateScalars(vtk.VTK_UNSIGNED_CHAR, 1)
    union.SetGeometryFromImageToWorldMatrix(matrix)
    _Resample.ResampleOrientedImageToReferenceOrientedImage(other, union, sampled, False)  # False: nearest neighbour
    kept = np.array(arrayIJK(sampled) != 0, dtype=np.uint8)
    start = extent[0::2]
    hole = [slice(max(a - s, 0), max(b - s, 0)) for a, b, s in zip(box.start, box.stop, start, strict=True)]
    kept[tuple(hole)] = 0
    here = tuple(slice(inner[2 * n] - start[n], inner[2 * n + 1] + 1 - start[n]) for n in range(3))
    kept[here] |= arrayIJK(image) != 0
    image.SetExtent(*extent)
    image.GetPointData().SetScalars(_scalars(kept))


def _extentIn(image: slicer.vtkOrientedImageData, grid: slicer.vtkOrientedImageData) -> list[int]:
    """Return the extent of `image` in voxels of `grid`."""
    toWorld, fromWorld = vtk.vtkMatrix4x4(), vtk.vtkMatrix4x4()
    image.GetImageToWorldMatrix(toWorld)
    grid.GetWorldToImageMatrix(fromWorld)
    matrix = arrayFromMatrix(fromWorld) @ arrayFromMatrix(toWorld)
    extent = image.GetExtent()
    corners = np.array([[*corner, 1.0] for corner in product(extent[0:2], extent[2:4], extent[4:6])]) @ matrix.T
    low, high = np.floor(corners.min(0) + 0.5).astype(int), np.floor(corners.max(0) + 0.5).astype(int)
    return [int(value) for pair in zip(low[:3], high[:3], strict=True) for value in pair]


def maskOnVolume(
    segmentationNode: slicer.vtkMRMLSegmentationNode, segmentId: str, volumeNode: slicer.vtkMRMLScalarVolumeNode
) -> CroppedArray:
    """Return one segment's mask (uint8) on the grid of a volume, whatever the grid of the segmentation."""
    image = orientedImageFromSegment(segmentationNode, segmentId)
    if image.GetNumberOfPoints() == 0:
        return cropFromOrientedImage(image)
    grid, sampled = slicer.vtkOrientedImageData(), slicer.vtkOrientedImageData()
    i, j, k = volumeNode.GetImageData().GetDimensions()
    grid.SetExtent(0, i - 1, 0, j - 1, 0, k - 1)
    grid.AllocateScalars(vtk.VTK_UNSIGNED_CHAR, 1)
    affine = affineInSegmentation(ijkToRAS(volumeNode), volumeNode, segmentationNode)
    grid.SetGeometryFromImageToWorldMatrix(_matrixFromArray(affine))
    _Resample.ResampleOrientedImageToReferenceOrientedImage(image, grid, sampled, False)  # False: nearest neighbour
    return CroppedArray.from_mask((arrayIJK(sampled) != 0).astype(np.uint8))


def resampleInto(target: slicer.vtkOrientedImageData, image: slicer.vtkOrientedImageData) -> None:
    """Resample mask `image` into mask `target` by nearest neighbour."""
    sampled = slicer.vtkOrientedImageData()
    _Resample.ResampleOrientedImageToReferenceOrientedImage(image, target, sampled, False)
    target.DeepCopy(sampled)


def segmentInScene(segmentationNode: slicer.vtkMRMLSegmentationNode | None, segmentId: str) -> slicer.vtkSegment | None:
    """Return a segment; None if it, or its segmentation, is not in the scene (any more)."""
    if segmentationNode is None or segmentationNode.GetScene() is None:
        return None
    return segmentationNode.GetSegmentation().GetSegment(segmentId)


def segmentLayer(segment: slicer.vtkSegment) -> slicer.vtkOrientedImageData | None:
    """Return the image that holds the mask of a segment and of those that share it; None for none."""
    layer = segment.GetRepresentation(BINARY_LABELMAP)
    return slicer.vtkOrientedImageData.SafeDownCast(layer) if layer is not None else None


def voxelVolumeMl(image: slicer.vtkOrientedImageData) -> float:
    """Return the volume of one voxel."""
    return voxel_ml(geometryOf(image))


def segmentVolumeMl(segmentationNode: slicer.vtkMRMLSegmentationNode, segmentId: str) -> float:
    """Return the volume of the mask of a segment in ml, counted."""
    image = orientedImageFromSegment(segmentationNode, segmentId)
    return countVoxels(image) * voxelVolumeMl(image)


def countVoxels(image: slicer.vtkOrientedImageData) -> int:
    """Return the number of voxels in a mask."""
    return int(np.count_nonzero(arrayIJK(image))) if image.GetNumberOfPoints() else 0


def arrayIJK(image: vtk.vtkImageData) -> np.ndarray:
    """View the voxels in index order; a further axis of components stays last."""
    i, j, k = image.GetDimensions()
    scalars = image.GetPointData().GetScalars()
    array: np.ndarray = numpy_support.vtk_to_numpy(scalars)
    if scalars.GetNumberOfComponents() > 1:
        return array.reshape(k, j, i, -1).transpose(2, 1, 0, 3)
    return array.reshape(k, j, i).transpose(2, 1, 0)


def _scalars(array: np.ndarray) -> vtk.vtkDataArray:
    """Copy voxels as VTK counts them: i fastest, which is column-major order of an `[I, J, K]` array.

    The array has the name that VTK gives to the voxels of an image. Slicer finds them by it: of an array of another
    name, its DICOM SEG exporter says that the segment is empty, and the surfaces are drawn in colours of the scalars.
    """
    scalars = numpy_support.numpy_to_vtk(array.ravel(order="F"), deep=True)
    scalars.SetName(_SCALARS)
    return scalars


def _guess(image: vtk.vtkImageData) -> ModalityGuess:
    """Guess the modality once for each state of an image: the panel needs it often."""
    time = image.GetMTime()  # VTK gives each change of any object a time of its own
    if time not in _GUESSES:
        if len(_GUESSES) >= _NUM_REMEMBERED:
            _GUESSES.pop(next(iter(_GUESSES)))
        _GUESSES[time] = guess_modality(arrayIJK(image))
    return _GUESSES[time]


def arrayFromMatrix(matrix: vtk.vtkMatrix4x4) -> np.ndarray:
    """Return a `(4, 4)` array of a matrix."""
    return np.array([[matrix.GetElement(row, column) for column in range(4)] for row in range(4)])


def _matrixFromArray(array: np.ndarray) -> vtk.vtkMatrix4x4:
    matrix = vtk.vtkMatrix4x4()
    matrix.DeepCopy(np.asarray(array, dtype=np.float64).ravel().tolist())
    return matrix
