"""A cluster that is not there is said at once. What runs on Ray is tested in `cohort` and `server`."""

from __future__ import annotations

import time

import pytest

from dsm.errors import ResourceError
from dsm.worker.ray_cluster import connect_to_ray

pytestmark = pytest.mark.ray


@pytest.mark.parametrize("address", ["127.0.0.1:1", "ray://127.0.0.1:1", "127.0.0.1:99999999"])
def test_a_cluster_that_is_not_there(monkeypatch: pytest.MonkeyPatch, address: str) -> None:
    monkeypatch.setenv("RAY_ADDRESS", address)
    began = time.monotonic()
    with pytest.raises(ResourceError, match="cannot be used") as caught:
        connect_to_ray()
    assert caught.value.code == "ray"
    assert "RAY_ADDRESS" in caught.value.hint
    assert time.monotonic() - began < 5
