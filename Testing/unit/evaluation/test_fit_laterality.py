"""Weights that tell a scan from its mirror image."""

from pathlib import Path

import numpy as np
import pytest

from dsm.errors import InputError
from dsm.evaluation.fit_laterality import LateralityRow, fit_laterality, read_rows
from dsm.evaluation.json_lines import append_lines
from dsm.models.calibration import probability


def rows() -> list[LateralityRow]:
    rng = np.random.default_rng(0)
    found = [LateralityRow(("set", "pelvis", "plain"), ())]
    for number in range(20):
        for variant, level in (("plain", 3.5), ("mirrored", 2.0)):
            features = (1.0, *(float(x) for x in rng.normal((level, level - 1, level / 4), 0.2)))
            found.append(LateralityRow(("set", f"case {number}", variant), features))
    return found


def test_fit() -> None:
    weights = fit_laterality(rows())
    right = {row.case[2]: [] for row in rows()}
    for row in rows():
        if row.features:
            right[row.case[2]].append(probability(weights, row.features))
    assert min(right["plain"]) > 0.5 > max(right["mirrored"])


def test_fit_requires_mirrored_scans() -> None:
    with pytest.raises(InputError, match="mirrored"):
        fit_laterality([row for row in rows() if row.case[2] == "plain"])


def test_rows_round_trip(tmp_path: Path) -> None:
    append_lines(tmp_path / "rows.jsonl", rows())
    assert read_rows(tmp_path / "rows.jsonl") == rows()
