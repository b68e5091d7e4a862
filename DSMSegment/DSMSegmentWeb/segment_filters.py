"""Filters of a segment: its components, smoothing, growing and shrinking, filling between slices."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

import numpy as np
import slicer
import vtk

from DSMSegmentLib.scene.mrml import arrayIJK, cropFromOrientedImage, voxelVolumeMl

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
    largest = cropFromOrientedImage(largest_component(image)).num_voxels
    return _numbered_components(image, min_voxels=min(round(_SMALLEST_ML / voxelVolumeMl(image)), largest))


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


def with_margin(image: slicer.vtkOrientedImageData, mm: float) -> slicer.vtkOrientedImageData:
    """Return a mask that is grown by a distance in mm, or shrunk by a negative one, alike in all directions.

    A voxel is added if its centre is at most that far from the centre of a voxel of the mask, and removed if it is at
    most that far from that of one outside: shrinking is growing what is outside. An end of the scan counts as outside.
    """
    reach = np.ceil(max(mm, 0.0) / np.abs(image.GetSpacing())).astype(int) + 1
    growing = _padded(image, reach)
    if mm < 0:
        voxels = arrayIJK(growing)
        voxels[:] = voxels == 0
    margin = slicer.vtkITKImageMargin()
    margin.SetInputData(growing)
    margin.SetBackgroundValue(0)
    margin.SetCalculateMarginInMM(True)
    margin.SetOuterMarginMM(abs(mm))
    margin.Update()
    changed = _placed(margin.GetOutput(), image)
    voxels = arrayIJK(changed)
    voxels[:] = (voxels != 0) == (mm > 0)
    return changed


def filled_between_slices(image: slicer.vtkOrientedImageData) -> slicer.vtkOrientedImageData:
    """Return a mask with contours in the slices that were left out between painted ones, of whatever orientation.

    By morphological contour interpolation, as Slicer's effect of this name. A slice that has contours stays as it is.
    """
    interpolator = slicer.vtkITKMorphologicalContourInterpolator()
    interpolator.SetInputData(_padded(image, np.ones(3, int)))
    interpolator.SetUseDistanceTransform(True)  # truer to a cone, and faster, than by repeated dilation
    interpolator.Update()
    return _placed(interpolator.GetOutput(), image)


def clipped(image: slicer.vtkOrientedImageData, extent: Sequence[int]) -> slicer.vtkOrientedImageData:
    """Return the part of a mask that lies in an extent of its grid."""
    inner = np.array(image.GetExtent())
    inner[0::2] = np.maximum(inner[0::2], extent[0::2])
    inner[1::2] = np.minimum(inner[1::2], extent[1::2])
    clip = vtk.vtkImageClip()
    clip.SetInputData(image)
    clip.SetOutputWholeExtent(*inner.tolist())
    clip.ClipDataOn()
    clip.Update()
    return _placed(clip.GetOutput(), image)


FILTERS: Mapping[str, Filter] = {
    "largest": largest_component,
    "small": without_small_components,
    "smooth": smoother,
    "fill": filled_between_slices,
}


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
