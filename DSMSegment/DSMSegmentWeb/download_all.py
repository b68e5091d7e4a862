"""One archive of all that the page can write but the scene: segments in every format, surfaces, tables, picture."""

from __future__ import annotations

import zipfile
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import vtk

from dsm._version import __version__
from dsm.core.volume import Volume
from dsm.errors import DSMError, InputError
from dsm.io.formats import FORMATS, SegmentationFormat
from dsm.io.segment_record import SegmentRecord
from DSMSegmentWeb.exports import safe_name
from DSMSegmentWeb.lesion_table import write_lesion_table
from DSMSegmentWeb.picture import ViewPicture, write_picture
from DSMSegmentWeb.result_table import write_result_table
from DSMSegmentWeb.rows import Row
from DSMSegmentWeb.surface_files import write_stl

ARCHIVE = "zip"
# Compressed already.
_STORED = (".gz", ".nrrd", ".png")


@dataclass(frozen=True, slots=True, eq=False)
class Contents:
    """Contents of the archive: copies, so that the scene may change while it is written.

    Args:
        name: Of the scan.
        volume: The scan.
        records: Its segments.
        tumors: Numbers in `records` of those whose components are lesions.
        surfaces: Of those that are not empty, in RAS mm, by their number in `records`.
        views: Pictures of the views.
        rows: Results as listed on the page; those without a segment go into the table, too.
        dicom_files: Of the series of the scan; empty when it is no DICOM series.
    """

    name: str
    volume: Volume
    records: Sequence[SegmentRecord]
    tumors: Collection[int]
    surfaces: Mapping[int, vtk.vtkPolyData]
    views: Sequence[ViewPicture]
    rows: Sequence[Row]
    dicom_files: Sequence[str] = ()

    def write(self, folder: Path) -> tuple[Path, list[str]]:
        """Write the archive into an empty folder.

        Returns:
            The file, and a sentence for each part that had to be left out.

        Raises:
            InputError: If there is no segment.
            OutputError: If a file cannot be written.
        """
        if not self.records:
            message = "There is no segment yet, so there is nothing to download."
            raise InputError(message, code="input.export", hint="Segment something first.")
        stem = safe_name(self.name, "scan")
        lines: list[str] = []
        left_out: list[str] = []
        archive = folder / f"{stem}.{ARCHIVE}"
        with zipfile.ZipFile(archive, "w", zipfile.ZIP_DEFLATED) as packed:
            for file, text in self._files(folder, stem, left_out):
                name = file.relative_to(folder).as_posix()
                packed.write(file, name, zipfile.ZIP_STORED if file.suffix in _STORED else None)
                file.unlink()
                lines.append(f"{name}: {text}")
            packed.writestr("contents.txt", self._described(lines, left_out))
        return archive, left_out

    def _files(self, folder: Path, stem: str, left_out: list[str]) -> Iterator[tuple[Path, str]]:
        """Write one file after the other; yields each with what it is."""
        for one in FORMATS:
            if (reason := self._reason_against(one)) or (reason := self._refusal(one, folder / f"{stem}{one.suffix}")):
                left_out.append(f"{one.label}: {reason}")
                continue
            if not one.empty and (empty := [record.name for record in self.records if not record.mask.array.any()]):
                left_out.append(
                    f"{one.label}: no {', '.join(empty)}, which {'is' if len(empty) == 1 else 'are'} empty."
                )
            texts = (one.label, f"names, colours and codes of the values of the {one.label.lower()}")
            yield from zip(one.files(folder / f"{stem}{one.suffix}"), texts, strict=False)
        for number, record in enumerate(self.records):
            if number not in self.surfaces:
                left_out.append(f"Surface of {record.name}: it is empty.")
                continue
            path = folder / "surfaces" / f"{number + 1:02d}_{safe_name(record.name, 'segment')}.stl"
            path.parent.mkdir(exist_ok=True)
            write_stl(path, self.surfaces[number])
            yield path, f"surface of {record.name}, LPS, mm"
        table = folder / f"{stem}.csv"
        write_result_table(table, self.records, [row for row in self.rows if not row.id], self.volume)
        yield table, "table of the results, UTF-8"
        lesions = folder / "lesions.csv"
        if write_lesion_table(lesions, [self.records[number] for number in sorted(self.tumors)], self.volume):
            yield lesions, "lesions of the tumors: volume, diameters by RECIST 1.1, intensity; UTF-8"
        picture = folder / f"{stem}.png"
        write_picture(picture, self.views, self.name, self.rows)
        yield picture, "the views as they were shown"

    def _reason_against(self, chosen: SegmentationFormat) -> str:
        return "the scan is no DICOM series." if chosen.needs_series and not self.dicom_files else ""

    def _refusal(self, chosen: SegmentationFormat, path: Path) -> str:
        """Write a format; returns why the series of the scan cannot be referred to, empty where it can."""
        try:
            chosen.write(path, self.records, self.volume, self.dicom_files)
        except DSMError as error:
            if not chosen.needs_series:
                raise
            return error.one_line
        return ""

    def _described(self, lines: Sequence[str], left_out: Sequence[str]) -> str:
        heading = f"{self.name}: results of DSMSegment {__version__}. Research use only. Not a medical device."
        missing = ["", "Not here:", *left_out] if left_out else []
        return "\n".join([heading, "", *lines, *missing, ""])
