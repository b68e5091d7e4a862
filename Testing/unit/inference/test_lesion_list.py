"""Measurements of lesions, against geometry and other implementations, on any grid."""

from __future__ import annotations

from itertools import permutations, product

import numpy as np
import pytest
import SimpleITK as sitk
from hypothesis import given, settings
from hypothesis import strategies as st

from dsm.core.boxes import CroppedArray
from dsm.errors import ShapeError
from dsm.inference import lesion_list
from dsm.inference.components import label_components
from dsm.inference.lesion_list import LabelledLesions, axial_slices, lesion_at, list_lesions

UNIT = np.eye(4)
angles = st.tuples(*[st.floats(-180.0, 180.0)] * 3)


def rotation(angles_deg: tuple[float, float, float]) -> np.ndarray:
    """Rotation about x, then y, then z, `(3, 3)`."""
    result = np.eye(3)
    for axis, angle in enumerate(np.deg2rad(angles_deg)):
        a, b = (axis + 1) % 3, (axis + 2) % 3
        turn = np.eye(3)
        turn[a, a] = turn[b, b] = np.cos(angle)
        turn[a, b], turn[b, a] = -np.sin(angle), np.sin(angle)
        result = turn @ result
    return result


def scan(shape: tuple[int, ...]) -> np.ndarray:
    return np.random.default_rng(0).normal(40.0, 20.0, shape)


def ellipsoid(semi_mm: np.ndarray, turn: np.ndarray, spacing: np.ndarray, shift: np.ndarray) -> tuple[np.ndarray, ...]:
    """A mask, its affine, and the matrix `(3, 3)` of the ellipsoid `x A x <= 1` about the point `shift` in mm."""
    matrix = turn @ np.diag(1 / semi_mm**2) @ turn.T
    half = np.ceil(semi_mm.max() / spacing).astype(int) + 2
    affine = np.diag([*spacing, 1.0])
    affine[:3, 3] = -half * spacing
    grid = np.indices(2 * half + 1).reshape(3, -1).T * spacing + affine[:3, 3] - shift
    inside = np.einsum("ni,ij,nj->n", grid, matrix, grid) <= 1
    return inside.reshape(2 * half + 1), affine, matrix


@settings(max_examples=25, deadline=None)
@given(
    st.tuples(*[st.floats(6.0, 14.0)] * 3),
    angles,
    st.tuples(st.floats(0.6, 1.5), st.floats(0.6, 1.5), st.floats(0.8, 2.5)),
    st.tuples(*[st.floats(-0.5, 0.5)] * 3),
)
def test_diameters_of_an_ellipsoid(semi_mm, angles_deg, spacing, shift):
    spacing, shift = np.array(spacing), np.array(shift) * spacing
    mask, affine, matrix = ellipsoid(np.array(semi_mm), rotation(angles_deg), spacing, shift)
    (lesion,) = list_lesions(CroppedArray.from_mask(mask), scan(mask.shape), affine)
    # The section through the middle is the ellipse of the upper left block; others are similar and smaller.
    short, long = sorted(2 / np.sqrt(np.linalg.eigvalsh(matrix[:2, :2])))
    pixel = np.hypot(*spacing[:2])
    assert lesion.longest_mm == pytest.approx(long, abs=1.1 * pixel)
    # A pixel more or less along the longest diameter turns that of an almost round section as it likes.
    assert lesion.perpendicular_mm == pytest.approx(short, abs=1.1 * pixel + 0.05 * short)
    assert lesion.perpendicular_mm <= lesion.longest_mm + 1e-9
    assert lesion.volume_ml == pytest.approx(4 / 3 * np.pi * np.prod(semi_mm) / 1000, rel=0.05)
    np.testing.assert_allclose(lesion.center_ras_mm, shift, atol=0.15 * spacing.max())


