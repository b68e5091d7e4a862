"""Table of results for a spreadsheet: a line for each segment, and for each name of the last run without one."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from dsm.core.segment_tags import COMPLETED, STATUS_TAG, from_tags
from dsm.core.volume import Volume
from dsm.io.csv_table import write_csv
from dsm.io.segment_record import SegmentRecord
from DSMSegmentWeb.rows import Row, status_text

COLUMNS = ("name", "structure", "code", "status", "volume_ml", "score", "warnings", "reviewed")


def write_result_table(path: Path, records: Sequence[SegmentRecord], missing: Sequence[Row], volume: Volume) -> None:
    """Write the table as CSV.

    Args:
        path: The file.
        records: The segments; volumes are those of their present masks.
        missing: Rows of the page without a segment.
        volume: Whose grid the masks are on.

    Raises:
        OutputError: If it cannot be written.
    """
    write_csv(path, COLUMNS, [*_segments(records, volume), *_missing(missing)])


def _segments(records: Sequence[SegmentRecord], volume: Volume) -> Iterator[dict[str, Any]]:
    for record in records:
        facts = from_tags(record.tags)
        volume_ml = volume.ml_of(record.mask.num_voxels)
        yield {
            "name": record.name,
            "structure": facts.name if facts is not None else "",
            "code": code_of(record.terminology_tag),
            "status": status_text(facts, volume_ml),
            "volume_ml": round(volume_ml, 3),
            "score": facts.score if facts is not None else None,
            "warnings": " ".join(facts.notes) if facts is not None else "",
            "reviewed": "yes" if record.tags.get(STATUS_TAG) == COMPLETED else "no",
        }


def _missing(rows: Sequence[Row]) -> Iterator[dict[str, Any]]:
    for row in rows:
        yield {
            "name": row.name,
            "structure": row.name,
            "status": row.note,
            "score": row.score,
            "warnings": row.warnings,
        }


def code_of(terminology_tag: str) -> str:
    """Return scheme and value of the type in Slicer's terminology entry, e.g. `"SCT 10200004"`; empty for none."""
    kind = (*terminology_tag.split("~"), "", "", "")[2]
    scheme, value, *_ = (*kind.split("^"), "", "")
    return f"{scheme} {value}".strip()
