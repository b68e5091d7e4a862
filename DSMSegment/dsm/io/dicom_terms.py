"""A segment in the terms of DICOM: its name, codes, algorithm and flags, from what Slicer keeps of it."""

from __future__ import annotations

import re
from dataclasses import dataclass

from dsm._version import __version__
from dsm.core.name_status import CUT_OFF
from dsm.core.segment_tags import (
    ACCEPTED_TAG,
    ALGORITHM_NAME_TAG,
    ALGORITHM_TYPE_TAG,
    AUTOMATIC,
    NOTE_TAG,
    TAGS,
    VERSION_TAG,
)
from dsm.io.segment_record import SegmentRecord

# Value representations: a long string, and a text of an algorithm parameter.
MAX_LABEL = 64
_MAX_DESCRIPTION = 1024  # DICOM value representation ST

# DICOM demands a category and a type.
TISSUE = ("85756007", "SCT", "Tissue")

# Notes may name files of this machine: of them, only those about the mask go into the file.
_FLAG = re.compile(rf"Check: .+?[.?](?= |$)|{re.escape(CUT_OFF)}")
_PARAMETERS = tuple(name for name in TAGS if name.startswith("DSM.") and name not in (NOTE_TAG, ACCEPTED_TAG))

Triple = tuple[str, str, str]


@dataclass(frozen=True, slots=True)
class Codes:
    """Codes of a segment, each as value, scheme and meaning.

    Args:
        category: Property category.
        kind: Property type.
        modifier: Of the type, e.g. a side; None for none.
        region: Anatomic region; None for none.
        region_modifier: Of the region; None for none.
    """

    category: Triple
    kind: Triple
    modifier: Triple | None = None
    region: Triple | None = None
    region_modifier: Triple | None = None


def codes_of(tag: str) -> Codes:
    """Read Slicer's terminology entry.

    Segments that were drawn by hand may have none, or a broken one: they are "Tissue".
    """
    parts = (tag.split("~") + [""] * 7)[:7]
    category, kind, modifier, region, region_modifier = (_triple(parts[n]) for n in (1, 2, 3, 5, 6))
    if category is None or kind is None:
        return Codes(TISSUE, TISSUE)
    return Codes(category, kind, modifier, region, region_modifier)


def label_of(text: str) -> str:
    """Return a text as a long string of DICOM, which has at most 64 characters and no backslash."""
    return text[:MAX_LABEL].replace("\\", "/")


def algorithm_type(record: SegmentRecord) -> str:
    """Return `"AUTOMATIC"`, `"SEMIAUTOMATIC"` or `"MANUAL"`; the first where a segment does not say."""
    return record.tags.get(ALGORITHM_TYPE_TAG) or AUTOMATIC


def algorithm_name(record: SegmentRecord) -> str:
    """Return the name of what made a segment, at most 64 characters."""
    return (record.tags.get(ALGORITHM_NAME_TAG) or "DSMSegment")[:MAX_LABEL]


def algorithm_version(record: SegmentRecord) -> str:
    """Return the version of DSMSegment that made a segment."""
    return record.tags.get(VERSION_TAG) or __version__


def algorithm_parameters(record: SegmentRecord) -> dict[str, str]:
    """Return prompt, model, clicks and whatever else a segment was made with."""
    parameters = {name.removeprefix("DSM."): record.tags.get(name, "") for name in _PARAMETERS}
    return {name: value for name, value in parameters.items() if value}


def flags_of(record: SegmentRecord) -> str:
    """Return what is to be checked about a mask, as a short text of DICOM; empty for nothing."""
    return " ".join(_FLAG.findall(record.tags.get(NOTE_TAG, "")))[:_MAX_DESCRIPTION]


def _triple(text: str) -> Triple | None:
    scheme, _, rest = text.partition("^")
    value, _, meaning = rest.partition("^")
    return (value, scheme, meaning[:MAX_LABEL]) if scheme and value and meaning else None
