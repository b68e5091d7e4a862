"""Filters of a segment: largest component, removal of small components, smoothing."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import numpy as np
import slicer
import vtk

from DSMSegmentLib.scene.mrml import cropFromOrientedImage

# Millilitres; smaller components are noise of a network more often than anatomy.
_SMALLEST_ML = 1.0
# Slices that are much thicker than their pixels say little about each other.
_MAX_ANISOTROPY = 2.0

Filter = Callable[[slicer.vtkOrientedImageData], slicer.vtkOrientedImageData]


def largest_component(image: slicer.vtkOrientedImageData) -> slicer.vtkOrientedImageData:
    """Return the largest connected component of a mask (6-connectivity, as in Slicer's Islands)."""
    components = _numbered_components(image, min_voxels=0)
    voxels = cropFromOrientedImage(components).array
    voxels[voxels > 1] = 0  # numbered from the largest
    return components


def without_small_components(image: slicer.vtkOrientedImageData) -> slicer.vtkOrientedImageData:
    """Return a mask without components of less than a millilitre; the largest one always stays."""
    voxel_ml = abs(float(np.prod(image.GetSpacing()))) / 1000.0
    largest = int(np.count_nonzero(cropFromOrientedImage(largest_component(image)).array))
    return _numbered_components(image, min_voxels=min(round(_SMALLEST_ML / voxel_ml), largest))


def smoother(image: slicer.vtkOrientedImageData) -> slicer.vtkOrientedImageData:
    """Return a smoothed mask: the median over 3 voxels per axis.

    Axes with a spacing of more than twice the smallest are left out.
    """
    spacing = np.abs(image.GetSpacing())
    reach = np.where(spacing <= _MAX_ANISOTROPY * spacing.min(), 1, 0)
    median = vtk.vtkImageMedian3D()
    median.SetInputData(_padded(image, reach))
    median.SetKernelSize(*(int(1 + 2 * number) for number in reach))
    median.Update()
    return _placed(median.GetOutput(), image)


FILTERS: Mapping[str, Filter] = {"largest": largest_component, "small": without_small_components, "smooth": smoother}


def _numbered_components(image: slicer.vtkOrientedImageData, *, min_voxels: int) -> slicer.vtkOrientedImageData:
    """Return the labelled components of a mask, 1 for the largest; smaller ones are left out."""
    cast = vtk.vtkImageCast()
    cast.SetInputData(image)
    cast.SetOutputScalarTypeToUnsignedInt()
    islands = slicer.vtkITKIslandMath()
    islands.SetInputConnection(cast.GetOutputPort())
    islands.SetFullyConnected(False)
    islands.SetMinimumSize(min_voxels)
    islands.Update()
    return _placed(islands.GetOutput(), image)


def _padded(image: slicer.vtkOrientedImageData, reach: np.ndarray) -> vtk.vtkImageData:
    """Return the mask with an empty margin: filters would otherwise extend its cropped border."""
    low, high = np.reshape(image.GetExtent(), (3, 2)).T
    pad = vtk.vtkImageConstantPad()
    pad.SetInputData(image)
    pad.SetConstant(0)
    pad.SetOutputWholeExtent(np.stack([low - reach, high + reach], axis=1).ravel().tolist())
    pad.Update()
    return pad.GetOutput()


def _placed(voxels: vtk.vtkImageData, image: slicer.vtkOrientedImageData) -> slicer.vtkOrientedImageData:
    """Return an array on the grid of a mask as an oriented image."""
    placed = slicer.vtkOrientedImageData()
    placed.DeepCopy(voxels)
    matrix = vtk.vtkMatrix4x4()
    image.GetImageToWorldMatrix(matrix)
    placed.SetGeometryFromImageToWorldMatrix(matrix)
    return placed
