"""File formats that segments are written in: the only place that a suffix, its writer and what it holds are known.

A format that is added here is offered by `dsm segment`, `dsm batch`, the panel and the page.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

from dsm.errors import InputError, OutputError

if TYPE_CHECKING:
    from dsm.core.volume import Volume
    from dsm.io.segment_record import SegmentRecord


class Writer(Protocol):
    """Protocol of what writes segments to a file."""

    def __call__(self, path: Path, records: Sequence[SegmentRecord], volume: Volume, /) -> object:
        """Write segments, whose masks are on the grid of `volume`; raises `DSMError`."""


class SeriesWriter(Protocol):
    """Protocol of what writes segments that refer to the files of a DICOM series, which `volume` was read from."""

    def __call__(self, path: Path, records: Sequence[SegmentRecord], volume: Volume, files: Sequence[str], /) -> object:
        """Write segments; raises `DSMError`."""


class SeriesModule(Protocol):
    """Protocol of the module of a `SeriesWriter`."""

    def check_source(self, volume: Volume, files: Sequence[str], /) -> None:
        """Check, before a long run, that segments can refer to a series; raises as the writer."""


@dataclass(frozen=True, slots=True)
class SegmentationFormat:
    """One file format.

    Args:
        suffix: End of the file name, with the dot.
        label: Name for menus and help texts.
        writer: `"module:function"`, a `Writer`, or a `SeriesWriter` where `needs_series`; imported on first use.
        overlaps: Whether segments that overlap are kept as they are.
        terminology: Whether the codes of segments are kept.
        empty: Whether empty segments, and a result without any segment, can be written.
        needs_series: Whether it refers to a DICOM series, which must be the input; the module of its writer is a
            `SeriesModule`.
        package: Optional package that the writer imports; empty for none.
        extra: The extra of `dsmsegment` that brings the package.
        companion_suffix: Of a second file that the writer puts beside it, e.g. `".json"`; empty for none.
    """

    suffix: str
    label: str
    writer: str
    overlaps: bool
    terminology: bool
    empty: bool = True
    needs_series: bool = False
    package: str = ""
    extra: str = ""
    companion_suffix: str = ""

    @property
    def name(self) -> str:
        """The suffix without its dot, as options and addresses give it."""
        return self.suffix[1:]

    def files(self, path: Path) -> tuple[Path, ...]:
        """Return every file that is written for `path`, itself first."""
        if not self.companion_suffix:
            return (path,)
        return path, path.with_name(path.name.removesuffix(self.suffix) + self.companion_suffix)

    def write(
        self, path: Path, records: Sequence[SegmentRecord], volume: Volume, series_files: Sequence[str] = ()
    ) -> tuple[Path, ...]:
        """Write segments.

        Args:
            path: The file, which ends in `suffix`.
            records: The segments.
            volume: Whose grid the masks are on.
            series_files: Files of the DICOM series of the volume, where the format needs it.

        Returns:
            `files(path)`.

        Raises:
            DSMError: As the writer does.
        """
        module, function = self.writer.split(":")
        if self.needs_series:
            write_series: SeriesWriter = getattr(import_module(module), function)
            write_series(path, records, volume, series_files)
        else:
            write: Writer = getattr(import_module(module), function)
            write(path, records, volume)
        return self.files(path)

    def check_source(self, volume: Volume, series_files: Sequence[str]) -> None:
        """Check, before a long run, that the format can refer to a series, where it needs one; raises as `write`."""
        if self.needs_series:
            module: SeriesModule = import_module(self.writer.split(":")[0])
            module.check_source(volume, series_files)


def no_series(chosen: SegmentationFormat, what: str, *, hint: str) -> InputError:
    """Return the error for a format that needs a DICOM series, and a scan that is none.

    Args:
        chosen: The format.
        what: The scan.
        hint: What to do instead.
    """
    return InputError(
        f"{what} is no DICOM series, so there is nothing that a {chosen.label} could refer to.",
        code="input.no_dicom",
        hint=hint,
    )


SEG_NRRD = SegmentationFormat(
    ".seg.nrrd", "Slicer segmentation", "dsm.io.seg_nrrd:write_seg_nrrd", overlaps=True, terminology=True
)
LABEL_MAP = SegmentationFormat(
    ".nii.gz",
    "Label map",
    "dsm.io.labelmap:write_labelmap",
    overlaps=False,
    terminology=True,  # in the JSON file beside it
    companion_suffix=".json",
)
DICOM_SEG = SegmentationFormat(
    ".dcm",
    "DICOM SEG",
    "dsm.io.dicom_seg:write_dicom_seg",
    overlaps=True,
    terminology=True,
    empty=False,
    needs_series=True,
    package="highdicom",
    extra="dicom",
)
RTSTRUCT = SegmentationFormat(
    ".rtstruct.dcm",
    "DICOM RT Structure Set",
    "dsm.io.rtstruct:write_rtstruct",
    overlaps=True,
    terminology=True,
    empty=False,
    needs_series=True,
    package="contourpy",
    extra="dicom",
)
FORMATS = (SEG_NRRD, LABEL_MAP, DICOM_SEG, RTSTRUCT)
SUFFIXES = tuple(one.suffix for one in FORMATS)
NAMES = tuple(one.name for one in FORMATS)
# What an archive of DICOM can hold.
IN_ARCHIVES = tuple(one for one in FORMATS if one.needs_series)


def format_of(path: Path) -> SegmentationFormat:
    """Return the format of a file by the end of its name; of two that match, the longer one.

    Raises:
        OutputError: If no format has it (`output.format`).
    """
    matching = [one for one in FORMATS if path.name.endswith(one.suffix)]
    if matching:
        return max(matching, key=lambda one: len(one.suffix))
    raise OutputError(f"{path} has no known file type.", code="output.format", hint=f"Name it {' or '.join(SUFFIXES)}.")


def described() -> str:
    """Return suffix and label of every format, for a help text."""
    needs = {one: ", DICOM series only" if one.needs_series else "" for one in FORMATS}
    return "; ".join(f"{one.suffix} ({one.label}{needs[one]})" for one in FORMATS)
