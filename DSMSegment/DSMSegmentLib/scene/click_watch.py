"""Observer of the clicks of all segments in the scene."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import slicer

from dsm.core.click import Click
from DSMSegmentLib.scene.click_list import clickListOf, clicksOf, removeClickList
from DSMSegmentLib.scene.segment_volumes import volumeOfSegment

_SEGMENTATION = "vtkMRMLSegmentationNode"


@dataclass(slots=True, eq=False)
class _Watched:
    """A list of clicks under observation."""

    segmentationNode: slicer.vtkMRMLSegmentationNode
    segmentId: str
    node: slicer.vtkMRMLMarkupsFiducialNode
    clicks: tuple[Click, ...]
    visible: bool
    tags: list[int] = field(default_factory=list)


class ClickWatch:
    """Tell when clicks were placed, moved or deleted; hide and remove the lists with their segments.

    Args:
        onFound: Called with segmentation, segment id and clicks of a list that is watched from now on.
        onChanged: Called with segmentation and segment id when the clicks have changed, or their list was deleted.
        onPoint: Called with the list at every change of its points, also of the one on the mouse.
    """

    def __init__(
        self,
        onFound: Callable[[slicer.vtkMRMLSegmentationNode, str, tuple[Click, ...]], None],
        onChanged: Callable[[slicer.vtkMRMLSegmentationNode, str], None],
        onPoint: Callable[[slicer.vtkMRMLMarkupsFiducialNode], None],
    ) -> None:
        self._onFound, self._onChanged, self._onPoint = onFound, onChanged, onPoint
        self._watched: dict[str, _Watched] = {}
        self._segmentations: dict[str, tuple[slicer.vtkMRMLSegmentationNode, list[int]]] = {}
        self._sceneTag: int | None = None

    def watchAll(self) -> None:
        """Watch the lists that are not watched yet."""
        scene = slicer.mrmlScene
        if self._sceneTag is None:
            self._sceneTag = scene.AddObserver(scene.NodeRemovedEvent, self._onNodeRemoved)
        for number in range(scene.GetNumberOfNodesByClass(_SEGMENTATION)):
            segmentationNode = scene.GetNthNodeByClass(number, _SEGMENTATION)
            for segmentId in segmentationNode.GetSegmentation().GetSegmentIDs():
                node = clickListOf(segmentationNode, segmentId)
                if node is not None and node.GetID() not in self._watched:
                    self._watch(segmentationNode, segmentId, node)

    def isWatched(self, node: slicer.vtkMRMLNode) -> bool:
        """Return whether a node is one of the lists."""
        return node.GetID() in self._watched

    def close(self) -> None:
        """Stop observing the scene."""
        for watched in self._watched.values():
            _stopObserving(watched.node, watched.tags)
        for segmentationNode, tags in self._segmentations.values():
            _stopObserving(segmentationNode, tags)
        self._watched.clear()
        self._segmentations.clear()
        if self._sceneTag is not None:
            slicer.mrmlScene.RemoveObserver(self._sceneTag)
            self._sceneTag = None

    def _watch(
        self,
        segmentationNode: slicer.vtkMRMLSegmentationNode,
        segmentId: str,
        node: slicer.vtkMRMLMarkupsFiducialNode,
    ) -> None:
        watched = _Watched(segmentationNode, segmentId, node, (), _isVisible(segmentationNode, segmentId))
        watched.clicks = self._clicks(watched)
        self._watched[node.GetID()] = watched
        watched.tags = [
            node.AddObserver(node.PointAddedEvent, self._onPointEvent),
            node.AddObserver(node.PointModifiedEvent, self._onPointEvent),
            node.AddObserver(node.PointRemovedEvent, self._onPointEvent),
            node.AddObserver(node.PointPositionDefinedEvent, self._onPointEvent),
            node.AddObserver(node.PointPositionUndefinedEvent, self._onPointEvent),
        ]
        if segmentationNode.GetID() not in self._segmentations:
            # It hands on the events of its segmentation.
            tags = [
                segmentationNode.AddObserver(slicer.vtkSegmentation.SegmentRemoved, self._onSegmentsChanged),
                segmentationNode.AddObserver(segmentationNode.DisplayModifiedEvent, self._onSegmentsChanged),
            ]
            self._segmentations[segmentationNode.GetID()] = segmentationNode, tags
        self._onFound(segmentationNode, segmentId, watched.clicks)

    def _onPointEvent(self, node: Any, _event: str) -> None:
        watched = self._watched.get(node.GetID())
        if watched is None:
            return
        self._onPoint(node)
        clicks = self._clicks(watched)
        if clicks != watched.clicks:  # a point on the mouse moves all the time
            watched.clicks = clicks
            self._onChanged(watched.segmentationNode, watched.segmentId)

    def _onSegmentsChanged(self, segmentationNode: Any, _event: str) -> None:
        for key, watched in list(self._watched.items()):
            if watched.segmentationNode is not segmentationNode:
                continue
            if segmentationNode.GetSegmentation().GetSegment(watched.segmentId) is None:
                self._forget(key)
                removeClickList(watched.node)
                continue
            visible = _isVisible(segmentationNode, watched.segmentId)
            if visible is not watched.visible:  # else the user's choice for the points stays
                watched.visible = visible
                watched.node.SetDisplayVisibility(visible)

    def _onNodeRemoved(self, _scene: Any, _event: str) -> None:
        for key, watched in list(self._watched.items()):
            if watched.segmentationNode.GetScene() is None:
                self._forget(key)
                removeClickList(watched.node)
            elif watched.node.GetScene() is None:
                self._forget(key)
                self._onChanged(watched.segmentationNode, watched.segmentId)
        for nodeId, (segmentationNode, tags) in list(self._segmentations.items()):
            if segmentationNode.GetScene() is None:
                _stopObserving(segmentationNode, tags)
                del self._segmentations[nodeId]

    def _forget(self, key: str) -> None:
        watched = self._watched.pop(key)
        _stopObserving(watched.node, watched.tags)

    @staticmethod
    def _clicks(watched: _Watched) -> tuple[Click, ...]:
        volumeNode = volumeOfSegment(watched.segmentationNode, watched.segmentId)
        return clicksOf(watched.node, volumeNode) if volumeNode is not None else ()


def _isVisible(segmentationNode: slicer.vtkMRMLSegmentationNode, segmentId: str) -> bool:
    display = segmentationNode.GetDisplayNode()
    return display is not None and bool(display.GetVisibility() and display.GetSegmentVisibility(segmentId))


def _stopObserving(node: Any, tags: list[int]) -> None:
    for tag in tags:
        node.RemoveObserver(tag)
