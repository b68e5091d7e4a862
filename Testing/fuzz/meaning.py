"""Fuzzer over the meaning of headers: a changed field never moves or rescales a scan silently.

Each input is a small scan with a few header fields changed to values that files have in practice. What is read without
a note must be what SimpleITK, nibabel or pydicom read by the standard; all else must be noted or refused.
By hand: python Testing/fuzz/meaning.py nifti --seconds 600
"""

from __future__ import annotations

import argparse
import random
import struct
import sys
import tempfile
import time
import warnings
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import nibabel
import numpy as np
import SimpleITK

_TESTING = Path(__file__).parents[1]
sys.path[:0] = [str(_TESTING / "dicom_phantoms"), str(_TESTING.parent / "DSMSegment")]

from dicom_series import write_series  # noqa: E402
from pydicom import dcmread  # noqa: E402

from dsm.core.volume import Volume  # noqa: E402
from dsm.errors import DSMError  # noqa: E402
from dsm.io.image import read_volume  # noqa: E402

_LPS_TO_RAS = np.diag([-1.0, -1.0, 1.0, 1.0])
_TOLERANCE = 0.1  # of the smallest voxel size
_MM_PER_UNIT = {1: 1000.0, 3: 0.001}
_GEOMETRY_NOTES = ("geometry.", "slices.", "values.")


@dataclass(frozen=True)
class Reading:
    """Values `[I, J, K]` and affine to RAS millimetres that some reader returned."""

    array: np.ndarray
    affine: np.ndarray

    def differs_from(self, other: Reading) -> str:
        """Return what differs; empty where both say the same."""
        if self.array.shape != other.array.shape:
            return "shape"
        voxel_mm = np.linalg.norm(other.affine[:3, :3], axis=0).min()
        if np.abs(self.affine - other.affine).max() > _TOLERANCE * voxel_mm:
            return "place"
        scale = max(1.0, float(np.abs(other.array).max()))
        return "" if np.allclose(self.array, other.array, rtol=1e-3, atol=1e-4 * scale) else "values"


class MeaningError(AssertionError):
    """A header that was read in silence as something else than other readers read."""


def check(path: Path, references: Callable[[Path], list[Reading]]) -> str:
    """Read a scan and compare it with other readers.

    Returns:
        `"refused"`, `"noted"` or `"same"`.

    Raises:
        MeaningError: If it was read without a note, and differs from a reader, or readers differ from each other.
    """
    try:
        volume = read_volume(path, modality="CT")
    except DSMError:
        return "refused"
    if any(note.code.startswith(_GEOMETRY_NOTES) for note in volume.notes):
        return "noted"
    own = _reading_of(volume)
    for other in references(path):
        if what := own.differs_from(other):
            raise MeaningError(f"{what} differs from another reader's:\n{own.affine}\n{other.affine}")
    return "same"


def _reading_of(volume: Volume) -> Reading:
    return Reading(np.asarray(volume.array, np.float64), volume.affine)


def _itk(image: SimpleITK.Image) -> Reading:
    lps = np.eye(4)
    lps[:3, :3] = np.reshape(image.GetDirection(), (3, 3)) * np.array(image.GetSpacing())
    lps[:3, 3] = image.GetOrigin()
    return Reading(SimpleITK.GetArrayFromImage(image).transpose(2, 1, 0).astype(np.float64), _LPS_TO_RAS @ lps)


# NIfTI

