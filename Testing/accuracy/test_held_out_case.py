"""The shipped weights on a validation case, where the data is on this machine."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from dsm.evaluation.evaluate import evaluate_dataset

_BESIDE = Path(__file__).resolve().parents[3] / "shared" / "data"
DATA = Path(os.environ.get("DSM_DATA_DIR", _BESIDE)) / "btcv"
LARGE = ["liver", "spleen", "right kidney", "left kidney"]


@pytest.mark.skipif(not DATA.is_dir(), reason="no data here: set DSM_DATA_DIR to a folder with btcv/dataset.json")
def test_large_organs_of_a_held_out_case(tmp_path: Path) -> None:
    report = evaluate_dataset(DATA, model="dsm-small", cases=["btcv_14"], prompts=LARGE, out=tmp_path / "report.json")
    dice = {name: label["dice"]["mean"] for name, label in report["labels"].items()}
    assert min(dice.values()) >= 0.85, dice
