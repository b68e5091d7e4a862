"""What can be opened: an image file, or one series of a folder of DICOM files."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from dsm.core.volume import Volume
from dsm.io.dicom import Series, list_series
from dsm.io.image import read_volume

_MODALITIES = ("CT", "MR")


@dataclass(frozen=True, slots=True)
class Scan:
    """A scan that was read.

    Args:
        volume: Its voxels.
        name: For people.
        dicom_files: Of its series, which a DICOM SEG refers to; empty for an image file.
        note: What the user should know about how it was read.
    """

    volume: Volume
    name: str
    dicom_files: tuple[str, ...] = ()
    note: str = ""


def read_scan(path: Path, series_uid: str | None = None) -> Scan:
    """Read a scan; of a folder with several series the one with most slices, unless one is named.

    Raises:
        DSMError: As `dsm.io.image.read_volume`.
    """
    if not path.is_dir():
        return Scan(read_volume(path, series_uid=series_uid), path.name.split(".")[0] or "scan")
    every = list_series(path)
    scans = [series for series in every if series.modality in _MODALITIES]
    if series_uid is None and len(scans) > 1:
        series_uid = max(scans, key=lambda series: len(series.files)).uid
    # Says what is wrong where there is no series of that UID, or none at all.
    volume = read_volume(path, series_uid=series_uid)
    shown = next(series for series in (scans or every) if series_uid in (None, series.uid))
    return Scan(volume, shown.description or "DICOM series", shown.files, _note(shown, scans))


def _note(shown: Series, scans: list[Series]) -> str:
    if len(scans) < 2:
        return ""
    what = f"{shown.description or shown.modality}, {len(shown.files)} files"
    return f"The folder holds {len(scans)} series; this is the one with most slices ({what})."
