"""DICOM in and DICOM SEG out, through the page."""

from __future__ import annotations

import sys
import zipfile
from pathlib import Path
from typing import Any

import pytest
from page_driver import download, segment, violations

hd = pytest.importorskip("highdicom", reason="highdicom is not installed")
sys.path.insert(0, str(Path(__file__).parents[1] / "dicom_phantoms"))
from dicom_series import DESCRIPTION, PATIENT, PATIENT_ID, phantom, write_series  # noqa: E402

pytestmark = [pytest.mark.xdist_group("web"), pytest.mark.timeout(900)]
BACKEND = "clicking scene, dsm-tiny"


def wait_for_volume_name(page: Any, name: str) -> None:
    page.wait_for_function("name => document.querySelector('.dsm-volume')?.innerText === name", arg=name)


def zipped_exam(folder: Path) -> tuple[Path, str, str]:
    """A zip with two series, and their UIDs; the first has more slices."""
    first = write_series(folder / "exam" / "s1")
    second = write_series(folder / "exam" / "s2", voxels=phantom((48, 44, 6)), modality="MR")
    archive = folder / "exam.zip"
    with zipfile.ZipFile(archive, "w") as packed:
        for file in sorted((folder / "exam").rglob("*.dcm")):
            packed.write(file, file.relative_to(folder))
    return archive, first, second


def test_cancelling_the_choice_of_a_series_keeps_the_scan(page: Any, tmp_path: Path) -> None:
    before = page.inner_text(".dsm-volume")
    page.set_input_files("#dsm-file", zipped_exam(tmp_path)[0])
    dialog = page.get_by_role("dialog", name="Choose a series")
    dialog.wait_for()
    page.keyboard.press("Escape")
    dialog.wait_for(state="detached")
    assert page.inner_text(".dsm-volume") == before


def test_zip_with_two_series_and_dicom_seg(page: Any, tmp_path: Path) -> None:
    archive, uid, _ = zipped_exam(tmp_path)
    page.set_input_files("#dsm-file", archive)
    dialog = page.get_by_role("dialog", name="Choose a series")
    dialog.wait_for()
    assert [item.split("\n") for item in dialog.get_by_role("listitem").all_inner_texts()] == [
        [f"CT: {DESCRIPTION}", "20 slices of 48 × 44"],
        [f"MR: {DESCRIPTION}", "6 slices of 48 × 44"],
    ]
    assert violations(page) == []
    page.wait_for_function("document.activeElement.closest('[role=dialog]')")
    page.keyboard.press("Tab")
    page.keyboard.press("Enter")
    dialog.wait_for(state="detached")
    wait_for_volume_name(page, DESCRIPTION)
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
    page.wait_for_selector(".dsm-rows", state="detached")
    wait_for_volume_name(page, DESCRIPTION)
    assert page.inner_text("#dsm-status") == ""


def test_hostile_zip_is_explained_and_the_scan_stays(page: Any, tmp_path: Path) -> None:
    archive = tmp_path / "evil.zip"
    with zipfile.ZipFile(archive, "w", zipfile.ZIP_DEFLATED) as packed:
        packed.writestr("../../evil.dcm", b"no DICOM")
    page.set_input_files("#dsm-file", archive)
    alert = page.get_by_role("alert").first
    alert.wait_for()
    assert "no DICOM files" in alert.inner_text()
    assert "dsm-upload" not in alert.inner_text()
    assert page.inner_text(".dsm-volume") == DESCRIPTION


def test_dsm_web_opens_a_folder(start_server: Any, open_page: Any, tmp_path: Path) -> None:
    write_series(tmp_path / "exam")
    with start_server(str(tmp_path / "exam")) as (_, address):
        assert open_page(address).inner_text(".dsm-volume") == DESCRIPTION


def test_dsm_web_asks_for_the_series_of_a_folder(start_server: Any, browser: Any, tmp_path: Path) -> None:
    def damage(k: int, data: Any) -> None:
        data.ImagePositionPatient[2] += 40.0 * (k == 3)

    write_series(tmp_path / "exam", change=damage, prefix="CT")
    write_series(tmp_path / "exam", voxels=phantom((48, 44, 6)), modality="MR")
    with start_server(str(tmp_path / "exam")) as (_, address):
        page = browser.new_context(viewport={"width": 1280, "height": 800}).new_page()
        page.set_default_timeout(200_000)
        page.goto(address)
        dialog = page.get_by_role("dialog", name="Choose a series")
        dialog.wait_for()
        dialog.get_by_role("button", name="CT:").click()
        dialog.get_by_role("alert").wait_for()
        assert page.inner_text(".dsm-volume") == "No scan is open"
        dialog.get_by_role("button", name="MR:").click()
        dialog.wait_for(state="detached")
        wait_for_volume_name(page, DESCRIPTION)
        assert page.get_by_role("button", name="Lung").count() == 0, "it is no CT"
        page.context.close()
