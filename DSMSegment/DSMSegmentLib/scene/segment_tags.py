"""Segment tags: the prompt of a segment, and whether it was edited."""

from __future__ import annotations

import re
from functools import lru_cache

import slicer
import vtk

from dsm.core.name_status import ResultSource
from dsm.core.prompt import Prompt
from dsm.core.segment_tags import (
    ALGORITHM_TYPE_TAG,
    AUTOMATIC,
    EDITED_TAG,
    MANUALLY_CHANGED,
    SOURCE_TAG,
    TAGS,
    SegmentFacts,
    from_tags,
)
from dsm.errors import PromptError
from dsm.text.prompt import parse_prompts


def tagOf(segment: slicer.vtkSegment, name: str) -> str:
    """Return a tag of a segment; empty where it has none."""
    value = vtk.reference("")
    return str(value) if segment.GetTag(name, value) else ""


def tagsOf(segment: slicer.vtkSegment) -> dict[str, str]:
    """Return the tags that DSMSegment writes; those of other programs cannot be listed from Python."""
    return {name: value for name in TAGS if (value := tagOf(segment, name))}


def factsOf(segment: slicer.vtkSegment) -> SegmentFacts | None:
    """Return what the tags of a segment say; None for one that came from no prompt."""
    return from_tags(tagsOf(segment))


def isWithoutRun(segment: slicer.vtkSegment) -> bool:
    """Return whether a segment was made for a prompt, to be clicked or drawn, and no run gave it a mask."""
    facts = factsOf(segment)
    return facts is not None and not facts.provenance.model


def isEdited(segment: slicer.vtkSegment) -> bool:
    """Return whether a segment of the network was edited by a person."""
    return tagOf(segment, ALGORITHM_TYPE_TAG) == MANUALLY_CHANGED


def isEditedByHand(segment: slicer.vtkSegment) -> bool:
    """Return whether a person changed voxels of a segment of the network; clicks alone change none by hand."""
    return isEdited(segment) and not isUneditedResult(segment)


def isUneditedResult(segment: slicer.vtkSegment) -> bool:
    """Return whether the mask of a segment is what the network found, by its name or by clicks."""
    if not isEdited(segment):
        return tagOf(segment, ALGORITHM_TYPE_TAG) == AUTOMATIC
    return tagOf(segment, SOURCE_TAG) == ResultSource.CLICK and not tagOf(segment, EDITED_TAG)


def promptOf(segment: slicer.vtkSegment) -> Prompt | None:
    """Return the prompt of a segment, whatever its current name; None if it has none.

    Older scenes have only what was typed, which may stand for several prompts: there, the name of the segment tells.
    """
    facts = factsOf(segment)
    if facts is None:
        return None
    prompts = _parsed(facts.prompt)
    name = facts.name or re.sub(r"_\d+$", "", segment.GetName())
    return next((prompt for prompt in prompts if prompt.name.casefold() == name.casefold()), (*prompts, None)[0])


@lru_cache(maxsize=256)  # the table is read from the scene after every change
def _parsed(text: str) -> tuple[Prompt, ...]:
    try:
        return tuple(parse_prompts(text))
    except PromptError:
        return ()
