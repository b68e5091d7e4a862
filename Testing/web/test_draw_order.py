"""Lesions are drawn above their organ, whichever was asked for first: seen in the pixels, without a browser."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from server_process import ROOT

pytestmark = [pytest.mark.xdist_group("web"), pytest.mark.timeout(900)]
pytest.importorskip("trame_slicer", reason="trame-slicer is not installed")

_GREY = 127.5  # of 40 HU in the window of soft tissue
_FILL = 0.5


def test_fill_and_outline_of_a_tumor_are_above_its_organ() -> None:
    """In a process of its own: the scene of the page changes what the tests of the panel share."""
    command = [sys.executable, str(Path(__file__).with_name("drawn_scene.py"))]
    environment = {**os.environ, "PYTHONPATH": str(ROOT / "DSMSegment"), "OMP_NUM_THREADS": "1"}
    answer = subprocess.run(command, env=environment, stdout=subprocess.PIPE, check=True).stdout
    for drawn in json.loads(answer):
        pixels = np.array(drawn["pixels"], dtype=float).reshape(-1, 3)
        liver, tumor = (np.array(drawn["colors"][name], dtype=float) for name in ("liver", "liver tumor"))
        in_liver = _GREY + 0.4 * _FILL * (liver - _GREY)
        in_tumor = in_liver + _FILL * (tumor - in_liver)
        area = {
            what: int((np.abs(pixels - color).max(axis=1) <= 3).sum())
            for what, color in {"liver": in_liver, "tumor": in_tumor, "outline": tumor}.items()
        }
        assert area["outline"] > 20, "at full strength"
        assert area["liver"] / area["tumor"] == pytest.approx(30 * 30 / (10 * 10) - 1, rel=0.2), (
            "nothing over the tumor"
        )
