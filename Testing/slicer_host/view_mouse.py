"""Stand-in for the mouse in a slice view while points are placed: what Slicer's displayable manager of Markups does.

The nodes are the real ones. What is called when is that of `vtkMRMLMarkupsDisplayableManager` and
`vtkSlicerMarkupsWidget` of Slicer 5.10: there is a point on the mouse from its first move on; a left click without a
modifier makes it a placed one, and with a modifier does nothing; a right click ends the mode; the keys Backspace and
Delete remove the point under the mouse, and nothing while points are placed.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import slicer

_IDENTITY = [1.0, 0.0, 0.0, 0.0, 1.0, 0.0, 0.0, 0.0, 1.0]


def _nodes() -> tuple[Any, Any]:
    logic = slicer.app.applicationLogic()
    return logic.GetInteractionNode(), logic.GetSelectionNode()


def _active_list() -> Any:
    """Return the list that points are placed in; None while none are."""
    interaction, selection = _nodes()
    if interaction.GetCurrentInteractionMode() != interaction.Place:
        return None
    node = slicer.mrmlScene.GetNodeByID(selection.GetActivePlaceNodeID() or "")
    if node is None or selection.GetActivePlaceNodeClassName() != node.GetClassName():
        return None
    return node


def _update(node: Any, world: Sequence[float], status: int) -> None:
    event = slicer.vtkMRMLInteractionEventData()
    event.SetWorldPosition(list(world))
    numbers = range(node.GetNumberOfControlPoints())
    on_mouse = [n for n in numbers if node.GetNthControlPointPositionStatus(n) == node.PositionPreview]
    node.GetDisplayNode().UpdateActiveControlPointWorld(
        on_mouse[0] if on_mouse else -1, event, _IDENTITY, "vtkMRMLSliceNodeRed", None, status
    )


def move(world: Sequence[float]) -> None:
    """Move the mouse over a view."""
    if (node := _active_list()) is not None:
        _update(node, world, node.PositionPreview)


def click(world: Sequence[float], *, modifier: bool = False) -> bool:
    """Move there and click with the left button; returns whether a point was placed.

    Args:
        world: World RAS, in mm.
        modifier: Whether Ctrl, Shift or Alt is held down.
    """
    move(world)
    node = _active_list()
    if node is None or modifier:
        return False
    _update(node, world, node.PositionDefined)
    interaction, _ = _nodes()
    if not interaction.GetPlaceModePersistence():
        interaction.SwitchToViewTransformMode()
    return True


def right_click() -> None:
    """End placing with the right button: the point on the mouse goes."""
    node = _active_list()
    if node is None:
        return
    for number in reversed(range(node.GetNumberOfControlPoints())):
        if node.GetNthControlPointPositionStatus(number) == node.PositionPreview:
            node.RemoveNthControlPoint(number)
    _nodes()[0].SwitchToViewTransformMode()


def drag(node: Any, number: int, *way: Sequence[float]) -> None:
    """Drag a placed point along some places in world RAS; only possible while none are placed."""
    assert _active_list() is None
    node.InvokeEvent(node.PointStartInteractionEvent)
    for world in way:
        node.SetNthControlPointPositionWorld(number, list(world))
    node.InvokeEvent(node.PointEndInteractionEvent)


def delete_under_mouse(node: Any, number: int) -> bool:
    """Press Backspace or Delete over a placed point; returns whether it went."""
    if _active_list() is not None:
        return False
    node.RemoveNthControlPoint(number)
    return True