def test_longest_diameter_is_half_a_pixel_too_long_on_average():
    """As in PyRadiomics, whose outline is the same; from centre to centre it would be half a pixel too short."""
    rng = np.random.default_rng(1)
    errors = []
    for _ in range(30):
        semi, shift = rng.uniform(5, 10, 3), rng.uniform(-0.5, 0.5, 3)
        mask, affine, matrix = ellipsoid(semi, rotation(tuple(rng.uniform(-180, 180, 3))), np.ones(3), shift)
        (lesion,) = list_lesions(CroppedArray.from_mask(mask), scan(mask.shape), affine)
        errors.append(lesion.longest_mm - 2 / np.sqrt(np.linalg.eigvalsh(matrix[:2, :2]).min()))
    assert 0.3 < np.mean(errors) < 0.6
    assert np.std(errors) < 0.3


def middles_of_edges(pixels: np.ndarray, spacing: tuple[float, float]) -> np.ndarray:
    """The middles of all edges of all pixels, in mm, `(N, 2)`."""
    steps = np.array([(-0.5, 0.0), (0.5, 0.0), (0.0, -0.5), (0.0, 0.5)])
    return (np.argwhere(pixels)[:, None] + steps).reshape(-1, 2) * spacing


def brute_force(pixels: np.ndarray, spacing: tuple[float, float]) -> tuple[float, float]:
    """Both diameters from all pairs of points: a line across meets the hull where it meets the outermost segments."""
    points = np.unique(middles_of_edges(pixels, spacing), axis=0)
    apart = np.linalg.norm(points[:, None] - points, axis=-1)
    length = apart.max()
    best = 0.0
    for a, b in np.argwhere(np.triu(apart >= length - 1e-9)):
        along = (points[b] - points[a]) / length
        t, height = points @ along, points @ [-along[1], along[0]]
        ahead = t[None] - t[:, None] > 1e-9
        for at in t:
            crossing = ahead & (t[:, None] <= at + 1e-9) & (t[None] >= at - 1e-9)
            if crossing.any():
                p, q = np.nonzero(crossing)
                found = height[p] + (at - t[p]) / (t[q] - t[p]) * (height[q] - height[p])
                best = max(best, found.max() - found.min())
    return float(length), float(best)


@settings(max_examples=80, deadline=None)
@given(st.integers(0, 2**32 - 1), st.tuples(st.floats(0.4, 3.0), st.floats(0.4, 3.0)), st.floats(0.25, 0.9))
def test_diameters_match_brute_force(seed, spacing, share):
    pixels = np.random.default_rng(seed).random((5, 4)) < share
    mask = np.zeros((9, 9, 3), bool)
    mask[2:7, 3:7, 1] = pixels
    if not pixels.any():
        return
    lesions = list_lesions(CroppedArray.from_mask(mask), scan(mask.shape), np.diag([*spacing, 5.0, 1.0]))
    image = sitk.GetImageFromArray(mask.astype(np.uint8))
    parts = sitk.GetArrayFromImage(sitk.ConnectedComponent(image, True))
    expected = [brute_force(parts[:, :, 1] == n, spacing) for n in range(1, parts.max() + 1)]
    found = [(lesion.longest_mm, lesion.perpendicular_mm) for lesion in lesions]
    # Two lesions may be equally long but for rounding.
    found, expected = (sorted(pairs, key=lambda pair: np.round(pair, 6).tolist()) for pairs in (found, expected))
    np.testing.assert_allclose(found, expected, rtol=1e-7)


