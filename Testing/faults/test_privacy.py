"""No name of a patient in what is printed, logged, or used as the name of a file; not even where the header is odd."""

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

SECRETS = (PATIENT, "Vertraulich", "Erika", PATIENT_ID, "19700101", "ACC1", "Arzt")


def odd(_: int, data: object) -> None:
    """Values that libraries warn about, with the value in the warning."""
    data.PatientName = "Vertraulich^Erika" + "x" * 80
    data.PatientBirthDate = "geb. Erika"
    data.PatientID = PATIENT_ID + "\u00e9" * 80


def assert_silent(*texts: str) -> None:
    for text in texts:
        for secret in SECRETS:
            assert secret not in text, text


@pytest.mark.filterwarnings("ignore::UserWarning:pydicom")  # of the writing of the odd file
def test_a_cohort_with_all_logs_on(tmp_path: Path, dsm_tiny: Path) -> None:
    write_series(tmp_path / "scans" / "1")
    write_series(tmp_path / "scans" / "2", change=odd)
    write_series(tmp_path / "scans" / "3", shear=0.4, patient="Vertraulich^Zwei")
    line = command(tmp_path / "scans", tmp_path / "out", "--debug")
    done = subprocess.run(line, env=environment(), capture_output=True, text=True, timeout=200, check=False)
    assert (done.returncode, "3 scans: 2 segmented, 1 failed" in done.stdout) == (3, True), done.stderr
    names = "\n".join(str(path.relative_to(tmp_path)) for path in (tmp_path / "out").rglob("*"))
    assert_silent(done.stdout, done.stderr, names, (tmp_path / "out" / "segments.csv").read_text("utf-8"))


@pytest.mark.filterwarnings("ignore::UserWarning:pydicom")  # of the writing of the odd file
@pytest.mark.parametrize("suffix", ["dcm", "seg.nrrd", "nii.gz"])
def test_one_series_with_all_logs_on(tmp_path: Path, dsm_tiny: Path, suffix: str) -> None:
    write_series(tmp_path / "series", change=odd)
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
    said = [done.stdout, done.stderr, (tmp_path / "run.json").read_text("utf-8")]
    if suffix != "dcm":  # a DICOM SEG belongs to a patient: it has to name them
        said.append((tmp_path / f"out.{suffix}").read_bytes().decode("latin-1"))
    assert_silent(*said)
