"""Registrations at Slicer's start: a sample data set, and an effect of the Segment Editor."""

from __future__ import annotations

import sys
import types
from pathlib import Path
from typing import Any

import pytest
import slicer

import DSMSegment as module

panel_host = pytest.importorskip("panel_host", reason="PySide6 is not installed")
import qt  # noqa: E402
import segment_editor  # noqa: E402

EFFECTS = "DSMSegmentEffect"


@pytest.fixture(autouse=True)
def editor(monkeypatch: pytest.MonkeyPatch) -> None:
    """The editor's classes exist; nothing is registered, and the file of the effect is not loaded."""
    segment_editor.publish()
    monkeypatch.setitem(sys.modules, EFFECTS, types.ModuleType("not loaded yet"))


def samples() -> list[Any]:
    return [one for sources in getattr(slicer.modules, "sampleDataSources", {}).values() for one in sources]


def effects() -> list[Any]:
    return slicer.qSlicerSegmentEditorEffectFactory.instance().registeredEffects()


def test_nothing_happens_before_the_application_has_started(host: Any) -> None:
    application = panel_host.application()
    module.DSMSegment(types.SimpleNamespace(path=module.__file__))
    assert (samples(), effects()) == ([], [])
    application.startupCompleted.emit()
    assert (len(samples()), len(effects())) == (1, 1)


@pytest.mark.usefixtures("expect_errors")
def test_effect_is_there_without_the_module_of_sample_data(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "SampleData", None)  # what makes an import fail
    application = panel_host.application()
    module.DSMSegment(types.SimpleNamespace(path=module.__file__))
    application.startupCompleted.emit()
    assert len(effects()) == 1


def test_module_that_is_loaded_later_registers_at_once() -> None:
    panel_host.application()
    window = qt.QMainWindow()
    window.setObjectName("qSlicerMainWindow")
    window.show()
    module.DSMSegment(types.SimpleNamespace(path=module.__file__))
    assert (len(samples()), len(effects())) == (1, 1)


def test_module_names_what_it_needs_and_where_it_is_described() -> None:
    panel_host.application()
    parent = types.SimpleNamespace(path=module.__file__)
    module.DSMSegment(parent)
    assert set(parent.dependencies) == {"Segmentations", "Markups", "Sequences", "SubjectHierarchy"}
    page = parent.helpText.split("/blob/main/")[1].partition('"')[0]
    assert (Path(module.__file__).parents[1] / page).is_file()


def test_sample_has_a_hash_and_a_picture() -> None:
    module.registerSampleData()
    (sample,) = slicer.modules.sampleDataSources["DSMSegment"]
    assert sample.checksums == ["SHA256:" + sample.uris[0].rpartition("/")[2]]
    assert Path(sample.thumbnailFileName).is_file()


def test_category_has_a_title_where_slicer_takes_one(monkeypatch: pytest.MonkeyPatch) -> None:
    """Slicer 5.10 does not; later versions show the key where no title was given."""
    import SampleData

    titles: list[tuple[str, str]] = []
    register = lambda category, title: titles.append((category, title))  # noqa: E731
    monkeypatch.setattr(SampleData.SampleDataLogic, "registerCustomSampleDataCategory", register, raising=False)
    module.registerSampleData()
    assert titles == [("DSMSegment", "DSM Segment")]
    monkeypatch.delattr(SampleData.SampleDataLogic, "registerCustomSampleDataCategory")
    module.registerSampleData()
    assert len(titles) == 1


def test_effect_is_registered_once_under_a_module_name_of_its_own() -> None:
    module.registerEffect()
    module.registerEffect()
    (effect,) = effects()
    assert effect.name == "Text prompt"
    assert type(effect.self()).__module__ == EFFECTS
