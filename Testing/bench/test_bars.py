"""The ratios of `dsm bench --quick`, each against its bar."""

from __future__ import annotations

import json

import pytest

from dsm.bench.ratios import BARS, passes
from dsm.cli.main import main

pytestmark = pytest.mark.bench  # 5 minutes of an idle machine


@pytest.fixture(scope="module")
def ratios(tmp_path_factory):
    out = tmp_path_factory.mktemp("bench")
    assert main(["bench", "--quick", "--out", str(out)]) == 0
    return json.loads((out / "bench.json").read_text())["ratios"]


@pytest.mark.parametrize("name", BARS)
def test_ratio_reaches_its_bar(ratios, name):
    print(f"{name}: {ratios[name]:.3f}, bar {BARS[name]:.3f}")
    assert passes(name, ratios[name])
