"""RT structure sets, read by programs that took no part in writing them."""

from __future__ import annotations

import shutil
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

import nibabel
import numpy as np
import pytest
import scipy.ndimage
import SimpleITK as sitk

from dsm.core.volume import Volume
from dsm.errors import GeometryError, ImageError, MissingDependencyError, OutputError, ShapeError
from dsm.io.dicom import choose_series
from dsm.io.dicom_seg import write_dicom_seg
from dsm.io.image import read_volume
from dsm.io.labelmap import write_labelmap
from dsm.io.rtstruct import check_source, write_rtstruct
from dsm.io.segment_record import SegmentRecord

pydicom = pytest.importorskip("pydicom")
pytest.importorskip("contourpy")
hd = pytest.importorskip("highdicom")
mpl = pytest.importorskip("matplotlib.path")
sys.path.insert(0, str(Path(__file__).parents[2] / "dicom_phantoms"))
import dicom_series  # noqa: E402
from dicom_series import PATIENT, PATIENT_ID, write_enhanced, write_series  # noqa: E402
from segment_records import TAGS, record  # noqa: E402

SHAPE = (48, 44, 20)


def masks() -> dict[str, np.ndarray]:
    """All that an outline can get wrong, on the grid of the phantom."""
    found = {name: np.zeros(SHAPE, np.uint8) for name in ("border", "slice", "voxel", "stairs")}
    noise = scipy.ndimage.gaussian_filter(np.random.default_rng(2).random(SHAPE), (3, 3, 1.5))
    found["islands"] = (noise > np.quantile(noise, 0.6)).astype(np.uint8)
    spacing = np.array(dicom_series.SPACING).reshape(3, 1, 1, 1)
    middle = np.array([24, 22, 10]).reshape(3, 1, 1, 1)
    radius = np.linalg.norm((np.indices(SHAPE) - middle) * spacing, axis=0)
    found["shell with a core"] = (((radius < 38) & (radius >= 25)) | (radius < 10)).astype(np.uint8)
    found["border"][:8] = found["border"][40:, 30:, 18:] = 1
    found["slice"][5:40, 5:35, 7] = 1
    found["slice"][10:20, 10:20, 7] = found["slice"][25:35, 12:20, 7] = 0
    found["slice"][14:16, 14:17, 7] = 1
    found["voxel"][20, 20, 10] = 1
    for step in range(9):
        found["stairs"][30 + step, 10 + step, 3:5] = 1
    return found


def series(folder: Path) -> tuple[Volume, tuple[str, ...]]:
    return read_volume(folder), choose_series(folder).files


def read_back(path: Path, image: sitk.Image) -> dict[str, np.ndarray]:
    """Contours, put onto an image by SimpleITK and filled by matplotlib."""
    data = pydicom.dcmread(path)
    names = {item.ROINumber: item.ROIName for item in data.StructureSetROISequence}
    i, j, _ = image.GetSize()
    pixels = np.indices((i, j)).reshape(2, -1).T
    found = {}
    for region in data.ROIContourSequence:
        mask = np.zeros(image.GetSize(), np.uint8)
        for contour in region.ContourSequence:
            assert contour.ContourGeometricType == "CLOSED_PLANAR"
            points = np.reshape(np.array(contour.ContourData, float), (-1, 3))
            assert len(points) == contour.NumberOfContourPoints >= 3
            places = np.array([image.TransformPhysicalPointToContinuousIndex(point.tolist()) for point in points])
            assert np.ptp(places[:, 2]) < 1e-3, "planar"
            k = round(places[0, 2])
            assert places[0, 2] == pytest.approx(k, abs=1e-3)
            mask[:, :, k] ^= mpl.Path(places[:, :2]).contains_points(pixels).reshape(i, j)
        found[str(names[region.ReferencedROINumber])] = mask
    return found


def image_of(folder: Path) -> sitk.Image:
    """The series, as SimpleITK reads it."""
    reader = sitk.ImageSeriesReader()
    reader.SetFileNames(reader.GetGDCMSeriesFileNames(str(folder)))
    return reader.Execute()


def on_grid(array: np.ndarray, to_lps: np.ndarray, volume: Volume) -> np.ndarray:
    """A mask on another grid of the same voxels, in the order of the volume."""
    inside = np.argwhere(array)
    points = np.c_[inside, np.ones(len(inside))] @ (np.diag([-1.0, -1.0, 1.0, 1.0]) @ to_lps).T
    index = np.rint(points @ np.linalg.inv(volume.affine).T)[:, :3].astype(int)
    found = np.zeros(volume.shape, np.uint8)
    found[tuple(index.T)] = 1
    return found


