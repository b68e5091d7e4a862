"""The ratios of the benchmark, each against its bar."""

from __future__ import annotations

import pytest

from benchmarks.compare import main
from dsm.bench.ratios import BARS, passes

pytestmark = pytest.mark.bench  # 5 minutes of an idle machine


@pytest.fixture(scope="module")
def ratios():
    return main([])["ratios"]


@pytest.mark.parametrize("name", BARS)
def test_ratio_meets_its_target(ratios, name):
    print(f"{name}: {ratios[name]:.3f}, bar {BARS[name]:.3f}")
    assert passes(name, ratios[name])
