"""The scans of a cohort: which there are below a folder, and names for them that say nothing about the patient."""

from __future__ import annotations

import hashlib
import os
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from dsm.errors import ImageError, InputError
from dsm.io.image import list_series

_IMAGES = (".nii", ".nii.gz", ".nrrd", ".nhdr", ".mha", ".mhd")
_RESULTS = (".seg.nrrd",)

# GDCM would open each of these only to find that it is no DICOM file.
_NOT_DICOM = (*_IMAGES, ".json", ".csv", ".txt", ".png", ".jpg", ".pdf", ".gz", ".zip", ".raw", ".zraw", ".md", ".py")

_MAX_STEM = 60


@dataclass(frozen=True, slots=True)
class Case:
    """One scan.

    Args:
        id: Its name in the table, in logs and of files. A hash of the series UID for DICOM, whose folders are often
            named after patients; a file keeps its name, shortened.
        source: What it is found by: the series UID, or the path relative to where the search began.
        path: The file, or the folder of the series.
        series_uid: Of a DICOM series, else None.
        files: Those of the series, in no order.
    """

    id: str
    source: str
    path: Path
    series_uid: str | None = None
    files: tuple[str, ...] = ()

    def redact(self, text: str) -> str:
        """Return `text` (a message) without the paths of a DICOM series, which may name the patient."""
        if self.series_uid is None:
            return text
        # The longest first: a file before its folder, and its folder before the folder's name.
        paths = [*self.files, *(os.path.realpath(file) for file in self.files), str(self.path), self.path.name]
        for path in sorted({path for path in paths if len(path) > 1}, key=len, reverse=True):
            text = text.replace(path, self.id)
        return text


def find_cases(root: Path, *, out: Path) -> list[Case]:
    """Find every CT and MR series and every image file at or below `root`, in a stable order.

    Links to folders are not followed. A DICOM series is what lies in one folder and has one series UID.

    Args:
        root: A folder, or one image file.
        out: A folder below `root` that is skipped: earlier results are no scans.

    Raises:
        ImageError: If `root` is missing, or there is no scan.
        InputError: If two files would get the same name.
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
    if len({case.id for case in cases}) < len(cases):
        raise InputError("A DICOM series lies there twice.", code="input.twice", hint="Remove one of the copies.")
    return cases


def _below(root: Path, out: Path) -> Iterator[Case]:
    for name, folders, files in os.walk(root):
        folder = Path(name)
        folders[:] = sorted(
            child for child in folders if not child.startswith(".") and (folder / child).resolve() != out
        )
        visible = sorted(file for file in files if not file.startswith("."))
        if any(not file.lower().endswith(_NOT_DICOM) for file in visible):
            yield from _series_cases(folder)
        for file in visible:
            if file.lower().endswith(_IMAGES) and not file.lower().endswith(_RESULTS):
                yield _file_case(folder / file, root)


def _series_cases(folder: Path) -> Iterator[Case]:
    for series in list_series(folder):
        # One that does not say what it is becomes a case, so that the table says that it was refused.
        if series.modality in ("CT", "MR", ""):
            yield Case(f"series-{_hash(series.uid)}", series.uid, folder, series.uid, series.files)


def _file_case(path: Path, root: Path) -> Case:
    source = path.relative_to(root).as_posix()
    stem = path.name
    for suffix in sorted(_IMAGES, key=len, reverse=True):
        if stem.lower().endswith(suffix):
            stem = stem[: -len(suffix)]
            break
    plain = re.sub(r"[^\w.-]+", "_", stem)[:_MAX_STEM].strip("._") or "scan"
    return Case(f"{plain}-{_hash(source)[:6]}", source, path)


def _hash(text: str) -> str:
    return hashlib.sha256(text.encode("utf-8", "surrogateescape")).hexdigest()[:16]
