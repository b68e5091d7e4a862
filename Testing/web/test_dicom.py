"""DICOM in and DICOM SEG out, through the page."""

from __future__ import annotations

import sys
import zipfile
from pathlib import Path
from typing import Any

import pytest
from page_driver import download, segment

hd = pytest.importorskip("highdicom", reason="highdicom is not installed")
sys.path.insert(0, str(Path(__file__).parents[1] / "dicom_phantoms"))
from dicom_series import DESCRIPTION, PATIENT, PATIENT_ID, phantom, write_series  # noqa: E402

pytestmark = [pytest.mark.slicer, pytest.mark.slow, pytest.mark.xdist_group("web"), pytest.mark.timeout(900)]


def wait_for_volume_name(page: Any, name: str) -> None:
    page.wait_for_function("name => document.querySelector('.dsm-volume').innerText === name", arg=name, timeout=60_000)


def test_zip_with_two_series_and_dicom_seg(page: Any, tmp_path: Path) -> None:
    uid = write_series(tmp_path / "exam" / "s1")
    write_series(tmp_path / "exam" / "s2", voxels=phantom((48, 44, 6)))
    archive = tmp_path / "exam.zip"
    with zipfile.ZipFile(archive, "w") as packed:
        for file in sorted((tmp_path / "exam").rglob("*.dcm")):
            packed.write(file, file.relative_to(tmp_path))
    page.set_input_files("#dsm-file", archive)
    wait_for_volume_name(page, DESCRIPTION)
    assert page.inner_text("#dsm-status").startswith("The folder holds 2 series")
    segment(page, "liver")
    seg = hd.seg.segread(download(page, "dcm", tmp_path))
    assert seg.get_segment_description(1).segment_label == "liver"
    assert seg.ReferencedSeriesSequence[0].SeriesInstanceUID == uid
    assert str(seg.PatientID) == PATIENT_ID
    shown = page.content()
    assert PATIENT_ID not in shown
    assert PATIENT.split("^", maxsplit=1)[0] not in shown


def test_folder(page: Any, tmp_path: Path) -> None:
    write_series(tmp_path / "exam" / "deep")
    (tmp_path / "exam" / "readme.txt").write_text("no DICOM")
    page.set_input_files("#dsm-folder", tmp_path / "exam")
    page.wait_for_selector(".dsm-rows", state="detached", timeout=60_000)
    wait_for_volume_name(page, DESCRIPTION)
    assert page.inner_text("#dsm-status") == ""


def test_hostile_zip_is_explained_and_the_scan_stays(page: Any, tmp_path: Path) -> None:
    archive = tmp_path / "evil.zip"
    with zipfile.ZipFile(archive, "w", zipfile.ZIP_DEFLATED) as packed:
        packed.writestr("../../evil.dcm", b"no DICOM")
    page.set_input_files("#dsm-file", archive)
    alert = page.get_by_role("alert").first
    alert.wait_for(timeout=60_000)
    assert "no DICOM files" in alert.inner_text()
    assert "dsm-upload" not in alert.inner_text()
    assert page.inner_text(".dsm-volume") == DESCRIPTION


def test_dsm_web_opens_a_folder(start_server: Any, open_page: Any, tmp_path: Path) -> None:
    write_series(tmp_path / "exam")
    with start_server(str(tmp_path / "exam")) as (_, address):
        assert open_page(address).inner_text(".dsm-volume") == DESCRIPTION
