"""Names that another installed model has learned."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from dsm.core.prompt import Prompt
from dsm.models import store
from dsm.models.config import CONFIG_FILE, ModelConfig
from dsm.models.learned_elsewhere import model_that_learned, models_that_learned, other_models
from dsm.models.library import ModelLibrary
from dsm.models.store import find_model, model_entry, write_manifest
from dsm.text.prompt import parse_prompts


def prompt(text: str) -> Prompt:
    (one,) = parse_prompts(text)
    return one


@pytest.fixture(autouse=True)
def _nothing_was_said() -> None:
    store._say_once.cache_clear()


@pytest.mark.usefixtures("body_model")
@pytest.mark.parametrize(
    ("text", "model"), [("breast bone", "dsm-body"), ("liver", "dsm-small"), ("aneurysm", ""), ("grey spot", "")]
)
def test_model_is_found_by_the_name_of_the_prompt(text: str, model: str) -> None:
    assert model_that_learned(prompt(text), ModelLibrary().models()) == model


def test_configuration_is_cached_until_it_changes(body_model: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    read: list[object] = []
    load = ModelConfig.load
    monkeypatch.setattr(ModelConfig, "load", lambda folder: read.append(folder) or load(folder))
    for _ in range(3):
        assert model_that_learned(prompt("sternum"), [model_entry(body_model)]) == "dsm-body"
    assert read == [body_model]
    ModelConfig(name="dsm-body", organs=(), tumors=(), trained=("skull",)).save(body_model)
    write_manifest(body_model)
    assert model_that_learned(prompt("sternum"), [model_entry(body_model)]) == ""


@pytest.mark.parametrize(("modality", "model"), [("MR", "dsm-body"), ("CT", ""), ("", "dsm-body")])
def test_name_learned_in_the_other_modality_only_does_not_count(body_model: Path, modality: str, model: str) -> None:
    config = ModelConfig(name="dsm-body", organs=(), tumors=(), trained=("skull",), only_in={"MR": ("skull",)})
    config.save(body_model)
    write_manifest(body_model)
    assert model_that_learned(prompt("skull"), [model_entry(body_model)], modality=modality) == model


def test_installed_models_help_each_other_and_a_folder_elsewhere_stands_alone(
    body_model: Path, make_body_model: Callable[[Path], Path], tmp_path: Path
) -> None:
    assert {one.name for one in other_models(body_model)} >= {"dsm-small"}
    assert "dsm-body" not in {one.name for one in other_models(body_model)}
    assert "dsm-body" in {one.name for one in other_models(find_model("dsm-small"))}
    assert other_models(find_model("dsm-tiny")) == ()
    assert other_models(make_body_model(tmp_path / "elsewhere")) == ()


@pytest.mark.parametrize(
    ("text", "modality", "models"),
    [
        ("skull", "", ["dsm-body"]),
        ("liver; grey spot", "", []),
        ("liver; skull; left ventricle", "", ["dsm-body", "dsm-head-heart"]),
        ("left ventricle", "CT", []),
        ("left ventricle", "MR", ["dsm-head-heart"]),
    ],
)
def test_models_of_a_cohort_are_those_that_may_segment_its_prompts(
    body_model: Path, text: str, modality: str, models: list[str]
) -> None:
    assert body_model.is_dir(), "installed, whatever the prompts are"
    chosen = model_entry(find_model("dsm-small"))
    found = models_that_learned(parse_prompts(text), chosen, other_models(chosen.path), modality=modality)
    assert [one.name for one in found] == models


def test_damaged_model_is_skipped_and_named_once(body_model: Path, caplog: pytest.LogCaptureFixture) -> None:
    (body_model / CONFIG_FILE).write_text("{")
    for _ in range(3):
        assert model_that_learned(prompt("skull"), [model_entry(body_model)]) == ""
    (record,) = [one for one in caplog.records if one.name == "dsm.models.store"]
    assert record.getMessage().startswith("dsm-body is not used: ")
    assert "dsm models verify" in record.getMessage()


def test_unlisted_damaged_model_is_named_once(body_model: Path, caplog: pytest.LogCaptureFixture) -> None:
    (body_model / "manifest.json").write_text("{")
    for _ in range(3):
        assert "dsm-body" not in {entry.name for entry in ModelLibrary().models()}
    assert len([one for one in caplog.records if "dsm-body is not used" in one.getMessage()]) == 1


def test_no_torch_is_imported() -> None:
    code = "import sys, dsm.models.learned_elsewhere; sys.exit('torch' in sys.modules)"
    subprocess.run([sys.executable, "-c", code], check=True)
