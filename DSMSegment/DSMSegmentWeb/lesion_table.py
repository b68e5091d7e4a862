"""Table of the lesions of all tumors for a spreadsheet: a line for each lesion."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from dsm.core.segment_tags import from_tags
from dsm.core.volume import Volume
from dsm.inference.lesion_list import axial_slices, list_lesions
from dsm.io.csv_table import write_csv
from dsm.io.segment_record import SegmentRecord
from DSMSegmentLib.scene.lesion_review import acceptedByTags
from DSMSegmentWeb.result_table import code_of

#: As in `lesions.csv` of `dsm batch`, without the columns that are the same for all lesions of one scan, and with
#: whether a person has accepted the lesion.
COLUMNS = (
    "name",
    "structure",
    "code",
    "lesion",
    "volume_ml",
    "longest_mm",
    "perpendicular_mm",
    "mean",
    "sd",
    "center_r_mm",
    "center_a_mm",
    "center_s_mm",
    "slice_number",
    "accepted",
    "warnings",
)


def write_lesion_table(path: Path, tumors: Sequence[SegmentRecord], volume: Volume) -> bool:
    """Write the table as CSV.

    Args:
        path: The file.
        tumors: Segments whose components are lesions.
        volume: The scan, on whose grid the masks are.

    Returns:
        False if there is no lesion: nothing is written.

    Raises:
        OutputError: If it cannot be written.
    """
    note = axial_slices(volume.affine).note
    rows = []
    for record in tumors:
        facts = from_tags(record.tags)
        lesions = list_lesions(record.mask, volume.array, volume.affine)
        accepted = acceptedByTags(record.tags, lesions)
        for number, lesion in enumerate(lesions, start=1):
            notes = [*(facts.notes if facts is not None else ()), *filter(None, [note])]
            rows.append(
                {
                    "name": record.name,
                    "structure": facts.name if facts is not None else "",
                    "code": code_of(record.terminology_tag),
                    "lesion": number,
                    **lesion.rounded().cells(),
                    "accepted": "yes" if lesion in accepted else "no",
                    "warnings": " ".join(notes),
                }
            )
    if rows:
        write_csv(path, COLUMNS, rows)
    return bool(rows)
