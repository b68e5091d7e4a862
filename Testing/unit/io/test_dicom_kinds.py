"""Enhanced multi-frame and compressed DICOM files, read or refused with a reason."""

from __future__ import annotations

import copy
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from dsm.errors import DSMError
from dsm.io.dicom import choose_series
from dsm.io.image import read_volume

pydicom = pytest.importorskip("pydicom")
from pydicom import uid as uids  # noqa: E402
from pydicom.encaps import encapsulate  # noqa: E402

sys.path.insert(0, str(Path(__file__).parents[2] / "dicom_phantoms"))
from dicom_series import phantom, write_enhanced, write_series  # noqa: E402

SHAPE = (12, 10, 7)


def voxels() -> np.ndarray:
    return phantom(SHAPE)


def shuffled() -> list[int]:
    return [int(k) for k in np.random.default_rng(3).permutation(SHAPE[2])]


@pytest.mark.parametrize("modality", ["CT", "MR"])
def test_enhanced_file_equals_the_series_of_slices(tmp_path: Path, modality: str) -> None:
    write_series(tmp_path / "slices", voxels=voxels(), modality=modality)
    write_enhanced(tmp_path / "enhanced", voxels=voxels(), modality=modality, order=shuffled())
    slices, enhanced = read_volume(tmp_path / "slices"), read_volume(tmp_path / "enhanced")
    np.testing.assert_array_equal(enhanced.array, slices.array)
    np.testing.assert_allclose(enhanced.affine, slices.affine, atol=1e-9)
    assert enhanced.modality == modality
    assert enhanced.array.dtype == np.int16


def test_frames_with_individual_rescale_slopes(tmp_path: Path) -> None:
    def scale(data: pydicom.FileDataset) -> None:
        shared = data.SharedFunctionalGroupsSequence[0].PixelValueTransformationSequence
        del data.SharedFunctionalGroupsSequence[0].PixelValueTransformationSequence
        for n, frame in enumerate(data.PerFrameFunctionalGroupsSequence):
            item = copy.deepcopy(shared[0])
            item.RescaleSlope = str(1 + n / 2)
            frame.PixelValueTransformationSequence = [item]

    write_enhanced(tmp_path, voxels=voxels(), modality="MR", change=scale)
    expected = (voxels() + 1024.0) * (1 + np.arange(SHAPE[2]) / 2) - 1024
    np.testing.assert_allclose(read_volume(tmp_path).array, expected, rtol=1e-6)


def test_frames_without_rescale_keep_stored_values(tmp_path: Path) -> None:
    def remove(data: pydicom.FileDataset) -> None:
        del data.SharedFunctionalGroupsSequence[0].PixelValueTransformationSequence

    write_enhanced(tmp_path, voxels=voxels(), modality="MR", change=remove)
    np.testing.assert_array_equal(read_volume(tmp_path).array, voxels().astype(int) + 1024)


