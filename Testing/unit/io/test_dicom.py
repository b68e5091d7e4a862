from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from dsm.errors import DSMError, GeometryError, ImageError, ShapeError
from dsm.io.image import list_series, read_volume

pydicom = pytest.importorskip("pydicom")
from pydicom.dataset import FileDataset, FileMetaDataset  # noqa: E402
from pydicom.uid import CTImageStorage, ExplicitVRLittleEndian, MRImageStorage, generate_uid  # noqa: E402

NUM_SLICES = 6
STEP_MM = 2.5
UID = "1.2.826.0.1.3680043.8.498.1"

# Oblique: rows run to the left and a little up, columns to the back.
ROW = np.array([np.cos(0.3), 0.0, np.sin(0.3)])
COLUMN = np.array([0.0, 1.0, 0.0])
NORMAL = np.cross(ROW, COLUMN)
ORIGIN = np.array([-100.0, -50.0, 20.0])


def voxels() -> np.ndarray:
    """`[K, J, I]` HU."""
    return np.random.default_rng(0).integers(-1000, 1000, (NUM_SLICES, 4, 5)).astype(np.int16)


def write_series(
    folder: Path,
    *,
    positions: list[float] | None = None,
    uid: str = UID,
    modality: str = "CT",
    shear: float = 0.0,
    change: Callable[[int, FileDataset], None] | None = None,
    prefix: str = "",
) -> Path:
    """Slices of one stack; files are named against their order in space."""
    stack = voxels()
    depths = [STEP_MM * n for n in range(NUM_SLICES)] if positions is None else positions
    for n, depth in enumerate(depths):
        meta = FileMetaDataset()
        meta.MediaStorageSOPClassUID = CTImageStorage if modality == "CT" else MRImageStorage
        meta.MediaStorageSOPInstanceUID = generate_uid()
        meta.TransferSyntaxUID = ExplicitVRLittleEndian
        path = folder / f"{prefix}{99 - n:03d}"
        data = FileDataset(str(path), {}, file_meta=meta, preamble=b"\0" * 128)
        data.SOPClassUID, data.SOPInstanceUID = meta.MediaStorageSOPClassUID, meta.MediaStorageSOPInstanceUID
        data.StudyInstanceUID, data.SeriesInstanceUID, data.FrameOfReferenceUID = UID + ".1", uid, UID + ".2"
        data.Modality, data.SeriesDescription, data.PatientID = modality, "Abdömen", "phantom"
        data.SpecificCharacterSet = "ISO_IR 192"
        data.Rows, data.Columns = stack.shape[1:]
        data.SamplesPerPixel, data.PhotometricInterpretation = 1, "MONOCHROME2"
        data.BitsAllocated, data.BitsStored, data.HighBit, data.PixelRepresentation = 16, 16, 15, 0
        data.PixelSpacing = [0.8, 0.7]
        data.ImageOrientationPatient = [*map(float, ROW), *map(float, COLUMN)]
        data.ImagePositionPatient = [float(x) for x in ORIGIN + depth * (NORMAL + shear * COLUMN)]
        data.InstanceNumber = n + 1
        data.RescaleSlope, data.RescaleIntercept = "1", "-1024"
        data.PixelData = (stack[n % NUM_SLICES].astype(np.int32) + 1024).astype(np.uint16).tobytes()
        if change is not None:
            change(n, data)
        data.save_as(path)
    return folder


def test_slices_are_sorted_by_position(tmp_path: Path) -> None:
    (tmp_path / "notes.txt").write_text("other files do no harm")
    volume = read_volume(write_series(tmp_path))
    np.testing.assert_array_equal(volume.array, voxels().T)
    assert volume.modality == "CT"
    # By hand: the columns of the affine are the steps between pixels of a row, rows, and slices; LPS to RAS.
    flip = np.diag([-1, -1, 1])
    expected = np.eye(4)
    expected[:3] = np.column_stack([flip @ ROW * 0.7, flip @ COLUMN * 0.8, flip @ NORMAL * STEP_MM, flip @ ORIGIN])
    np.testing.assert_allclose(volume.affine, expected, atol=1e-9)


def test_slices_with_different_rescale_slopes(tmp_path: Path) -> None:
    def halve(n: int, data: FileDataset) -> None:
        data.RescaleSlope = "1" if n == 0 else "0.5"

    stack = voxels().astype(np.float32)
    stack[1:] = (stack[1:] + 1024) * 0.5 - 1024
    volume = read_volume(write_series(tmp_path, modality="MR", change=halve))
    np.testing.assert_allclose(volume.array, stack.T)
    assert volume.modality == "MR"


