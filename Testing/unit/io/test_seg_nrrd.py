from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import SimpleITK as sitk

from dsm.core.boxes import CroppedArray
from dsm.core.volume import Volume
from dsm.errors import OutputError, ShapeError
from dsm.io.segmentation import SegmentRecord, write_seg_nrrd

VOLUME = Volume(np.zeros((8, 9, 10), dtype=np.int16), np.diag([-0.5, -0.6, 2.0, 1.0]))


def block(name: str, offset: tuple[int, int, int], size: tuple[int, int, int], **tags: str) -> SegmentRecord:
    return SegmentRecord(name, CroppedArray(np.ones(size, dtype=np.uint8), offset), (255, 0, 51), "", tags)


def header_of(path: Path) -> dict[str, str]:
    lines = path.read_bytes().split(b"\n\n", 1)[0].decode().splitlines()
    assert lines[0] == "NRRD0004"
    fields = [line.split(":=" if ":=" in line else ": ", 1) for line in lines[1:]]
    assert len({key for key, _ in fields}) == len(fields)
    return dict(fields)  # type: ignore[arg-type]  # pairs


def test_header_has_the_fields_of_slicer(tmp_path: Path) -> None:
    path = tmp_path / "a.seg.nrrd"
    write_seg_nrrd(path, [block("liver", (2, 3, 4), (2, 3, 4)), block("left kidney", (5, 3, 4), (1, 1, 1))], VOLUME)
    header = header_of(path)
    assert header["sizes"] == "4 3 4"
    assert header["space"] == "left-posterior-superior"
    assert header["space directions"] == "(0.5,0.0,0.0) (0.0,0.6,0.0) (0.0,0.0,2.0)"
    assert header["space origin"] == "(1.0,1.7999999999999998,8.0)"
    assert header["Segment0_Extent"] == "0 1 0 2 0 3"
    assert header["Segment1_Extent"] == "3 3 0 0 0 0"
    assert [header[f"Segment{n}_LabelValue"] for n in (0, 1)] == ["1", "2"]
    assert [header[f"Segment{n}_Layer"] for n in (0, 1)] == ["0", "0"]
    assert header["Segment1_ID"] == "DSM_left_kidney_2"
    assert header["Segment0_Color"] == "1 0 0.2"
    assert header["Segmentation_ReferenceImageExtentOffset"] == "2 3 4"


def test_simpleitk_reads_voxels_at_the_correct_position(tmp_path: Path) -> None:
    path = tmp_path / "a.seg.nrrd"
    write_seg_nrrd(path, [block("a", (2, 3, 4), (2, 3, 4))], VOLUME)
    image = sitk.ReadImage(str(path))
    assert sitk.GetArrayFromImage(image).all()
    assert image.TransformIndexToPhysicalPoint((1, 0, 2)) == pytest.approx((1.5, 1.8, 12))


def test_only_overlapping_segments_use_separate_layers(tmp_path: Path) -> None:
    path = tmp_path / "a.seg.nrrd"
    records = [
        block("organ", (1, 1, 1), (4, 4, 4)),
        block("tumor", (2, 2, 2), (2, 2, 2)),
        block("far", (6, 6, 6), (1, 1, 1)),
        block("core", (3, 3, 3), (1, 1, 1)),
    ]
    write_seg_nrrd(path, records, VOLUME)
    header = header_of(path)
    assert header["sizes"] == "3 6 6 6"
    assert header["kinds"] == "list domain domain domain"
    assert header["space directions"].startswith("none (")
    assert [header[f"Segment{n}_Layer"] for n in range(4)] == ["0", "1", "0", "2"]
    layers = sitk.GetArrayFromImage(sitk.ReadImage(str(path)))
    for n, record in enumerate(records):
        stored = layers[..., int(header[f"Segment{n}_Layer"])] == int(header[f"Segment{n}_LabelValue"])
        assert stored.sum() == record.mask.array.sum()


def test_names_and_tags_are_escaped_in_the_header(tmp_path: Path) -> None:
    path = tmp_path / "a.seg.nrrd"
    name = "a\nsizes: 1 1 1\r\n\r\nSegment9_Name:=x\u2028y\x85z"
    write_seg_nrrd(path, [block(name, (1, 1, 1), (1, 1, 1), **{"A|B:C": "x|y:z\nq"})], VOLUME)
    header = header_of(path)
    assert header["sizes"] == "1 1 1"
    assert "Segment9_Name" not in header
    assert header["Segment0_Tags"] == "A/B_C:x/y:z q|"


def test_uncropped_mask_is_cropped_when_written(tmp_path: Path) -> None:
    path = tmp_path / "a.seg.nrrd"
    mask = np.zeros(VOLUME.shape, dtype=np.uint8)
    mask[3, 4, 5] = 7
    write_seg_nrrd(path, [SegmentRecord("a", CroppedArray(mask, (0, 0, 0)), (1, 2, 3))], VOLUME)
    assert header_of(path)["sizes"] == "1 1 1"


def test_output_is_deterministic(tmp_path: Path) -> None:
    files = [tmp_path / "a.seg.nrrd", tmp_path / "b.seg.nrrd"]
    for file in files:
        write_seg_nrrd(file, [block("a", (1, 1, 1), (3, 3, 3))], VOLUME)
    assert files[0].read_bytes() == files[1].read_bytes()


def test_mask_outside_the_grid_is_refused_without_writing(tmp_path: Path) -> None:
    with pytest.raises(ShapeError):
        write_seg_nrrd(tmp_path / "a.seg.nrrd", [block("a", (7, 1, 1), (3, 3, 3))], VOLUME)
    with pytest.raises(OutputError):
        write_seg_nrrd(tmp_path / "no" / "a.seg.nrrd", [block("a", (1, 1, 1), (3, 3, 3))], VOLUME)
    assert not list(tmp_path.iterdir())
