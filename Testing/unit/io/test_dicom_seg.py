from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from dsm.core.name_status import CUT_OFF
from dsm.core.volume import Volume
from dsm.errors import GeometryError, ImageError, OutputError
from dsm.io.dicom import choose_series
from dsm.io.dicom_seg import check_source, write_dicom_seg
from dsm.io.image import read_volume

hd = pytest.importorskip("highdicom")
sys.path.insert(0, str(Path(__file__).parents[2] / "dicom_phantoms"))
from dicom_series import PATIENT, PATIENT_ID, write_enhanced, write_series  # noqa: E402
from segment_records import TAGS, record  # noqa: E402


def masks(volume: Volume) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Two that touch and one that overlaps both; no symmetry that would hide a flipped axis."""
    a, b, c = (np.zeros(volume.shape, np.uint8) for _ in range(3))
    a[5:20, 8:30, 2:9] = 1
    b[20:31, 3:18, 4:15] = 1
    c[18:24, 10:14, 5:7] = 1
    return a, b, c


def read_back(path: Path, volume: Volume) -> dict[str, np.ndarray]:
    """Place every frame by its own position, independently of the order it was written in."""
    seg = hd.seg.segread(path)
    labels = {number: seg.get_segment_description(number).segment_label for number in seg.segment_numbers}
    found = {label: np.zeros(volume.shape, np.uint8) for label in labels.values()}
    to_index = np.linalg.inv(np.diag([-1.0, -1.0, 1.0, 1.0]) @ volume.affine)
    frames = seg.pixel_array.reshape(-1, seg.Rows, seg.Columns)
    for frame, groups in zip(frames, seg.PerFrameFunctionalGroupsSequence, strict=True):
        own = groups if "SegmentIdentificationSequence" in groups else seg.SharedFunctionalGroupsSequence[0]
        number = own.SegmentIdentificationSequence[0].ReferencedSegmentNumber
        position = [*map(float, groups.PlanePositionSequence[0].ImagePositionPatient), 1.0]
        i, j, k = np.rint((to_index @ position)[:3]).astype(int)
        assert (i, j) == (0, 0)
        found[labels[number]][:, :, k] = frame.T
    return found


@pytest.mark.parametrize("overlap", [False, True])
@pytest.mark.parametrize("kind", ["slices", "multi-frame"])
def test_masks_round_trip(tmp_path: Path, kind: str, overlap: bool) -> None:
    folder = tmp_path / "series"
    write_series(folder)
    volume = read_volume(folder)
    files = choose_series(folder).files
    if kind == "multi-frame":  # the same grid, frames in no order
        order = [int(k) for k in np.random.default_rng(1).permutation(volume.shape[2])]
        write_enhanced(tmp_path / "enhanced", order=order)
        files = [tmp_path / "enhanced" / "enhanced.dcm"]
    a, b, c = masks(volume)
    records = [record("liver", a), record("left kidney", b)] + [record("liver tumor", c)] * overlap
    write_dicom_seg(tmp_path / "out.dcm", records, volume, files)
    found = read_back(tmp_path / "out.dcm", volume)
    assert list(found) == ["liver", "left kidney", "liver tumor"][: 2 + overlap]
    np.testing.assert_array_equal(found["liver"], a)
    np.testing.assert_array_equal(found["left kidney"], b)
    if overlap:
        np.testing.assert_array_equal(found["liver tumor"], c)


def test_names_codes_and_algorithm(tmp_path: Path) -> None:
    uid = write_series(tmp_path / "series")
    volume = read_volume(tmp_path / "series")
    a, b, c = masks(volume)
    corrected = TAGS | {
        "DICOM.SegmentAlgorithmType": "SEMIAUTOMATIC",
        "DSM.Note": f"From /home/a. Check: 0.5 ml, größer als. {CUT_OFF} More.",
    }
    records = [record("left kidney", a), record("liver tumor", b, tags=corrected), record("größer als \\ alles", c)]
    write_dicom_seg(tmp_path / "out.dcm", records, volume, choose_series(tmp_path / "series").files)
    seg = hd.seg.segread(tmp_path / "out.dcm")
    kidney, tumor, free = (seg.get_segment_description(n) for n in (1, 2, 3))
    assert (kidney.segment_label, kidney.segmented_property_type.value) == ("left kidney", "64033007")
    modifier = kidney.SegmentedPropertyTypeCodeSequence[0].SegmentedPropertyTypeModifierCodeSequence[0]
    assert (modifier.CodeValue, modifier.CodingSchemeDesignator) == ("7771000", "SCT")
    assert kidney.algorithm_type.value == "AUTOMATIC"
    algorithm = kidney.algorithm_identification
    assert (algorithm.name, algorithm.version, algorithm.family.value) == ("DSMSegment dsm-tiny 0.1", "0.1", "123110")
    assert algorithm.parameters == {"Prompt": "left kidney", "Version": "0.1"}
    assert tumor.algorithm_type.value == "SEMIAUTOMATIC"
    assert tumor.SegmentDescription == f"Check: 0.5 ml, größer als. {CUT_OFF}"
    assert "SegmentDescription" not in kidney
    assert tumor.AnatomicRegionSequence[0].CodeMeaning == "Liver"
    assert free.segment_label == "größer als / alles"
    assert (seg.PatientName, seg.PatientID) == (PATIENT, PATIENT_ID)
    assert seg.ReferencedSeriesSequence[0].SeriesInstanceUID == uid
    assert len(seg.ReferencedSeriesSequence[0].ReferencedInstanceSequence) == volume.shape[2]
    assert seg.SeriesInstanceUID != uid


@pytest.mark.skipif(shutil.which("dciodvfy") is None, reason="no dciodvfy (dicom3tools)")
@pytest.mark.parametrize("overlap", [False, True])
def test_dciodvfy_reports_no_problems(tmp_path: Path, overlap: bool) -> None:
    write_series(tmp_path / "series")
    volume = read_volume(tmp_path / "series")
    a, b, c = masks(volume)
    drawn = {name: value for name, value in TAGS.items() if not name.startswith("DICOM.")}
    records = [record("left kidney", a), record("an odd mass", b, tags=drawn)] + [record("liver tumor", c)] * overlap
    write_dicom_seg(tmp_path / "out.dcm", records, volume, choose_series(tmp_path / "series").files)
    command = ["dciodvfy", str(tmp_path / "out.dcm")]
    found = subprocess.run(command, capture_output=True, text=True, check=False)
    said = [line for line in (found.stdout + found.stderr).splitlines() if line.startswith(("Error", "Warning"))]
    assert said == []
    assert "Segmentation" in found.stdout + found.stderr


def test_manual_segment_has_no_algorithm(tmp_path: Path) -> None:
    write_series(tmp_path / "series")
    volume = read_volume(tmp_path / "series")
    hand = record("liver", masks(volume)[0], tags={"DICOM.SegmentAlgorithmType": "MANUAL"})
    write_dicom_seg(tmp_path / "out.dcm", [hand], volume, choose_series(tmp_path / "series").files)
    described = hd.seg.segread(tmp_path / "out.dcm").get_segment_description(1)
    assert described.algorithm_type.value == "MANUAL"
    assert described.algorithm_identification is None


def test_volume_with_reversed_slices_matches_its_series(tmp_path: Path) -> None:
    write_series(tmp_path / "series")
    read = read_volume(tmp_path / "series")
    flip = np.eye(4)
    flip[2, 2], flip[2, 3] = -1, read.shape[2] - 1
    volume = Volume(read.array[:, :, ::-1], read.affine @ flip)
    a = masks(volume)[0]
    write_dicom_seg(tmp_path / "out.dcm", [record("liver", a)], volume, choose_series(tmp_path / "series").files)
    np.testing.assert_array_equal(read_back(tmp_path / "out.dcm", volume)["liver"], a)


def test_missing_type_2_attributes_are_accepted(tmp_path: Path) -> None:
    def anonymise(_: int, data: object) -> None:
        for name in ("PatientName", "PatientID", "PatientSex", "StudyID", "StudyDate", "AccessionNumber"):
            delattr(data, name)

    write_series(tmp_path / "series", change=anonymise)
    volume = read_volume(tmp_path / "series")
    files = choose_series(tmp_path / "series").files
    write_dicom_seg(tmp_path / "out.dcm", [record("liver", masks(volume)[0])], volume, files)
    assert hd.seg.segread(tmp_path / "out.dcm").PatientName in (None, "")


def test_mismatched_grid_is_refused_without_writing(tmp_path: Path) -> None:
    write_series(tmp_path / "series")
    volume = read_volume(tmp_path / "series")
    files = choose_series(tmp_path / "series").files
    moved = volume.affine.copy()
    moved[0, 3] += 5
    half = Volume(volume.array[:, :, ::2], volume.affine @ np.diag([1, 1, 2, 1]))
    for other in (Volume(volume.array, moved), half):
        small = record("liver", np.ones((3, 3, 3), np.uint8))
        with pytest.raises(GeometryError) as caught:
            write_dicom_seg(tmp_path / "out.dcm", [small], other, files)
        assert caught.value.code == "geometry.other_grid"
    assert [path.name for path in tmp_path.iterdir()] == ["series"]


def test_empty_segmentation_is_refused(tmp_path: Path) -> None:
    write_series(tmp_path / "series")
    volume = read_volume(tmp_path / "series")
    with pytest.raises(OutputError) as caught:
        write_dicom_seg(tmp_path / "out.dcm", [record("liver", np.zeros(volume.shape, np.uint8))], volume, [])
    assert caught.value.code == "output.nothing_found"


def test_source_that_is_not_dicom_is_refused(tmp_path: Path) -> None:
    write_series(tmp_path / "series")
    volume = read_volume(tmp_path / "series")
    (tmp_path / "x").write_text("text")
    with pytest.raises(ImageError):
        write_dicom_seg(tmp_path / "out.dcm", [record("liver", masks(volume)[0])], volume, [tmp_path / "x"])


@pytest.mark.parametrize(
    ("charset", "name"),
    [
        (["", "ISO 2022 IR 87"], "Yamada^Tarou=山田^太郎"),
        (["", "ISO 2022 IR 149"], "Hong^Gildong=洪^吉洞=홍^길동"),
        ("GB18030", "Wang^XiaoDong=王^小东"),
        ("ISO_IR 100", "Müller^Jörg"),
    ],
)
def test_patient_names_in_other_character_sets(tmp_path: Path, charset: object, name: str) -> None:
    def spell(_: int, data: object) -> None:
        data.SpecificCharacterSet, data.PatientName = charset, name

    write_series(tmp_path / "series", change=spell)
    volume = read_volume(tmp_path / "series")
    files = choose_series(tmp_path / "series").files
    check_source(volume, files)
    write_dicom_seg(tmp_path / "a.dcm", [record("liver", masks(volume)[0])], volume, files)
    assert str(hd.seg.segread(tmp_path / "a.dcm").PatientName) == name


@pytest.mark.parametrize("thickness", [None, "missing"])
def test_series_without_slice_thickness_round_trips(tmp_path: Path, thickness: object) -> None:
    def spoil(_: int, data: object) -> None:
        data.SliceThickness = None
        if thickness == "missing":
            del data.SliceThickness

    write_series(tmp_path / "series", change=spoil)
    volume = read_volume(tmp_path / "series")
    wanted = masks(volume)[0]
    write_dicom_seg(tmp_path / "a.dcm", [record("liver", wanted)], volume, choose_series(tmp_path / "series").files)
    np.testing.assert_array_equal(read_back(tmp_path / "a.dcm", volume)["liver"], wanted)
    measures = hd.seg.segread(tmp_path / "a.dcm").SharedFunctionalGroupsSequence[0].PixelMeasuresSequence[0]
    assert float(measures.SliceThickness) == pytest.approx(volume.spacing_mm[2])


def test_series_without_frame_of_reference_is_refused_before_the_run(tmp_path: Path) -> None:
    def spoil(_: int, data: object) -> None:
        del data.FrameOfReferenceUID

    write_series(tmp_path / "series", change=spoil)
    volume = read_volume(tmp_path / "series")
    with pytest.raises(ImageError) as caught:
        check_source(volume, choose_series(tmp_path / "series").files)
    assert caught.value.code == "bad_image.incomplete_header"
