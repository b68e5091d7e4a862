"""Conversion of results to segment records: names, colours, terminology and algorithm tags."""

from __future__ import annotations

import colorsys
import hashlib
from collections.abc import Sequence
from datetime import UTC, datetime

from dsm._version import __version__
from dsm.inference.result import PromptResult
from dsm.io.segment_record import SegmentRecord
from dsm.text.prompt import Prompt
from dsm.text.vocabulary import Code, Terminology

# DICOM demands a category and a type, of free words too.
_FREE_TEXT = {
    "organ": Terminology(Code("85756007", "SCT", "Tissue"), Code("85756007", "SCT", "Tissue")),
    "tumor": Terminology(Code("49755003", "SCT", "Morphologically Altered Structure"), Code("4147007", "SCT", "Mass")),
}
_MAX_ALGORITHM_NAME = 64  # DICOM value representation LO


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
    created = datetime.now(UTC).isoformat(timespec="seconds")
    return [
        SegmentRecord(
            name=result.prompt.name,
            mask=result.mask,
            color=prompt_color(result.prompt),
            terminology_tag=_terminology(result.prompt).to_tag(),
            tags={
                # Without these two, Slicer exports the segment as drawn by hand.
                "DICOM.SegmentAlgorithmType": "AUTOMATIC",
                "DICOM.SegmentAlgorithmName": f"DSMSegment {model} {__version__}"[:_MAX_ALGORITHM_NAME],
                "Segmentation.Status": "inprogress",
                "DSM.Prompt": result.prompt.text,
                "DSM.Model": model,
                "DSM.ModelSHA256": model_sha256,
                "DSM.Version": __version__,
                "DSM.Device": device,
                "DSM.Score": f"{result.score:.3f}",
                "DSM.Threshold": f"{result.threshold:g}",
                "DSM.Created": created,
            },
        )
        for result in results
        if result.found
    ]


def prompt_color(prompt: Prompt) -> tuple[int, int, int]:
    """Return red, green, blue, 0 to 255: the vocabulary's, or one drawn from the name, the same every time."""
    if prompt.structure is not None:
        return prompt.structure.color
    digest = hashlib.sha256(prompt.name.encode()).digest()
    red, green, blue = (round(255 * part) for part in colorsys.hsv_to_rgb(digest[0] / 256, 0.55, 0.9))
    return red, green, blue


def _terminology(prompt: Prompt) -> Terminology:
    return prompt.structure.terminology if prompt.structure is not None else _FREE_TEXT[prompt.kind]