_SHAPE = (9, 8, 7)
_NIFTI_FIELDS: dict[str, tuple[str, int, tuple[Any, ...]]] = {
    "num_axes": ("h", 40, (2, 3, 4, 5, 7, 0, 8)),
    "dim4": ("h", 48, (0, 1, 2)),
    "intent": ("h", 68, (0, 1002, 1005, 2, 1007)),
    "datatype": ("h", 70, (2, 4, 8, 16, 64, 256, 512, 768, 128)),
    "bitpix": ("h", 72, (8, 16, 32)),
    "qfac": ("f", 76, (-1.0, 0.0, 1.0, 2.0, float("nan"))),
    "pixdim1": ("f", 80, (1.0, -2.0, 0.0, 20.0, 2.0, float("nan"))),
    "pixdim3": ("f", 88, (1.0, -3.0, 0.0, 3.05, 1000.0)),
    "vox_offset": ("f", 108, (0.0, 352.0, 348.0, 400.0, 352.5)),
    "slope": ("f", 112, (0.0, 1.0, 2.0, -1.0, 1e-3, float("nan"), float("inf"))),
    "intercept": ("f", 116, (0.0, -1024.0, float("nan"))),
    "units": ("B", 123, (0, 1, 2, 3, 4, 7, 8, 10, 18, 255)),
    "qform_code": ("h", 252, (0, 1, 2, 3, 4, 5, -1)),
    "sform_code": ("h", 254, (0, 1, 2, 3, 4, 5, -1)),
    "quaternion_b": ("f", 256, (0.0, 1.0, 0.7071, 2.0, float("nan"))),
    "quaternion_d": ("f", 264, (0.0, 1.0, 0.7071, -0.05)),
    "qoffset_x": ("f", 268, (0.0, 100.0, -13.0, 12.9)),
    "srow_x0": ("f", 280, (2.0, -2.0, 0.0, 2.02, 20.0)),
    "srow_x1": ("f", 284, (0.0, 0.1, 2.0)),
    "srow_x3": ("f", 292, (0.0, 100.0, 12.9)),
    "srow_z2": ("f", 320, (3.0, -3.0, 3.02, 30.0)),
    "magic": ("4s", 344, (b"n+1\0", b"ni1\0", b"\0\0\0\0", b"n+2\0")),
}


def _nifti_seed(order: str) -> bytearray:
    """A scan of 2 × 2.5 × 3 mm whose forms agree, as bytes."""
    array = np.random.default_rng(0).integers(-1000, 1000, _SHAPE).astype(order + "i2")
    affine = np.array([[-2.0, 0, 0, 13], [0, -2.5, 0, 20], [0, 0, 3, -40], [0, 0, 0, 1]])
    header = nibabel.Nifti1Header(endianness=order)
    header.set_data_dtype(array.dtype)
    image = nibabel.Nifti1Image(array, affine, header)
    image.set_qform(affine, 1)
    image.set_sform(affine, 1)
    image.header.set_xyzt_units("mm")
    with tempfile.TemporaryDirectory() as place:
        path = Path(place, "a.nii")
        nibabel.save(image, path)
        return bytearray(path.read_bytes()) + bytes(8 * array.size)  # room for wider types


def _nifti_readings(path: Path) -> list[Reading]:
    readings = []
    with suppress(Exception):
        readings.append(_itk(SimpleITK.ReadImage(str(path))))
    with suppress(Exception):
        image = nibabel.load(path)
        affine = image.affine.copy()
        affine[:3] *= _MM_PER_UNIT.get(int(image.header["xyzt_units"]) & 7, 1.0)
        readings.append(Reading(np.squeeze(np.asarray(image.dataobj, np.float64)), affine))
    return readings


def nifti(chance: random.Random) -> dict[str, Any]:
    """Draw changes of a NIfTI header."""
    names = chance.sample(sorted(_NIFTI_FIELDS), chance.choice([1, 1, 2, 2, 3, 4]))
    return {"order": chance.choice("<<>")} | {name: chance.choice(_NIFTI_FIELDS[name][2]) for name in names}


def check_nifti(changes: dict[str, Any]) -> str:
    """Check a NIfTI file with some fields changed."""
    order = changes["order"]
    data = _nifti_seed(order)
    for name, value in changes.items():
        if name != "order":
            form, position, _ = _NIFTI_FIELDS[name]
            struct.pack_into(order + form, data, position, value)
    with tempfile.TemporaryDirectory() as place:
        path = Path(place, "a.nii")
        path.write_bytes(data)
        return check(path, _nifti_readings)


