"""Colour and terminology of the segment of a prompt."""

from __future__ import annotations

import colorsys
import hashlib

from dsm.core.prompt import Prompt
from dsm.text.vocabulary import Code, Terminology

# Free text: DICOM SEG demands a category and a type.
_FREE_TEXT = {
    "organ": Terminology(Code("85756007", "SCT", "Tissue"), Code("85756007", "SCT", "Tissue")),
    "tumor": Terminology(Code("49755003", "SCT", "Morphologically Altered Structure"), Code("4147007", "SCT", "Mass")),
}


def prompt_color(prompt: Prompt) -> tuple[int, int, int]:
    """Return red, green, blue, 0 to 255: the vocabulary's, or one drawn from the name, the same every time."""
    if prompt.structure is not None:
        return prompt.structure.color
    digest = hashlib.sha256(prompt.name.encode()).digest()
    red, green, blue = (round(255 * part) for part in colorsys.hsv_to_rgb(digest[0] / 256, 0.55, 0.9))
    return red, green, blue


def prompt_terminology(prompt: Prompt) -> Terminology:
    """Return the codes of the vocabulary, or general ones for free text."""
    return prompt.structure.terminology if prompt.structure is not None else _FREE_TEXT[prompt.kind]
