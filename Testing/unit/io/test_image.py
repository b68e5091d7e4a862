from __future__ import annotations

import gzip
import os
import struct
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import SimpleITK as sitk

from dsm.errors import DSMError, GeometryError, ImageError, InputError, ShapeError
from dsm.io.image import read_volume

SHAPE = (7, 6, 5)


def scan() -> np.ndarray:
    """`[K, J, I]`, as SimpleITK wants it."""
    return np.random.default_rng(0).integers(-1000, 1000, SHAPE[::-1]).astype(np.int16)


def image() -> sitk.Image:
    result = sitk.GetImageFromArray(scan())
    result.SetSpacing((0.5, 0.75, 2.0))
    result.SetOrigin((10, -20, 30))
    result.SetDirection((0, 1, 0, -1, 0, 0, 0, 0, 1))
    return result


@pytest.mark.parametrize("name", ["a.nii", "a.nii.gz", "a.nrrd", "a.nhdr", "a.mha", "a.mhd", "Ä b.NII.GZ"])
def test_all_formats_give_the_same_volume(tmp_path: Path, name: str) -> None:
    path = tmp_path / name
    written = path.with_name(name.lower())  # SimpleITK goes by the name, in lower case only
    sitk.WriteImage(image(), str(written), not name.endswith((".mhd", ".nii")))
    written.rename(path)
    volume = read_volume(path)
    np.testing.assert_array_equal(volume.array, scan().T)
    # By hand: LPS to RAS turns the sign of the first two rows.
    expected = [[0, -0.75, 0, -10], [0.5, 0, 0, 20], [0, 0, 2, 30], [0, 0, 0, 1]]
    np.testing.assert_allclose(volume.affine, expected, atol=1e-5)
    assert volume.array.flags.f_contiguous
    assert volume.name == name


@pytest.mark.parametrize(("offset", "expected"), [(0, "CT"), (1000, "MR")])
def test_the_modality_is_guessed_from_the_values(tmp_path: Path, offset: int, expected: str) -> None:
    path = tmp_path / "a.nrrd"
    sitk.WriteImage(image() + offset, str(path))
    assert read_volume(path).modality == expected
    assert read_volume(path, modality="MR").modality == "MR"


def test_an_unknown_modality_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError):
        read_volume(tmp_path, modality="PET")


@pytest.mark.parametrize("name", ["a.nii.gz", "a.nrrd", "a.mha"])
def test_fourth_axis_of_length_one_is_dropped(tmp_path: Path, name: str) -> None:
    path = tmp_path / name
    sitk.WriteImage(sitk.JoinSeries([image()]), str(path))
    np.testing.assert_array_equal(read_volume(path).array, scan().T)


def write(name: str, make: Callable[[], sitk.Image] = image) -> Callable[[Path], Path]:
    def build(folder: Path) -> Path:
        sitk.WriteImage(make(), str(folder / name))
        return folder / name

    return build


def content(name: str, data: bytes) -> Callable[[Path], Path]:
    def build(folder: Path) -> Path:
        (folder / name).write_bytes(data)
        return folder / name

    return build


def cut(name: str, fraction: float = 0.6) -> Callable[[Path], Path]:
    def build(folder: Path) -> Path:
        path = write(name)(folder)
        data = path.read_bytes()
        path.write_bytes(data[: int(len(data) * fraction)])
        return path

    return build


def patched(*patches: tuple[int, str, tuple[float, ...]], name: str = "a.nii.gz") -> Callable[[Path], Path]:
    """A NIfTI file with other numbers at some places of its header."""

    def build(folder: Path) -> Path:
        sitk.WriteImage(image(), str(folder / "a.nii"))
        data = bytearray((folder / "a.nii").read_bytes())
        for offset, fmt, values in patches:
            struct.pack_into(fmt, data, offset, *values)
        (folder / name).write_bytes(gzip.compress(bytes(data)) if name.endswith(".gz") else bytes(data))
        return folder / name

    return build


