"""Volumes by key: a host sends voxels only if the worker lacks them."""

from __future__ import annotations

import numpy as np
import pytest

from dsm.errors import DSMError, InputError
from dsm.wire.messages import Release, SetVolume

AFFINE = ((1.0, 0.0, 0.0, 0.0), (0.0, 1.0, 0.0, 0.0), (0.0, 0.0, 1.0, 0.0), (0.0, 0.0, 0.0, 1.0))


def reuse_volume(host, key: str) -> bool:
    request = SetVolume(id=host.new_id(), key=key, array="", affine=AFFINE)
    return host.wait(host.submit(request), timeout_s=200).cached


def test_encoded_volume_is_found_by_its_key(encoded) -> None:
    assert reuse_volume(encoded, "volume")


@pytest.mark.parametrize("key", ["other", ""])
def test_unknown_key_gives_error_no_volume(encoded, key: str) -> None:
    with pytest.raises(DSMError) as caught:
        reuse_volume(encoded, key)
    assert caught.value.code == "no_volume"
    assert encoded.alive


def test_released_volume_is_unknown(encoded) -> None:
    encoded.wait(encoded.submit(Release(id=encoded.new_id(), volume_key="volume")), timeout_s=60)
    with pytest.raises(InputError):
        reuse_volume(encoded, "volume")


def test_key_refers_to_the_last_volume_sent(encoded) -> None:
    other = np.full((20, 20, 20), 60, np.int16)
    other[5:9] = -900
    encoded.wait(encoded.set_volume(other), timeout_s=200)
    assert reuse_volume(encoded, "volume")
