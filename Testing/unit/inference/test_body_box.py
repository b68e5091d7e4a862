import numpy as np
import pytest

from dsm.core.boxes import Box
from dsm.core.volume import Volume
from dsm.inference.body_box import find_body


def volume_of(array, spacing=(2.0, 2.0, 3.0), modality="CT"):
    return Volume(array, np.diag([*spacing, 1.0]), modality)


def contains(outer: Box, inner: Box) -> bool:
    return outer.intersect(inner) == inner


def test_ct_box_is_the_body_with_a_margin():
    rng = np.random.default_rng(0)
    array = rng.normal(-1000, 30, (120, 100, 50)).astype(np.int16)
    body = Box((30, 20, 10), (90, 70, 50))
    array[body.slices] = 40
    box = find_body(volume_of(array)).box
    assert contains(box, body.grow((4, 4, 3)).clip(array.shape))
    assert contains(body.grow((10, 10, 7)).clip(array.shape), box)


def test_couch_is_excluded():
    array = np.full((120, 100, 50), -1000, np.int16)
    array[30:90, 20:60] = 40
    array[40:80, 90:92] = 200
    assert find_body(volume_of(array)).box.stop[1] < 80


def test_both_legs_are_kept():
    array = np.full((120, 60, 50), -1000, np.int16)
    array[10:40, 10:40] = 40
    array[70:110, 10:40] = 40
    assert contains(find_body(volume_of(array)).box, Box((10, 10, 0), (110, 40, 50)))


def test_air_is_found_in_clipped_ct():
    array = np.full((120, 100, 50), -125, np.int16)
    array[30:90, 20:70] = 40
    array[28:30, 20:70] = -95  # fat
    found = find_body(volume_of(array))
    assert -125 < found.threshold < -95
    assert found.box.size[0] < 90


def test_mr_threshold_is_between_noise_and_dark_tissue():
    rng = np.random.default_rng(0)
    array = np.abs(rng.normal(0, 8, (100, 90, 40))).astype(np.float32)
    array[20:80, 20:70] = 150
    array[40:80, 20:70] = 600
    found = find_body(volume_of(array, modality="MR"))
    assert 30 < found.threshold < 150 * 1.1
    assert found.box.start[0] <= 20
    assert found.box.size[0] < 80


@pytest.mark.parametrize("modality", ["CT", "MR"])
@pytest.mark.parametrize("value", [-1000, 0, 50])
def test_constant_image_gives_the_whole_box(modality, value):
    volume = volume_of(np.full((20, 20, 20), value, np.int16), modality=modality)
    assert find_body(volume).box == Box((0, 0, 0), (20, 20, 20))


def test_smallest_volume():
    array = np.array([[[-1000, 40], [40, 40]], [[40, 40], [40, 40]]], np.int16)
    assert find_body(volume_of(array)).box == Box((0, 0, 0), (2, 2, 2))


def test_ct_without_air_gives_the_whole_box():
    array = np.random.default_rng(0).normal(-100, 20, (40, 40, 40)).astype(np.float32)
    array[15:20, 15:20, 15:20] = 40
    assert find_body(volume_of(array)).box == Box((0, 0, 0), (40, 40, 40))
