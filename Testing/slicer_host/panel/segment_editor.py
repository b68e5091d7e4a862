"""Stand-in for the widgets of the Segment Editor around its real logic, for effects written in Python.

`scriptedEffect` here has the functions of Slicer's adaptor class that our effect calls; masking, overwriting and undo
are those of the real `vtkSlicerSegmentEditorLogic`.
"""

from __future__ import annotations

import sys
import types
from typing import Any

import qt
import slicer


class AbstractScriptedSegmentEditorEffect:
    """Base class of effects."""

    def __init__(self, scriptedEffect: Any) -> None:
        self.scriptedEffect = scriptedEffect


def publish() -> None:
    """Make `SegmentEditorEffects` and the modes of the abstract effect exist."""
    module = types.ModuleType("SegmentEditorEffects")
    module.AbstractScriptedSegmentEditorEffect = AbstractScriptedSegmentEditorEffect
    sys.modules["SegmentEditorEffects"] = module
    slicer.qSlicerSegmentEditorAbstractEffect = slicer.vtkSlicerSegmentEditorLogic  # has the same modes


class ScriptedEffect:
    """The adaptor between an effect and the editor, and the frame with the effect's options."""

    def __init__(self, segmentationNode: Any, volumeNode: Any, segmentId: str) -> None:
        self.name, self.perSegment = "", False
        self.frame = qt.QWidget()
        self._layout = qt.QFormLayout(self.frame)
        node = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLSegmentEditorNode")
        node.SetAndObserveSegmentationNode(segmentationNode)
        node.SetAndObserveSourceVolumeNode(volumeNode)
        node.SetSelectedSegmentID(segmentId)
        self.logic = slicer.vtkSlicerSegmentEditorLogic()
        self.logic.SetMRMLScene(slicer.mrmlScene)
        self.logic.SetSegmentationHistory(slicer.vtkSegmentationHistory())
        self.logic.SetSegmentEditorNode(node)
        self._node = node

    def parameterSetNode(self) -> Any:
        return self._node

    def addOptionsWidget(self, widget: Any) -> None:
        self._layout.addRow(widget)

    def addLabeledOptionsWidget(self, label: str, widget: Any) -> None:
        self._layout.addRow(label, widget)

    def confirmCurrentSegmentVisible(self) -> bool:
        return True

    def saveStateForUndo(self) -> None:
        self.logic.SaveStateForUndo()

    def defaultModifierLabelmap(self) -> Any:
        self.logic.UpdateReferenceGeometryImage()
        self.logic.ResetModifierLabelmapToDefault()
        return self.logic.GetModifierLabelmap()

    def modifySelectedSegmentByLabelmap(self, image: Any, mode: Any) -> None:
        node = self._node
        self.logic.UpdateMaskLabelmap()
        self.logic.ModifySegmentByLabelmap(
            node.GetSegmentationNode(), node.GetSelectedSegmentID(), image, mode, self.perSegment, False
        )
