"""The archive of everything, made by the page and read back by libraries that took no part in writing it."""

from __future__ import annotations

import csv
import io
import json
import sys
import zipfile
from pathlib import Path
from typing import Any

import nibabel
import numpy as np
import pytest
import scipy.ndimage
import SimpleITK as sitk
from page_driver import press, prompt, segment, violations, volume_ml, wait_until_sent
from PIL import Image

pydicom = pytest.importorskip("pydicom", reason="pydicom is not installed")
vtk = pytest.importorskip("vtk", reason="vtk is not installed")
slicerio = pytest.importorskip("slicerio", reason="slicerio is not installed")
sys.path.insert(0, str(Path(__file__).parents[1] / "dicom_phantoms"))
from dicom_series import DESCRIPTION, PATIENT_ID, phantom, write_series  # noqa: E402

pytestmark = [pytest.mark.xdist_group("web"), pytest.mark.timeout(900)]
BACKEND = "clicking scene"

_NAME = '=1+1 ../"left"|l\u00e9ber'


def download_all(page: Any, folder: Path) -> Path:
    """Press the button; returns the folder of the unpacked archive."""
    with page.expect_download() as started:
        page.get_by_role("link", name="Download all").click()
    archive = folder / started.value.suggested_filename
    started.value.save_as(archive)
    unpacked = folder / "unpacked"
    with zipfile.ZipFile(archive) as packed:
        assert packed.testzip() is None
        packed.extractall(unpacked)
    return unpacked


def wait_for_status(page: Any, text: str) -> None:
    page.wait_for_function("text => document.querySelector('#dsm-status')?.innerText === text", arg=text)


def files_of(folder: Path) -> list[str]:
    return sorted(path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file())


def table_of(path: Path) -> list[dict[str, str]]:
    return list(csv.DictReader(io.StringIO(path.read_text("utf-8-sig"), newline="")))


def surface_of(path: Path) -> tuple[float, np.ndarray]:
    """Volume in ml and bounds in mm of a closed surface."""
    reader = vtk.vtkSTLReader()
    reader.SetFileName(str(path))
    measured = vtk.vtkMassProperties()
    measured.SetInputConnection(reader.GetOutputPort())
    measured.Update()
    return measured.GetVolume() / 1000.0, np.reshape(reader.GetOutput().GetBounds(), (3, 2))


def area_mm2(contour: Any) -> float:
    """Area of a closed contour in an axial slice."""
    x, y, _ = np.reshape(np.array(contour, float), (-1, 3)).T
    return float(abs(x @ np.roll(y, -1) - y @ np.roll(x, -1)) / 2)


def box_mm(path: Path, value: int) -> np.ndarray:
    """Bounds of the voxels with a value in an image, `(3, 2)` in LPS mm, as SimpleITK reads it."""
    image = sitk.ReadImage(str(path))
    inside = np.argwhere(sitk.GetArrayFromImage(image) == value)[:, ::-1]
    corners = [image.TransformContinuousIndexToPhysicalPoint([float(x) for x in i]) for i in inside]
    return np.stack([np.min(corners, axis=0), np.max(corners, axis=0)], axis=1)


def test_nothing_to_download_is_explained(page: Any, address: str) -> None:
    assert "v-btn--disabled" in page.get_by_role("link", name="Download all").get_attribute("class")
    answer = page.request.get(f"{address}export/zip")
    assert answer.status == 400
    assert "no segment yet" in answer.text()
    page.locator(".dsm-error").get_by_text("no segment yet").wait_for()
    page.get_by_label("Close the message").click()


