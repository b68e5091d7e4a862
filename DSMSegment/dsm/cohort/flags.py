"""Flags for the reader of the table: simple facts about a mask, no verdicts."""

from __future__ import annotations

from collections.abc import Collection

from dsm.core.name_status import NameKind
from dsm.core.result import PromptResult
from dsm.core.volume import Volume

#: The mask reaches the first or last plane of the volume along some axis: the structure may be cut off.
TOUCHES_EDGE = "touches_edge"
#: The score is below one half.
LOW_SCORE = "low_score"
#: The model of the result was not trained on this name, in the modality of the scan.
ZERO_SHOT = "zero_shot"
#: The structure is looked for in the other modality as a rule.
OTHER_MODALITY = "other_modality"
#: Voxels are longer than 6 mm: four times the grid that the network works on.
THICK_SLICES = "thick_slices"

_LOW = 0.5
_THICK_MM = 6.0


def flags_of(result: PromptResult, volume: Volume, trained: Collection[str]) -> tuple[str, ...]:
    """Return the flags of a result, in a fixed order.

    Args:
        result: Of a prompt.
        volume: What was segmented.
        trained: Names that the chosen model has learned; another model of a result has learned its name.
    """
    structure = result.prompt.structure
    facts = {
        TOUCHES_EDGE: result.touches_edge,
        LOW_SCORE: result.score is not None and result.score < _LOW,
        ZERO_SHOT: not _is_learned(result, trained),
        OTHER_MODALITY: bool(structure and structure.modalities and volume.modality not in structure.modalities),
        THICK_SLICES: max(volume.spacing_mm) > _THICK_MM,
    }
    return tuple(flag for flag, holds in facts.items() if holds)


def _is_learned(result: PromptResult, trained: Collection[str]) -> bool:
    status = result.name_status
    if status is None:  # of clicks
        return bool(result.model) or result.prompt.name in trained
    return status.kind is NameKind.LEARNED