# DICOM

_DICOM_FIELDS: dict[str, tuple[Any, ...]] = {
    "RescaleSlope": ("1", "2", "0.5", "-1", "", None),
    "RescaleIntercept": ("-1024", "0", "-1000.5", "", None),
    "RescaleType": ("HU", "US", "", None),
    "PhotometricInterpretation": ("MONOCHROME1", "MONOCHROME2"),
    "PixelRepresentation": (0, 1),
    "BitsStored": (12, 16),
    "PixelPaddingValue": (-2000, 0, 1000),
    "PixelSpacing": ([2.0, 2.5], [2.5, 2.0], [1.0, 1.0], [0.0, 2.0], [-2.0, 2.5], [], None),
    "ImagerPixelSpacing": ([1.0, 1.0],),
    "SliceThickness": (3.0, 1.0, 30.0, "", None),
    "SpacingBetweenSlices": (3.0, 5.0, -3.0),
    "ImageOrientationPatient": (
        [1, 0, 0, 0, 1, 0],
        [-1, 0, 0, 0, 1, 0],
        [1, 0, 0, 0, -1, 0],
        [0, 1, 0, 1, 0, 0],
        [2, 0, 0, 0, 1, 0],
        [1, 0, 0, 0, 0.5, 0],
        [1, 0, 0, 0.2, 0.98, 0],
        [0, 0, 0, 0, 0, 0],
        [],
    ),
    "PatientPosition": ("HFS", "FFS", "HFP", ""),
    "InstanceNumber": (1, 99, None),
    "SpecificCharacterSet": ("ISO_IR 100", "ISO_IR 192", ["", "ISO 2022 IR 87"], "bogus"),
    "NumberOfFrames": (1, 2, "0"),
    "FrameOfReferenceUID": ("1.2.3",),
    "ModalityLUTSequence": ("lut",),
    "PixelAspectRatio": ([1, 2],),
    "SamplesPerPixel": (1, 3),
}
_DICOM_OF_SOME = ("offset z", "offset x", "double", "drop first", "drop middle", "cut last")


def dicom(chance: random.Random) -> dict[str, Any]:
    """Draw changes of a DICOM series: a field in all files or in the later ones, or files that are moved or missing."""
    names = chance.sample(sorted(_DICOM_FIELDS), chance.choice([0, 1, 1, 2, 3]))
    changes: dict[str, Any] = {name: chance.choice(_DICOM_FIELDS[name]) for name in names}
    changes["from"] = chance.choice([0, 0, 0, 3])
    changes["files"] = chance.choice(["", "", "", *_DICOM_OF_SOME])
    return changes


def _change(dataset: Any, name: str, value: Any) -> None:
    if value is None:
        if name in dataset:
            delattr(dataset, name)
    elif value == "lut":
        from pydicom.dataset import Dataset
        from pydicom.sequence import Sequence

        item = Dataset()
        item.LUTDescriptor, item.ModalityLUTType, item.LUTData = [2, 0, 16], "HU", struct.pack("<2H", 500, 600)
        dataset.ModalityLUTSequence = Sequence([item])
    else:
        setattr(dataset, name, value)


def _pydicom_reading(folder: Path) -> list[Reading]:
    """Read a series by the standard, with pydicom alone: values, and the place of the first and last slice."""
    slices = [dcmread(file) for file in sorted(folder.glob("*.dcm"))]
    first = slices[0]
    row, column = np.reshape(np.array(first.ImageOrientationPatient, float), (2, 3))
    slices.sort(key=lambda one: float(np.array(one.ImagePositionPatient, float) @ np.cross(row, column)))
    planes = [
        one.pixel_array * float(one.get("RescaleSlope") or 1) + float(one.get("RescaleIntercept") or 0)
        for one in slices
    ]
    positions = [np.array(one.ImagePositionPatient, float) for one in slices]
    lps = np.eye(4)
    lps[:3, 0], lps[:3, 1] = row * float(first.PixelSpacing[1]), column * float(first.PixelSpacing[0])
    lps[:3, 2] = (positions[-1] - positions[0]) / (len(slices) - 1)
    lps[:3, 3] = positions[0]
    return [Reading(np.stack(planes).transpose(2, 1, 0), _LPS_TO_RAS @ lps)]


