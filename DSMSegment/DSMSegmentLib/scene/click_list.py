"""Clicks of a segment as Markups points: one list a segment, saved with the scene, moved and deleted like other points.

A point that is *selected*, as Markups call it, is inside of the object; one that is not is outside. The flag is saved,
gives a point one of the two colors of its list, and can be changed in the module Markups.
"""

from __future__ import annotations

from collections.abc import Sequence

import slicer
import vtk
from slicer.util import NodeModify

from dsm.core.click import Click
from DSMSegmentLib.scene.placement import placeBesideVolume, removeNode

# A node reference of the segmentation. The id of a segment is unique there and stays with it in files.
_ROLE = "DSMSegment.Clicks."
_LABELS = {True: "+", False: "\N{MINUS SIGN}"}
# Told apart without color vision, too; the labels say it as well.
_INSIDE_COLOR, _OUTSIDE_COLOR = (0.0, 0.62, 0.45), (0.84, 0.37, 0.0)
_GLYPH_SCALE = 2.0
# Of points in other slices, which Slicer would not show. It has one color for both kinds: the labels tell them.
_ELSEWHERE_COLOR, _ELSEWHERE_OPACITY = (1.0, 1.0, 1.0), 0.3


def clickListOf(
    segmentationNode: slicer.vtkMRMLSegmentationNode, segmentId: str
) -> slicer.vtkMRMLMarkupsFiducialNode | None:
    """Return the list of clicks of a segment; None for none, or one that was deleted."""
    node = segmentationNode.GetNodeReference(_ROLE + segmentId)
    return node if node is not None and node.IsA("vtkMRMLMarkupsFiducialNode") else None


def ensureClickList(
    segmentationNode: slicer.vtkMRMLSegmentationNode, segmentId: str, volumeNode: slicer.vtkMRMLScalarVolumeNode
) -> slicer.vtkMRMLMarkupsFiducialNode:
    """Return the list of clicks of a segment, made beside the volume and under its transform where there is none."""
    node = clickListOf(segmentationNode, segmentId)
    if node is None:
        name = segmentationNode.GetSegmentation().GetSegment(segmentId).GetName()
        node = makeClickList(f"{name} clicks", volumeNode)
        placeBesideVolume(node, volumeNode)
        segmentationNode.SetNodeReferenceID(_ROLE + segmentId, node.GetID())
    return node


def makeClickList(name: str, volumeNode: slicer.vtkMRMLScalarVolumeNode) -> slicer.vtkMRMLMarkupsFiducialNode:
    """Add an empty list of clicks under the transform of a volume."""
    node = volumeNode.GetScene().AddNewNodeByClass("vtkMRMLMarkupsFiducialNode", name)
    node.CreateDefaultDisplayNodes()
    node.SetAndObserveTransformNodeID(volumeNode.GetTransformNodeID())
    node.SetControlPointLabelFormat(_LABELS[True])
    display = node.GetDisplayNode()
    display.SetSelectedColor(*_INSIDE_COLOR)
    display.SetColor(*_OUTSIDE_COLOR)
    display.SetGlyphScale(_GLYPH_SCALE)
    display.SetSliceProjection(True)
    display.SetSliceProjectionUseFiducialColor(False)
    display.SetSliceProjectionColor(*_ELSEWHERE_COLOR)
    display.SetSliceProjectionOpacity(_ELSEWHERE_OPACITY)
    display.SetSliceProjectionOutlinedBehindSlicePlane(True)  # rings
    return node


def removeClickList(node: slicer.vtkMRMLMarkupsFiducialNode) -> None:
    """Remove a list of clicks with its display and storage nodes and its subject hierarchy item."""
    if node.GetScene() is not None:
        removeNode(node, node.GetDisplayNode(), node.GetStorageNode())


def clicksOf(
    node: slicer.vtkMRMLMarkupsFiducialNode | None, volumeNode: slicer.vtkMRMLScalarVolumeNode
) -> tuple[Click, ...]:
    """Return the placed points of a list in the volume's own RAS, as masks and affines are, in their order.

    Transforms of both nodes are followed, linear or not. Points that are still on the mouse are none.
    """
    if node is None:
        return ()
    transform = _worldToVolume(volumeNode)
    clicks = []
    for number in _placed(node):
        world = [0.0, 0.0, 0.0]
        node.GetNthControlPointPositionWorld(number, world)
        # Micrometres: what is lost on the way through transforms is no other click.
        r, a, s = (round(value, 3) for value in transform.TransformPoint(world))
        clicks.append(Click((r, a, s), inside=bool(node.GetNthControlPointSelected(number))))
    return tuple(clicks)


def setClicks(
    node: slicer.vtkMRMLMarkupsFiducialNode, volumeNode: slicer.vtkMRMLScalarVolumeNode, clicks: Sequence[Click]
) -> None:
    """Replace the placed points of a list: the inverse of `clicksOf`. Points that are right already are kept."""
    present = clicksOf(node, volumeNode)
    numSame = min(len(present), len(clicks))
    same = next((number for number in range(numSame) if present[number] != clicks[number]), numSame)
    for number in reversed(_placed(node)[same:]):
        node.RemoveNthControlPoint(number)
    transform = _worldToVolume(volumeNode)
    transform.Inverse()
    for click in clicks[same:]:
        addClick(node, transform.TransformPoint(click.ras_mm), inside=click.inside)


def addClick(node: slicer.vtkMRMLMarkupsFiducialNode, world: Sequence[float], *, inside: bool) -> None:
    """Add a point to a list, in world RAS."""
    # Its kind must be known when the list says that it has a point more.
    with NodeModify(node):
        number = node.AddControlPointWorld(list(world), _LABELS[inside])
        node.SetNthControlPointSelected(number, inside)


def numClicks(node: slicer.vtkMRMLMarkupsFiducialNode | None) -> int:
    """Return the number of placed points of a list."""
    return len(_placed(node)) if node is not None else 0


def takeBackLast(node: slicer.vtkMRMLMarkupsFiducialNode) -> bool:
    """Remove the point that was placed last; returns whether there was one."""
    placed = _placed(node)
    if placed:
        node.RemoveNthControlPoint(placed[-1])
    return bool(placed)


def showKinds(node: slicer.vtkMRMLMarkupsFiducialNode, *, inside: bool) -> None:
    """Let the labels say the kinds of the points.

    Args:
        node: List of clicks.
        inside: Kind of the point on the mouse, if there is one, and of the next ones.
    """
    if node.GetControlPointLabelFormat() != _LABELS[inside]:
        node.SetControlPointLabelFormat(_LABELS[inside])
    placed = _placed(node)
    for number in range(node.GetNumberOfControlPoints()):
        if number not in placed and bool(node.GetNthControlPointSelected(number)) is not inside:
            node.SetNthControlPointSelected(number, inside)
        label = _LABELS[bool(node.GetNthControlPointSelected(number))]
        if node.GetNthControlPointLabel(number) != label:
            node.SetNthControlPointLabel(number, label)


def _placed(node: slicer.vtkMRMLMarkupsFiducialNode) -> list[int]:
    numbers = range(node.GetNumberOfControlPoints())
    return [number for number in numbers if node.GetNthControlPointPositionStatus(number) == node.PositionDefined]


def _worldToVolume(volumeNode: slicer.vtkMRMLScalarVolumeNode) -> vtk.vtkGeneralTransform:
    transform = vtk.vtkGeneralTransform()
    slicer.vtkMRMLTransformNode.GetTransformBetweenNodes(None, volumeNode.GetParentTransformNode(), transform)
    return transform
