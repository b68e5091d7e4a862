"""Scans that can be opened: an image file, or one series of a DICOM folder."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from dsm.core.volume import Volume
from dsm.io.dicom import Series, choose_series, list_series
from dsm.io.image import read_volume

_MODALITIES = ("CT", "MR")


@dataclass(frozen=True, slots=True)
class OpenedScan:
    """A scan that was read.

    Args:
        volume: Its voxels.
        name: For people.
        dicom_files: Of its series, which a DICOM SEG refers to; empty for an image file.
    """

    volume: Volume
    name: str
    dicom_files: tuple[str, ...] = ()


def series_to_choose_from(path: Path) -> list[Series]:
    """Return the CT and MR series of a folder, most slices first; empty if there is no choice."""
    scans = [series for series in list_series(path) if series.modality in _MODALITIES] if path.is_dir() else []
    return sorted(scans, key=lambda series: -series.size[2]) if len(scans) > 1 else []


def read_scan(path: Path, series_uid: str | None = None) -> OpenedScan:
    """Read a scan: a file, or a series of a folder.

    Raises:
        DSMError: As `dsm.io.image.read_volume`.
    """
    if not path.is_dir():
        return OpenedScan(read_volume(path, series_uid=series_uid), path.name.split(".")[0] or "scan")
    series = choose_series(path, series_uid=series_uid)
    volume = read_volume(path, series_uid=series.uid)
    return OpenedScan(volume, series.description or "DICOM series", series.files)