def flipped(name: str, place: int) -> Callable[[Path], Path]:
    def build(folder: Path) -> Path:
        path = write(name)(folder)
        data = bytearray(path.read_bytes())
        data[place] ^= 0xFF
        path.write_bytes(data)
        return path

    return build


def edited(name: str, before: bytes, after: bytes) -> Callable[[Path], Path]:
    def build(folder: Path) -> Path:
        path = write(name)(folder)
        data = path.read_bytes()
        assert before in data
        path.write_bytes(data.replace(before, after))
        return path

    return build


def without_data_file(folder: Path) -> Path:
    path = write("a.mhd")(folder)
    next(file for file in folder.iterdir() if file.suffix in (".raw", ".zraw")).unlink()
    return path


def with_nan() -> sitk.Image:
    result = sitk.Cast(image(), sitk.sitkFloat32)
    result[1, 1, 1] = float("nan")
    return result


SHEARED = (280, "<12f", (1, 0.3, 0, 0, 0, 2, 0, 0, 0, 0, 3, 0))
SFORM_ONLY = (252, "<2h", (0, 1))
HUGE = (40, "<8h", (3, 32000, 32000, 32000, 1, 1, 1, 1))
MANY = (40, "<8h", (3, 1000, 1000, 1000, 1, 1, 1, 1))

BAD = {
    "missing path": (lambda folder: folder / "nowhere.nii.gz", ImageError, "bad_image.missing"),
    "name too long": (lambda folder: folder / ("x" * 300), ImageError, "bad_image.unreadable"),
    "empty folder": (lambda folder: folder, ImageError, "bad_image.no_dicom"),
    "empty file": (content("a.nii.gz", b""), ImageError, "bad_image.empty"),
    "text as .nii.gz": (content("a.nii.gz", b"not an image"), ImageError, "bad_image.format"),
    "text as .nii": (content("a.nii", b"not an image"), ImageError, "bad_image.format"),
    "text as .nrrd": (content("a.nrrd", b"not an image"), ImageError, "bad_image.format"),
    "text as .mha": (content("a.mha", b"not an image"), ImageError, "bad_image.format"),
    "gzipped text": (content("a.nii.gz", gzip.compress(b"not an image" * 99)), ImageError, "bad_image.format"),
    "unknown suffix": (content("a.txt", b"not an image"), ImageError, "bad_image.format"),
    "picture": (content("a.png", b"\x89PNG\r\n"), ImageError, "bad_image.format"),
    "one DICOM file": (content("a.dcm", bytes(128) + b"DICM"), ImageError, "bad_image.dicom_file"),
    "gzip named .nii": (content("a.nii", gzip.compress(bytes(999))), ImageError, "bad_image.format"),
    "cut .nii": (cut("a.nii"), ImageError, "bad_image.damaged"),
    "cut .nii.gz": (cut("a.nii.gz"), ImageError, "bad_image.damaged"),
    "cut .nii.gz in the header": (cut("a.nii.gz", 0.1), ImageError, "bad_image.damaged"),
    "cut .nrrd": (cut("a.nrrd"), ImageError, "bad_image.damaged"),
    "cut .mha": (cut("a.mha"), ImageError, "bad_image.damaged"),
    "flipped checksum": (flipped("a.nii.gz", -6), ImageError, "bad_image.damaged"),
    "header without its data file": (without_data_file, ImageError, "bad_image.no_data_file"),
    "promise of 6e4 GiB": (patched(HUGE), ImageError, "bad_image.too_large"),
    "promise of 6e4 GiB, plain": (patched(HUGE, name="b.nii"), ImageError, "bad_image.too_large"),
    "promise of 6e4 GiB, NRRD": (
        edited("a.nrrd", b"sizes: 7 6 5", b"sizes: 70000 60000 50000"),
        ImageError,
        "bad_image.too_large",
    ),
    "promise of 2 GiB in a small file": (patched(MANY), ImageError, "bad_image.damaged"),
    "voxels behind a far offset": (patched((108, "<f", (1e12,))), ImageError, "bad_image.damaged"),
    "negative size": (patched((42, "<h", (-5,))), ImageError, "bad_image.damaged"),
    "zero size": (patched((42, "<h", (0,))), ImageError, "bad_image.damaged"),
    "nine axes": (patched((40, "<h", (9,))), ImageError, "bad_image.damaged"),
    "intercept not finite": (patched((112, "<2f", (1.0, np.nan))), ImageError, "bad_image.damaged"),
    "unknown datatype": (patched((70, "<h", (7777,))), ImageError, "bad_image.damaged"),
    "single slice": (write("a.nrrd", lambda: image()[:, :, 2:3]), ShapeError, "input.slice"),
    "2-D": (write("a.nrrd", lambda: image()[:, :, 2]), ShapeError, "input.slice"),
    "4-D": (write("a.nii.gz", lambda: sitk.JoinSeries([image(), image()])), ShapeError, "input.axes"),
    "4-D NRRD": (write("a.nrrd", lambda: sitk.JoinSeries([image(), image()])), ShapeError, "input.axes"),
    "vector": (write("a.nrrd", lambda: sitk.Compose(image(), image())), ShapeError, "input.dtype"),
    "RGB": (
        patched((70, "<2h", (128, 24)), (40, "<8h", (3, 2, 6, 5, 1, 1, 1, 1))),
        ShapeError,
        "input.dtype",
    ),
    "complex": (patched((70, "<2h", (32, 64))), ShapeError, "input.dtype"),
    "NaN": (write("a.nii.gz", with_nan), ShapeError, "input.not_finite"),
    "sheared NIfTI": (patched(SHEARED, SFORM_ONLY), GeometryError, "geometry.sheared"),
    "sheared NRRD": (
        edited("a.nrrd", b"space directions: (0,-0.5,0)", b"space directions: (0.2,-0.5,0)"),
        GeometryError,
        "geometry.sheared",
    ),
    "affine of NaN": (patched((280, "<f", (np.nan,))), GeometryError, "geometry.affine"),
}


