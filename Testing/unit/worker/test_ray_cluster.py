"""Errors for a missing Ray cluster. Runs on Ray are tested in `cohort` and `server`."""

from __future__ import annotations

import sys
import time
from types import SimpleNamespace

import pytest

from dsm.errors import ResourceError
from dsm.worker.ray_cluster import connect_to_ray


@pytest.mark.ray
@pytest.mark.parametrize("address", ["127.0.0.1:1", "ray://127.0.0.1:1", "127.0.0.1:99999999"])
def test_missing_cluster_is_reported(monkeypatch: pytest.MonkeyPatch, address: str) -> None:
    monkeypatch.setenv("RAY_ADDRESS", address)
    began = time.monotonic()
    with pytest.raises(ResourceError, match="cannot be used") as caught:
        connect_to_ray()
    assert caught.value.code == "ray"
    assert "RAY_ADDRESS" in caught.value.hint
    assert time.monotonic() - began < 5


def test_cluster_that_fails_to_start_is_reported(monkeypatch: pytest.MonkeyPatch) -> None:
    def init(**_: object) -> None:
        raise Exception("The current node timed out during startup.")  # of no class of its own in Ray 2.60

    monkeypatch.delenv("RAY_ADDRESS", raising=False)
    for name in ("RAY_USAGE_STATS_ENABLED", "RAY_AUTH_MODE"):  # else set for the tests that follow
        monkeypatch.setenv(name, "0")
    monkeypatch.setitem(sys.modules, "ray", SimpleNamespace(init=init))
    with pytest.raises(ResourceError, match=r"of this machine cannot be used .*timed out") as caught:
        connect_to_ray()
    assert caught.value.code == "ray"