@settings(max_examples=40, deadline=None)
@given(st.integers(0, 2**32 - 1), angles, st.tuples(*[st.floats(0.4, 6.0)] * 3))
def test_volume_position_and_intensity_match_itk(seed, angles_deg, spacing):
    rng = np.random.default_rng(seed)
    mask, array = rng.random((7, 6, 5)) < 0.15, rng.normal(60.0, 30.0, (7, 6, 5))
    affine = np.eye(4)
    affine[:3, :3], affine[:3, 3] = rotation(angles_deg) * spacing, rng.uniform(-200, 200, 3)
    lesions = list_lesions(CroppedArray.from_mask(mask), array, affine)

    labels, image = (sitk.GetImageFromArray(values.transpose(2, 1, 0)) for values in (mask.astype(np.uint8), array))
    for one in (labels, image):
        one.SetSpacing([float(value) for value in spacing])
        one.SetOrigin(affine[:3, 3].tolist())
        one.SetDirection(rotation(angles_deg).ravel().tolist())
    parts = sitk.ConnectedComponent(labels, True)
    intensity, shape = sitk.LabelIntensityStatisticsImageFilter(), sitk.LabelShapeStatisticsImageFilter()
    shape.ComputeFeretDiameterOn()
    intensity.Execute(parts, image)
    shape.Execute(parts)
    expected = {}
    for label in shape.GetLabels():
        n = shape.GetNumberOfPixels(label)
        sd = intensity.GetStandardDeviation(label) * np.sqrt((n - 1) / n) if n > 1 else 0.0  # ITK divides by n - 1
        center = [round(float(value), 6) for value in shape.GetCentroid(label)]
        expected[tuple(center)] = (shape.GetPhysicalSize(label) / 1000, intensity.GetMean(label), sd)
    found = {
        tuple(round(value, 6) for value in one.center_ras_mm): (one.volume_ml, one.mean, one.sd) for one in lesions
    }
    assert len(lesions) == len(expected)
    for center, values in found.items():
        nearest = min(expected, key=lambda other, at=center: np.linalg.norm(np.subtract(other, at)))
        np.testing.assert_allclose(center, nearest, atol=1e-4)
        np.testing.assert_allclose(values, expected[nearest], rtol=1e-6, atol=1e-5)
    assert [one.volume_ml for one in lesions] == sorted((one.volume_ml for one in lesions), reverse=True)


@settings(max_examples=30, deadline=None)
@given(st.integers(0, 2**32 - 1), st.tuples(st.floats(0.4, 3.0), st.floats(0.4, 3.0)))
def test_feret_diameter_of_itk_is_up_to_a_pixel_smaller(seed, spacing):
    """ITK measures from centre to centre of the pixels."""
    pixels = np.random.default_rng(seed).random((8, 8)) < 0.5
    image = sitk.GetImageFromArray(pixels.astype(np.uint8).T)
    image.SetSpacing(spacing)
    parts = sitk.ConnectedComponent(image, True)
    feret = sitk.LabelShapeStatisticsImageFilter()
    feret.ComputeFeretDiameterOn()
    feret.Execute(parts)
    mask = CroppedArray(pixels[:, :, None], (0, 0, 1))
    ours = list_lesions(mask, scan((8, 8, 3)), np.diag([*spacing, 2.0, 1.0]))
    assert len(ours) == len(feret.GetLabels())
    for lesion, centers in zip(
        sorted(one.longest_mm for one in ours), sorted(map(feret.GetFeretDiameter, feret.GetLabels())), strict=True
    ):
        assert centers < lesion <= centers + np.hypot(*spacing) + 1e-6


@settings(max_examples=40, deadline=None)
@given(
    st.integers(0, 2**32 - 1),
    st.tuples(st.floats(-25.0, 25.0), st.floats(-25.0, 25.0), st.floats(-180.0, 180.0)),
    st.tuples(*[st.floats(0.4, 6.0)] * 3),
    st.sampled_from(list(permutations(range(3)))),
    st.sampled_from(list(product((False, True), repeat=3))),
)
def test_lesions_are_independent_of_storage_order(seed, angles_deg, spacing, order, flips):
    rng = np.random.default_rng(seed)
    mask, array = rng.random((6, 5, 4)) < 0.3, rng.normal(size=(6, 5, 4))
    affine = np.eye(4)
    affine[:3, :3] = rotation(angles_deg) * spacing
    stored, stored_array, stored_affine = mask, array, affine.copy()
    for axis in np.flatnonzero(flips):
        stored, stored_array = np.flip(stored, axis), np.flip(stored_array, axis)
        stored_affine[:3, 3] += stored_affine[:3, axis] * (mask.shape[axis] - 1)
        stored_affine[:3, axis] *= -1
    stored, stored_array = stored.transpose(order), stored_array.transpose(order)
    stored_affine[:3, :3] = stored_affine[:3, order]

    def summary(lesions):
        numbers = [
            [one.volume_ml, one.mean, one.sd, one.longest_mm, one.perpendicular_mm, *one.center_ras_mm]
            for one in lesions
        ]
        return np.array(sorted(numbers))

    one = summary(list_lesions(CroppedArray.from_mask(mask), array, affine))
    other = summary(list_lesions(CroppedArray.from_mask(stored), stored_array, stored_affine))
    np.testing.assert_allclose(one, other, atol=1e-6)


