"""Filters of whole segments, on masks that were made by hand."""

from __future__ import annotations

from functools import partial

import numpy as np
import pytest
from scipy import ndimage

pytest.importorskip("slicer", reason="slicer-core is not installed")
from dsm.core.boxes import CroppedArray
from DSMSegmentLib.scene.mrml import cropFromOrientedImage, geometryOf, orientedImageFromCrop
from DSMSegmentWeb.segment_filters import (
    clipped,
    filled_between_slices,
    largest_component,
    smoother,
    with_margin,
    without_small_components,
)

SHAPE = (40, 30, 20)
# Oblique, 1 x 2 x 3 mm.
TURNED = np.array([[0.8, -1.2, 0, 5], [0.6, 1.6, 0, -7], [0, 0, 3, 11], [0, 0, 0, 1.0]])


def filtered(function, mask: np.ndarray, affine: np.ndarray = TURNED) -> np.ndarray:
    """Filter the crop of a mask, clip that to the grid, and put it back into it."""
    image = function(orientedImageFromCrop(CroppedArray.from_mask(mask), affine))
    i, j, k = mask.shape
    crop = cropFromOrientedImage(clipped(image, (0, i - 1, 0, j - 1, 0, k - 1)))
    np.testing.assert_allclose(geometryOf(image), affine)
    full = np.zeros(mask.shape, bool)
    full[crop.box.slices] = crop.array != 0
    return full


@pytest.fixture
def cube() -> np.ndarray:
    mask = np.zeros(SHAPE, np.uint8)
    mask[5:20, 6:18, 4:14] = 1
    return mask


def test_largest_component(cube: np.ndarray) -> None:
    both = cube.copy()
    both[30:36, 20:26, 2:8] = 1
    both[20, 18, 14] = 1  # touches the cube by a corner only
    np.testing.assert_array_equal(filtered(largest_component, both), cube)


def test_small_components_are_removed(cube: np.ndarray) -> None:
    mask = cube.copy()
    mask[30:36, 20:26, 2:8] = 1  # 216 voxels of 6 mm³: 1.3 ml
    expected = mask.copy()
    mask[24:27, 2:5, 2:5] = 1  # 0.16 ml
    np.testing.assert_array_equal(filtered(without_small_components, mask), expected)


def test_largest_component_is_kept_even_if_small() -> None:
    mask = np.zeros(SHAPE, np.uint8)
    mask[5:8, 5:8, 5:8] = 1
    np.testing.assert_array_equal(filtered(without_small_components, mask), mask)


def test_smoothing_fills_holes_and_removes_bumps_but_keeps_faces(cube: np.ndarray) -> None:
    mask = cube.copy()
    mask[10, 10, 8] = 0
    mask[20, 10, 8] = 1
    affine = np.diag([1.0, 1.0, 1.0, 1.0])
    smooth = filtered(smoother, mask, affine)
    assert smooth[10, 10, 8]
    assert not smooth[20, 10, 8]
    inner = cube[6:19, 7:17, 5:13].astype(bool)
    np.testing.assert_array_equal(smooth[6:19, 7:17, 5:13], inner)
    assert smooth[5, 10, 8], "a face that lies at the edge of the crop"
    assert not smooth[5, 6, 4], "a corner"
    assert not smooth[4].any(), "nothing grows"


def test_thick_slices_are_smoothed_separately() -> None:
    mask = np.zeros(SHAPE, np.uint8)
    mask[5:20, 6:18, 8] = 1  # one slice alone
    smooth = filtered(smoother, mask, np.diag([1.0, 1.0, 5.0, 1.0]))
    assert smooth[6:19, 7:17, 8].all()
    assert not smooth[5, 6, 8]


@pytest.mark.parametrize("mm", [2.5, 7.0, -2.5, -4.0])
def test_margin_is_the_same_distance_in_all_directions(cube: np.ndarray, mm: float) -> None:
    cube[5:9, 6:9, 4:7] = 0  # a dent
    to_mask = ndimage.distance_transform_edt(cube == 0, sampling=(1.0, 2.0, 3.0))
    to_outside = ndimage.distance_transform_edt(cube != 0, sampling=(1.0, 2.0, 3.0))
    expected = to_mask <= mm if mm > 0 else to_outside > -mm
    assert 0 < expected.sum() != cube.sum()
    np.testing.assert_array_equal(filtered(partial(with_margin, mm=mm), cube), expected)


def test_what_grows_stays_in_the_scan(cube: np.ndarray) -> None:
    grown = filtered(partial(with_margin, mm=100.0), cube)
    assert grown.shape == SHAPE
    assert grown.all()


@pytest.mark.parametrize("axis", [0, 1, 2])
def test_slices_that_were_left_out_are_filled(axis: int) -> None:
    """A cone that was painted in three slices, with another object that has no gap."""
    shape = np.full(3, 48)
    x, y = np.indices((48, 48))
    cone = np.stack([((x - 24) ** 2 + (y - 20) ** 2 < (5 + k / 2) ** 2) * (5 <= k <= 23) for k in range(48)], axis=-1)
    painted = np.zeros(shape, np.uint8)
    painted[..., [5, 13, 23]] = cone[..., [5, 13, 23]]
    painted[40:44, 40:44, 30:40] = 1
    expected = cone.astype(bool) | (painted != 0)
    affine = np.diag(np.insert([1.0, 1.0, 1.0], axis, 4.0))  # thick slices
    filled = np.moveaxis(filtered(filled_between_slices, np.moveaxis(painted, -1, axis), affine), axis, -1)
    np.testing.assert_array_equal(filled[..., [5, 13, 23]], painted[..., [5, 13, 23]] != 0)
    np.testing.assert_array_equal(filled[40:44, 40:44], painted[40:44, 40:44] != 0)
    assert 2 * (filled & expected).sum() / (filled.sum() + expected.sum()) > 0.97


def test_nothing_is_filled_where_no_slice_was_left_out(cube: np.ndarray) -> None:
    np.testing.assert_array_equal(filtered(filled_between_slices, cube), cube)