def two_phases(data: pydicom.FileDataset) -> None:
    for n, frame in enumerate(data.PerFrameFunctionalGroupsSequence):
        frame.PlanePositionSequence[0].ImagePositionPatient = [0, 0, 3 * (n // 2)]


def no_positions(data: pydicom.FileDataset) -> None:
    del data.PerFrameFunctionalGroupsSequence


def no_spacing(data: pydicom.FileDataset) -> None:
    del data.SharedFunctionalGroupsSequence[0].PixelMeasuresSequence


def cut_off(data: pydicom.FileDataset) -> None:
    data.PixelData = data.PixelData[:-50]


@pytest.mark.parametrize(
    ("options", "code"),
    [
        ({"depths": [0, 3, 6, 12, 15, 18, 21]}, "geometry.missing_slices"),
        ({"depths": [0, 3, 6, 8, 12, 15, 18]}, "geometry.uneven_slices"),
        ({"change": two_phases}, "geometry.doubled_slices"),
        ({"change": no_positions}, "bad_image.multi_frame"),
        ({"change": no_spacing}, "bad_image.multi_frame"),
        ({"change": cut_off}, "bad_image.damaged"),
    ],
)
def test_enhanced_file_that_is_not_a_volume_is_refused(tmp_path: Path, options: dict, code: str) -> None:
    write_enhanced(tmp_path, voxels=voxels(), **options)
    with pytest.raises(DSMError) as caught:
        read_volume(tmp_path)
    assert caught.value.code == code
    assert caught.value.hint


def compress(syntax: str) -> Callable[[int, pydicom.FileDataset], None]:
    def change(_: int, data: pydicom.FileDataset) -> None:
        data.compress(syntax, generate_instance_uid=False)

    return change


@pytest.mark.parametrize("kind", ["slices", "enhanced"])
@pytest.mark.parametrize("name", ["RLELossless", "JPEGLSLossless", "JPEG2000Lossless"])
def test_lossless_compressed_images_are_read_exactly(tmp_path: Path, name: str, kind: str) -> None:
    syntax = getattr(uids, name)
    encoder = pydicom.pixels.get_encoder(syntax)
    if not encoder.is_available:
        pytest.skip(f"no encoder for {name} is installed")
    large = phantom((64, 48, 5))  # wavelets need some pixels
    if kind == "slices":
        write_series(tmp_path, voxels=large, change=compress(syntax))
    else:
        write_enhanced(tmp_path, voxels=large, change=lambda data: compress(syntax)(0, data))
    np.testing.assert_array_equal(read_volume(tmp_path).array, large)


@pytest.mark.parametrize("name", ["ImplicitVRLittleEndian", "DeflatedExplicitVRLittleEndian"])
def test_uncompressed_transfer_syntaxes(tmp_path: Path, name: str) -> None:
    def change(_: int, data: pydicom.FileDataset) -> None:
        data.file_meta.TransferSyntaxUID = getattr(uids, name)

    write_series(tmp_path, voxels=voxels(), change=change)
    np.testing.assert_array_equal(read_volume(tmp_path).array, voxels())


@pytest.mark.parametrize("kind", ["slices", "enhanced"])
def test_unsupported_compression_is_named(tmp_path: Path, kind: str) -> None:
    def encode(data: pydicom.FileDataset) -> None:
        data.file_meta.TransferSyntaxUID = uids.MPEG2MPML
        data.PixelData = encapsulate([b"\0" * 64] * int(data.get("NumberOfFrames") or 1))

    if kind == "slices":
        write_series(tmp_path, voxels=voxels(), change=lambda _, data: encode(data))
    else:
        write_enhanced(tmp_path, voxels=voxels(), change=encode)
    with pytest.raises(DSMError) as caught:
        read_volume(tmp_path)
    assert caught.value.code == "bad_image.damaged"
    assert "MPEG2" in str(caught.value)


def test_localizer_in_the_series_is_reported(tmp_path: Path) -> None:
    def turn(k: int, data: pydicom.FileDataset) -> None:
        if k == 0:
            data.ImageOrientationPatient = [0, 1, 0, 0, 0, -1]

    write_series(tmp_path, voxels=voxels(), change=turn)
    with pytest.raises(DSMError, match="localizer"):
        read_volume(tmp_path)


def test_series_next_to_a_segmentation_is_found(tmp_path: Path) -> None:
    highdicom = pytest.importorskip("highdicom")
    from dsm.core.boxes import CroppedArray
    from dsm.io.dicom_seg import write_dicom_seg
    from dsm.io.segment_record import SegmentRecord

    write_enhanced(tmp_path, voxels=voxels(), order=shuffled())
    volume = read_volume(tmp_path)
    record = SegmentRecord("x", CroppedArray(np.ones((2, 3, 4), np.uint8), (1, 2, 3)), (1, 2, 3))
    write_dicom_seg(tmp_path / "seg.dcm", [record], volume, choose_series(tmp_path).files)
    assert highdicom.seg.segread(tmp_path / "seg.dcm").number_of_segments == 1
    np.testing.assert_array_equal(read_volume(tmp_path).array, volume.array)
