from __future__ import annotations

import numpy as np
import pytest

from dsm.core.boxes import Box, CroppedArray, bounding_box
from dsm.errors import ShapeError


def test_size_and_slices_select_the_half_open_box() -> None:
    box = Box((1, 2, 3), (4, 4, 4))
    array = np.zeros((5, 5, 5), dtype=np.uint8)
    array[box.slices] = 1
    assert box.size == (3, 2, 1)
    assert box.num_voxels == array.sum() == 6


@pytest.mark.parametrize(
    ("other", "expected"),
    [
        (Box((2, 0, 0), (9, 9, 9)), Box((2, 1, 1), (4, 4, 4))),
        (Box((0, 0, 0), (9, 9, 9)), Box((1, 1, 1), (4, 4, 4))),
        (Box((4, 1, 1), (9, 9, 9)), Box((4, 1, 1), (4, 4, 4))),
    ],
)
def test_intersection(other: Box, expected: Box) -> None:
    assert Box((1, 1, 1), (4, 4, 4)).intersect(other) == expected


def test_intersection_of_disjoint_boxes_is_empty() -> None:
    assert Box((0, 0, 0), (2, 2, 2)).intersect(Box((5, 5, 5), (6, 6, 6))).is_empty


def test_grow_can_exceed_the_grid_and_clip_restores_it() -> None:
    grown = Box((1, 1, 1), (3, 3, 3)).grow((2, 0, 1))
    assert grown == Box((-1, 1, 0), (5, 3, 4))
    with pytest.raises(ShapeError):
        grown.slices  # noqa: B018
    assert grown.clip((4, 4, 4)) == Box((0, 1, 0), (4, 3, 4))


def test_box_with_stop_before_start_is_refused() -> None:
    with pytest.raises(ShapeError):
        Box((2, 0, 0), (1, 1, 1))


def test_numpy_integers_become_python_integers() -> None:
    box = Box(tuple(np.array([1, 2, 3])), tuple(np.array([4, 5, 6])))  # type: ignore[arg-type]
    assert all(type(value) is int for value in (*box.start, *box.stop))


@pytest.mark.parametrize("order", ["C", "F"])
@pytest.mark.parametrize("dtype", [np.bool_, np.uint8, np.int16, np.float32])
def test_bounding_box_is_tight(dtype: type, order: str) -> None:
    mask = np.zeros((7, 8, 9), dtype=dtype, order=order)  # type: ignore[call-overload]
    mask[2, 3, 8] = 1
    mask[5, 1, 4] = 1
    assert bounding_box(mask) == Box((2, 1, 4), (6, 4, 9))
    assert bounding_box(mask[::-1]) == Box((1, 1, 4), (5, 4, 9))


def test_bounding_box_covers_labels_without_common_bits() -> None:
    mask = np.zeros((4, 4, 4), dtype=np.uint8)
    mask[1, 1, 1], mask[2, 2, 2], mask[3, 3, 3] = 2, 4, 128
    assert bounding_box(mask) == Box((1, 1, 1), (4, 4, 4))


@pytest.mark.parametrize("shape", [(4, 4, 4), (0, 4, 4)])
def test_bounding_box_of_empty_mask_is_none(shape: tuple[int, int, int]) -> None:
    assert bounding_box(np.zeros(shape, dtype=bool)) is None


def test_crop_is_pasted_at_its_offset() -> None:
    mask = np.zeros((6, 7, 8), dtype=np.uint8)
    mask[2:4, 3:5, 1:8] = 3
    crop = CroppedArray.from_mask(mask)
    assert crop.offset_ijk == (2, 3, 1)
    np.testing.assert_array_equal(crop.paste_into(mask.shape), mask)


def test_voxels_of_a_crop_are_those_that_are_not_zero() -> None:
    crop = CroppedArray(np.array([[[0, 3], [-1, 0]]], dtype=np.int8), (2, 3, 1))
    assert crop.num_voxels == 2
    assert type(crop.num_voxels) is int
    assert CroppedArray.from_mask(np.zeros((3, 3, 3), np.uint8)).num_voxels == 0


def test_crop_of_a_crop_has_its_offset_in_the_full_grid() -> None:
    full = np.zeros((6, 7, 8), dtype=np.uint8)
    full[3:4, 4:5, 2:8] = 1
    part = CroppedArray(full[2:5, 3:6, 1:8], (2, 3, 1))
    crop = CroppedArray.from_mask(part.array, part.offset_ijk)
    assert crop.box == CroppedArray.from_mask(full).box
    np.testing.assert_array_equal(crop.paste_into(full.shape), full)


def test_an_empty_crop_is_pasted_as_zeros() -> None:
    crop = CroppedArray.from_mask(np.zeros((3, 3, 3), dtype=np.uint8))
    assert crop.box.is_empty
    assert not crop.paste_into((3, 3, 3)).any()


@pytest.mark.parametrize("shape", [(3, 9, 9), (9, 9, 4)])
def test_crop_outside_the_grid_is_refused(shape: tuple[int, int, int]) -> None:
    with pytest.raises(ShapeError):
        CroppedArray(np.ones((2, 2, 2)), (2, 2, 3)).paste_into(shape)


@pytest.mark.parametrize("seed", range(20))
def test_union_and_difference_of_crops_match_full_masks(seed):
    rng = np.random.default_rng(seed)
    shape, crops = (9, 8, 7), []
    for _ in range(2):
        full = np.zeros(shape, np.uint8)
        start, size = rng.integers(0, 6, 3), rng.integers(0, 5, 3)
        full[tuple(slice(s, s + n) for s, n in zip(start, size, strict=True))] = rng.integers(0, 3)
        crops.append(CroppedArray.from_mask(full & rng.integers(0, 4, shape).astype(np.uint8)))
    one, other = crops
    a, b = (crop.paste_into(shape) != 0 for crop in crops)
    assert np.array_equal(one.union(other).paste_into(shape), a | b)
    assert np.array_equal(one.difference(other).paste_into(shape), a & ~b)
