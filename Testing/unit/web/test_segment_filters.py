"""Filters of whole segments, on masks that were made by hand."""

from __future__ import annotations

import numpy as np
import pytest

pytest.importorskip("slicer", reason="slicer-core is not installed")
from dsm.core.boxes import CroppedArray
from DSMSegmentLib.scene.mrml import cropFromOrientedImage, orientedImageFromCrop
from DSMSegmentWeb.segment_filters import largest_component, smoother, without_small_components

SHAPE = (40, 30, 20)
# Oblique, 1 x 2 x 3 mm.
TURNED = np.array([[0.8, -1.2, 0, 5], [0.6, 1.6, 0, -7], [0, 0, 3, 11], [0, 0, 0, 1.0]])


def filtered(function, mask: np.ndarray, affine: np.ndarray = TURNED) -> np.ndarray:
    """Filter the crop of a mask, and put the result back into the full grid."""
    crop = cropFromOrientedImage(function(orientedImageFromCrop(CroppedArray.from_mask(mask), affine)))
    full = np.zeros(np.array(SHAPE) + 2, bool)
    start = np.array(crop.box.start) + 1  # a rim of one voxel is allowed
    full[tuple(slice(a, a + n) for a, n in zip(start, crop.array.shape, strict=True))] = crop.array != 0
    assert full[1:-1, 1:-1, 1:-1].sum() == full.sum()
    return full[1:-1, 1:-1, 1:-1]


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
