"""Manual edits in all segmentations of the scene, not only the one that the panel shows."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import slicer
import vtk

from dsm.core.boxes import CroppedArray
from DSMSegmentLib.scene.editor_bridge import EditWatch
from DSMSegmentLib.scene.sequence_item import timeOf

_SEGMENTATION = "vtkMRMLSegmentationNode"


class EditWatches:
    """One `EditWatch` per segmentation, with the original masks of edited segments.

    Args:
        onModified: Called at every change of a segmentation that is watched: a stroke of a brush is many.
    """

    def __init__(self, onModified: Callable[[], None]) -> None:
        self._onModified = onModified
        self._watches: dict[str, tuple[EditWatch, int]] = {}
        self._originals: dict[tuple[str, str, str | None], CroppedArray] = {}

    def watchAll(self) -> None:
        """Watch the segmentations that are not watched yet."""
        self._forgetGone()
        scene = slicer.mrmlScene
        for number in range(scene.GetNumberOfNodesByClass(_SEGMENTATION)):
            node = scene.GetNthNodeByClass(number, _SEGMENTATION)
            if node.GetID() not in self._watches:
                # Of the node, which hands on the events of its segmentation: in a sequence, that is another one at
                # each time.
                observer = node.AddObserver(vtk.vtkCommand.AnyEvent, self._onEvent)
                self._watches[node.GetID()] = (EditWatch(node), observer)

    def stop(self, segmentationNode: slicer.vtkMRMLSegmentationNode) -> None:
        """Stop watching a segmentation until the next `watchAll`."""
        watch, observer = self._watches.pop(segmentationNode.GetID(), (None, 0))
        if watch is not None:
            watch.segmentationNode.RemoveObserver(observer)

    def restart(self, segmentationNode: slicer.vtkMRMLSegmentationNode) -> None:
        """Ignore all changes of a segmentation up to now."""
        watch, _ = self._watches.get(segmentationNode.GetID(), (None, 0))
        if watch is not None:
            watch.restart()

    def noteEdits(self) -> list[tuple[slicer.vtkMRMLSegmentationNode, str]]:
        """Tag edited segments; returns segmentation and segment id of each newly tagged one."""
        self._forgetGone()
        edited = []
        for watch, _ in self._watches.values():
            node = watch.segmentationNode
            for segmentId in watch.markEdited():
                edited.append((node, segmentId))
                original = watch.original(segmentId)
                if original is not None:
                    self._originals[node.GetID(), segmentId, timeOf(node)] = original
        return edited

    def original(self, segmentationNode: slicer.vtkMRMLSegmentationNode, segmentId: str) -> CroppedArray | None:
        """Return the network's mask of a segment at the shown sequence item; None if unknown."""
        return self._originals.get((segmentationNode.GetID(), segmentId, timeOf(segmentationNode)))

    def close(self) -> None:
        """Stop observing the scene."""
        for watch, observer in self._watches.values():
            watch.segmentationNode.RemoveObserver(observer)
        self._watches.clear()
        self._originals.clear()

    def _forgetGone(self) -> None:
        for nodeId, (watch, observer) in list(self._watches.items()):
            if watch.segmentationNode.GetScene() is None:
                watch.segmentationNode.RemoveObserver(observer)
                del self._watches[nodeId]
                self._originals = {key: value for key, value in self._originals.items() if key[0] != nodeId}

    def _onEvent(self, _caller: Any, _event: str) -> None:
        self._onModified()