def check_dicom(changes: dict[str, Any]) -> str:
    """Check a DICOM series with some fields changed; what no standard reader can agree on must not pass in silence."""
    fields = {name: value for name, value in changes.items() if name not in ("from", "files")}
    files = changes["files"]

    def change(number: int, dataset: Any) -> None:
        if number >= changes["from"]:
            for name, value in fields.items():
                _change(dataset, name, value)
        if number == 4 and files in ("offset z", "offset x"):
            place = [float(x) for x in dataset.ImagePositionPatient]
            place[2 if files == "offset z" else 0] += 1.0
            dataset.ImagePositionPatient = place

    voxels = np.random.default_rng(0).integers(0, 2000, (8, 7, 6)).astype(np.int16)
    with tempfile.TemporaryDirectory() as place:
        folder = Path(place, "series")
        try:
            write_series(folder, voxels=voxels, change=change)
        except Exception:  # pydicom does not write it
            return "not written"
        paths = sorted(folder.glob("*.dcm"))
        if files == "double":
            folder.joinpath("copy.dcm").write_bytes(paths[2].read_bytes())
        elif files in ("drop first", "drop middle"):
            paths[0 if files == "drop first" else 3].unlink()
        elif files == "cut last":
            paths[-1].write_bytes(paths[-1].read_bytes()[:300])
        result = check(folder, _safe(_pydicom_reading))
        if result == "same" and _is_ambiguous(fields, files, changes["from"]):
            raise MeaningError("ambiguous, and read in silence")
        return result


def _safe(read: Callable[[Path], list[Reading]]) -> Callable[[Path], list[Reading]]:
    def references(path: Path) -> list[Reading]:
        try:
            return read(path)
        except Exception as error:
            raise MeaningError(f"read in silence, where pydicom says: {error!r}") from error

    return references


def _is_ambiguous(fields: dict[str, Any], files: str, start: int) -> bool:
    """Return whether the standard leaves place or values of the series open."""
    axes = fields.get("ImageOrientationPatient")
    is_unit = not axes or all(abs(np.linalg.norm(axes[part]) - 1) < 0.01 for part in (slice(0, 3), slice(3, 6)))
    return (
        ("ModalityLUTSequence" in fields and fields.get("RescaleSlope", "1") in ("", None))
        or not is_unit
        or files in ("double", "drop middle", "cut last")
        or (start > 0 and "FrameOfReferenceUID" in fields)
    )


KINDS: dict[str, tuple[Callable[[random.Random], dict[str, Any]], Callable[[dict[str, Any]], str]]] = {
    "nifti": (nifti, check_nifti),
    "dicom": (dicom, check_dicom),
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("kind", choices=KINDS)
    parser.add_argument("--seconds", type=int, default=60)
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    warnings.simplefilter("ignore")
    SimpleITK.ProcessObject.SetGlobalWarningDisplay(False)
    draw, examine = KINDS[options.kind]
    chance, end = random.Random(options.seed), time.monotonic() + options.seconds
    counts: dict[str, int] = {}
    found: set[str] = set()
    while time.monotonic() < end:
        changes = draw(chance)
        try:
            result = examine(changes)
        except Exception as error:
            result = type(error).__name__
            key = f"{result} {str(error)[:40]} {sorted(changes)}"
            if key not in found and len(found) < 200:
                found.add(key)
                print(changes, result, str(error)[:300], flush=True)
        counts[result] = counts.get(result, 0) + 1
    print(options.kind, counts)


if __name__ == "__main__":
    main()
