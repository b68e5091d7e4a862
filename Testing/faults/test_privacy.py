"""No patient data in output, logs and file names, even if the DICOM header has invalid values."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

import dsm

pytest.importorskip("highdicom")

from batch_process import command, environment
from dicom_series import PATIENT, PATIENT_ID, write_series

PATIENT_DATA = (PATIENT, "Vertraulich", "Erika", PATIENT_ID, "19700101", "ACC1", "Arzt")


def set_invalid_patient_data(_: int, data: object) -> None:
    """Set values that libraries warn about, with the value in the warning."""
    data.PatientName = "Vertraulich^Erika" + "x" * 80
    data.PatientBirthDate = "geb. Erika"
    data.PatientID = PATIENT_ID + "\u00e9" * 80


def assert_no_patient_data(*texts: str) -> None:
    for text in texts:
        for value in PATIENT_DATA:
            assert value not in text, text


@pytest.mark.filterwarnings("ignore::UserWarning:pydicom")  # when the invalid file is written
def test_cohort_with_debug_logs_shows_no_patient_data(tmp_path: Path, dsm_tiny: Path) -> None:
    write_series(tmp_path / "scans" / "1")
    write_series(tmp_path / "scans" / "2", change=set_invalid_patient_data)
    write_series(tmp_path / "scans" / "3", shear=0.4, patient="Vertraulich^Zwei")
    line = command(tmp_path / "scans", tmp_path / "out", "--debug")
    done = subprocess.run(line, env=environment(), capture_output=True, text=True, timeout=200, check=False)
    assert (done.returncode, "3 scans: 2 segmented, 1 failed" in done.stdout) == (3, True), done.stderr
    names = "\n".join(str(path.relative_to(tmp_path)) for path in (tmp_path / "out").rglob("*"))
    assert_no_patient_data(done.stdout, done.stderr, names, (tmp_path / "out" / "segments.csv").read_text("utf-8"))


@pytest.mark.filterwarnings("ignore::UserWarning:pydicom")  # when the invalid file is written
@pytest.mark.parametrize("suffix", ["dcm", "rtstruct.dcm", "seg.nrrd", "nii.gz"])
def test_segment_command_with_debug_logs_shows_no_patient_data(tmp_path: Path, dsm_tiny: Path, suffix: str) -> None:
    write_series(tmp_path / "series", change=set_invalid_patient_data)
    arguments = ["segment", "series", "-p", "liver", "-o", f"out.{suffix}", "--report", "run.json", "--debug"]
    done = subprocess.run(
        [sys.executable, "-m", "dsm", *arguments, "--model", "dsm-tiny", "--threshold", "0.1"],
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": str(Path(dsm.__file__).parents[1])},
        capture_output=True,
        text=True,
        timeout=200,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    texts = [done.stdout, done.stderr, (tmp_path / "run.json").read_text("utf-8")]
    if not suffix.endswith("dcm"):  # DICOM belongs to a patient: it has to name them
        texts.append((tmp_path / f"out.{suffix}").read_bytes().decode("latin-1"))
    assert_no_patient_data(*texts)
