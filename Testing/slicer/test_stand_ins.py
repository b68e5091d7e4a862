"""The stand-ins for what of Slicer is C++ are as strict as that (docs/adr/0032)."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
import slicer
from phantoms import plain_affine, volume_node

from DSMSegmentLib.scene.placement import createSegmentation

panel_host = pytest.importorskip("panel_host", reason="PySide6 is not installed")
import qmrml  # noqa: E402
import segment_editor  # noqa: E402

EFFECT = """
from SegmentEditorEffects import AbstractScriptedSegmentEditorEffect
import qSlicerSegmentationsEditorEffectsPythonQt as effects

class SegmentEditorOneEffect(AbstractScriptedSegmentEditorEffect):
    def __init__(self, scriptedEffect):
        scriptedEffect.name = "One"
        AbstractScriptedSegmentEditorEffect.__init__(self, scriptedEffect)
        self.calls = []

    def clone(self):
        cloned = effects.qSlicerSegmentEditorScriptedEffect(None)
        cloned.setPythonSource(__file__)
        return cloned

    def setMRMLDefaults(self): self.calls.append("defaults")
    def setupOptionsFrame(self): self.calls.append("setup")
    def activate(self): self.calls.append("activate")
    def deactivate(self): self.calls.append("deactivate")
    def updateGUIFromMRML(self): self.calls.append("update")
    def cleanup(self): self.calls.append("cleanup")
"""


class TestSelector:
    @pytest.fixture
    def selector(self) -> Any:
        selector = qmrml.qMRMLNodeComboBox()
        selector.nodeTypes = ["vtkMRMLScalarVolumeNode"]
        selector.setMRMLScene(slicer.mrmlScene)
        return selector

    def test_first_node_is_selected_where_none_is_no_choice(self, selector: Any) -> None:
        assert selector.currentNode() is None
        first = volume_node(plain_affine())
        volume_node(plain_affine())
        assert selector.currentNode() is first

    def test_neighbour_is_selected_when_the_selected_node_goes(self, selector: Any) -> None:
        first, second, third = (volume_node(plain_affine(), name=name) for name in "ABC")
        selector.setCurrentNode(second)
        slicer.mrmlScene.RemoveNode(second)
        assert selector.currentNode() is third
        slicer.mrmlScene.RemoveNode(third)
        assert selector.currentNode() is first

    def test_node_of_another_class_is_none(self, selector: Any) -> None:
        volume_node(plain_affine())
        selector.setCurrentNode(slicer.mrmlScene.AddNewNodeByClass("vtkMRMLSegmentationNode"))
        assert selector.currentNode() is None


class TestSegmentEditor:
    @pytest.fixture
    def editor(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
        segment_editor.publish()
        monkeypatch.setitem(sys.modules, tmp_path.name, ModuleType("not loaded yet"))
        file = tmp_path / "SegmentEditorOneEffect.py"
        file.write_text(EFFECT, encoding="utf-8")
        effect = segment_editor.qSlicerSegmentEditorScriptedEffect(None)
        effect.setPythonSource(str(file))
        effect.self().register()
        volume = volume_node(plain_affine())
        node = createSegmentation(volume)
        node.GetSegmentation().AddEmptySegment("one", "one")
        editor = segment_editor.SegmentEditor(node, volume, "one")
        yield editor
        editor.close()

    def test_effect_is_called_when_slicer_calls_it(self, editor: Any) -> None:
        effect = editor.effectByName("One")
        calls = effect.self().calls
        editor.node.InvokeCustomModifiedEvent(slicer.vtkMRMLSegmentEditorNode.EffectParameterModified)
        assert calls == ["defaults", "setup"], "it is not active"
        assert editor.setActiveEffectByName("One") is effect
        editor.node.InvokeCustomModifiedEvent(slicer.vtkMRMLSegmentEditorNode.EffectParameterModified)
        assert calls[2:] == ["update", "activate", "update"]
        editor.setCurrentSegmentID("")
        assert calls[5:] == ["deactivate"]
        assert editor.setActiveEffectByName("One") is None, "it needs a segment"
        editor.close()
        assert calls[6:] == ["cleanup"]

    def test_choice_of_a_segment_calls_no_effect(self, editor: Any) -> None:
        effect = editor.setActiveEffectByName("One")
        calls = list(effect.self().calls)
        editor.node.GetSegmentationNode().GetSegmentation().AddEmptySegment("two", "two")
        editor.setCurrentSegmentID("two")
        assert effect.self().calls == calls

    def test_another_segmentation_ends_the_effect(self, editor: Any) -> None:
        editor.setActiveEffectByName("One")
        editor.setSegmentationNode(createSegmentation(editor.node.GetSourceVolumeNode()))
        assert editor.activeEffect is None

    def test_property_that_the_class_has_not_is_refused(self, editor: Any) -> None:
        with pytest.raises(AttributeError, match="no property tooltip"):
            editor.effectByName("One").tooltip = "text"

    def test_hidden_segment_is_asked_about(self, editor: Any) -> None:
        effect, node = editor.setActiveEffectByName("One"), editor.node.GetSegmentationNode()
        node.CreateDefaultDisplayNodes()
        assert effect.confirmCurrentSegmentVisible() == segment_editor.CONFIRMED_WITHOUT_DIALOG
        node.GetDisplayNode().SetSegmentVisibility("one", False)
        effect._set(answer=panel_host.qt.QMessageBox.Cancel)
        assert effect.confirmCurrentSegmentVisible() == segment_editor.NOT_CONFIRMED
        effect._set(answer=panel_host.qt.QMessageBox.Yes)
        assert effect.confirmCurrentSegmentVisible() == segment_editor.CONFIRMED_WITH_DIALOG
        assert node.GetDisplayNode().GetSegmentVisibility("one")
