"""Stand-in for the Segment Editor around its real logic, for effects written in Python.

What is called when, and what is refused, is that of `qMRMLSegmentEditorWidget`, `qSlicerSegmentEditorAbstractEffect`,
`qSlicerSegmentEditorScriptedEffect` and `qSlicerSegmentEditorEffectFactory`; masking, overwriting and undo are those of
the real `vtkSlicerSegmentEditorLogic`. docs/adr/0032 says what is left out.
"""

from __future__ import annotations

import importlib.util
import sys
import types
from pathlib import Path
from typing import Any

import checkout
import qt
import slicer
import vtk

NOT_CONFIRMED, CONFIRMED_WITHOUT_DIALOG, CONFIRMED_WITH_DIALOG = range(3)
# As in `qmrml`: what Qt holds of an effect must not be taken down by a collector of garbage in the thread of a job.
_ALIVE: list[Any] = []
# Functions that Slicer calls where an effect has them.
_OPTIONAL = ("activate", "deactivate", "setupOptionsFrame", "setMRMLDefaults", "updateGUIFromMRML", "cleanup")


class AbstractScriptedSegmentEditorEffect:
    """Base class of effects, as in `SegmentEditorEffects`."""

    def __init__(self, scriptedEffect: Any) -> None:
        self.scriptedEffect = scriptedEffect

    def register(self) -> None:
        slicer.qSlicerSegmentEditorEffectFactory.instance().registerEffect(self.scriptedEffect)

    def cleanup(self) -> None:
        """Slicer's does nothing."""

    def xyToRas(self, xy: Any, viewWidget: Any) -> list[float]:
        ras = self.scriptedEffect.xyToRas(qt.QPoint(xy[0], xy[1]), viewWidget)
        return [ras.x(), ras.y(), ras.z()]


class qSlicerSegmentEditorScriptedEffect:  # noqa: N801
    """The adaptor between an effect and the editor, and the frame with the effect's options.

    Attributes:
        answer: What the user answers when asked about a hidden segment: a `qt.QMessageBox` button.
    """

    # Properties of the C++ class; PythonQt refuses to set any other name.
    _PROPERTIES = frozenset({"name", "title", "perSegment", "requireSegments"})

    def __init__(self, parent: None = None) -> None:
        self.name, self.perSegment, self.requireSegments = "UnnamedScriptedEffect", True, True
        self._set(_title="", _active=False, _self=None, _node=None, logic=None)
        self._set(_frame=qt.QFrame(), answer=qt.QMessageBox.Yes, _confirmed=None)
        self._set(_layout=qt.QFormLayout(self._frame))
        _ALIVE.append(self)

    def __setattr__(self, name: str, value: Any) -> None:
        if name not in self._PROPERTIES:
            raise AttributeError(f"qSlicerSegmentEditorScriptedEffect has no property {name}")
        super().__setattr__(name, value)

    def _set(self, **values: Any) -> None:
        for name, value in values.items():
            object.__setattr__(self, name, value)

    def setPythonSource(self, path: str) -> bool:
        """Make the effect: the folder names the module, the file its class; a module that was loaded is used again."""
        if not path.endswith(".py") or "\\" in path:
            return False
        file = Path(path)
        name, class_name = file.parent.name, file.stem
        if not hasattr(sys.modules.get(name), class_name):
            spec = importlib.util.spec_from_file_location(name, file)
            module = sys.modules[name] = importlib.util.module_from_spec(spec)
            spec.loader.exec_module(module)
        self._set(_self=getattr(sys.modules[name], class_name)(self))
        setattr(slicer, name, self._self)
        return True

    def self(self) -> Any:
        """Return the object of the effect's own class."""
        return self._self

    def clone(self) -> Any:
        return self._self.clone()

    def active(self) -> bool:
        return self._active

    def optionsFrame(self) -> Any:
        return self._frame

    def optionsLayout(self) -> Any:
        return self._layout

    def parameterSetNode(self) -> Any:
        return self._node

    def setParameterSetNode(self, node: Any) -> None:
        self._set(_node=node)

    def addOptionsWidget(self, widget: Any) -> None:
        if isinstance(widget, qt.QWidget):
            widget.setParent(self._frame)
            widget.setSizePolicy(qt.QSizePolicy.Preferred, qt.QSizePolicy.MinimumExpanding)
        self._layout.addRow(widget)

    def addLabeledOptionsWidget(self, label: str, widget: Any) -> Any:
        made = qt.QLabel(label)
        if isinstance(widget, qt.QWidget):
            widget.setParent(self._frame)
            widget.setSizePolicy(qt.QSizePolicy.Preferred, qt.QSizePolicy.MinimumExpanding)
        self._layout.addRow(made, widget)
        return made

    def confirmCurrentSegmentVisible(self) -> int:
        """Ask whether to go on where the selected segment is hidden."""
        node = self._node
        segmentation = node.GetSegmentationNode() if node is not None else None
        segment_id = node.GetSelectedSegmentID() if node is not None else ""
        if segmentation is None or not segment_id:
            return CONFIRMED_WITHOUT_DIALOG
        display = segmentation.GetDisplayNode()
        shown = display is not None and display.GetVisibility() and display.GetSegmentVisibility(segment_id)
        if shown or self._confirmed == segment_id:
            return CONFIRMED_WITHOUT_DIALOG
        if self.answer == qt.QMessageBox.Cancel:
            return NOT_CONFIRMED
        if self.answer == qt.QMessageBox.Yes and display is not None:
            display.SetVisibility(True)
            display.SetSegmentVisibility(segment_id, True)
        else:
            self._set(_confirmed=segment_id)
        return CONFIRMED_WITH_DIALOG

    @staticmethod
    def xyToRas(xy: Any, slice_widget: Any) -> Any:
        """Return the world RAS of a place in a slice view; an int for each coordinate, as a QPoint has."""
        return qt.QVector3D(*slice_widget.node.GetXYToRAS().MultiplyPoint((xy.x(), xy.y(), 0.0, 1.0))[:3])

    def saveStateForUndo(self) -> None:
        self.logic.SaveStateForUndo()

    def modifierLabelmap(self) -> Any:
        return self.logic.GetModifierLabelmap()

    def defaultModifierLabelmap(self) -> Any:
        return self.logic.GetModifierLabelmap() if self.logic.ResetModifierLabelmapToDefault() else None

    def modifySelectedSegmentByLabelmap(self, image: Any, mode: Any, bypassMasking: bool = False) -> None:
        node = self._node
        segmentation, segment_id = node.GetSegmentationNode(), node.GetSelectedSegmentID() or ""
        self.logic.ModifySegmentByLabelmap(segmentation, segment_id, image, mode, self.perSegment, bypassMasking)

    def activate(self) -> None:
        self._frame.setVisible(True)
        self._set(_active=True)
        self.updateGUIFromMRML()
        self.call("activate")

    def deactivate(self) -> None:
        self._frame.setVisible(False)
        self._set(_active=False)
        self.call("deactivate")

    def updateGUIFromMRML(self) -> None:
        """Slicer calls it on activation and after each change of an effect's parameter, never of an inactive effect."""
        if self._active:
            self.call("updateGUIFromMRML")

    def updateMRMLFromGUI(self) -> None:
        """Nobody but the effect itself calls it."""
        self._self.updateMRMLFromGUI()

    def call(self, name: str) -> None:
        """Call a function of the effect if it has it. What it raises is for the test; Slicer prints it and goes on."""
        assert name in _OPTIONAL
        if function := getattr(self._self, name, None):
            function()


