"""The panel's connection to the scene's parameters, with a parameter node as strict as Slicer's."""

from __future__ import annotations

import gc
from collections import Counter
from collections.abc import Callable, Iterator
from typing import Annotated, Any

import pytest
import slicer
from panel_backends import PanelBackend
from phantoms import mask_of, plain_affine, volume_node

import DSMSegment as module
from DSMSegmentLib.application import WithinRange, parameterNodeWrapper
from DSMSegmentLib.scene.policy import ExistingPolicy

panel_host = pytest.importorskip("panel_host", reason="PySide6 is not installed")
import checkout  # noqa: E402
import ctk  # noqa: E402
import qt  # noqa: E402

THRESHOLD = Annotated[float, WithinRange(0.01, 0.99)]


@pytest.fixture
def panel(monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    monkeypatch.setattr(module, "WorkerBackend", lambda **_: PanelBackend({"liver": mask_of()}))
    volume_node(plain_affine())
    panel = panel_host.Panel(module)
    yield panel
    panel.close()


@pytest.fixture
def observers(monkeypatch: pytest.MonkeyPatch) -> Callable[[Any], Counter[str]]:
    """Counts what is added to a node or scene, minus what is removed, from the call on."""

    def count(observed: Any) -> Counter[str]:
        counts: Counter[str] = Counter()
        add, remove = observed.AddObserver, observed.RemoveObserver

        def counted_add(*arguments: Any) -> int:
            counts.update(observers=1)
            return int(add(*arguments))

        def counted_remove(tag: int) -> None:
            counts.subtract(observers=1)
            remove(tag)

        monkeypatch.setattr(observed, "AddObserver", counted_add, raising=False)
        monkeypatch.setattr(observed, "RemoveObserver", counted_remove, raising=False)
        return counts

    return count


def wrappers() -> int:
    gc.collect()
    return sum(issubclass(type(found), module.DSMSegmentParameterNode) for found in gc.get_objects())


def test_coming_and_going_leaves_nothing_behind(panel: Any, observers: Callable[[Any], Counter[str]]) -> None:
    node = panel.widget._parameterNode.parameterNode
    of_node, of_scene, before = observers(node), observers(slicer.mrmlScene), wrappers()
    for _ in range(100):
        panel.widget.exit()
        panel.widget.enter()
    assert of_node["observers"] == of_scene["observers"] == 0
    assert wrappers() == before


def test_panel_follows_its_node_to_another_scene_state(panel: Any) -> None:
    first = panel.widget._parameterNode
    slicer.mrmlScene.Clear(True)  # a singleton goes, too
    panel.process_events()
    second = panel.widget._parameterNode
    assert second.parameterNode is not first.parameterNode
    second.threshold = 0.3
    assert panel.ui.thresholdSlider.value == pytest.approx(0.3)
    second.prompts = "liver"
    assert panel.ui.promptsTextEdit.plainText == "liver"


def test_panel_that_is_not_open_follows_too(panel: Any) -> None:
    panel.widget.exit()
    panel.widget.logic.getParameterNode().prompts = "liver"
    panel.widget.enter()
    assert panel.ui.promptsTextEdit.plainText == "liver"


def test_threshold_out_of_range_is_refused(panel: Any) -> None:
    with pytest.raises(ValueError, match="range"):
        panel.widget._parameterNode.threshold = 1.5
    assert panel.widget._parameterNode.threshold == 0.5


def test_every_bound_widget_names_a_parameter_and_every_parameter_has_a_widget(panel: Any) -> None:
    named = {widget.property("SlicerParameterName") for widget in vars(panel.ui).values()} - {None}
    # The prompt field is connected by hand: Slicer's connector would move its cursor.
    assert named | {"prompts"} == set(module.DSMSegmentParameterNode.allParameters)
    assert panel.ui.promptsTextEdit.property("SlicerParameterName") is None


class TestStrictness:
    """The stand-in refuses whatever Slicer refuses; else tests of the panel would pass on code that fails in Slicer."""

    @pytest.fixture
    def parameters(self) -> Any:
        @parameterNodeWrapper
        class Parameters:
            free: float = 0.5
            bounded: THRESHOLD = 0.5
            flag: bool = False
            text: str = ""
            policy: ExistingPolicy = ExistingPolicy.ADD
            volume: slicer.vtkMRMLScalarVolumeNode

        node = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLScriptedModuleNode")
        return Parameters(node)

    @pytest.mark.parametrize(
        ("name", "widget"),
        [
            ("free", ctk.ctkSliderWidget),
            ("bounded", qt.QSlider),
            ("flag", qt.QLineEdit),
            ("text", qt.QComboBox),
            ("text", qt.QPlainTextEdit),
            ("policy", qt.QLineEdit),
            ("volume", qt.QComboBox),
        ],
    )
    def test_pairs_that_slicer_does_not_connect(self, parameters: Any, name: str, widget: Any) -> None:
        with pytest.raises(RuntimeError):
            parameters.connectParametersToGui({name: widget()})

    def test_unknown_parameter(self, parameters: Any) -> None:
        box = qt.QCheckBox()
        box.setProperty("SlicerParameterName", "flog")
        form = type("Form", (), {})()
        form.box = box
        with pytest.raises(ValueError, match="flog"):
            parameters.connectGui(form)

    def test_values_of_another_type(self, parameters: Any) -> None:
        for name, value in (("flag", 1), ("text", 1), ("free", "1"), ("policy", "ADD"), ("free", None)):
            with pytest.raises((TypeError, ValueError)):
                setattr(parameters, name, value)

    def test_annotations_are_looked_up_in_the_module(self) -> None:
        with pytest.raises(NameError):

            @parameterNodeWrapper
            class Parameters:
                threshold: Annotated[float, NotImportedHere(0, 1)] = 0.5  # type: ignore[name-defined]  # noqa: F821

    def test_widgets_are_written_at_any_change(self, parameters: Any) -> None:
        field, box = qt.QTextEdit(), qt.QCheckBox()
        parameters.connectParametersToGui({"text": field, "flag": box})
        parameters.text = "abc"
        field.moveCursor(qt.QTextCursor.End)
        box.checked = True
        assert field.textCursor().position() == 0, "this is why a field that one types into is not bound so"

    def test_slider_gets_the_range_and_the_list_the_labels(self, parameters: Any) -> None:
        slider, combo = ctk.ctkSliderWidget(), qt.QComboBox()
        parameters.connectParametersToGui({"bounded": slider, "policy": combo})
        assert (slider.minimum, slider.maximum) == (0.01, 0.99)
        assert [combo.itemText(index) for index in range(combo.count)] == [one.label() for one in ExistingPolicy]
        assert combo.itemData(0) is None

    def test_observer_of_a_connection_stays_at_the_node(
        self, parameters: Any, observers: Callable[[Any], Counter[str]]
    ) -> None:
        counts = observers(parameters.parameterNode)
        parameters.disconnectGui(parameters.connectParametersToGui({"flag": qt.QCheckBox()}))
        assert counts["observers"] == (1 if checkout.version() in ("", "5.10") else 0), "stays in 5.10 only"

    def test_wrapper_that_is_gone_has_no_observer(
        self, parameters: Any, observers: Callable[[Any], Counter[str]]
    ) -> None:
        counts = observers(parameters.parameterNode)
        another = type(parameters)(parameters.parameterNode)
        assert counts["observers"] == len(another.allParameters)
        del another
        gc.collect()
        assert counts["observers"] == 0
