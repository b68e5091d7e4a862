"""Segments read back onto the grid of their scan."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from dsm.core.boxes import CroppedArray
from dsm.core.volume import Volume
from dsm.errors import ImageError, InputError
from dsm.io.image import read_volume
from dsm.io.seg_nrrd import write_seg_nrrd
from dsm.io.seg_nrrd_reader import holds_segments, read_segments_of
from dsm.io.segment_record import SegmentRecord

SHAPE = (14, 11, 9)
AFFINE = np.array([[-0.7, 0, 0, 37.5], [0, -1.1, 0, 12.25], [0, 0.1, 3.0, -81.0], [0, 0, 0, 1.0]])
AFFINE[:3, 1] = np.cross(AFFINE[:3, 2], AFFINE[:3, 0])
AFFINE[:3, 1] *= 1.1 / np.linalg.norm(AFFINE[:3, 1])


@pytest.fixture
def written(tmp_path: Path) -> tuple[Path, list[np.ndarray]]:
    """A file of two segments that overlap, far from the corner of the scan."""
    masks = [np.zeros(SHAPE, np.uint8) for _ in range(2)]
    masks[0][3:9, 2:7, 4:8] = masks[1][5:12, 6:9, 7:9] = 1
    volume = Volume(np.zeros(SHAPE, np.int16), AFFINE, "CT")
    records = [
        SegmentRecord(f"n {number}", CroppedArray.from_mask(mask), (10, 20, 30), tags={"Mine": "this"})
        for number, mask in enumerate(masks)
    ]
    path = tmp_path / "scan.seg.nrrd"
    write_seg_nrrd(path, records, volume)
    return path, masks


def test_segments_are_where_they_were(written: tuple[Path, list[np.ndarray]]) -> None:
    path, masks = written
    for record, mask in zip(read_segments_of(path, SHAPE, AFFINE), masks, strict=True):
        np.testing.assert_array_equal(record.mask.paste_into(SHAPE), mask)
        assert (record.color, dict(record.tags)) == ((10, 20, 30), {"Mine": "this"})


def test_start_of_the_file_is_that_of_its_geometry_not_of_its_remark(written: tuple[Path, list[np.ndarray]]) -> None:
    """Other programs crop a file, and keep remarks that they do not know."""
    path, masks = written
    text = path.read_bytes()
    assert text.count(b"ReferenceImageExtentOffset:=3 2 4") == 1
    path.write_bytes(text.replace(b"ReferenceImageExtentOffset:=3 2 4", b"ReferenceImageExtentOffset:=0 0 0"))
    record = read_segments_of(path, SHAPE, AFFINE)[0]
    np.testing.assert_array_equal(record.mask.paste_into(SHAPE), masks[0])


@pytest.mark.parametrize("what", ["moved by half a voxel", "turned", "smaller", "finer"])
def test_segments_of_another_scan_are_refused(written: tuple[Path, list[np.ndarray]], what: str) -> None:
    affine, shape = AFFINE.copy(), SHAPE
    if what == "moved by half a voxel":
        affine[:3, 3] += 0.5 * affine[:3, 2]
    elif what == "turned":
        affine[:3, 0] *= -1
    elif what == "smaller":
        shape = (14, 11, 8)
    else:
        affine[:3, 2] /= 1.02
    with pytest.raises(InputError, match="another grid than the scan") as caught:
        read_segments_of(written[0], shape, affine)
    assert "Open the scan that they were made of" in str(caught.value.hint)


def test_segmentations_are_told_from_scans(written: tuple[Path, list[np.ndarray]], tmp_path: Path) -> None:
    path, _ = written
    renamed = tmp_path / "scan.seg (1).nrrd"
    renamed.write_bytes(path.read_bytes())
    assert holds_segments(renamed)
    assert not holds_segments(tmp_path)
    scan = tmp_path / "scan.nrrd"
    scan.write_bytes(
        b"NRRD0004\ntype: uchar\ndimension: 3\nspace: left-posterior-superior\nsizes: 2 2 2\nencoding: raw\n"
        b"space directions: (1,0,0) (0,1,0) (0,0,1)\nspace origin: (0,0,0)\n\n" + bytes(8)
    )
    assert read_volume(scan, modality="CT").shape == (2, 2, 2)
    assert not holds_segments(scan)


def test_damaged_file_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "scan.seg.nrrd"
    path.write_bytes(b"NRRD0004\nSegment0_ID:=x\n\n")
    with pytest.raises(ImageError, match="cannot be read"):
        read_segments_of(path, SHAPE, AFFINE)