def test_diameters_are_measured_in_the_slices_nearest_to_axial():
    """A coronal series: the rod of 40 mm along the patient's axis is 4 × 2 mm in an axial slice."""
    mask = np.zeros((20, 30, 12), bool)
    mask[5:7, 4:24, 3:5] = True  # i to the left, j down, k to the back, each 2 mm, of which k are the slices
    affine = np.array([[-2.0, 0, 0, 0], [0, 0, -2.0, 0], [0, -2.0, 0, 0], [0, 0, 0, 1]])
    (lesion,) = list_lesions(CroppedArray.from_mask(mask), scan(mask.shape), affine)
    assert axial_slices(affine).axis == 1
    assert lesion.longest_mm == pytest.approx(np.hypot(4, 2))  # 2 × 2 pixels, from the middle of an edge to another
    assert lesion.slice_number in (14, 15)  # equal in all: the one in the middle
    for ends, length in (
        (lesion.longest_ends_ras_mm, lesion.longest_mm),
        (lesion.perpendicular_ends_ras_mm, lesion.perpendicular_mm),
    ):
        one, other = np.array(ends)
        assert np.linalg.norm(one - other) == pytest.approx(length)
        assert one[2] == pytest.approx(other[2]) == pytest.approx(-2.0 * (lesion.slice_number - 1))
    assert lesion.view_ras_mm == pytest.approx(np.mean(lesion.longest_ends_ras_mm, axis=0))
    across, along = np.diff(lesion.longest_ends_ras_mm, axis=0)[0], np.diff(lesion.perpendicular_ends_ras_mm, axis=0)[0]
    assert across @ along == pytest.approx(0.0, abs=1e-9)


def test_parts_separate_in_a_slice_are_measured_separately():
    mask = np.zeros((20, 10, 4), bool)
    mask[2:5, 2:4, 1:3] = mask[12:18, 2:4, 1:3] = True
    mask[2:18, 2, 1] = True  # joined in slice 2, apart in slice 3
    (lesion,) = list_lesions(CroppedArray.from_mask(mask), scan(mask.shape), UNIT)
    assert lesion.slice_number == 2
    mask[:, :, 1] = False
    mask[2:18, 2, 3] = True
    (lesion,) = list_lesions(CroppedArray.from_mask(mask), scan(mask.shape), UNIT)
    assert lesion.slice_number == 4
    mask[5:12, 2, 3] = False
    assert [round(one.longest_mm, 2) for one in list_lesions(CroppedArray.from_mask(mask), scan(mask.shape), UNIT)] == [
        round(float(np.hypot(6, 1)), 2),
        round(float(np.hypot(3, 1)), 2),
    ]


def test_a_single_voxel():
    (lesion,) = list_lesions(
        CroppedArray(np.ones((1, 1, 1)), (2, 3, 4)), scan((5, 6, 7)), np.diag([1.0, 2.0, 3.0, 1.0])
    )
    assert (lesion.longest_mm, lesion.perpendicular_mm, lesion.slice_number) == (2.0, 1.0, 5)
    assert (lesion.volume_ml, lesion.sd, lesion.voxel_ijk) == (pytest.approx(0.006), 0.0, (2, 3, 4))
    assert lesion.mean == scan((5, 6, 7))[2, 3, 4]
    assert lesion.center_ras_mm == (2.0, 6.0, 12.0)


def test_components_connect_at_corners():
    mask = np.zeros((6, 6, 6), bool)
    mask[1, 1, 1] = mask[2, 2, 2] = mask[4, 4, 4] = True
    assert [one.volume_ml for one in list_lesions(CroppedArray.from_mask(mask), scan(mask.shape), UNIT)] == [
        0.002,
        0.001,
    ]


def test_empty_mask_has_no_lesions():
    empty = CroppedArray.from_mask(np.zeros((5, 5, 5)))
    assert list_lesions(empty, scan((5, 5, 5)), UNIT) == []
    assert list_lesions(CroppedArray(np.zeros((2, 2, 2)), (1, 1, 1)), scan((5, 5, 5)), UNIT) == []
    assert lesion_at(empty, (0, 0, 0)).array.size == 0


