"""Island removal with VTK, the only suitable library of the Slicer process."""

from __future__ import annotations

import math

import numpy as np
import vtk
from vtk.util import numpy_support

# VTK labels as many voxels in about 10 ms: the slider must not stop the window.
_MAX_VOXELS = 200_000


def keepIslands(mask: np.ndarray, *, fraction: float, smallest: int = 0) -> np.ndarray:
    """Return `mask` without its small connected components; neighbours share a face.

    A mask of more than 200 000 voxels is labelled in blocks of `n` voxels along each axis: parts that are less
    than a block apart count as one.

    Args:
        mask: `[I, J, K]`, uint8, 0 and 1.
        fraction: A part must be this large, as a fraction of the largest one; 1 keeps the largest part alone.
        smallest: A part must have this many voxels, unless none has.
    """
    if (fraction <= 0 and smallest <= 1) or not mask.any():
        return mask
    block = max(1, math.ceil((mask.size / _MAX_VOXELS) ** (1 / 3)))
    counts = mask
    for axis, size in enumerate(mask.shape if block > 1 else ()):  # one axis at a time: four times as fast
        counts = np.add.reduceat(counts, np.arange(0, size, block), axis=axis, dtype=np.uint16)
    labels = _labelled((counts > 0).view(np.uint8))
    sizes = np.bincount(labels.ravel(), weights=counts.ravel())  # 0 is outside, where there is nothing to count
    kept = sizes >= max(fraction * sizes.max(), min(smallest, sizes.max()))
    if fraction >= 1:
        kept = np.arange(len(sizes)) == sizes.argmax()
    chosen = kept[labels].view(np.uint8)
    if block > 1:
        for axis in range(3):
            chosen = chosen.repeat(block, axis=axis)
    inside = tuple(slice(0, size) for size in mask.shape)
    return mask & chosen[inside]


def _labelled(mask: np.ndarray) -> np.ndarray:
    """Label the connected components from 1."""
    image = vtk.vtkImageData()
    image.SetDimensions(*mask.shape)
    image.GetPointData().SetScalars(numpy_support.numpy_to_vtk(mask.ravel(order="F"), deep=True))
    connectivity = vtk.vtkImageConnectivityFilter()
    connectivity.SetInputData(image)
    connectivity.SetScalarRange(1, 255)
    connectivity.SetExtractionModeToAllRegions()
    connectivity.SetLabelScalarTypeToInt()
    connectivity.Update()
    labels = numpy_support.vtk_to_numpy(connectivity.GetOutput().GetPointData().GetScalars())
    return np.asarray(labels.reshape(mask.shape, order="F"))
