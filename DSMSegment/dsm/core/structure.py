"""A structure of the vocabulary with its coded terminology in Slicer and DICOM."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

GENERAL_CONTEXT = "Segmentation category and type - 3D Slicer General Anatomy list"
MASTER_CONTEXT = "Segmentation category and type - DICOM master list"
ANATOMIC_CONTEXT = "Anatomic codes - DICOM master list"

Kind = Literal["organ", "tumor"]
Laterality = Literal["left", "right"]


@dataclass(frozen=True, slots=True)
class Code:
    """A coded concept, e.g. `Code("10200004", "SCT", "Liver")`."""

    value: str
    scheme: str
    meaning: str

    def __str__(self) -> str:
        return f"{self.scheme}^{self.value}^{self.meaning}"


@dataclass(frozen=True, slots=True)
class Terminology:
    """Terminology entry in Slicer's form: type, and anatomic region if that is separate.

    Args:
        category: E.g. Anatomical Structure, or Morphologically Altered Structure.
        type: E.g. Kidney, or Neoplasm.
        modifier: Left or right, where the type itself has two sides.
        region: The organ a lesion (or a muscle without a code of its own) lies in.
        region_modifier: Left or right of the region.
        context: Name of the Slicer terminology that lists the type; the DICOM list where none does.
    """

    category: Code
    type: Code
    modifier: Code | None = None
    region: Code | None = None
    region_modifier: Code | None = None
    context: str = GENERAL_CONTEXT

    def to_tag(self) -> str:
        """Return the value of the segment tag `TerminologyEntry`, as Slicer writes it."""
        optional = [str(code) if code else "^^" for code in (self.modifier, self.region, self.region_modifier)]
        return "~".join(
            (self.context, str(self.category), str(self.type), optional[0], ANATOMIC_CONTEXT, optional[1], optional[2])
        )


@dataclass(frozen=True, slots=True)
class Structure:
    """An entry of the vocabulary.

    Args:
        name: Canonical name, e.g. `"left kidney"`; the name of the segment and the key of the text bank.
        kind: `"organ"` or `"tumor"` (any abnormality: tumor, cyst, effusion …); chooses the query set.
        synonyms: Other names of the same thing.
        parts: Names of parts of it that have no entry of their own: asking for one segments the whole.
        hosts: Names of the structures a lesion lies in.
        laterality: `"left"`, `"right"` or None.
        modalities: Where it can be seen, the usual one first.
        body_region: `"head"`, `"neck"`, `"thorax"`, `"abdomen"`, `"pelvis"`, `"spine"`, a limb, or `"whole body"`.
        terminology: Codes for Slicer and DICOM.
        color: Red, green, blue, 0 to 255.
    """

    name: str
    kind: Kind
    synonyms: tuple[str, ...]
    parts: tuple[str, ...]
    hosts: tuple[str, ...]
    laterality: Laterality | None
    modalities: tuple[str, ...]
    body_region: str
    terminology: Terminology
    color: tuple[int, int, int]
