"""`precision="auto"`: measured once for a processor and a model, then remembered."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch

from dsm.inference import auto_precision, precision
from dsm.inference.auto_precision import fastest, remembered_precision
from dsm.inference.segmenter import Segmenter

CPU = torch.device("cpu")


@pytest.fixture
def measured(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> list[str]:
    """An empty cache, a processor with int8 alone, on which int8 is faster; returns what was measured."""
    monkeypatch.delenv("DSM_PRECISION")
    monkeypatch.setattr(auto_precision, "user_cache_dir", lambda: tmp_path / "cache")
    monkeypatch.setattr(precision, "has_bfloat16", lambda _device: False)
    calls: list[str] = []

    def seconds(net: object, _config: object, **_: object) -> float:
        calls.append("int8" if any("Int8" in type(module).__name__ for module in net.modules()) else "float32")
        return 1.0 if calls[-1] == "int8" else 2.0

    monkeypatch.setattr(auto_precision, "seconds_per_megavoxel", seconds)
    return calls


def test_fastest_precision_is_used_and_cached(measured: list[str], tiny_model: Path, tmp_path: Path) -> None:
    first = Segmenter.from_pretrained(tiny_model)
    assert (first.precision, measured) == ("int8", ["float32", "int8"])
    assert any("Int8" in type(module).__name__ for module in first.net.modules())
    again = Segmenter.from_pretrained(tiny_model)
    assert (again.precision, measured) == ("int8", ["float32", "int8"])
    (key,) = json.loads((tmp_path / "cache" / "precision.json").read_text())
    assert auto_precision.processor_name() in key


def test_other_processor_is_measured_again(
    measured: list[str], tiny_model: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    Segmenter.from_pretrained(tiny_model)
    monkeypatch.setattr(auto_precision, "processor_name", lambda: "Another")
    Segmenter.from_pretrained(tiny_model)
    assert len(measured) == 4


def test_explicit_precision_is_not_measured(measured: list[str], tiny_model: Path) -> None:
    assert Segmenter.from_pretrained(tiny_model, precision="float32").precision == "float32"
    assert measured == []


def test_measurement_is_reported_as_progress(
    measured: list[str], tiny_model: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.undo()
    monkeypatch.delenv("DSM_PRECISION")
    stages: list[str] = []
    Segmenter.from_pretrained(tiny_model, progress=lambda stage, _done, _total: stages.append(stage))
    assert "measure" in stages
    assert stages[0] == stages[-1] == "load"


@pytest.mark.parametrize("content", ["", "[]", "{", '{"x": 1}'])
def test_damaged_cache_is_ignored(measured: list[str], tiny_model: Path, tmp_path: Path, content: str) -> None:
    (tmp_path / "cache").mkdir()
    (tmp_path / "cache" / "precision.json").write_text(content)
    assert Segmenter.from_pretrained(tiny_model).precision == "int8"


def test_unwritable_cache_is_ignored(measured: list[str], tiny_model: Path, tmp_path: Path) -> None:
    (tmp_path / "cache").write_text("a file in place of the folder")
    assert Segmenter.from_pretrained(tiny_model).precision == "int8"


def test_precision_from_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DSM_PRECISION", "int8")
    assert remembered_precision("digest", CPU) == "int8"
    monkeypatch.setenv("DSM_PRECISION", "float8")
    monkeypatch.setattr(auto_precision, "_read", dict)
    assert remembered_precision("digest", CPU) is None


def test_a_device_with_one_precision_needs_no_measurement(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("DSM_PRECISION")
    monkeypatch.setattr(auto_precision, "is_available", lambda name, _device: name == "float32")
    assert remembered_precision("digest", CPU) == "float32"


def test_small_speedup_keeps_float32() -> None:
    assert fastest({"float32": 1.0, "int8": 0.97}) == "float32"
    assert fastest({"float32": 1.0, "int8": 0.7, "bfloat16": 0.5}) == "bfloat16"
