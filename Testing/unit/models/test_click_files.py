"""A model that shares the click network of the model beside it."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest
import torch

from dsm.errors import WeightsError
from dsm.inference.segmenter import Segmenter
from dsm.models.archive import pack_model, unpack_model
from dsm.models.click_files import CONFIG_FILE, WEIGHTS_FILE, clicks_folder
from dsm.models.click_weights import load_refiner
from dsm.models.store import model_entry, verify_model, write_manifest


@pytest.fixture
def pair(tiny_model: Path, click_model: Path, tmp_path: Path) -> tuple[Path, Path]:
    """Return the folders of a model with a click network, and of one that names it."""
    holder, other = tmp_path / "models" / "holder", tmp_path / "models" / "other"
    shutil.copytree(click_model, holder)
    shutil.copytree(tiny_model, other)
    (other / CONFIG_FILE).write_text('{"same_as": "holder"}')
    write_manifest(other)
    return holder, other


def test_network_of_the_other_model_is_used(pair: tuple[Path, Path]) -> None:
    holder, other = pair

    assert clicks_folder(other) == holder
    assert model_entry(other).clicks_sha256 == model_entry(holder).clicks_sha256 != ""
    assert verify_model(other).has_clicks
    ours, theirs = (load_refiner(folder)[0].state_dict() for folder in pair)
    assert all(torch.equal(ours[name], theirs[name]) for name in theirs)
    assert Segmenter.from_pretrained(other).click_network is not None


def test_archive_holds_copies(pair: tuple[Path, Path], tmp_path: Path) -> None:
    holder, other = pair
    (tmp_path / "far").mkdir()

    pack_model(other, tmp_path / "other.zip")
    unpacked = unpack_model(tmp_path / "other.zip", tmp_path / "far")

    assert clicks_folder(unpacked) == unpacked
    assert (unpacked / WEIGHTS_FILE).read_bytes() == (holder / WEIGHTS_FILE).read_bytes()
    assert "channels" in json.loads((unpacked / CONFIG_FILE).read_text())
    assert verify_model(unpacked).has_clicks


@pytest.mark.parametrize("name", [CONFIG_FILE, WEIGHTS_FILE])
def test_missing_or_changed_network_is_refused(pair: tuple[Path, Path], name: str) -> None:
    holder, other = pair
    (holder / name).write_bytes(b"x")
    with pytest.raises(WeightsError, match="damaged"):
        verify_model(other)
    (holder / name).unlink()
    with pytest.raises(WeightsError, match="missing"):
        verify_model(other)


@pytest.mark.parametrize("name", ["../holder", "/holder", "a/holder"])
def test_only_a_model_beside_it_can_be_named(pair: tuple[Path, Path], name: str) -> None:
    holder, other = pair
    (other / CONFIG_FILE).write_text(json.dumps({"same_as": name}))

    assert clicks_folder(other) == holder
