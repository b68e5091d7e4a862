"""Terminology and colour of a prompt, as Slicer stores them on a segment."""

from __future__ import annotations

import colorsys
import hashlib
from typing import TYPE_CHECKING

from dsm.text.vocabulary import Code, Terminology

if TYPE_CHECKING:
    from dsm.text.prompt import Prompt

# What free text gets, so that it can still be exported as DICOM SEG, which demands a category and a type.
_FREE_TEXT = {
    "organ": Terminology(Code("85756007", "SCT", "Tissue"), Code("85756007", "SCT", "Tissue"), None, None),
    "tumor": Terminology(
        Code("49755003", "SCT", "Morphologically Altered Structure"), Code("4147007", "SCT", "Mass"), None, None
    ),
}


def terminologyTag(prompt: Prompt) -> str:
    """Return the entry for `vtkSegment.SetTerminology`: the vocabulary's, or a general one for free text."""
    terminology = prompt.structure.terminology if prompt.structure else _FREE_TEXT[prompt.kind]
    return terminology.to_tag()


def segmentColor(prompt: Prompt) -> tuple[float, float, float]:
    """Return red, green, blue in 0..1: the vocabulary's, or a reproducible one derived from the name."""
    if prompt.structure:
        red, green, blue = prompt.structure.color
        return red / 255, green / 255, blue / 255
    digest = hashlib.sha256(prompt.name.encode()).digest()
    return colorsys.hsv_to_rgb(digest[0] / 256, 0.55, 0.9)