def test_rounded_positions_are_accepted(tmp_path: Path) -> None:
    positions = [round(0.625 * n, 1) for n in range(NUM_SLICES)]
    spacing = read_volume(write_series(tmp_path, positions=positions)).spacing_mm
    assert spacing[2] == pytest.approx(positions[-1] / (NUM_SLICES - 1))


def test_series_are_listed(tmp_path: Path) -> None:
    write_series(tmp_path, uid=UID + ".7")
    write_series(tmp_path, uid=UID + ".8", modality="MR", prefix="b")
    listed = list_series(tmp_path)
    assert [(item.uid, item.modality, len(item.files)) for item in listed] == [
        (UID + ".7", "CT", NUM_SLICES),
        (UID + ".8", "MR", NUM_SLICES),
    ]
    assert {item.size for item in listed} == {(5, 4, NUM_SLICES)}


def test_series_is_selected_by_uid(tmp_path: Path) -> None:
    write_series(tmp_path, uid=UID + ".7")
    write_series(tmp_path, uid=UID + ".8", modality="MR", prefix="b")
    assert read_volume(tmp_path, series_uid=UID + ".8").modality == "MR"
    with pytest.raises(ImageError) as caught:
        read_volume(tmp_path)
    assert caught.value.code == "bad_image.several_series"
    assert "--series" in caught.value.hint
    assert UID + ".7" in caught.value.hint
    assert UID + ".8" in caught.value.hint
    with pytest.raises(ImageError) as caught:
        read_volume(tmp_path, series_uid="1.2.3")
    assert caught.value.code == "bad_image.no_series"


def test_series_of_other_modalities_are_ignored(tmp_path: Path) -> None:
    write_series(tmp_path, uid=UID + ".7")
    write_series(tmp_path, uid=UID + ".8", modality="PT", prefix="b")
    assert read_volume(tmp_path).modality == "CT"


def set_tag(name: str, value: object, *, only: int | None = None) -> Callable[[int, FileDataset], None]:
    def change(n: int, data: FileDataset) -> None:
        if only is None or n == only:
            setattr(data, name, value)

    return change


def remove_tag(name: str) -> Callable[[int, FileDataset], None]:
    def change(_: int, data: FileDataset) -> None:
        delattr(data, name)

    return change


def make_colour(_: int, data: FileDataset) -> None:
    data.SamplesPerPixel, data.PhotometricInterpretation, data.PlanarConfiguration = 3, "RGB", 0
    data.BitsAllocated, data.BitsStored, data.HighBit = 8, 8, 7
    data.PixelData = bytes(4 * 5 * 3)


def make_multi_frame(_: int, data: FileDataset) -> None:
    data.NumberOfFrames = 2
    data.PixelData = data.PixelData * 2


REGULAR = [STEP_MM * n for n in range(NUM_SLICES)]
BAD = {
    "missing slice": ({"positions": [0, 2.5, 5, 10, 12.5]}, GeometryError, "geometry.missing_slices"),
    "uneven slices": ({"positions": [0, 2.5, 5, 6.2, 9.9]}, GeometryError, "geometry.uneven_slices"),
    "two time points": ({"positions": REGULAR + REGULAR}, GeometryError, "geometry.doubled_slices"),
    "gantry tilt": ({"shear": 0.2}, GeometryError, "geometry.sheared"),
    "single slice": ({"positions": [0]}, ShapeError, "input.slice"),
    "localizer": (
        {"change": set_tag("ImageOrientationPatient", [1, 0, 0, 0, 0, -1], only=0)},
        GeometryError,
        "geometry.mixed_slices",
    ),
    "other pixel spacing": (
        {"change": set_tag("PixelSpacing", [1, 1], only=2)},
        GeometryError,
        "geometry.mixed_slices",
    ),
    "a slice aside": (
        {"change": set_tag("ImagePositionPatient", [*(ORIGIN + 5 * NORMAL + 30 * COLUMN)], only=2)},
        GeometryError,
        "geometry.mixed_slices",
    ),
    "colour": ({"change": make_colour}, ShapeError, "input.dtype"),
    "multi-frame": ({"change": make_multi_frame}, ImageError, "bad_image.multi_frame"),
    "PET": ({"modality": "PT"}, ImageError, "bad_image.modality"),
    "no position": ({"change": remove_tag("ImagePositionPatient")}, ImageError, "bad_image.no_position"),
    "no spacing": ({"change": remove_tag("PixelSpacing")}, ImageError, "bad_image.no_position"),
}


