import numpy as np
import pytest

from dsm.core.boxes import CroppedArray
from dsm.core.click import Click, contradicted
from dsm.core.volume import Volume
from dsm.errors import InputError


def test_click_converts_numpy_values_to_floats():
    click = Click(tuple(np.array([1, 2.5, -3], dtype=np.float32)))
    assert click == Click((1.0, 2.5, -3.0), inside=True)
    assert hash(click) == hash(Click((1, 2.5, -3)))


@pytest.mark.parametrize("place", [(1, 2), (1, 2, 3, 4), (1, 2, float("nan")), (1, 2, "x"), None])
def test_invalid_position_is_refused(place):
    with pytest.raises(InputError):
        Click(place)


def test_clicks_that_a_mask_contradicts_are_returned() -> None:
    volume = Volume(np.zeros((6, 5, 4), np.int16), np.diag([-2.0, 2.0, 3.0, 1.0]))
    mask = CroppedArray(np.ones((2, 2, 2), np.uint8), (1, 1, 1))
    held, outside = (-4.9, 3.1, 5.0), (-8.0, 3.1, 5.0)  # voxels (2, 2, 2) and (4, 2, 2)
    right = [Click(held), Click(outside, inside=False)]
    wrong = [Click(held, inside=False), Click(outside), Click((0, 0, 0))]

    assert contradicted([right[0], *wrong, right[1]], volume, mask) == wrong
