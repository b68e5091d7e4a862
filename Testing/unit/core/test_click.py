import numpy as np
import pytest

from dsm.core.click import Click
from dsm.errors import InputError


def test_click_converts_numpy_values_to_floats():
    click = Click(tuple(np.array([1, 2.5, -3], dtype=np.float32)))
    assert click == Click((1.0, 2.5, -3.0), inside=True)
    assert hash(click) == hash(Click((1, 2.5, -3)))


@pytest.mark.parametrize("place", [(1, 2), (1, 2, 3, 4), (1, 2, float("nan")), (1, 2, "x"), None])
def test_invalid_position_is_refused(place):
    with pytest.raises(InputError):
        Click(place)
