"""Conversion of results to segment records: names, colours, terminology and algorithm tags."""

from __future__ import annotations

from collections.abc import Sequence

from dsm.core.result import PromptResult
from dsm.core.segment_tags import Provenance, SegmentFacts, to_tags
from dsm.io.segment_record import SegmentRecord
from dsm.text.appearance import prompt_color, prompt_terminology


def segment_records(
    results: Sequence[PromptResult], *, model: str, model_sha256: str = "", device: str = ""
) -> list[SegmentRecord]:
    """Return a segment for each result that found something, with the tags that Slicer and DICOM SEG read.

    Args:
        results: Of any scan.
        model: Name of what made them.
        model_sha256: `ModelEntry.digest`; empty where unknown.
        device: Where it computed.
    """
    provenance = Provenance(model, model_sha256, device=device)
    return [
        SegmentRecord(
            name=result.prompt.name,
            mask=result.mask,
            color=prompt_color(result.prompt),
            terminology_tag=prompt_terminology(result.prompt).to_tag(),
            tags=to_tags(_facts(result, provenance)),
        )
        for result in results
        if result.found
    ]


def _facts(result: PromptResult, provenance: Provenance) -> SegmentFacts:
    return SegmentFacts(
        prompt=result.prompt.text,
        name=result.prompt.name,
        provenance=provenance,
        score=result.score,
        threshold=result.threshold,
        volume_ml=result.volume_ml,
        seconds=result.seconds,
        notes=(*result.prompt.warnings, *result.warnings),
        answer=result.answer,
        clicks=result.prompt.clicks,
    )
