from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import SimpleITK as sitk

from dsm.errors import GeometryError, ImageError
from dsm.io.image import read_volume


def nrrd(folder: Path, *fields: str) -> Path:
    """A file that SimpleITK writes, with further header fields."""
    path = folder / "a.nrrd"
    sitk.WriteImage(sitk.GetImageFromArray(np.zeros((4, 5, 6), np.int16)), str(path), False)
    head, voxels = path.read_bytes().split(b"\n\n", 1)
    path.write_bytes(head + b"".join(b"\n" + field.encode() for field in fields) + b"\n\n" + voxels)
    return path


@pytest.mark.parametrize("unit", ["um", "micron", "m", "cm"])
def test_lengths_in_other_units_are_refused(tmp_path: Path, unit: str) -> None:
    path = nrrd(tmp_path, f'space units: "{unit}" "{unit}" "{unit}"')
    with pytest.raises(GeometryError, match=f"in {unit}") as caught:
        read_volume(path)
    assert caught.value.code == "geometry.units"


def test_millimetres_are_read(tmp_path: Path) -> None:
    assert read_volume(nrrd(tmp_path, 'space units: "mm" "mm" "mm"')).shape == (6, 5, 4)


def test_a_segmentation_of_slicer_is_noted(tmp_path: Path) -> None:
    path = nrrd(tmp_path, "Segment0_Name:=liver", "Segmentation_MasterRepresentation:=Binary labelmap")
    assert "label_map" in [note.code for note in read_volume(path).notes]


@pytest.mark.parametrize("suffix", [".nhdr", ".mhd"])
def test_a_missing_data_file_is_named(tmp_path: Path, suffix: str) -> None:
    path = tmp_path / f"a{suffix}"
    sitk.WriteImage(sitk.GetImageFromArray(np.zeros((4, 5, 6), np.int16)), str(path))
    assert read_volume(path).shape == (6, 5, 4)
    (data,) = [file for file in tmp_path.iterdir() if file != path]
    data.unlink()
    with pytest.raises(ImageError, match=data.name) as caught:
        read_volume(path)
    assert caught.value.code == "bad_image.no_data_file"


@pytest.mark.parametrize(
    "header",
    [
        "NRRD0004\ntype: short\ndimension: 3\nsizes: 8 8 8\nspacings: 1 1 2\nendian: little\nencoding: raw\n\n",
        "NRRD0004\ntype: short\ndimension: 3\nsizes: 8 8 8\nendian: little\nencoding: raw\n\n",
        "ObjectType = Image\nNDims = 3\nDimSize = 8 8 8\nElementType = MET_SHORT\nElementDataFile = LOCAL\n",
    ],
)
def test_a_file_without_orientation_is_refused(tmp_path: Path, header: str) -> None:
    path = tmp_path / ("a.nrrd" if header.startswith("NRRD") else "a.mha")
    path.write_bytes(header.encode() + bytes(2 * 8**3))
    with pytest.raises(GeometryError, match="left and right are not known") as caught:
        read_volume(path)
    assert caught.value.code == "geometry.no_orientation"
