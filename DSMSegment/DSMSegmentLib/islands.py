"""The largest connected part of a mask, by VTK: the Slicer process has no library for it."""

from __future__ import annotations

import numpy as np
import vtk
from vtk.util import numpy_support


def largestIsland(mask: np.ndarray) -> np.ndarray:
    """Return `mask` `[I, J, K]` (uint8) with only its largest connected part; neighbours share a face."""
    if not mask.any():
        return mask
    image = vtk.vtkImageData()
    image.SetDimensions(*mask.shape)
    image.GetPointData().SetScalars(numpy_support.numpy_to_vtk(mask.ravel(order="F"), deep=True))
    connectivity = vtk.vtkImageConnectivityFilter()
    connectivity.SetInputData(image)
    connectivity.SetScalarRange(1, 255)
    connectivity.SetExtractionModeToLargestRegion()
    connectivity.SetLabelScalarTypeToUnsignedChar()
    connectivity.SetLabelModeToConstantValue()
    connectivity.SetLabelConstantValue(1)
    connectivity.Update()
    labels = numpy_support.vtk_to_numpy(connectivity.GetOutput().GetPointData().GetScalars())
    return np.asarray(labels.reshape(mask.shape, order="F"))