class qSlicerSegmentEditorEffectFactory:  # noqa: N801
    """Keeps one effect of a name; editors clone them."""

    _instance: Any = None

    def __init__(self) -> None:
        self._effects: list[qSlicerSegmentEditorScriptedEffect] = []

    @classmethod
    def instance(cls) -> qSlicerSegmentEditorEffectFactory:
        cls._instance = cls._instance or cls()
        return cls._instance

    def registerEffect(self, effect: qSlicerSegmentEditorScriptedEffect) -> bool:
        if not effect.name or any(effect.name == other.name for other in self._effects):
            return False
        self._effects.append(effect)
        return True

    def registeredEffects(self) -> list[qSlicerSegmentEditorScriptedEffect]:
        return list(self._effects)

    def forget(self) -> None:
        """Start anew, for the next test."""
        self._effects.clear()


class SliceView:
    """Stand-in for `qMRMLSliceWidget` with a real slice node and interactor: one pixel is 0.1 mm, axial, at `s_mm`."""

    def __init__(self, r_mm: float, a_mm: float, s_mm: float) -> None:
        self.node = slicer.vtkMRMLSliceNode()
        self.node.SetLayoutName("Red")
        self.node.SetDimensions(400, 400, 1)
        self.node.SetFieldOfView(40.0, 40.0, 1.0)
        self.node.SetSliceToRASByNTP(0, 0, 1, -1, 0, 0, r_mm, a_mm, s_mm, 0)
        self.interactor = vtk.vtkGenericRenderWindowInteractor()

    def className(self) -> str:
        return "qMRMLSliceWidget"