@pytest.mark.parametrize("case", BAD)
def test_bad_input_is_refused_with_a_one_line_error(tmp_path: Path, case: str) -> None:
    build, kind, code = BAD[case]
    path = build(tmp_path)  # type: ignore[operator]
    with pytest.raises(DSMError) as caught:
        read_volume(path)
    assert type(caught.value) is kind
    assert caught.value.code == code
    assert "\n" not in caught.value.one_line
    if code not in ("geometry.affine",):
        assert caught.value.hint


@pytest.mark.parametrize("name", ["a.nii.gz", "a.nii"])
def test_damaged_header_writes_nothing_to_stderr(tmp_path: Path, capfd: pytest.CaptureFixture[str], name: str) -> None:
    with pytest.raises(ImageError):
        read_volume(patched((42, "<h", (-5,)), name=name)(tmp_path))
    assert capfd.readouterr() == ("", "")


@pytest.mark.skipif(os.name != "posix" or os.geteuid() == 0, reason="root may read anything")
def test_a_file_without_permission_is_refused(tmp_path: Path) -> None:
    path = write("a.nrrd")(tmp_path)
    path.chmod(0)
    with pytest.raises(ImageError) as caught:
        read_volume(path)
    assert caught.value.code == "bad_image.unreadable"


def test_a_file_that_cannot_be_opened_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = write("a.nrrd")(tmp_path)

    def refuse(*_: object, **__: object) -> None:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(Path, "open", refuse)
    with pytest.raises(ImageError) as caught:
        read_volume(path)
    assert caught.value.code == "bad_image.unreadable"


def test_series_uid_with_a_file_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError):
        read_volume(write("a.nrrd")(tmp_path), series_uid="1.2.3")