def test_every_member_is_read_back(page: Any, tmp_path: Path) -> None:
    segment(page, "liver; lung tumor")
    prompt(page, "schwannoma")
    page.get_by_role("button", name="Draw schwannoma").wait_for()
    page.get_by_role("button", name="More for liver", exact=True).click()
    page.locator(".v-overlay--active .v-list-item", has_text="Rename").click()
    page.get_by_label("Name", exact=True).fill(_NAME)
    page.get_by_label("Name", exact=True).press("Enter")
    page.get_by_role("button", name=f"More for {_NAME}", exact=True).click()
    page.locator(".v-overlay--active .v-list-item", has_text="Mark as reviewed").click()
    page.get_by_text("reviewed", exact=True).wait_for()
    shown_ml = volume_ml(page)
    unpacked = download_all(page, tmp_path)
    surface = "surfaces/01_1_1_left_l\u00e9ber.stl"
    others = ["contents.txt", "lesions.csv", "surfaces/02_lung_tumor.stl"]
    own = [f"CTChest4{suffix}" for suffix in (".csv", ".json", ".nii.gz", ".png", ".seg.nrrd")]
    assert files_of(unpacked) == sorted([*own, *others, surface])

    assert sitk.ReadImage(str(unpacked / "CTChest4.seg.nrrd")).GetMetaData("Segment0_Name") == _NAME
    written, _ = slicerio.read_segmentation(str(unpacked / "CTChest4.seg.nrrd"))["segments"]
    assert written["terminology"]["type"][:2] == ["SCT", "10200004"]
    labels = nibabel.load(unpacked / "CTChest4.nii.gz")
    assert labels.shape == (128, 128, 34)
    mask = np.asarray(labels.dataobj) == 1
    voxel_ml = abs(np.linalg.det(labels.affine[:3, :3])) / 1000.0
    assert mask.sum() == 40 * 40 * 10
    assert [one["name"] for one in json.loads((unpacked / "CTChest4.json").read_text())["labels"]] == [
        _NAME,
        "lung tumor",
    ]

    found, tumor, missing = table_of(unpacked / "CTChest4.csv")
    assert found["name"] == f"'{_NAME}", "no formula for a spreadsheet"
    assert (found["structure"], found["code"], found["reviewed"]) == ("liver", "SCT 10200004", "yes")
    mask_ml = mask.sum() * voxel_ml
    assert float(found["volume_ml"]) == pytest.approx(mask_ml, abs=0.001)
    assert mask_ml == pytest.approx(shown_ml, abs=0.1)
    assert (missing["name"], missing["status"], missing["volume_ml"]) == ("schwannoma", "not found", "")

    lesions = table_of(unpacked / "lesions.csv")
    assert [(one["name"], one["structure"], one["lesion"]) for one in lesions] == [
        ("lung tumor", "lung tumor", number) for number in "123"
    ]
    parts, count = scipy.ndimage.label(np.asarray(labels.dataobj) == 2)
    assert count == 3
    sizes = sorted((np.bincount(parts.ravel())[1:] * voxel_ml).tolist(), reverse=True)
    assert [float(one["volume_ml"]) for one in lesions] == pytest.approx(sizes, abs=0.001)
    assert sum(sizes) == pytest.approx(float(tumor["volume_ml"]), abs=0.002)
    centers = [[float(one[f"center_{axis}_mm"]) for axis in "ras"] for one in lesions]
    i, j, k = np.linalg.solve(labels.affine, [*centers[0], 1.0])[:3]
    assert (i, j, k) == pytest.approx((94.5, 62.5, 19.5), abs=0.1), "the middle of the largest one"

    enclosed_ml, bounds = surface_of(unpacked / surface)
    assert enclosed_ml == pytest.approx(mask_ml, rel=0.1)
    beyond = np.abs(bounds - box_mm(unpacked / "CTChest4.nii.gz", 1))
    assert (beyond < np.array(labels.header.get_zooms())[:, None]).all(), "in LPS, as SimpleITK sees the label map"

    picture = np.asarray(Image.open(unpacked / "CTChest4.png").convert("RGB"), dtype=int)
    assert min(picture.shape[:2]) > 700
    color = page.get_by_label(f"Colour of {_NAME}").input_value()
    legend = np.abs(picture - list(bytes.fromhex(color[1:]))).max(axis=2) <= 2
    assert legend[-24:].sum() > 100, "the legend has the colour of the page"
    told = (unpacked / "contents.txt").read_text()
    reasons = [f"{label}: the scan is no DICOM series." for label in ("DICOM SEG", "DICOM RT Structure Set")]
    assert told.split("Not here:\n")[1].splitlines() == reasons
    wait_for_status(page, "\n".join(["CTChest4.zip lacks:", *reasons]))
    assert violations(page) == []


