"""Shares of wrong and right results that are flagged."""

from pathlib import Path

import numpy as np

from dsm.core.volume import Volume
from dsm.evaluation.corrupted_scans import corrupted_scans
from dsm.evaluation.flag_rates import FlagRow, flag_rates, read_rows
from dsm.evaluation.json_lines import append_lines


def row(variant: str, dice: float | None, *flags: str, kind: str = "learned", found: bool = True) -> FlagRow:
    return FlagRow(("set", "case", variant), "liver", kind, found, dice, flags)


ROWS = [
    row("plain", 0.9),
    row("plain", 0.85, "Check: small."),
    row("plain", 0.7, "Check: small."),
    row("plain", 0.3),
    row("mirrored", 0.0, "Check: side."),
    row("mirrored", 0.95, "Check: side."),
    row("mirrored", None, found=False),
    row("taken for CT", None, "none is below 0", kind="refused", found=False),
    row("plain", None, kind="unknown", found=False),
    row("plain", None, kind="related"),
]


def test_rates_by_hand() -> None:
    rates = flag_rates(ROWS)
    assert rates["wrong"]["num"] == 2
    assert rates["wrong"]["share"] == 0.5
    assert rates["wrong"]["by_variant"]["mirrored"] == {"num": 1, "flagged": 1, "share": 1.0}
    assert rates["right"] == {"num": 2, "flagged": 1, "share": 0.5}
    assert rates["refused"] == {"taken for CT": 1}
    assert rates["unlearned"]["unknown"] == {"num": 1, "found": 0, "share": 0.0}
    assert rates["unlearned"]["related"]["share"] == 1
    assert flag_rates([])["right"]["share"] is None


def test_rows_round_trip(tmp_path: Path) -> None:
    path = tmp_path / "rows.jsonl"
    assert read_rows(path) == []
    append_lines(path, ROWS[:2])
    append_lines(path, ROWS[2:])
    assert read_rows(path) == ROWS


def test_corrupted_scans_stay_aligned_with_their_labels() -> None:
    array = np.arange(24.0, dtype=np.float32).reshape(2, 3, 4)
    volume = Volume(array, np.diag([-1.0, -1.0, 2.0, 1.0]), "CT")
    forms = {variant: (image, label) for variant, image, label in corrupted_scans(volume, array > 11)}
    assert set(forms) == {
        *("plain", "mirrored", "upside down", "double spacing", "300 HU higher", "slope doubled", "taken for MR")
    }
    for variant in ("plain", "mirrored", "upside down"):
        image, label = forms[variant]
        np.testing.assert_array_equal(label, image.array > 11)
        np.testing.assert_array_equal(image.affine, volume.affine)
    np.testing.assert_array_equal(forms["mirrored"][0].array, array[::-1])
    np.testing.assert_array_equal(forms["upside down"][0].array, array[:, :, ::-1])
    assert forms["double spacing"][0].spacing_mm == (2, 2, 4)
    assert forms["taken for MR"][0].modality == "MR"
    mr = Volume(array, volume.affine, "MR")
    assert "slope doubled" not in {variant for variant, *_ in corrupted_scans(mr, array)}
