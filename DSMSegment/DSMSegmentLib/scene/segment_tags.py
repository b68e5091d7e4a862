"""What the tags of a segment say: which prompt it came from, and whether it was changed by hand since."""

from __future__ import annotations

import re
from functools import lru_cache

import slicer
import vtk

from dsm.errors import PromptError
from dsm.text.prompt import Prompt, parse_prompts
from DSMSegmentLib.scene.provenance import ALGORITHM_TYPE_TAG, MANUALLY_CHANGED, NAME_TAG, PROMPT_TAG


def tagOf(segment: slicer.vtkSegment, name: str) -> str:
    """Return a tag of a segment; empty where it has none."""
    value = vtk.reference("")
    return str(value) if segment.GetTag(name, value) else ""


def isEdited(segment: slicer.vtkSegment) -> bool:
    """Whether the network made the segment and a person changed it since."""
    return tagOf(segment, ALGORITHM_TYPE_TAG) == MANUALLY_CHANGED


def promptOf(segment: slicer.vtkSegment) -> Prompt | None:
    """Return the prompt that a segment came from, whatever it is called now; None for one that came from none.

    Older scenes have only what was typed, which may stand for several prompts: there, the name of the segment tells.
    """
    prompts = _parsed(tagOf(segment, PROMPT_TAG))
    name = tagOf(segment, NAME_TAG) or re.sub(r"_\d+$", "", segment.GetName())
    return next((prompt for prompt in prompts if prompt.name.casefold() == name.casefold()), (*prompts, None)[0])


@lru_cache(maxsize=256)  # the table is read from the scene after every change
def _parsed(text: str) -> tuple[Prompt, ...]:
    try:
        return tuple(parse_prompts(text))
    except PromptError:
        return ()
