"""Journal of a run over all sequence items, for an exact undo and redo.

A run that makes its own sequence changes nothing that was there before: what is kept is the ids of segments, no voxels,
and after an undo the nodes that it removed. One that writes into a sequence keeps what each of its sequence items had
before.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import slicer

from DSMSegmentLib.scene.journal import RunJournal
from DSMSegmentLib.scene.placement import RemovedSegmentation, removeSegmentation
from DSMSegmentLib.scene.sequence_item import SequenceItem, showSequence
from DSMSegmentLib.scene.undo import Journal


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

    def revert(self) -> Journal:
        """Undo the run at all sequence items; segments that a person added stay.

        Returns:
            Journal of what this has changed; its `revert` is the redo.
        """
        added, self._added = self._added, {}
        if self._sequence.GetScene() is None:  # the user closed the scene or deleted the sequence
            return SequenceJournal(self._browser, self._sequence, self._node)
        nodes = {value: self._sequence.GetDataNodeAtValue(value) for value in added}
        there = {value: node for value, node in nodes.items() if node is not None}
        if all(set(node.GetSegmentation().GetSegmentIDs()) <= set(added[value]) for value, node in there.items()):
            removed = self.discard()
            if self._node not in removed:  # the user had deleted it
                return SequenceJournal(self._browser, self._sequence, self._node)
            return _RemovedSequence(self._browser, self._sequence, self._node, added, removed)
        journals = []
        for value, node in there.items():
            journals.append(RunJournal(node))
            for segmentId in added[value]:
                journals[-1].noteAdded(segmentId)
        return _DataNodesJournal(self._browser, journals).revert()

    def discard(self) -> Sequence[slicer.vtkMRMLNode]:
        """Remove the nodes of the run, also when the browser does not show them yet; returns those that were there."""
        scene = self._sequence.GetScene()
        if scene is None:
            return ()
        if self._browser.GetScene() is scene and self._browser.IsSynchronizedSequenceNodeID(self._sequence.GetID()):
            self._browser.RemoveSynchronizedSequenceNode(self._sequence.GetID())
        removed: list[slicer.vtkMRMLNode] = []
        if self._node.GetScene() is scene:
            removed += removeSegmentation(self._node).nodes
        storage = self._sequence.GetStorageNode()  # made when the scene was saved
        for node in (self._sequence, storage):
            if node is not None and node.GetScene() is scene:
                scene.RemoveNode(node)
                removed.append(node)
        return removed


class _RemovedSequence:
    """Undone run that had made a sequence, of which nothing is left in the scene.

    Args:
        browser: Of the images.
        sequence: With its data nodes, as it was.
        segmentationNode: That showed one of them.
        added: Segments that the run had added, by index value.
        removed: All nodes that were removed.
    """

    isEmpty = False

    def __init__(
        self,
        browser: slicer.vtkMRMLSequenceBrowserNode,
        sequence: slicer.vtkMRMLSequenceNode,
        segmentationNode: slicer.vtkMRMLSegmentationNode,
        added: Mapping[str, tuple[str, ...]],
        removed: Sequence[slicer.vtkMRMLNode],
    ) -> None:
        self._browser, self._sequence, self._node = browser, sequence, segmentationNode
        self._added, self._removed = added, removed

    def revert(self) -> Journal:
        """Add the nodes to the scene again; returns the journal of the run."""
        journal = SequenceJournal(self._browser, self._sequence, self._node)
        scene = self._browser.GetScene()
        if scene is None:  # the user has deleted the browser
            return journal
        RemovedSegmentation(scene, self._removed).putBack()
        showSequence(self._browser, self._sequence, self._node)
        for indexValue, segmentIds in self._added.items():
            journal.noteItem(indexValue, segmentIds)
        return journal


class _DataNodesJournal:
    """Journals of the data nodes of a sequence, whether they are shown or not.

    Args:
        browser: Shows one of them.
        journals: One a data node.
    """

    def __init__(self, browser: slicer.vtkMRMLSequenceBrowserNode, journals: Sequence[RunJournal]) -> None:
        self._browser, self._journals = browser, journals

    @property
    def isEmpty(self) -> bool:
        """True if no data node was changed."""
        return all(journal.isEmpty for journal in self._journals)

    def revert(self) -> _DataNodesJournal:
        """Undo the changes of all data nodes, and show the one that the browser shows."""
        inverse = _DataNodesJournal(self._browser, [journal.revert() for journal in self._journals])
        if self._browser.GetScene() is not None:
            slicer.modules.sequences.logic().UpdateProxyNodesFromSequences(self._browser)
        return inverse


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

    def revert(self) -> SequenceItemsJournal:
        """Undo the run at all sequence items, the shown one stays the same; returns the journal of that."""
        shown = SequenceItem.shownBy(self._node)
        inverse = SequenceItemsJournal(self._node)
        for journal in self._journals:
            inverse.add(journal.revert())
        if shown is not None:
            shown.show()
        return inverse
