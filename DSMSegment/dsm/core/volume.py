"""Scalar volume with its position in the patient."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

from dsm.core.input_note import InputNote
from dsm.core.nifti_geometry import NiftiGeometry
from dsm.errors import GeometryError, ShapeError

# Cosine between two grid axes above which the grid is sheared rather than rounded (0.1 degrees).
_MAX_AXIS_COSINE = 2e-3


@dataclass(frozen=True, slots=True, eq=False)
class Volume:
    """One 3-D image on a regular grid.

    Args:
        array: Intensities `[I, J, K]`: HU for CT, arbitrary units for MR. Any real dtype; any memory order.
        affine: `(4, 4)` float64 from voxel index `(i, j, k, 1)` to RAS millimetres.
        modality: `"CT"` or `"MR"`.
        name: What the user calls it; used in messages only.
        notes: What was assumed or left out while it was read.
        nifti: Geometry fields of the NIfTI file it came from: masks in NIfTI get the same, so that they lie on the scan
            for readers of either form.

    Raises:
        ShapeError: If `array` is not 3-D, is empty, has fewer than 2 voxels along an axis or is not real.
        GeometryError: If `affine` is not finite, singular or sheared.
    """

    array: np.ndarray
    affine: np.ndarray
    modality: str = "CT"
    name: str = field(default="volume", compare=False)
    notes: tuple[InputNote, ...] = ()
    nifti: NiftiGeometry | None = None

    def __post_init__(self) -> None:
        _check_array(self.array)
        object.__setattr__(self, "affine", _checked_affine(self.affine))

    @property
    def shape(self) -> tuple[int, int, int]:
        """Voxels along i, j, k."""
        i, j, k = self.array.shape
        return i, j, k

    @property
    def spacing_mm(self) -> tuple[float, float, float]:
        """Distance between neighbouring voxels along i, j, k."""
        i, j, k = np.linalg.norm(self.affine[:3, :3], axis=0)
        return float(i), float(j), float(k)

    @property
    def voxel_ml(self) -> float:
        """Volume of one voxel."""
        return voxel_ml(self.affine)

    def ml_of(self, num_voxels: int | np.integer) -> float:
        """Return the volume of a number of voxels in ml, as a plain number also where NumPy counted them."""
        return float(num_voxels) * self.voxel_ml


def voxel_ml(affine: np.ndarray) -> float:
    """Return the volume of one voxel in ml.

    Args:
        affine: From voxel index to millimetres: `(4, 4)`, or its axes alone, `(3, 3)`.
    """
    x, y, z = affine[:3, :3]
    return float(abs(x @ np.cross(y, z))) / 1000  # of 2×1×5 mm exactly 0.01, which `np.linalg.det` misses


def _check_array(array: np.ndarray) -> None:
    if array.ndim != 3:
        hint = "Choose one time point or one channel." if array.ndim > 3 else "Give a 3-D volume, not a slice."
        raise ShapeError(f"The image has {array.ndim} axes; a volume has 3.", code="input.axes", hint=hint)
    if min(array.shape) < 2:
        raise ShapeError(
            f"The image has {'×'.join(map(str, array.shape))} voxels; at least 2 are needed along each axis.",
            code="input.slice",
            hint="Load the whole series, not a single slice.",
        )
    if array.dtype.kind not in "biuf":
        raise ShapeError(
            f"The image has the type {array.dtype}; real numbers are needed.",
            code="input.dtype",
            hint="Convert colour or complex images to one scalar channel.",
        )
    if array.dtype.kind == "f" and not np.isfinite(array).all():
        raise ShapeError(
            "The image has voxels that are not finite (NaN or infinity).",
            code="input.not_finite",
            hint="Replace them, for example by -1000 HU outside the field of view.",
        )


def _checked_affine(affine: np.ndarray) -> np.ndarray:
    affine = np.asarray(affine, dtype=np.float64)
    if affine.shape != (4, 4) or not np.isfinite(affine).all():
        raise GeometryError("The affine must be a finite 4×4 matrix.", code="geometry.affine")
    axes = affine[:3, :3]
    lengths = np.linalg.norm(axes, axis=0)
    if lengths.min() < 1e-6:
        raise GeometryError("The spacing is zero along an axis.", code="geometry.singular")
    directions = axes / lengths
    cosines = directions.T @ directions - np.eye(3)
    if abs(cosines).max() > _MAX_AXIS_COSINE:
        raise GeometryError(
            "The axes of the image are not at right angles (sheared, e.g. gantry tilt).",
            code="geometry.sheared",
            hint="Resample it to a regular grid first, for example in Slicer by Resample Scalar/Vector/DWI Volume.",
        )
    return affine
