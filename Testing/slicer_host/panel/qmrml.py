"""Stand-ins for Slicer's widgets that the panel uses, over the real scene."""

from __future__ import annotations

from typing import Any

import qt
import slicer
from PySide6.QtCore import Property, Signal
from PySide6.QtWidgets import QComboBox, QHBoxLayout, QSizePolicy, QWidget


@qt.register_widget
class qMRMLWidget(QWidget):  # noqa: N801
    """A widget that hands the scene to those inside it."""

    mrmlSceneChanged = Signal(object)

    def setMRMLScene(self, scene: Any) -> None:
        self.mrmlSceneChanged.emit(scene)


@qt.register_widget
class qMRMLNodeComboBox(QWidget):  # noqa: N801
    """A list of the scene's nodes of some classes, to choose one from."""

    currentNodeChanged = Signal(object)

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        layout = QHBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        self._list = QComboBox()
        layout.addWidget(self._list)
        self.setSizePolicy(QSizePolicy.Expanding, QSizePolicy.Fixed)
        self._list.activated.connect(lambda _: self._announce())
        self._values: dict[str, Any] = {"noneDisplay": "None", "nodeTypes": []}
        self._scene: Any = None
        self._observed: list[tuple[Any, int]] = []
        # As Slicer's own: a scene that outlives the panel calls nobody for it. Holds no reference to the widget.
        self.destroyed.connect(lambda _=None, observed=self._observed: _stop_observing(observed))
        self._announced: Any = None

    def setMRMLScene(self, scene: Any) -> None:
        _stop_observing(self._observed)
        self._scene = scene
        for event in (scene.NodeAddedEvent, scene.NodeRemovedEvent, scene.EndCloseEvent) if scene else ():
            self._observed.append((scene, scene.AddObserver(event, lambda *_: self._refresh())))
        self._refresh()

    def currentNode(self) -> Any:
        node_id = self._list.currentData
        return self._scene.GetNodeByID(node_id) if node_id and self._scene else None

    def setCurrentNode(self, node: Any) -> None:
        """Choose a node; one that is not in the list means none."""
        row = self._list.findData(node.GetID()) if node else -1
        self._list.setCurrentIndex(row if row >= 0 or not self._none else 0)
        self._announce()

    @property
    def _none(self) -> bool:
        return bool(self._values.get("noneEnabled"))

    def _refresh(self) -> None:
        """Bring the list up to date, row by row: what is selected when the selected row goes is QComboBox's choice."""
        rows = [("", self._values["noneDisplay"])] if self._none else []
        rows += [(node.GetID(), node.GetName()) for node in self._nodes()]
        ids = [node_id for node_id, _ in rows]
        for row in reversed(range(self._list.count)):
            if self._list.itemData(row) not in ids:
                self._list.removeItem(row)
        for row, (node_id, name) in enumerate(rows):
            if self._list.itemData(row) != node_id:
                self._list.insertItem(row, name, node_id)
            self._list.setItemText(row, name)
        self._announce()

    def _nodes(self) -> list[Any]:
        nodes = []
        for name in self._values["nodeTypes"] if self._scene else ():
            found = (self._scene.GetNthNodeByClass(n, name) for n in range(self._scene.GetNumberOfNodesByClass(name)))
            nodes += [
                node
                for node in found
                if (node.GetClassName() == name or self._values.get("showChildNodeTypes", True))
                and not node.GetHideFromEditors()
            ]
        return nodes

    def _announce(self) -> None:
        node = self.currentNode()
        if node is not self._announced:
            self._announced = node
            self.currentNodeChanged.emit(node)

    def _kept(name: str, kind: Any) -> Property:  # noqa: N805
        """A property of the form that the stand-in keeps."""
        return Property(
            kind, lambda self: self._values.get(name), lambda self, value: self._values.__setitem__(name, value)
        )

    nodeTypes = _kept("nodeTypes", "QStringList")
    noneDisplay = _kept("noneDisplay", str)
    noneEnabled = _kept("noneEnabled", bool)
    addEnabled = _kept("addEnabled", bool)
    removeEnabled = _kept("removeEnabled", bool)
    renameEnabled = _kept("renameEnabled", bool)
    showChildNodeTypes = _kept("showChildNodeTypes", bool)


def _stop_observing(observed: list[tuple[Any, int]]) -> None:
    for scene, tag in observed:
        scene.RemoveObserver(tag)
    observed.clear()


def publish() -> None:
    """Put the classes where panels look for them."""
    slicer.qMRMLWidget, slicer.qMRMLNodeComboBox = qMRMLWidget, qMRMLNodeComboBox
