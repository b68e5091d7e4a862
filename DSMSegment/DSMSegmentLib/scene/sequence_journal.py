"""Journal of a run over all sequence items, for an exact undo.

A run that makes its own sequence changes nothing that was there before: what is kept is the ids of segments, no voxels.
One that writes into a sequence keeps what each of its sequence items had before.
"""

from __future__ import annotations

from collections.abc import Sequence

import slicer

from DSMSegmentLib.scene.journal import RunJournal
from DSMSegmentLib.scene.placement import removeSegmentation
from DSMSegmentLib.scene.sequence_item import SequenceItem


class SequenceJournal:
    """Record of the segments added per sequence item.

    Args:
        browser: Of the images.
        sequence: Made by the run; holds the segmentations.
        segmentationNode: Made by the run; shows one of them.
    """

    def __init__(
        self,
        browser: slicer.vtkMRMLSequenceBrowserNode,
        sequence: slicer.vtkMRMLSequenceNode,
        segmentationNode: slicer.vtkMRMLSegmentationNode,
    ) -> None:
        self._browser = browser
        self._sequence = sequence
        self._node = segmentationNode
        self._added: dict[str, tuple[str, ...]] = {}

    @property
    def isEmpty(self) -> bool:
        """True if no item has a segmentation."""
        return not self._added

    def noteItem(self, indexValue: str, segmentIds: Sequence[str]) -> None:
        """Record an item that has its segmentation."""
        self._added[indexValue] = tuple(segmentIds)

    def revert(self) -> None:
        """Undo the run at all sequence items; segments that a person added stay."""
        scene = self._sequence.GetScene()
        if scene is None:  # the user closed the scene or deleted the sequence
            return
        isLeft = False
        for indexValue, segmentIds in self._added.items():
            node = self._sequence.GetDataNodeAtValue(indexValue)
            if node is not None:
                _removeSegments(node, segmentIds)
                isLeft = isLeft or node.GetSegmentation().GetNumberOfSegments() > 0
        self._added.clear()
        if not isLeft:
            self.discard()
        elif self._browser.GetScene() is scene:
            slicer.modules.sequences.logic().UpdateProxyNodesFromSequences(self._browser)

    def discard(self) -> None:
        """Remove the nodes that the run created, also when the browser does not show them yet."""
        scene = self._sequence.GetScene()
        if scene is None:
            return
        if self._browser.GetScene() is scene and self._browser.IsSynchronizedSequenceNodeID(self._sequence.GetID()):
            self._browser.RemoveSynchronizedSequenceNode(self._sequence.GetID())
        if self._node.GetScene() is scene:
            removeSegmentation(self._node)
        storage = self._sequence.GetStorageNode()  # made when the scene was saved
        for node in (self._sequence, storage):
            if node is not None and node.GetScene() is scene:
                scene.RemoveNode(node)


class SequenceItemsJournal:
    """Journals of the items of a sequence that existed before.

    Args:
        segmentationNode: Shows one of them.
    """

    def __init__(self, segmentationNode: slicer.vtkMRMLSegmentationNode) -> None:
        self._node = segmentationNode
        self._journals: list[RunJournal] = []

    @property
    def isEmpty(self) -> bool:
        """True if no item was changed."""
        return all(journal.isEmpty for journal in self._journals)

    def add(self, journal: RunJournal) -> None:
        """Record a finished item."""
        self._journals.append(journal)

    def revert(self) -> None:
        """Undo the run at all sequence items; the shown item stays the same."""
        shown = SequenceItem.shownBy(self._node)
        for journal in self._journals:
            journal.revert()
        if shown is not None:
            shown.show()


def _removeSegments(node: slicer.vtkMRMLSegmentationNode, segmentIds: Sequence[str]) -> None:
    segmentation = node.GetSegmentation()
    for segmentId in segmentIds:
        if segmentation.GetSegment(segmentId) is not None:
            segmentation.RemoveSegment(segmentId)
