import numpy as np
import pytest

from dsm.inference import components
from dsm.inference.components import keep_large_components, label_components, remove_small_components


@pytest.fixture(params=["cc3d", "scipy"], autouse=True)
def library(request, monkeypatch):
    if request.param == "scipy":
        monkeypatch.setattr(components, "cc3d", None)
    else:
        pytest.importorskip("cc3d")


def three_parts():
    mask = np.zeros((12, 12, 12), np.uint8)
    mask[0:5, 0:5, 0:4] = 1  # 100
    mask[8:12, 8:12, 8:10] = 1  # 32
    mask[0, 11, 11] = 1
    return mask


def test_only_the_largest_component_is_kept():
    kept = keep_large_components(three_parts(), fraction=1.0)
    assert kept.dtype == bool
    assert kept.sum() == 100


def test_components_above_a_fraction_are_kept():
    assert keep_large_components(three_parts(), fraction=0.1).sum() == 132


def test_fraction_zero_keeps_all_components():
    assert keep_large_components(three_parts(), fraction=0.0).sum() == 133


def test_touching_at_a_corner_is_connected():
    mask = np.zeros((4, 4, 4), bool)
    mask[1, 1, 1] = mask[2, 2, 2] = True
    assert keep_large_components(mask, fraction=1.0).sum() == 2


def test_empty_mask_stays_empty():
    assert not keep_large_components(np.zeros((3, 3, 3), bool), fraction=1.0).any()


def test_memory_order_does_not_matter():
    mask = three_parts()
    np.testing.assert_array_equal(
        keep_large_components(np.asfortranarray(mask), fraction=0.1), keep_large_components(mask, fraction=0.1)
    )


def test_specks_are_dropped():
    mask = np.zeros((12, 12, 12), dtype=bool)
    mask[1:4, 1:4, 1:4] = True  # 27 voxels
    mask[8:10, 8:10, 8:10] = True  # 8
    mask[0, 11, 11] = True  # 1
    assert remove_small_components(mask, 8).sum() == 35
    assert remove_small_components(mask, 9).sum() == 27
    assert remove_small_components(mask, 0).sum() == 36
    assert remove_small_components(np.zeros((3, 3, 3), dtype=bool), 5).sum() == 0


def test_largest_component_is_kept_even_if_small():
    mask = np.zeros((12, 12, 12), dtype=bool)
    mask[8:10, 8:10, 8:10] = True
    mask[0, 11, 11] = True
    assert remove_small_components(mask, 100).sum() == 8


@pytest.mark.parametrize("shape", [(3, 1, 1), (1, 5, 1), (1, 1, 7), (3, 3, 1), (3, 3, 3), (1, 1, 1)])
def test_maximum_number_of_components(shape):
    mask = np.zeros(shape, dtype=bool)
    mask[::2, ::2, ::2] = True
    parts, count = label_components(mask)
    assert count == mask.sum() == len(np.unique(parts[mask]))
