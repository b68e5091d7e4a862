"""Geometry fields of a NIfTI-1 header and the grid that they describe.

A header can place its voxels twice, by a quaternion (qform) and by an affine (sform), each valid where its code is
above 0, and gives voxel sizes a third time (pixdim). The rules are those of the NIfTI-1 standard
(https://nifti.nimh.nih.gov/nifti-1/documentation/nifti1fields); where both forms are valid and differ, the choice is
ITK's, so that a mask lies on the scan in Slicer.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from dsm.core.input_note import InputNote
from dsm.core.orientation import Orientation
from dsm.errors import GeometryError

_MM_PER_UNIT = {0: 1.0, 1: 1000.0, 2: 1.0, 3: 0.001}  # unknown, metre, millimetre, micrometre
_SCANNER = 1  # NIFTI_XFORM_SCANNER_ANAT
_SIZE_TOLERANCE = 0.01
# Part of a voxel by which the two forms may place it differently: float32 rounding stays far below.
_PLACE_TOLERANCE = 0.1
_LONGEST_QUATERNION = 1.001
_NO_ORIENTATION_HINT = (
    "Say how the axes run with --orientation and three letters, e.g. LPS or RAS, or write the header anew with the "
    "program that made the file."
)
_LETTERS = {"R": (0, 1), "L": (0, -1), "A": (1, 1), "P": (1, -1), "S": (2, 1), "I": (2, -1)}


@dataclass(frozen=True, slots=True)
class NiftiGeometry:
    """The geometry fields of a header, as stored.

    Args:
        qform_code: Above 0 where the quaternion is valid.
        sform_code: Above 0 where the affine is valid.
        pixdim: `qfac` and the voxel sizes along i, j, k.
        quaternion: `b, c, d` of the rotation.
        offset: Position of voxel (0, 0, 0) in the qform.
        rows: The sform, three rows of four.
        units: The field `xyzt_units`.
    """

    qform_code: int
    sform_code: int
    pixdim: tuple[float, ...]
    quaternion: tuple[float, ...]
    offset: tuple[float, ...]
    rows: tuple[float, ...]
    units: int

    @property
    def qform(self) -> np.ndarray:
        """`(4, 4)` float64 to RAS millimetres, after the quaternion."""
        length = float(np.linalg.norm(self.quaternion))  # rounding makes it a little more than 1, as a half turn has
        b, c, d = np.array(self.quaternion) / max(1.0, length)
        a = np.sqrt(max(0.0, 1.0 - b * b - c * c - d * d))
        rotation = np.array(
            [
                [a * a + b * b - c * c - d * d, 2 * (b * c - a * d), 2 * (b * d + a * c)],
                [2 * (b * c + a * d), a * a + c * c - b * b - d * d, 2 * (c * d - a * b)],
                [2 * (b * d - a * c), 2 * (c * d + a * b), a * a + d * d - b * b - c * c],
            ]
        )
        sizes = np.array(self.pixdim[1:4], dtype=np.float64)
        sizes[2] *= -1.0 if self.pixdim[0] < 0 else 1.0
        return self._in_mm(np.column_stack([rotation * sizes, self.offset]))

    @property
    def sform(self) -> np.ndarray:
        """`(4, 4)` float64 to RAS millimetres, after the affine."""
        return self._in_mm(np.reshape(self.rows, (3, 4)))

    def _in_mm(self, rows: np.ndarray) -> np.ndarray:
        affine = np.eye(4)
        affine[:3] = rows * _MM_PER_UNIT.get(self.units & 7, 1.0)
        return affine

    def resolve(self, name: str, *, orientation: str | None = None) -> tuple[np.ndarray, list[InputNote]]:
        """Return the affine to RAS millimetres, and what had to be assumed.

        Args:
            name: Of the file, for messages.
            orientation: Axis directions such as `"LPS"`, used where the header has none.

        Raises:
            GeometryError: If the header has no orientation and none is given, or contradicts itself about voxel sizes
                or about which way an axis runs.
        """
        if self.sform_code > 0 and not np.isfinite(self.rows).all():
            raise GeometryError(f"{name} has an affine that is not finite.", code="geometry.affine")
        if self.sform_code <= 0 and self.qform_code <= 0:
            return self._from_letters(name, orientation), []
        if min(self.pixdim[1:4]) < 0:
            raise GeometryError(
                f"{name} has negative voxel sizes ({_millimetres(np.array(self.pixdim[1:4]))}), which programs read in "
                "different ways: some mirror the image.",
                code="geometry.contradiction",
                hint="Export the image again, or write its voxel sizes (pixdim) without a sign.",
            )
        if self.qform_code > 0 and np.linalg.norm(self.quaternion) > _LONGEST_QUATERNION:
            raise GeometryError(
                f"{name} has a qform that is no rotation: its quaternion is longer than 1.",
                code="geometry.affine",
                hint="Export the image again, or keep the sform only (code 0 for the qform).",
            )
        if self.sform_code > 0 and self.qform_code > 0:
            return self._of_both(name)
        if self.qform_code > 0:
            return self.qform, []
        return self.sform, self._sizes_of_sform()

    def _of_both(self, name: str) -> tuple[np.ndarray, list[InputNote]]:
        first, second = self.sform, self.qform
        sizes = [np.linalg.norm(form[:3, :3], axis=0) for form in (first, second)]
        if not np.allclose(sizes[0], sizes[1], rtol=_SIZE_TOLERANCE):
            raise GeometryError(
                f"{name} contradicts itself: its voxels are {_millimetres(sizes[0])} by the sform and "
                f"{_millimetres(sizes[1])} by the qform.",
                code="geometry.contradiction",
                hint="Export the image again, or keep only the form that is right (code 0 for the other).",
            )
        if Orientation.of(first) != Orientation.of(second):
            raise GeometryError(
                f"{name} contradicts itself: its axes run to {_letters(first)} by the sform and to {_letters(second)} "
                "by the qform, so left and right, or front and back, are not certain.",
                code="geometry.contradiction",
                hint="Export the image again, or keep only the form that is right (code 0 for the other).",
            )
        if np.abs(first - second).max() <= _PLACE_TOLERANCE * sizes[0].min():
            return first, []
        chosen = "sform" if self.sform_code == _SCANNER else "qform"
        text = (
            f"The header of {name} places the image twice, in different ways (sform and qform, "
            f"{np.linalg.norm(first[:3, 3] - second[:3, 3]):.1f} mm apart at the first voxel). The {chosen} was used, "
            "as in Slicer; NIfTI masks carry both."
        )
        return (first if chosen == "sform" else second), [InputNote("geometry.two_forms", text)]

    def _sizes_of_sform(self) -> list[InputNote]:
        sizes = np.linalg.norm(self.sform[:3, :3], axis=0)
        stored = np.array(self.pixdim[1:4]) * _MM_PER_UNIT.get(self.units & 7, 1.0)
        if np.allclose(sizes, stored, rtol=_SIZE_TOLERANCE):
            return []
        text = (
            f"Voxels were taken to be {_millimetres(sizes)}, from the sform, the only valid form; the field pixdim "
            f"says {_millimetres(stored)}."
        )
        return [InputNote("geometry.pixdim", text)]

    def _from_letters(self, name: str, orientation: str | None) -> np.ndarray:
        if orientation is None:
            raise GeometryError(
                f"{name} does not say how it lies in the patient (sform and qform have code 0): left and right are not "
                "known.",
                code="geometry.no_orientation",
                hint=_NO_ORIENTATION_HINT,
            )
        sizes = np.abs(self.pixdim[1:4])
        if not np.isfinite(sizes).all():
            raise GeometryError(f"{name} has voxel sizes that are not finite.", code="geometry.affine")
        rows = np.zeros((3, 4))
        for axis, (row, sign) in enumerate(_directions(orientation)):
            rows[row, axis] = sign * sizes[axis]
        return self._in_mm(rows)


def check_orientation(letters: str) -> str:
    """Return axis directions such as `"LPS"` in capitals.

    Raises:
        GeometryError: If they are not three letters, one each of R or L, A or P, S or I.
    """
    _directions(letters)
    return letters.upper()


def _directions(letters: str) -> list[tuple[int, int]]:
    found = [_LETTERS[letter] for letter in letters.upper() if letter in _LETTERS]
    if len(letters) != 3 or sorted(row for row, _ in found) != [0, 1, 2]:
        raise GeometryError(
            f"{letters!r} is no orientation.",
            code="input.orientation",
            hint="Give three letters, one each of R or L, A or P, S or I, e.g. LPS.",
        )
    return found


def _letters(affine: np.ndarray) -> str:
    """Return where the axes i, j, k run to, e.g. `"LPS"`."""
    orientation = Orientation.of(affine)
    shown = [""] * 3
    for row, (axis, flip) in enumerate(zip(orientation.axes, orientation.flips, strict=True)):
        shown[axis] = ("RL", "AP", "SI")[row][flip]
    return "".join(shown)


def _millimetres(sizes: np.ndarray) -> str:
    return " × ".join(f"{size:.4g}" for size in sizes) + " mm"