class SegmentEditor:
    """The editor's widget, without what can be seen of it: clones the registered effects, has at most one active.

    Args:
        segmentationNode: What is edited.
        volumeNode: The source volume.
        segmentId: The selected segment.
    """

    def __init__(self, segmentationNode: Any, volumeNode: Any, segmentId: str) -> None:
        self.node = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLSegmentEditorNode")
        self.logic = slicer.vtkSlicerSegmentEditorLogic()
        self.logic.SetMRMLScene(slicer.mrmlScene)
        self.logic.SetSegmentationHistory(slicer.vtkSegmentationHistory())
        self.logic.SetSegmentEditorNode(self.node)
        self.logic.SetSegmentationNode(segmentationNode)
        self.logic.SetSourceVolumeNode(volumeNode)
        self.node.SetSelectedSegmentID(segmentId)
        self._active: Any = None
        self._effects: list[qSlicerSegmentEditorScriptedEffect] = []
        for registered in slicer.qSlicerSegmentEditorEffectFactory.instance().registeredEffects():
            self._add(registered.clone())
        events = slicer.vtkMRMLSegmentEditorNode.EffectParameterModified, "ModifiedEvent"
        slots = self._updateParameters, self._updateEffects
        self._tags = [self.node.AddObserver(event, slot) for event, slot in zip(events, slots, strict=True)]

    def _add(self, effect: qSlicerSegmentEditorScriptedEffect) -> None:
        if effect is None:
            raise TypeError("clone() returned no effect.")
        effect._set(logic=self.logic)
        effect.setParameterSetNode(self.node)
        effect.call("setMRMLDefaults")
        effect.call("setupOptionsFrame")
        effect.optionsFrame().setVisible(False)
        self._effects.append(effect)

    @property
    def activeEffect(self) -> Any:
        """The effect that is active, None if none is."""
        return self._active

    def effectByName(self, name: str) -> Any:
        return next((effect for effect in self._effects if effect.name == name), None)

    def setActiveEffectByName(self, name: str) -> Any:
        """Click the button of an effect, or that of none with an empty name; returns what is active then.

        A button is disabled, and nothing happens, where an effect needs a source volume or a segment that is missing.
        """
        effect = self.effectByName(name)
        if effect is None or self._isEnabled(effect):
            self.node.SetActiveEffectName(name)
        return self._active

    def mouse(self, view: Any, world: Any, *, ctrl: bool = False, shift: bool = False) -> bool:
        """Press the left button in a slice view; returns whether the view itself does nothing with it."""
        matrix = vtk.vtkMatrix4x4()
        vtk.vtkMatrix4x4.Invert(view.node.GetXYToRAS(), matrix)
        x, y, _, _ = matrix.MultiplyPoint((*world, 1.0))
        view.interactor.SetEventInformation(round(x), round(y), ctrl, shift)
        return self._interact(view, vtk.vtkCommand.LeftButtonPressEvent)

    def key(self, view: Any, key: str) -> bool:
        """Press a key in a slice view, by its name in VTK; returns whether the view itself does nothing with it."""
        view.interactor.SetKeySym(key)
        return self._interact(view, vtk.vtkCommand.KeyPressEvent)

    def _interact(self, view: Any, event: int) -> bool:
        function = getattr(self._active.self(), "processInteractionEvents", None) if self._active is not None else None
        return bool(function(view.interactor, event, view)) if function is not None else False

    def setSegmentationNode(self, node: Any) -> None:
        """Choose another segmentation in the list, which ends the effect."""
        if self.node.GetSegmentationNode() is not node:
            self.logic.SetSegmentationNode(node)
            self.node.SetActiveEffectName("")

    def setCurrentSegmentID(self, segment_id: str) -> None:
        """Choose a segment in the table; none ends an effect that works on one."""
        self.node.SetSelectedSegmentID(segment_id or None)
        if not segment_id and self._active is not None and self._active.perSegment:
            self.node.SetActiveEffectName("")

    def close(self) -> None:
        """Delete the widget: each effect is asked to clean up."""
        for tag in self._tags:
            self.node.RemoveObserver(tag)
        for effect in self._effects:
            effect.call("cleanup")
        self._effects.clear()

    def _isEnabled(self, effect: qSlicerSegmentEditorScriptedEffect) -> bool:
        if self.node.GetSourceVolumeNode() is None or self.node.GetSegmentationNode() is None:
            return False
        has_segments = self.node.GetSegmentationNode().GetSegmentation().GetNumberOfSegments() > 0
        has_selection = bool(self.node.GetSelectedSegmentID()) or not effect.perSegment
        return not effect.requireSegments or (has_segments and has_selection)

    def _updateParameters(self, *_: Any) -> None:
        for effect in self._effects:
            effect.updateGUIFromMRML()

    def _updateEffects(self, *_: Any) -> None:
        effect = self.effectByName(self.node.GetActiveEffectName())
        if effect is self._active:
            return
        if self._active is not None:
            self._active.deactivate()
        if effect is not None and not self.logic.SetSourceRepresentationToBinaryLabelMap():
            effect = None
        self._active = effect
        if effect is not None:
            effect.activate()


def publish() -> None:
    """Make `SegmentEditorEffects`, the editor's module for Python and its classes exist."""
    if checkout.CHECKOUT is None:
        effects = types.ModuleType("SegmentEditorEffects")
        effects.AbstractScriptedSegmentEditorEffect = AbstractScriptedSegmentEditorEffect
        sys.modules[effects.__name__] = effects
    module = types.ModuleType("qSlicerSegmentationsEditorEffectsPythonQt")
    module.qSlicerSegmentEditorScriptedEffect = qSlicerSegmentEditorScriptedEffect
    sys.modules[module.__name__] = module
    slicer.qSlicerSegmentEditorEffectFactory = qSlicerSegmentEditorEffectFactory
    slicer.qSlicerSegmentEditorAbstractEffect = slicer.vtkSlicerSegmentEditorLogic  # has the same modes
    qSlicerSegmentEditorEffectFactory.instance().forget()
