from __future__ import annotations

from dataclasses import replace

import nibabel as nib
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from dsm.core.nifti_geometry import NiftiGeometry, check_orientation
from dsm.errors import GeometryError


def turned(degrees: float, sizes: tuple[float, float, float] = (0.8, 0.9, 2.5)) -> np.ndarray:
    """A grid turned about the body axis, `(4, 4)` to RAS mm."""
    angle = np.radians(degrees)
    affine = np.diag([*sizes, 1.0])
    affine[:2, :2] = np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]]) @ affine[:2, :2]
    affine[:3, 3] = 12, -30, 7.5
    return affine


def geometry(sform: np.ndarray, qform: np.ndarray, codes: tuple[int, int], units: int = 2) -> NiftiGeometry:
    """The fields that nibabel, which shares no code with ours, writes for two forms."""
    header = nib.Nifti1Header()
    header.set_data_shape((4, 5, 6))
    header.set_qform(qform, codes[1])
    header.set_sform(sform, codes[0])
    return NiftiGeometry(
        qform_code=codes[1],
        sform_code=codes[0],
        pixdim=tuple(float(value) for value in header["pixdim"][:4]),
        quaternion=tuple(float(header[f"quatern_{axis}"]) for axis in "bcd"),
        offset=tuple(float(header[f"qoffset_{axis}"]) for axis in "xyz"),
        rows=tuple(float(value) for axis in "xyz" for value in header[f"srow_{axis}"]),
        units=units,
    )


@pytest.mark.parametrize("codes", [(1, 0), (2, 0), (0, 1), (0, 2), (1, 1), (2, 1), (4, 3)])
def test_equal_sform_and_qform_give_no_note(codes: tuple[int, int]) -> None:
    affine, notes = geometry(turned(20), turned(20), codes).resolve("a.nii")
    np.testing.assert_allclose(affine, turned(20), atol=1e-5)
    assert notes == []


@given(st.floats(-180, 180), st.tuples(*[st.floats(0.3, 5)] * 3), st.booleans())
def test_quaternion_matches_nibabel(degrees: float, sizes: tuple[float, float, float], flip: bool) -> None:
    wanted = turned(degrees, sizes) @ np.diag([1, 1, -1 if flip else 1, 1])
    affine, _ = geometry(np.eye(4), wanted, (0, 1)).resolve("a.nii")
    np.testing.assert_allclose(affine, wanted, atol=1e-4)


def test_invalid_quaternion_is_refused_and_rounding_is_accepted() -> None:
    whole = geometry(np.eye(4), turned(0), (0, 1))
    rounded, _ = replace(whole, quaternion=(0.0, 0.0, 1.0000002)).resolve("a.nii")
    np.testing.assert_allclose(np.linalg.norm(rounded[:3, :3], axis=0), np.linalg.norm(whole.qform[:3, :3], axis=0))
    with pytest.raises(GeometryError, match="no rotation"):
        replace(whole, quaternion=(0.5, 0.0, 1.0)).resolve("a.nii")


@pytest.mark.parametrize(("codes", "degrees"), [((1, 1), 20), ((2, 1), 10), ((1, 2), 20), ((4, 1), 10)])
def test_different_sform_and_qform_are_noted_and_slicer_choice_is_used(codes: tuple[int, int], degrees: float) -> None:
    affine, notes = geometry(turned(20), turned(10), codes).resolve("a.nii")
    np.testing.assert_allclose(affine, turned(degrees), atol=1e-5)
    assert [note.code for note in notes] == ["geometry.two_forms"]


@pytest.mark.parametrize("axis", range(3))
def test_mirrored_sform_and_qform_are_refused(axis: int) -> None:
    mirror = np.eye(4)
    mirror[axis, axis] = -1
    with pytest.raises(GeometryError, match="contradicts itself") as caught:
        geometry(turned(5), turned(5) @ mirror, (1, 1)).resolve("a.nii")
    assert caught.value.code == "geometry.contradiction"


def test_sform_and_qform_with_different_voxel_sizes_are_refused() -> None:
    with pytest.raises(GeometryError, match=r"0\.8 × 0\.9 × 2\.5 mm by the sform and 1 × 1 × 1 mm by the qform"):
        geometry(turned(0), np.eye(4), (1, 1)).resolve("a.nii")


def test_voxel_sizes_come_from_the_valid_form_and_pixdim_is_noted() -> None:
    fields = geometry(turned(20), np.eye(4), (2, 0))
    affine, notes = fields.resolve("a.nii")
    np.testing.assert_allclose(affine, turned(20), atol=1e-5)
    assert [note.code for note in notes] == ["geometry.pixdim"]


@pytest.mark.parametrize(("units", "factor"), [(0, 1), (1, 1000), (2, 1), (3, 0.001), (2 | 8, 1)])
def test_lengths_are_in_the_units_of_the_header(units: int, factor: float) -> None:
    for codes in ((1, 0), (0, 1), (1, 1)):
        affine, _ = geometry(turned(20), turned(20), codes, units).resolve("a.nii")
        np.testing.assert_allclose(affine[:3], factor * turned(20)[:3], rtol=1e-4, atol=1e-4)


def test_missing_orientation_is_refused_unless_given() -> None:
    fields = geometry(np.eye(4), turned(0), (0, 0))
    with pytest.raises(GeometryError, match="left and right are not known") as caught:
        fields.resolve("a.nii")
    assert caught.value.code == "geometry.no_orientation"
    affine, _ = fields.resolve("a.nii", orientation="lps")
    np.testing.assert_allclose(affine, np.diag([-0.8, -0.9, 2.5, 1]), atol=1e-6)
    affine, _ = fields.resolve("a.nii", orientation="SRA")
    np.testing.assert_allclose(affine[:3, :3], [[0, 0.9, 0], [0, 0, 2.5], [0.8, 0, 0]], atol=1e-6)


@pytest.mark.parametrize("letters", ["", "LP", "LRS", "XYZ", "LPSI"])
def test_invalid_orientation_is_refused(letters: str) -> None:
    with pytest.raises(GeometryError, match="no orientation"):
        check_orientation(letters)