def test_mask_outside_the_scan_is_refused():
    with pytest.raises(ShapeError, match="reaches outside of the scan"):
        list_lesions(CroppedArray(np.ones((3, 3, 3)), (3, 3, 3)), scan((5, 5, 5)), UNIT)


def test_lesion_is_selected_by_voxel_and_removed_alone():
    mask = np.zeros((9, 9, 9), np.uint8)
    mask[1:3, 1:3, 1:3] = mask[5:8, 5:8, 5:8] = mask[1, 7, 7] = 1
    crop = CroppedArray.from_mask(mask)
    large, middle, small = list_lesions(crop, scan(mask.shape), UNIT)
    assert list_lesions(crop, scan(mask.shape), UNIT, most=2) == [large, middle]
    lesion = lesion_at(crop, middle.voxel_ijk)
    assert lesion.box.start == (1, 1, 1)
    assert lesion.array.sum() == 8
    left = list_lesions(crop.difference(lesion), scan(mask.shape), UNIT)
    assert left == [large, small]
    for outside in ((0, 0, 0), (3, 3, 3), (8, 8, 8), (20, 0, 0)):
        assert lesion_at(crop, outside).array.size == 0


@pytest.mark.parametrize(
    ("angles_deg", "spacing", "said"),
    [
        ((0.0, 0.0, 0.0), (0.8, 0.8, 5.0), ""),
        ((5.0, 0.0, 30.0), (0.8, 0.8, 5.0), ""),
        ((25.0, 0.0, 0.0), (0.8, 0.8, 5.0), "tilted by 25° to the axial plane"),
        ((80.0, 0.0, 0.0), (0.8, 0.8, 5.0), "rough: 5.0 mm a voxel"),
        ((80.0, 0.0, 0.0), (1.0, 1.0, 1.0), ""),
    ],
)
def test_slices_with_uncertain_diameters_have_a_note(angles_deg, spacing, said):
    affine = np.eye(4)
    affine[:3, :3] = rotation(angles_deg) * spacing
    note = axial_slices(affine).note
    assert said in note
    assert bool(note) == bool(said)


def test_unclicked_lesions_hold_no_click_and_share_no_voxel_with_the_clicked_one():
    mask = np.zeros((12, 10, 8), np.uint8)
    boxes = [(slice(0, 2),) * 3, (slice(4, 6),) * 3, (slice(8, 10), slice(0, 2), slice(5, 7))]
    for box in boxes:
        mask[box] = 1
    touching = np.zeros_like(mask)
    touching[5:8, 5:8, 4:6] = 1

    labelled = LabelledLesions(CroppedArray.from_mask(mask))

    def left(voxels, clicked):
        crop = labelled.unclicked(voxels, CroppedArray.from_mask(clicked))
        return [bool(crop.paste_into(mask.shape)[box].all()) for box in boxes]

    nothing = np.zeros_like(mask)
    assert left([], nothing) == [True, True, True]
    assert left([(1, 1, 1)], nothing) == [False, True, True]
    assert left([(11, 9, 7), (8, 1, 6)], nothing) == [True, True, False]
    assert left([], touching) == [True, False, True]
    assert left([(0, 0, 0), (9, 0, 5)], touching) == [False, False, False]


@pytest.mark.parametrize("order", ["C", "F"])
def test_lesions_are_labelled_once_for_all_clicks(monkeypatch, order):
    labelled_masks = []

    def label(mask):
        labelled_masks.append(mask)
        return label_components(mask)

    monkeypatch.setattr(lesion_list, "label_components", label)
    mask = np.zeros((30, 8, 9), np.uint8, order=order)
    mask[::3, 2:4, 5:8] = 1
    lesions = LabelledLesions(CroppedArray(mask, (2, 0, 0)))
    nothing = CroppedArray.from_mask(np.zeros_like(mask))
    for number in (0, 4, 9):
        left = lesions.unclicked([(2 + 3 * number, 3, 6)], nothing).paste_into((40, 8, 9))[2:32]
        assert np.array_equal(np.flatnonzero(left.any(axis=(1, 2))), np.setdiff1d(np.arange(0, 30, 3), [3 * number]))
        assert left.sum() == 9 * 6
    assert len(labelled_masks) == 1
