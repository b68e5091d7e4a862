"""Scans below a folder, with case names that do not identify the patient."""

from __future__ import annotations

import hashlib
import logging
import os
import re
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

from dsm.errors import ImageError
from dsm.io.dicomweb_address import DicomwebAddress
from dsm.io.image import list_series

#: Names in the folder of a cohort: its settings, outcomes, masks and pictures.
SETTINGS_FILE = "cohort.json"
CASES = "cases"
SEGMENTATIONS = "segmentations"
THUMBNAILS = "thumbnails"
RESULT_FOLDERS = (CASES, SEGMENTATIONS, THUMBNAILS)

#: Folder for voxels on their way, in the folder of the cohort; removed at the end.
WORK = ".work"

_IMAGES = (".nii", ".nii.gz", ".nrrd", ".nhdr", ".mha", ".mhd")
_RESULTS = (".seg.nrrd",)

# GDCM would open each of these only to find that it is no DICOM file.
_NOT_DICOM = (*_IMAGES, ".json", ".csv", ".txt", ".png", ".jpg", ".pdf", ".gz", ".zip", ".raw", ".zraw", ".md", ".py")

_MAX_STEM = 60

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class CohortCase:
    """One scan.

    Args:
        id: Its name in the table, in logs and of files. A hash of the series UID for DICOM, whose folders are often
            named after patients; a file keeps its name, shortened.
        source: Series UID, or path relative to the searched folder.
        path: The file, or the folder of the series.
        series_uid: Of a DICOM series, else None.
        files: Those of the series, in no order.
        copies: Other folders that hold the same series; such a case is refused.
        address: Of a series on a DICOMweb server, which is fetched when its turn comes.
    """

    id: str
    source: str
    path: Path
    series_uid: str | None = None
    files: tuple[str, ...] = ()
    copies: tuple[Path, ...] = ()
    address: DicomwebAddress | None = None

    @classmethod
    def on_server(cls, address: DicomwebAddress) -> CohortCase:
        """Return the case of a series on a server."""
        return cls(_series_id(address.series), address.series, Path(), address.series, address=address)

    def redact(self, text: str) -> str:
        """Return `text` (a message) without the paths of a DICOM series, which may name the patient."""
        if self.series_uid is None:
            return text
        # The longest first: a file before its folder, and its folder before the folder's name.
        paths = [*self.files, *(os.path.realpath(file) for file in self.files), str(self.path), self.path.name]
        for path in sorted({path for path in paths if len(path) > 1}, key=len, reverse=True):
            text = text.replace(path, self.id)
        return text


def find_cases(root: Path, *, out: Path) -> list[CohortCase]:
    """Find every CT and MR series and every image file at or below `root`, in a stable order.

    Links to folders are not followed; results of an earlier cohort, whatever its folder, are no scans. A DICOM series
    is what lies in one folder and has one series UID.

    Args:
        root: A folder, or one image file.
        out: Folder of the results; skipped where it lies below `root`.

    Raises:
        ImageError: If `root` is missing, or there is no scan.
    """
    if not root.exists():
        raise ImageError(f"{root} does not exist.", code="bad_image.missing", hint="Check the path.")
    cases = [_file_case(root, root.parent)] if root.is_file() else list(_below(root, out.resolve()))
    if not cases:
        raise ImageError(
            f"There is no scan in {root}.",
            code="bad_image.no_scan",
            hint="DICOM series of CT or MR and files .nii, .nii.gz, .nrrd, .mha are looked for.",
        )
    return _merged(cases)


def _merged(cases: list[CohortCase]) -> list[CohortCase]:
    """Return each series once, with the other folders that hold it as well."""
    by_id: dict[str, CohortCase] = {}
    for case in cases:
        first = by_id.setdefault(case.id, case)
        if first is not case:
            by_id[case.id] = replace(first, copies=(*first.copies, case.path))
    for case in by_id.values():
        if case.copies:
            folders = ", ".join(str(path) for path in (case.path, *case.copies))
            _log.warning("The series of case %s lies in %d folders: %s.", case.id, 1 + len(case.copies), folders)
    return list(by_id.values())


def _below(root: Path, out: Path) -> Iterator[CohortCase]:
    for name, folders, files in os.walk(root):
        folder = Path(name)
        results = RESULT_FOLDERS if SETTINGS_FILE in files else ()
        folders[:] = sorted(
            child
            for child in folders
            if not child.startswith(".") and child not in results and (folder / child).resolve() != out
        )
        visible = sorted(file for file in files if not file.startswith("."))
        if any(not file.lower().endswith(_NOT_DICOM) for file in visible):
            yield from _series_cases(folder)
        for file in visible:
            if file.lower().endswith(_IMAGES) and not file.lower().endswith(_RESULTS):
                yield _file_case(folder / file, root)


def _series_cases(folder: Path) -> Iterator[CohortCase]:
    for series in list_series(folder):
        # One that does not say what it is becomes a case, so that the table says that it was refused.
        if series.modality in ("CT", "MR", ""):
            yield CohortCase(_series_id(series.uid), series.uid, folder, series.uid, series.files)


def _series_id(uid: str) -> str:
    return f"series-{_hash(uid)}"


def _file_case(path: Path, root: Path) -> CohortCase:
    source = path.relative_to(root).as_posix()
    stem = path.name
    for suffix in sorted(_IMAGES, key=len, reverse=True):
        if stem.lower().endswith(suffix):
            stem = stem[: -len(suffix)]
            break
    plain = re.sub(r"[^\w.-]+", "_", stem)[:_MAX_STEM].strip("._") or "scan"
    return CohortCase(f"{plain}-{_hash(source)[:6]}", source, path)


def _hash(text: str) -> str:
    return hashlib.sha256(text.encode("utf-8", "surrogateescape")).hexdigest()[:16]