def test_surface_is_that_of_the_corrected_mask(page: Any, tmp_path: Path) -> None:
    page.get_by_role("button", name=_NAME, exact=True).click()
    page.get_by_role("button", name="Erase", exact=True).click()
    page.evaluate("window.trame.state.set('brush_mm', 60)")
    wait_until_sent(page)
    before = volume_ml(page)
    page.mouse.click(567, 200)
    page.wait_for_function("before => window.trame.state.state.rows[0].note !== `${before.toFixed(1)} ml`", arg=before)
    page.keyboard.press("Escape")
    erased = volume_ml(page)
    assert erased < before
    unpacked = download_all(page, tmp_path)
    enclosed_ml, _ = surface_of(next((unpacked / "surfaces").glob("01_*")))
    assert enclosed_ml == pytest.approx(erased, rel=0.05)
    assert enclosed_ml < 0.97 * before
    assert float(table_of(unpacked / "CTChest4.csv")[0]["volume_ml"]) == pytest.approx(erased, abs=0.1)


def test_archive_of_a_dicom_series_has_dicom_seg_and_structure_set(page: Any, tmp_path: Path) -> None:
    uid = write_series(tmp_path / "exam")
    page.set_input_files("#dsm-folder", tmp_path / "exam")
    page.wait_for_function("name => document.querySelector('.dsm-volume')?.innerText === name", arg=DESCRIPTION)
    segment(page, "liver")
    unpacked = download_all(page, tmp_path)
    structures, seg = (pydicom.dcmread(path) for path in sorted(unpacked.glob("*.dcm"), reverse=True))
    assert (structures.Modality, seg.Modality) == ("RTSTRUCT", "SEG")
    assert [item.ROIName for item in structures.StructureSetROISequence] == ["liver"]
    assert structures.PatientID == PATIENT_ID
    (reference,) = structures.ReferencedFrameOfReferenceSequence
    assert reference.RTReferencedStudySequence[0].RTReferencedSeriesSequence[0].SeriesInstanceUID == uid
    # The largest contour encloses as many pixels as the largest slice of the other file, less its corners.
    enclosed = max(area_mm2(contour.ContourData) for contour in structures.ROIContourSequence[0].ContourSequence)
    spacing = seg.SharedFunctionalGroupsSequence[0].PixelMeasuresSequence[0].PixelSpacing
    pixels = int(seg.pixel_array.reshape(-1, seg.Rows, seg.Columns).sum(axis=(1, 2)).max())
    assert enclosed == pytest.approx(pixels * spacing[0] * spacing[1], rel=0.02)
    assert seg.PatientID == PATIENT_ID
    assert seg.ReferencedSeriesSequence[0].SeriesInstanceUID == uid
    assert [item.SegmentLabel for item in seg.SegmentSequence] == ["liver"]
    assert not (unpacked / "lesions.csv").exists(), "no tumor"
    assert seg.pixel_array.any()
    wait_for_status(page, f"{DESCRIPTION.replace(' ', '_')}.zip is complete.")
    assert "Not here" not in (unpacked / "contents.txt").read_text()


def test_archive_is_opened_again_for_its_scan_alone(page: Any, tmp_path: Path) -> None:
    with page.expect_download() as started:
        page.get_by_role("link", name="Download all").click()
    archive = tmp_path / "results.zip"
    started.value.save_as(archive)
    page.set_input_files("#dsm-file", archive)
    wait_for_status(page, "1 segment of results.seg.nrrd was added.")
    again = page.get_by_role("button", name="liver 2", exact=True)
    again.wait_for()
    press(page, "Undo")
    again.wait_for(state="detached")

    write_series(tmp_path / "other", voxels=phantom((40, 44, 20)))
    page.set_input_files("#dsm-folder", tmp_path / "other")
    liver = page.get_by_role("button", name="liver", exact=True)
    liver.wait_for(state="detached")
    page.set_input_files("#dsm-file", archive)
    page.locator(".dsm-error").get_by_text("on another grid than the scan").wait_for()
    assert liver.count() == 0
