"""Items of a sequence (4D image) that nodes show."""

from __future__ import annotations

from dataclasses import dataclass

import slicer
from slicer.util import NodeModify


def browserOf(node: slicer.vtkMRMLNode | None) -> slicer.vtkMRMLSequenceBrowserNode | None:
    """Return the sequence browser whose items a node shows; None for a node outside of sequences."""
    scene = node.GetScene() if node is not None else None
    if scene is None:
        return None
    for number in range(scene.GetNumberOfNodesByClass("vtkMRMLSequenceBrowserNode")):
        browser = scene.GetNthNodeByClass(number, "vtkMRMLSequenceBrowserNode")
        if browser.GetSequenceNode(node) is not None:
            return browser
    return None


def timeOf(node: slicer.vtkMRMLNode | None) -> str | None:
    """Return the index value of the sequence item that a node shows; None for a node outside of sequences.

    Unlike its number, it stays the same when sequence items are added or removed.
    """
    browser = browserOf(node)
    if browser is None or browser.GetSelectedItemNumber() < 0 or browser.GetMasterSequenceNode() is None:
        return None
    return str(browser.GetMasterSequenceNode().GetNthIndexValue(browser.GetSelectedItemNumber()))


def showSequence(
    browser: slicer.vtkMRMLSequenceBrowserNode,
    sequence: slicer.vtkMRMLSequenceNode,
    segmentationNode: slicer.vtkMRMLSegmentationNode,
) -> None:
    """Show a sequence of segmentations in a browser.

    Args:
        browser: Of the images.
        sequence: Holds the segmentations.
        segmentationNode: Is going to show one of them.
    """
    # At once, or the browser would make a node of its own for a sequence that has none yet.
    with NodeModify(browser):
        browser.AddSynchronizedSequenceNode(sequence)
        # A sequence item that was not segmented shows an empty segmentation, and gets none by being looked at.
        browser.SetMissingItemMode(sequence, browser.MissingItemSetToDefault)
        browser.AddProxyNode(segmentationNode, sequence, False)
        browser.SetSaveChanges(sequence, True)


@dataclass(frozen=True, slots=True, eq=False)
class SequenceItem:
    """Item of a sequence browser, independent of its number.

    Args:
        browser: Shows one item at a time.
        value: Index value of the item in the sequence.
    """

    browser: slicer.vtkMRMLSequenceBrowserNode
    value: str

    @classmethod
    def shownBy(cls, node: slicer.vtkMRMLNode) -> SequenceItem | None:
        """Return the item that a node shows now; None for a node outside of sequences."""
        value = timeOf(node)
        return cls(browserOf(node), value) if value is not None else None

    @property
    def isShown(self) -> bool:
        """True if the browser shows this item."""
        return self._number is not None and bool(self.browser.GetSelectedItemNumber() == self._number)

    def show(self) -> bool:
        """Select this item in the browser; returns whether both still exist."""
        number = self._number
        if number is not None:
            self.browser.SetSelectedItemNumber(number)
        return number is not None

    @property
    def _number(self) -> int | None:
        sequence = self.browser.GetMasterSequenceNode() if self.browser.GetScene() is not None else None
        if sequence is None:
            return None
        numbers = range(sequence.GetNumberOfDataNodes())
        return next((number for number in numbers if sequence.GetNthIndexValue(number) == self.value), None)
