"""Conversion of results to segment records: names, colours, terminology and algorithm tags."""

from __future__ import annotations

from collections.abc import Sequence

from dsm.core.result import PromptResult
from dsm.core.segment_tags import Provenance, SegmentFacts, to_tags
from dsm.io.segment_record import SegmentRecord
from dsm.text.appearance import prompt_color, prompt_terminology


def segment_records(results: Sequence[PromptResult], provenance: Provenance) -> list[SegmentRecord]:
    """Return a segment for each result that found something, with the tags that Slicer and DICOM SEG read.

    Args:
        results: Of any scan.
        provenance: What made them.
    """
    return [
        SegmentRecord(
            name=result.prompt.name,
            mask=result.mask,
            color=prompt_color(result.prompt),
            terminology_tag=prompt_terminology(result.prompt).to_tag(),
            tags=to_tags(SegmentFacts.of(result, provenance)),
        )
        for result in results
        if result.found
    ]
