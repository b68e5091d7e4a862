"""Which time point of a 4D image a node shows."""

from __future__ import annotations

from dataclasses import dataclass

import slicer


def browserOf(node: slicer.vtkMRMLNode | None) -> slicer.vtkMRMLSequenceBrowserNode | None:
    """Return the sequence browser that shows its items in a node; None for a node that is the same at all times."""
    scene = node.GetScene() if node is not None else None
    if scene is None:
        return None
    for number in range(scene.GetNumberOfNodesByClass("vtkMRMLSequenceBrowserNode")):
        browser = scene.GetNthNodeByClass(number, "vtkMRMLSequenceBrowserNode")
        if browser.GetSequenceNode(node) is not None:
            return browser
    return None


def timeOf(node: slicer.vtkMRMLNode | None) -> str | None:
    """Return what the sequence calls the time point that a node shows; None for a node that is the same at all times.

    Unlike its number, it stays the same when time points are added or removed.
    """
    browser = browserOf(node)
    if browser is None or browser.GetSelectedItemNumber() < 0:
        return None
    return str(browser.GetMasterSequenceNode().GetNthIndexValue(browser.GetSelectedItemNumber()))


@dataclass(frozen=True, slots=True, eq=False)
class TimePoint:
    """One item of a sequence browser.

    Args:
        browser: Shows one item at a time.
        item: Its number, from 0.
    """

    browser: slicer.vtkMRMLSequenceBrowserNode
    item: int

    @classmethod
    def shownBy(cls, node: slicer.vtkMRMLNode) -> TimePoint | None:
        """Return what a node shows now; None for a node that is the same at all times."""
        browser = browserOf(node)
        return cls(browser, browser.GetSelectedItemNumber()) if browser is not None else None

    @property
    def isShown(self) -> bool:
        """Whether the browser is at this item."""
        return bool(self.browser.GetSelectedItemNumber() == self.item)

    def show(self) -> None:
        """Take the browser to this item, unless it has gone, or has become shorter."""
        if self.browser.GetScene() is not None and self.item < self.browser.GetNumberOfItems():
            self.browser.SetSelectedItemNumber(self.item)
