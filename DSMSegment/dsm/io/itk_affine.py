"""Affine of an image file that SimpleITK reads."""

from __future__ import annotations

import numpy as np
import SimpleITK as sitk  # noqa: N813  (the name that everyone gives it)

_LPS_TO_RAS = np.diag([-1.0, -1.0, 1.0, 1.0])


def affine_of(reader: sitk.ImageFileReader) -> np.ndarray:
    """Return the `(4, 4)` matrix from voxel index to RAS mm along the first three axes.

    Args:
        reader: With the information of a file of at least three dimensions.
    """
    dimension = reader.GetDimension()
    directions = np.reshape(reader.GetDirection(), (dimension, dimension))[:3, :3]
    lps = np.eye(4)
    lps[:3, :3] = directions * np.array(reader.GetSpacing()[:3])
    lps[:3, 3] = reader.GetOrigin()[:3]
    return _LPS_TO_RAS @ lps