def same(found: dict[str, np.ndarray], wanted: dict[str, np.ndarray]) -> None:
    assert sorted(found) == sorted(wanted)
    for name, mask in wanted.items():
        np.testing.assert_array_equal(found[name], mask, err_msg=name)


@pytest.mark.parametrize("oblique", [False, True])
def test_masks_round_trip(tmp_path: Path, oblique: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    if oblique:
        monkeypatch.setattr(dicom_series, "ROW", (0.9284766908852594, 0.3094922302950865, 0.2063281535300576))
        column = np.array([-0.2, 0.9, 0.4])
        column -= column @ np.array(dicom_series.ROW) * np.array(dicom_series.ROW)
        monkeypatch.setattr(dicom_series, "COLUMN", tuple(column / np.linalg.norm(column)))
    write_series(tmp_path / "series")
    volume, files = series(tmp_path / "series")
    wanted = masks()
    write_rtstruct(tmp_path / "out.dcm", [record(name, mask) for name, mask in wanted.items()], volume, files)
    same(read_back(tmp_path / "out.dcm", image_of(tmp_path / "series")), wanted)


def test_volume_with_reversed_slices_matches_its_series(tmp_path: Path) -> None:
    write_series(tmp_path / "series")
    read, files = series(tmp_path / "series")
    flip = np.diag([1.0, 1.0, -1.0, 1.0])
    flip[2, 3] = read.shape[2] - 1
    volume = Volume(read.array[:, :, ::-1], read.affine @ flip)
    mask = masks()["slice"]
    write_rtstruct(tmp_path / "out.dcm", [record("liver", mask[:, :, ::-1])], volume, files)
    same(read_back(tmp_path / "out.dcm", image_of(tmp_path / "series")), {"liver": mask})


def test_contours_refer_to_the_images_they_lie_on(tmp_path: Path) -> None:
    uid = write_series(tmp_path / "series")
    volume, files = series(tmp_path / "series")
    write_rtstruct(tmp_path / "out.dcm", [record("liver", masks()["shell with a core"])], volume, files)
    data = pydicom.dcmread(tmp_path / "out.dcm")
    images = {head.SOPInstanceUID: head for head in (pydicom.dcmread(file) for file in files)}
    (region,) = data.ROIContourSequence
    assert len(region.ContourSequence) > volume.shape[2]
    for contour in region.ContourSequence:
        (image,) = contour.ContourImageSequence
        assert image.ReferencedSOPClassUID == images[image.ReferencedSOPInstanceUID].SOPClassUID
        assert contour.ContourData[2] == images[image.ReferencedSOPInstanceUID].ImagePositionPatient[2]
    (reference,) = data.ReferencedFrameOfReferenceSequence
    (study,) = reference.RTReferencedStudySequence
    (source,) = study.RTReferencedSeriesSequence
    assert source.SeriesInstanceUID == uid != data.SeriesInstanceUID
    assert {item.ReferencedSOPInstanceUID for item in source.ContourImageSequence} == set(images)
    assert study.ReferencedSOPInstanceUID == data.StudyInstanceUID == next(iter(images.values())).StudyInstanceUID
    frames_of_reference = {data.StructureSetROISequence[0].ReferencedFrameOfReferenceUID, data.FrameOfReferenceUID}
    assert (
        frames_of_reference == {reference.FrameOfReferenceUID} == {head.FrameOfReferenceUID for head in images.values()}
    )


def test_contours_refer_to_the_frames_of_a_multi_frame_file(tmp_path: Path) -> None:
    order = [int(k) for k in np.random.default_rng(1).permutation(SHAPE[2])]
    write_series(tmp_path / "series")
    write_enhanced(tmp_path / "enhanced", order=order)
    volume, _ = series(tmp_path / "series")
    mask = masks()["islands"]
    write_rtstruct(tmp_path / "out.dcm", [record("liver", mask)], volume, [tmp_path / "enhanced" / "enhanced.dcm"])
    same(read_back(tmp_path / "out.dcm", image_of(tmp_path / "series")), {"liver": mask})
    enhanced = pydicom.dcmread(tmp_path / "enhanced" / "enhanced.dcm")
    for contour in pydicom.dcmread(tmp_path / "out.dcm").ROIContourSequence[0].ContourSequence:
        (image,) = contour.ContourImageSequence
        assert image.ReferencedSOPInstanceUID == enhanced.SOPInstanceUID
        frame = enhanced.PerFrameFunctionalGroupsSequence[image.ReferencedFrameNumber - 1]
        assert frame.PlanePositionSequence[0].ImagePositionPatient[2] == contour.ContourData[2]


def test_names_codes_and_algorithm(tmp_path: Path) -> None:
    write_series(tmp_path / "series")
    volume, files = series(tmp_path / "series")
    mask = masks()["islands"]
    note = {"DSM.Note": "From /home/a. Check: 0.5 ml, größer als. More."}
    records = [
        record("left kidney", mask, color=(1, 2, 3)),
        record("liver tumor", mask, tags=TAGS | note | {"DICOM.SegmentAlgorithmType": "SEMIAUTOMATIC"}),
        record("größer als \\ alles" + "!" * 60, mask, tags={"DICOM.SegmentAlgorithmType": "MANUAL"}),
        record("renal cyst", mask, tags={}),
    ]
    write_rtstruct(tmp_path / "out.dcm", records, volume, files)
    data = pydicom.dcmread(tmp_path / "out.dcm")
    kidney, tumor, drawn, cyst = data.StructureSetROISequence
    assert [str(item.ROIName) for item in (kidney, tumor, cyst)] == ["left kidney", "liver tumor", "renal cyst"]
    assert str(drawn.ROIName) == ("größer als / alles" + "!" * 60)[:64]
    kinds = [item.ROIGenerationAlgorithm for item in data.StructureSetROISequence]
    assert kinds == ["AUTOMATIC", "SEMIAUTOMATIC", "MANUAL", "AUTOMATIC"]
    assert kidney.ROIGenerationDescription == "DSMSegment dsm-tiny 0.1"
    assert "ROIDescription" not in kidney
    assert tumor.ROIDescription == "Check: 0.5 ml, größer als."
    (algorithm,) = kidney.ROIDerivationAlgorithmIdentificationSequence
    assert (algorithm.AlgorithmName, algorithm.AlgorithmVersion) == ("DSMSegment dsm-tiny 0.1", "0.1")
    assert set(algorithm.AlgorithmParameters.split(",")) == {"Prompt=left kidney", "Version=0.1"}
    assert "ROIDerivationAlgorithmIdentificationSequence" not in drawn
    assert float(kidney.ROIVolume) == pytest.approx(mask.sum() * volume.voxel_ml)
    assert [item.ROIDisplayColor for item in data.ROIContourSequence][:2] == [[1, 2, 3], [200, 100, 50]]
    types = [item.RTROIInterpretedType for item in data.RTROIObservationsSequence]
    assert types == ["ORGAN", "GTV", "", ""]
    (code,) = data.RTROIObservationsSequence[0].RTROIIdentificationCodeSequence
    assert (code.CodeValue, code.CodingSchemeDesignator, code.CodeMeaning) == ("64033007", "SCT", "Kidney")
    assert code.SegmentedPropertyTypeModifierCodeSequence[0].CodeMeaning == "Left"
    assert data.RTROIObservationsSequence[1].AnatomicRegionSequence[0].CodeMeaning == "Liver"
    assert (data.PatientName, data.PatientID) == (PATIENT, PATIENT_ID)
    assert data.ApprovalStatus == "UNAPPROVED"


@pytest.mark.parametrize(
    ("name", "kind"),
    [
        ("thrombus", ""),
        ("head and neck radiotherapy target", ""),
        ("skeletal muscle", "ORGAN"),
        ("spinal cord", "ORGAN"),
        ("liver metastasis", "GTV"),
        ("soft tissue sarcoma", "GTV"),
        ("pleural effusion", ""),
    ],
)
def test_interpreted_type(tmp_path: Path, name: str, kind: str) -> None:
    write_series(tmp_path / "series")
    volume, files = series(tmp_path / "series")
    write_rtstruct(tmp_path / "out.dcm", [record(name, masks()["voxel"])], volume, files)
    (item,) = pydicom.dcmread(tmp_path / "out.dcm").RTROIObservationsSequence
    assert item.RTROIIdentificationCodeSequence, name
    assert item.RTROIInterpretedType == kind


def test_empty_segments_are_left_out_and_named(tmp_path: Path) -> None:
    write_series(tmp_path / "series")
    volume, files = series(tmp_path / "series")
    nothing = np.zeros(SHAPE, np.uint8)
    records = [record("spleen", nothing), record("liver", masks()["voxel"]), record("milt", nothing)]
    write_rtstruct(tmp_path / "out.dcm", records, volume, files)
    data = pydicom.dcmread(tmp_path / "out.dcm")
    for sequence in (data.StructureSetROISequence, data.ROIContourSequence, data.RTROIObservationsSequence):
        assert len(sequence) == 1
    assert data.StructureSetROISequence[0].ROIName == "liver"
    assert data.StructureSetDescription == "Empty, so not in here: spleen, milt"
    (tmp_path / "out.dcm").unlink()
    with pytest.raises(OutputError) as caught:
        write_rtstruct(tmp_path / "out.dcm", records[:1], volume, files)
    assert caught.value.code == "output.nothing_found"
    assert [path.name for path in tmp_path.iterdir()] == ["series"]


def test_contour_too_long_for_a_length_of_two_bytes(tmp_path: Path) -> None:
    lattice = np.zeros((64, 58, 2), np.uint8)
    lattice[..., 0] = 1
    lattice[1::2, 1::2] = 0
    write_series(tmp_path / "series", voxels=np.zeros(lattice.shape, np.int16))
    volume, files = series(tmp_path / "series")
    write_rtstruct(tmp_path / "out.dcm", [record("liver", lattice)], volume, files)
    data = pydicom.dcmread(tmp_path / "out.dcm")
    assert data.ROIContourSequence[0].ContourSequence[0].get_item("ContourData").length > 65534
    same(read_back(tmp_path / "out.dcm", image_of(tmp_path / "series")), {"liver": lattice})


def test_every_value_is_valid(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write_series(tmp_path / "series")
    volume, files = series(tmp_path / "series")
    write_rtstruct(tmp_path / "out.dcm", [record(name, mask) for name, mask in masks().items()], volume, files)
    monkeypatch.setattr(pydicom.config.settings, "reading_validation_mode", pydicom.config.RAISE)
    read = []
    pydicom.dcmread(tmp_path / "out.dcm").walk(lambda _, element: read.append(element.value))
    assert len(read) > 1000


def refused(path: Path, records: Sequence[SegmentRecord], volume: Volume, files: Sequence[str]) -> str:
    with pytest.raises((GeometryError, ImageError, ShapeError)) as caught:
        write_rtstruct(path, records, volume, files)
    assert not path.exists()
    return caught.value.code


def test_series_of_another_grid_and_no_series_are_refused(tmp_path: Path) -> None:
    write_series(tmp_path / "series")
    volume, files = series(tmp_path / "series")
    moved = volume.affine.copy()
    moved[0, 3] += 5
    small = [record("liver", np.ones((3, 3, 3), np.uint8))]
    assert refused(tmp_path / "out.dcm", small, Volume(volume.array, moved), files) == "geometry.other_grid"
    (tmp_path / "x").write_text("text")
    assert refused(tmp_path / "out.dcm", small, volume, [str(tmp_path / "x")]) == "bad_image.damaged"
    wide = [record("liver", np.ones((SHAPE[0] + 1, 1, 1), np.uint8))]
    assert refused(tmp_path / "out.dcm", wide, volume, files) == "input.box"


@pytest.mark.parametrize("missing", ["FrameOfReferenceUID", "StudyInstanceUID", "SOPClassUID"])
@pytest.mark.parametrize("how", ["absent", "empty", "of one slice"])
def test_incomplete_header_is_refused_before_the_run(tmp_path: Path, missing: str, how: str) -> None:
    def spoil(k: int, data: pydicom.Dataset) -> None:
        if how == "of one slice":
            data.FrameOfReferenceUID = "1.2.3" if k == 4 else data.FrameOfReferenceUID
        elif how == "empty":
            setattr(data, missing, "")
        else:
            delattr(data, missing)

    write_series(tmp_path / "series")
    volume, _ = series(tmp_path / "series")
    write_series(tmp_path / "other", change=spoil)
    with pytest.raises(ImageError) as caught:
        check_source(volume, [str(path) for path in sorted((tmp_path / "other").iterdir())])
    assert caught.value.code == "bad_image.incomplete_header"
    assert "RT Structure Set" in str(caught.value)
    check_source(volume, choose_series(tmp_path / "series").files)


def test_header_without_type_2_attributes_is_taken(tmp_path: Path) -> None:
    def anonymise(_: int, data: pydicom.Dataset) -> None:
        for name in ("PatientName", "PatientID", "PatientSex", "StudyID", "StudyDate", "PositionReferenceIndicator"):
            delattr(data, name)

    write_series(tmp_path / "series", change=anonymise)
    volume, files = series(tmp_path / "series")
    write_rtstruct(tmp_path / "out.dcm", [record("liver", masks()["voxel"])], volume, files)
    data = pydicom.dcmread(tmp_path / "out.dcm")
    assert (data.PatientName, data.PatientID, data.StudyDate) == ("", "", "")


def test_missing_package_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write_series(tmp_path / "series")
    volume, files = series(tmp_path / "series")
    monkeypatch.setitem(sys.modules, "contourpy", None)
    with pytest.raises(MissingDependencyError, match="contourpy"):
        write_rtstruct(tmp_path / "out.dcm", [record("liver", masks()["voxel"])], volume, files)


@pytest.mark.skipif(shutil.which("plastimatch") is None, reason="plastimatch is not installed (Debian has it)")
def test_plastimatch_reads_what_dicom_seg_and_label_map_hold(tmp_path: Path) -> None:
    write_series(tmp_path / "series")
    volume, files = series(tmp_path / "series")
    for name, mask in masks().items():
        records = [record(name, mask)]
        write_rtstruct(tmp_path / "out.dcm", records, volume, files)
        write_dicom_seg(tmp_path / "seg.dcm", records, volume, files)
        write_labelmap(tmp_path / "out.nii.gz", records, volume)
        command = ["plastimatch", "convert", "--input", "out.dcm", "--referenced-ct", "series"]
        subprocess.run(
            [*command, "--output-prefix", "read", "--prefix-format", "mha"],
            cwd=tmp_path,
            check=True,
            capture_output=True,
            timeout=250,
        )
        image = sitk.ReadImage(str(tmp_path / "read" / f"{name}.mha"))
        read = on_grid(sitk.GetArrayFromImage(image).transpose(2, 1, 0), affine_of(image), volume)
        dice = 2 * (read & mask).sum() / (read.sum() + mask.sum())
        assert dice >= (0.98 if mask.sum() * volume.voxel_ml > 1 else 0.5), name
        assert scipy.ndimage.label(read)[1] == scipy.ndimage.label(mask)[1], name
        assert scipy.ndimage.label(1 - read)[1] == scipy.ndimage.label(1 - mask)[1], name
        segmentation = hd.seg.segread(tmp_path / "seg.dcm").get_volume(combine_segments=True)
        np.testing.assert_array_equal(read, on_grid(segmentation.array, segmentation.affine, volume), err_msg=name)
        label_map = np.asarray(nibabel.load(tmp_path / "out.nii.gz").dataobj)
        np.testing.assert_array_equal(read, label_map, err_msg=name)


def affine_of(image: sitk.Image) -> np.ndarray:
    affine = np.eye(4)
    affine[:3, :3] = np.reshape(image.GetDirection(), (3, 3)) * image.GetSpacing()
    affine[:3, 3] = image.GetOrigin()
    return affine


@pytest.mark.skipif(shutil.which("dciodvfy") is None, reason="no dciodvfy (dicom3tools)")
@pytest.mark.parametrize("kind", ["slices", "multi-frame"])
def test_dciodvfy_reports_no_problems(tmp_path: Path, kind: str) -> None:
    write_series(tmp_path / "series")
    volume, files = series(tmp_path / "series")
    if kind == "multi-frame":
        write_enhanced(tmp_path / "enhanced")
        files = (str(tmp_path / "enhanced" / "enhanced.dcm"),)
    nothing = np.zeros(SHAPE, np.uint8)
    records = [
        record(name, mask) for name, mask in zip(["left kidney", "liver tumor", "x"], masks().values(), strict=False)
    ]
    write_rtstruct(tmp_path / "out.dcm", [*records, record("spleen", nothing)], volume, files)
    command = ["dciodvfy", str(tmp_path / "out.dcm")]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    lines = (done.stdout + done.stderr).splitlines()
    assert [line for line in lines if line.startswith(("Error", "Warning"))] == []
    assert "RTStructureSet" in lines
