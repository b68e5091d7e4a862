import numpy as np
import pytest

from dsm.core.boxes import CroppedArray
from dsm.evaluation.lesions import Lesion, count_false_positives, true_lesions
from dsm.evaluation.mask_pair import MaskPair

SHAPE = (30, 12, 12)


def pair(truth, found, spacing=(1, 1, 1)):
    masks = []
    for boxes in (truth, found):
        mask = np.zeros(SHAPE, np.uint8)
        for start, stop in boxes:
            mask[start:stop, 2:4, 2:4] = 1
        masks.append(CroppedArray.from_mask(mask))
    return MaskPair.of(*masks, spacing)


def test_each_lesion_is_counted():
    # 40 voxels of which 4 are found, 40 of which 0 are, 8 of which all are.
    both = pair([(0, 10), (12, 22), (24, 26)], [(9, 10), (24, 27)], spacing=(2, 1, 5))
    assert true_lesions(both) == [Lesion(0.4, 0.1), Lesion(0.4, 0.0), Lesion(0.08, 1.0)]
    assert [lesion.is_found for lesion in true_lesions(both)] == [True, False, True]


def test_small_overlap_is_not_a_detection():
    (lesion,) = true_lesions(pair([(0, 11)], [(10, 11)]))  # 1 of 11
    assert lesion.share == pytest.approx(1 / 11)
    assert not lesion.is_found


def test_false_positives_do_not_touch_the_truth():
    assert count_false_positives(pair([(0, 3)], [(2, 6), (8, 9), (11, 14)])) == 2
    assert count_false_positives(pair([(0, 3), (5, 7)], [(2, 6)])) == 0


def test_components_connect_at_corners():
    truth, found = np.zeros(SHAPE, np.uint8), np.zeros(SHAPE, np.uint8)
    found[3, 3, 3] = found[4, 4, 4] = truth[4, 4, 4] = 1
    both = MaskPair.of(CroppedArray.from_mask(truth), CroppedArray.from_mask(found), (1, 1, 1))
    assert count_false_positives(both) == 0


def test_empty_masks():
    nothing = pair([], [])
    assert true_lesions(nothing) == []
    assert count_false_positives(nothing) == 0
    assert count_false_positives(pair([], [(1, 2), (4, 5)])) == 2  # a scan without tumors
    assert true_lesions(pair([(1, 2)], [])) == [Lesion(0.004, 0.0)]
