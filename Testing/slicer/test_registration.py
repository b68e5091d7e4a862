"""What Slicer is told when it has started; SampleData and the effect's factory are stand-ins that record it."""

from __future__ import annotations

import sys
import types
from pathlib import Path
from typing import Any

import pytest

import DSMSegment as module

panel_host = pytest.importorskip("panel_host", reason="PySide6 is not installed")


@pytest.fixture
def told(monkeypatch: pytest.MonkeyPatch) -> dict[str, Any]:
    told: dict[str, Any] = {}

    class Effect:
        def setPythonSource(self, path: str) -> None:
            told["effect"] = path

        def self(self) -> Any:
            return types.SimpleNamespace(register=lambda: told.update(registered=True))

    sample = types.ModuleType("SampleData")
    sample.SampleDataLogic = types.SimpleNamespace(
        registerCustomSampleDataSource=lambda **arguments: told.setdefault("sample", arguments)
    )
    effects = types.ModuleType("qSlicerSegmentationsEditorEffectsPythonQt")
    effects.qSlicerSegmentEditorScriptedEffect = lambda _: Effect()
    monkeypatch.setitem(sys.modules, "SampleData", sample)
    monkeypatch.setitem(sys.modules, effects.__name__, effects)
    return told


def test_nothing_happens_before_the_application_has_started(told: dict[str, Any], host: Any) -> None:
    application = panel_host.application()
    module.DSMSegment(types.SimpleNamespace(path=module.__file__))
    assert told == {}
    application.startupCompleted.emit()
    assert told["registered"]


def test_sample_has_a_hash_and_the_effect_a_file_named_for_its_class(told: dict[str, Any]) -> None:
    module.registerWhenStarted()
    sample = told["sample"]
    assert sample["checksums"] == "SHA256:" + sample["uris"].rpartition("/")[2]
    assert Path(sample["thumbnailFileName"]).is_file()
    assert sample["category"] == "DSMSegment"
    effect = Path(told["effect"])
    assert f"class {effect.stem}(" in effect.read_text(encoding="utf-8")
    # Slicer makes a module of the folder's name: it must be nobody else's.
    assert effect.parent.name == "DSMSegmentEffect"
    assert "\\" not in told["effect"]


def test_category_has_a_title_where_slicer_takes_one(told: dict[str, Any], monkeypatch: pytest.MonkeyPatch) -> None:
    """Slicer 5.10 does not; later versions show the key where no title was given."""
    module.registerWhenStarted()
    assert "category" not in told
    logic = sys.modules["SampleData"].SampleDataLogic
    monkeypatch.setattr(
        logic,
        "registerCustomSampleDataCategory",
        lambda category, title: told.setdefault("category", (category, title)),
        raising=False,
    )
    module.registerWhenStarted()
    assert told["category"] == ("DSMSegment", "DSM Segment")