@pytest.mark.parametrize("case", BAD)
def test_invalid_series_is_refused_with_a_one_line_error(tmp_path: Path, case: str) -> None:
    arguments, kind, code = BAD[case]
    write_series(tmp_path, **arguments)  # type: ignore[arg-type]
    with pytest.raises(DSMError) as caught:
        read_volume(tmp_path)
    assert (type(caught.value), caught.value.code) == (kind, code)
    assert caught.value.hint
    assert "\n" not in caught.value.one_line


def test_number_of_missing_slices_is_reported(tmp_path: Path) -> None:
    write_series(tmp_path, positions=[0, 2.5, 10, 12.5])
    with pytest.raises(GeometryError, match="lacks 2 slices"):
        read_volume(tmp_path)


def test_truncated_file_counts_as_a_missing_slice(tmp_path: Path) -> None:
    middle = sorted(write_series(tmp_path).iterdir())[3]
    middle.write_bytes(middle.read_bytes()[:-10])
    with pytest.raises(GeometryError, match="lacks 1 slice:"):
        read_volume(tmp_path)


def test_folder_without_dicom_has_no_series(tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_text("x")
    assert list_series(tmp_path) == []
    with pytest.raises(ImageError) as caught:
        read_volume(tmp_path)
    assert caught.value.code == "bad_image.no_dicom"


def test_file_that_gdcm_cannot_parse_is_skipped(tmp_path: Path) -> None:
    """An RT dose without a grid of frames ends GDCM's search of the whole folder."""
    write_series(tmp_path)
    dose = pydicom.dcmread(tmp_path / "099")
    dose.SOPClassUID = dose.file_meta.MediaStorageSOPClassUID = "1.2.840.10008.5.1.4.1.1.481.2"
    dose.Modality, dose.SeriesInstanceUID = "RTDOSE", UID + ".9"
    dose.NumberOfFrames, dose.GridFrameOffsetVector = 1, []
    dose.save_as(tmp_path / "RD.dcm")
    assert UID in [series.uid for series in list_series(tmp_path)]
    volume = read_volume(tmp_path)
    assert volume.shape[2] == NUM_SLICES
    assert "slices.left_out" not in [note.code for note in volume.notes]


@pytest.mark.filterwarnings("ignore:Invalid value for VR")  # a UID that is cut off
@pytest.mark.parametrize("size", [0, 100, 200, 450, -20])
@pytest.mark.parametrize("number", [0, NUM_SLICES - 1])
def test_unreadable_end_slice_is_noted(tmp_path: Path, number: int, size: int) -> None:
    write_series(tmp_path)
    file = tmp_path / f"{99 - number:03d}"
    file.write_bytes(file.read_bytes()[:size])
    volume = read_volume(tmp_path)
    assert volume.shape[2] == NUM_SLICES - 1
    (note,) = [note for note in volume.notes if note.code == "slices.left_out"]
    assert file.name in note.text


def test_unreadable_series_is_listed(tmp_path: Path) -> None:
    write_series(tmp_path)
    for file in tmp_path.iterdir():
        file.write_bytes(file.read_bytes()[:500])
    for series in list_series(tmp_path):
        assert series.files
    with pytest.raises(DSMError):
        read_volume(tmp_path)


def padded(_: int, data: FileDataset) -> None:
    """A round field of view: the corner holds the padding value, which the header names as a signed number."""
    pixels = np.frombuffer(data.PixelData, np.uint16).reshape(data.Rows, data.Columns).copy()
    pixels[0, :2] = 63536
    data.PixelData = pixels.tobytes()
    data.add_new((0x0028, 0x0120), "US", 63536)


def test_padding_is_replaced_by_air_and_noted(tmp_path: Path) -> None:
    volume = read_volume(write_series(tmp_path, change=padded))
    assert [note.code for note in volume.notes] == ["values.padding"]
    rest = volume.array.copy()
    rest[:2, 0] = rest.max()
    assert (volume.array[:2, 0] == rest.min()).all()
    assert volume.array.max() < 5000


def test_inverted_display_does_not_change_the_values(tmp_path: Path) -> None:
    (tmp_path / "plain").mkdir()
    (tmp_path / "inverted").mkdir()

    def invert(_: int, data: FileDataset) -> None:
        data.PhotometricInterpretation = "MONOCHROME1"

    plain = read_volume(write_series(tmp_path / "plain"))
    inverted = read_volume(write_series(tmp_path / "inverted", change=invert))
    np.testing.assert_array_equal(inverted.array, plain.array)
    assert [note.code for note in inverted.notes] == ["values.monochrome1"]
