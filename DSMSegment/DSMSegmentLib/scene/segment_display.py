"""Display of the segments present: colours that can be told apart, and lesions that show through their organ.

Only the display node is changed: the segments, and the files written of them, keep their standard colours.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import slicer
from slicer.util import NodeModify

from dsm.core.display_colors import RGB, distinct_color
from dsm.text.appearance import prompt_color
from DSMSegmentLib.scene.segment_tags import promptOf

# Of an organ, where a lesion of it is shown.
_HOST_FILL, _HOST_SURFACE = 0.4, 0.35
_NO_OVERRIDE = -1.0


def hasOwnColor(segment: slicer.vtkSegment) -> bool:
    """Return whether a segment of a prompt has another colour than the standard one: the user chose it."""
    prompt = promptOf(segment)
    return prompt is not None and _rgb(segment.GetColor()) != prompt_color(prompt)


def shownColor(segmentationNode: slicer.vtkMRMLSegmentationNode, segmentId: str) -> RGB:
    """Return the colour of a segment in the views, 0 to 255."""
    override = segmentationNode.GetDisplayNode().GetSegmentOverrideColor(segmentId)
    segment = segmentationNode.GetSegmentation().GetSegment(segmentId)
    return _rgb(segment.GetColor() if override[0] == _NO_OVERRIDE else override)


def setOwnColor(segmentationNode: slicer.vtkMRMLSegmentationNode, segmentId: str, color: RGB) -> None:
    """Give a segment a colour that the user chose: in the views, in files, and for later runs."""
    segment = segmentationNode.GetSegmentation().GetSegment(segmentId)
    segment.SetColor(*(channel / 255 for channel in color))
    segmentationNode.GetDisplayNode().UnsetSegmentOverrideColor(segmentId)


def showDistinctly(segmentationNode: slicer.vtkMRMLSegmentationNode) -> None:
    """Show each segment of a prompt in a colour far from all others, and organs lighter where their lesions are shown.

    Segments keep the colour on display that they have, so that none changes when another comes; colours that the user
    chose, and those of segments drawn by hand, stay.
    """
    segmentation, display = segmentationNode.GetSegmentation(), segmentationNode.GetDisplayNode()
    prompts = {id_: promptOf(segmentation.GetSegment(id_)) for id_ in segmentation.GetSegmentIDs()}
    taken: list[RGB] = []
    waiting = []
    with NodeModify(display):
        for segmentId, prompt in prompts.items():
            isOwn = prompt is None or hasOwnColor(segmentation.GetSegment(segmentId))
            if isOwn:
                display.UnsetSegmentOverrideColor(segmentId)
            if isOwn or display.GetSegmentOverrideColor(segmentId)[0] != _NO_OVERRIDE:
                taken.append(shownColor(segmentationNode, segmentId))
            else:
                waiting.append(segmentId)
        for segmentId in waiting:
            taken.append(distinct_color(shownColor(segmentationNode, segmentId), taken))
            display.SetSegmentOverrideColor(segmentId, *(channel / 255 for channel in taken[-1]))
        structures = {id_: prompt.structure for id_, prompt in prompts.items() if prompt and prompt.structure}
        hosts = {name for id_, one in structures.items() if display.GetSegmentVisibility(id_) for name in one.hosts}
        for segmentId, structure in structures.items():
            isHost = structure.name in hosts
            display.SetSegmentOpacity2DFill(segmentId, _HOST_FILL if isHost else 1.0)
            display.SetSegmentOpacity3D(segmentId, _HOST_SURFACE if isHost else 1.0)


@contextmanager
def withoutOverrides(segmentationNode: slicer.vtkMRMLSegmentationNode) -> Iterator[None]:
    """Take away the colours on display for as long as the scene is written; the views do not notice.

    Slicer has no widget that shows or removes them: a colour that a person chooses there would not be seen.
    """
    display = segmentationNode.GetDisplayNode()
    colors = {id_: display.GetSegmentOverrideColor(id_) for id_ in segmentationNode.GetSegmentation().GetSegmentIDs()}
    with NodeModify(display):
        for segmentId in colors:
            display.UnsetSegmentOverrideColor(segmentId)
        try:
            yield
        finally:
            for segmentId, color in colors.items():
                display.SetSegmentOverrideColor(segmentId, *color)


def _rgb(color: tuple[float, float, float]) -> RGB:
    red, green, blue = (round(255 * channel) for channel in color)
    return red, green, blue
