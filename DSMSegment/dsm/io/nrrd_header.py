"""Header fields of NRRD and MetaImage that SimpleITK does not report: length units, data file, kind of content."""

from __future__ import annotations

import re
from pathlib import Path

from dsm.core.input_note import InputNote
from dsm.errors import GeometryError, ImageError

_MAX_BYTES = 1 << 20
_NO_SPACE = {"", "3d-right-handed", "3d-left-handed"}
_MILLIMETRES = {"mm", "millimeter", "millimeters", "millimetre", "millimetres", ""}


def check_header(path: Path) -> list[InputNote]:
    """Check header fields of a `.nrrd`, `.nhdr`, `.mha` or `.mhd` file that SimpleITK ignores.

    Returns:
        A note with the code `label_map` where the file is a segmentation of Slicer.

    Raises:
        GeometryError: If its lengths are not in millimetres, or it does not say how it lies in the patient.
        ImageError: If the file that holds its voxels is missing.
    """
    lines = _header_lines(path)
    fields = dict(line.split(separator, 1) for line in lines if (separator := _separator(line)))
    fields = {key.strip().lower(): value.strip() for key, value in fields.items()}
    for unit in re.findall(r'"([^"]*)"', fields.get("space units", "")):
        if unit.strip().lower() not in _MILLIMETRES:
            raise GeometryError(
                f"{path} gives its lengths in {unit}, which most programs, 3D Slicer among them, read as millimetres.",
                code="geometry.units",
                hint="Convert it to millimetres first, so that all programs agree about its size.",
            )
    data_file = fields.get("data file") or fields.get("datafile") or fields.get("elementdatafile") or ""
    # Lists and numbered patterns (with blanks) are left to SimpleITK.
    is_one_file = data_file and data_file.upper() not in ("LOCAL", "LIST") and "%" not in data_file
    if is_one_file and not (path.parent / data_file).exists():
        raise ImageError(
            f"{path} is a header only; its voxels are in {data_file}, which is missing.",
            code="bad_image.no_data_file",
            hint=f"Put {data_file} into the same folder.",
        )
    is_3d = fields.get("dimension", fields.get("ndims")) == "3"
    if is_3d and not _has_orientation(fields):
        raise GeometryError(
            f"{path} does not say how it lies in the patient: left and right are not known.",
            code="geometry.no_orientation",
            hint="Load it in 3D Slicer, compare it with a scan whose sides are known, and save it again.",
        )
    if any(line.startswith(("Segmentation_", "Segment0_")) for line in lines):
        return [InputNote("label_map", f"{path.name} is a segmentation of 3D Slicer, not a scan.")]
    return []


def _has_orientation(fields: dict[str, str]) -> bool:
    if "elementdatafile" in fields:  # MetaImage
        return any(name in fields for name in ("transformmatrix", "orientation", "rotation"))
    return "space directions" in fields and fields.get("space", "").lower() not in _NO_SPACE


def _header_lines(path: Path) -> list[str]:
    with path.open("rb") as stream:
        head = stream.read(_MAX_BYTES)
    text = head.decode("utf-8", errors="replace")
    if text.startswith("NRRD"):
        return re.split(r"\r?\n\r?\n", text, maxsplit=1)[0].splitlines()
    lines = []
    for line in text.splitlines():  # MetaImage: ElementDataFile is the last field of the header
        lines.append(line)
        if line.lower().startswith("elementdatafile"):
            return lines
    return []


def _separator(line: str) -> str:
    found = re.search(r":=|:|=", line)
    return found.group() if found and not line.startswith("#") else ""
