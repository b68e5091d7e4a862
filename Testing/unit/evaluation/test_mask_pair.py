import numpy as np
import pytest

from dsm.core.boxes import CroppedArray
from dsm.evaluation.mask_pair import MaskPair, overlap

SHAPE = (20, 18, 16)


def cube(start, stop):
    mask = np.zeros(SHAPE, np.uint8)
    mask[tuple(slice(a, b) for a, b in zip(start, stop, strict=True))] = 1
    return CroppedArray.from_mask(mask)


EMPTY = CroppedArray.from_mask(np.zeros(SHAPE, np.uint8))


def test_pair_is_cropped_to_both():
    pair = MaskPair.of(cube((2, 3, 4), (4, 5, 6)), cube((3, 3, 3), (8, 4, 5)), (1, 2, 3))
    assert pair.box.start == (2, 3, 3)
    assert pair.box.stop == (8, 5, 6)
    assert pair.truth.sum() == 8
    assert pair.found.sum() == 10
    assert (pair.truth & pair.found).sum() == 1
    assert pair.voxel_ml == pytest.approx(0.006)


def test_empty_mask_does_not_enlarge_the_box():
    assert MaskPair.of(cube((5, 6, 7), (9, 9, 9)), EMPTY, (1, 1, 1)).box.start == (5, 6, 7)
    assert MaskPair.of(EMPTY, EMPTY, (1, 1, 1)).box.is_empty


def test_equal_masks():
    box = cube((2, 2, 2), (8, 8, 8))
    result = overlap(MaskPair.of(box, box, (1, 1, 1)))
    assert (result.dice, result.nsd, result.hd95_mm) == (1, 1, 0)


@pytest.mark.parametrize(("axis", "spacing", "hd95"), [(0, (1.5, 1, 1), 1.5), (2, (1, 1, 5), 5.0), (1, (1, 3, 1), 3.0)])
def test_hd95_of_a_one_voxel_shift_is_the_spacing(axis, spacing, hd95):
    start, stop = np.full(3, 4), np.full(3, 10)
    moved = np.eye(3, dtype=int)[axis]
    result = overlap(MaskPair.of(cube(start, stop), cube(start + moved, stop + moved), spacing))
    assert result.dice == pytest.approx(2 * 180 / 432)
    assert result.hd95_mm == pytest.approx(hd95)


def test_surface_dice_counts_voxels_within_the_tolerance():
    # Two rods of one voxel's width along i, all of it surface: 10 voxels of truth, 6 of them found.
    rods = cube((0, 5, 5), (10, 6, 6)), cube((0, 5, 5), (6, 6, 6))
    # 1 mm apart: truth voxels 6 and 7 are within 2 mm of voxel 5; 8 and 9 are not. All 6 found ones lie on the truth.
    assert overlap(MaskPair.of(*rods, (1, 9, 9))).nsd == pytest.approx((8 + 6) / 16)
    # 2.5 mm apart: voxel 6 is out already.
    assert overlap(MaskPair.of(*rods, (2.5, 9, 9))).nsd == pytest.approx((6 + 6) / 16)
    # The largest distance is that of voxel 9, 4 voxels; the 95th percentile of (0 x 6, 1, 2, 3, 4) is 3.55.
    assert overlap(MaskPair.of(*rods, (1, 9, 9))).hd95_mm == pytest.approx(3.55)


def test_empty_prediction():
    result = overlap(MaskPair.of(cube((2, 2, 2), (4, 4, 4)), EMPTY, (1, 1, 1)))
    assert (result.dice, result.nsd, result.hd95_mm) == (0, 0, None)


def test_empty_truth():
    for found in (EMPTY, cube((2, 2, 2), (4, 4, 4))):
        result = overlap(MaskPair.of(EMPTY, found, (1, 1, 1)))
        assert (result.dice, result.nsd, result.hd95_mm) == (None, None, None)
