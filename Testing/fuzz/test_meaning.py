"""A short run of the fuzzer of header fields; for longer runs: `meaning.py`."""

from __future__ import annotations

import random
import sys
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("pydicom")

sys.path.insert(0, str(Path(__file__).parent))
from meaning import KINDS, MeaningError, check_dicom, check_nifti

# What was found, and how it ends now.
NIFTI = [
    ({"vox_offset": 0.0}, "refused"),
    ({"magic": b"\0\0\0\0"}, "refused"),
    ({"pixdim1": -2.0}, "refused"),
    ({"quaternion_b": 1.0, "sform_code": 0}, "refused"),
    ({"slope": 0.0, "intercept": -1024.0}, "noted"),
    ({"units": 3}, "same"),
    ({"qform_code": 0}, "same"),
]
DICOM = [
    ({"ImageOrientationPatient": [2, 0, 0, 0, 1, 0]}, 0, "refused"),
    ({"ImageOrientationPatient": [0, 1, 0, 1, 0, 0]}, 0, "same"),
    ({"FrameOfReferenceUID": "1.2.3"}, 3, "refused"),
    ({"SamplesPerPixel": 3}, 0, "refused"),
    ({"ModalityLUTSequence": "lut", "RescaleSlope": None, "RescaleIntercept": None}, 0, "refused"),
    ({"ModalityLUTSequence": "lut", "RescaleSlope": None}, 3, "refused"),
    ({"RescaleSlope": "2"}, 3, "same"),
]


@pytest.mark.parametrize("order", "<>")
@pytest.mark.parametrize(("changes", "end"), NIFTI)
def test_nifti_fields_of_earlier_findings(changes: dict[str, Any], end: str, order: str) -> None:
    assert check_nifti({"order": order, **changes}) == end


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize(("changes", "start", "end"), DICOM)
def test_dicom_fields_of_earlier_findings(changes: dict[str, Any], start: int, end: str) -> None:
    assert check_dicom({**changes, "from": start, "files": ""}) == end


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize(("kind", "count"), [("nifti", 150), ("dicom", 40)])
def test_no_field_changes_a_scan_silently(kind: str, count: int) -> None:
    draw, examine = KINDS[kind]
    chance = random.Random(5)
    ends = [examine(draw(chance)) for _ in range(count)]
    assert {"refused", "noted", "same"} <= set(ends)


def test_silent_change_is_detected(monkeypatch: pytest.MonkeyPatch) -> None:
    import meaning

    moved = meaning._nifti_readings

    def elsewhere(path: Path) -> list[meaning.Reading]:
        return [meaning.Reading(one.array, one.affine + 1) for one in moved(path)]

    monkeypatch.setattr(meaning, "_nifti_readings", elsewhere)
    with pytest.raises(MeaningError, match="place"):
        check_nifti({"order": "<"})
