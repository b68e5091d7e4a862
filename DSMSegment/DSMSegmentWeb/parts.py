"""Whether a segment is one thing, so that islands of it are noise."""

from __future__ import annotations

import slicer
import vtk

from dsm.inference.parts import kept_fraction
from dsm.text.prompt import parse_prompts
from DSMSegmentLib.provenance import PROMPT_TAG


def has_one_part(segmentation_node: slicer.vtkMRMLSegmentationNode, segment_id: str) -> bool:
    """Whether the prompt of a segment names organs that are one thing: the engine keeps only their largest part."""
    text = vtk.reference("")
    if not segmentation_node.GetSegmentation().GetSegment(segment_id).GetTag(PROMPT_TAG, text):
        return False
    return all(kept_fraction(prompt) == 1.0 for prompt in parse_prompts(str(text)))
