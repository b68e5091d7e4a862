"""Names that another model has learned, on fake networks."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from dsm.core.click import Click
from dsm.core.name_status import NameKind
from dsm.core.volume import Volume
from dsm.errors import InputError, JobCancelled, WeightsError
from dsm.inference.other_models import OtherModels
from dsm.inference.segmenter import Segmenter
from dsm.models.config import ModelConfig
from dsm.models.store import ModelEntry, model_entry, write_manifest
from dsm.progress import ProgressCallback
from dsm.text.prompt import parse_prompts

SHAPE = (16, 16, 16)
DENSE, SOFT = (0.7, 5.0), (0.4, 5.0)  # of the soft tissue window: 155 and 35 HU


@pytest.fixture
def volume() -> Volume:
    """Fat with a block of tissue and a bright block."""
    array = np.full(SHAPE, -100, np.float32)
    array[2:8, 2:8, 2:8] = 50
    array[10:14, 10:14, 10:14] = 200
    return Volume(array, np.diag([1.5, 1.5, 1.5, 1.0]))


class Loader:
    """Loads one fake model, and counts."""

    def __init__(self, segmenter: Segmenter) -> None:
        self.segmenter, self.loaded = segmenter, []

    def __call__(self, entry: ModelEntry, progress: ProgressCallback) -> Segmenter:
        self.loaded.append(entry.name)
        progress("load", 0, 2)
        return self.segmenter


@pytest.fixture
def loader(make_segmenter) -> Loader:
    return Loader(make_segmenter(vectors={"sternum": DENSE}, trained=("sternum",)))


@pytest.fixture
def segmenter(make_segmenter, loader: Loader, body_model: Path) -> Segmenter:
    """A model that has learned the liver, beside `dsm-body`."""
    own = make_segmenter(vectors={"liver": SOFT})
    own.others = OtherModels((model_entry(body_model),), loader)
    return own


def test_name_is_segmented_by_the_model_that_has_learned_it(segmenter, volume, body_model) -> None:
    order = []
    results = segmenter.open(volume).segment("sternum; liver; skull", on_result=order.append)
    assert [result.prompt.name for result in results] == ["sternum", "liver", "skull"]
    body = ("dsm-body", model_entry(body_model).digest)
    assert [(one.model, one.model_sha256) for one in results] == [body, ("", ""), body]
    assert results[0].full_mask()[11, 11, 11] == 1
    assert results[0].full_mask()[4, 4, 4] == 0
    assert results[0].name_status.kind is NameKind.LEARNED
    assert [(one.prompt.name, one.model) for one in order] == [
        ("liver", ""),
        ("sternum", "dsm-body"),
        ("skull", "dsm-body"),
    ]


def test_time_of_the_encodings_is_that_of_all_models(segmenter, volume) -> None:
    scan = segmenter.open(volume)
    assert scan.encode_seconds == 0
    scan.segment("sternum")
    of_other = scan.encode_seconds
    assert of_other > 0
    assert not scan.is_encoded
    scan.segment("liver")
    assert scan.encode_seconds > of_other


def test_other_model_is_loaded_and_encodes_once_and_only_if_it_is_needed(segmenter, volume, loader) -> None:
    scan = segmenter.open(volume)
    scan.segment("liver; aneurysm")
    assert loader.loaded == []
    scan.segment("sternum")
    scan.segment("sternum; skull")
    segmenter.open(volume).segment("sternum")
    assert loader.loaded == ["dsm-body"]
    assert loader.segmenter.net.calls.count("coarse") == 2  # once a volume


def test_loading_of_another_model_is_cancelled(segmenter, volume, loader) -> None:
    def cancel(stage: str, done: int, total: int) -> None:
        if (stage, total) == ("load", 2):
            raise JobCancelled("The job was cancelled.")

    scan = segmenter.open(volume)
    with pytest.raises(JobCancelled):
        scan.segment("sternum", progress=cancel)
    assert scan.segment("sternum")[0].model == "dsm-body"
    assert loader.loaded == ["dsm-body", "dsm-body"]


def test_own_network_does_not_encode_for_names_of_another_model(segmenter, volume) -> None:
    scan = segmenter.open(volume)
    scan.segment("sternum")
    assert not scan.is_encoded
    assert segmenter.net.calls == []


def test_name_that_both_have_learned_is_of_the_chosen_one(make_segmenter, volume, loader, body_model) -> None:
    own = make_segmenter(vectors={"sternum": SOFT}, trained=("sternum",))
    own.others = OtherModels((model_entry(body_model),), loader)
    assert own.open(volume).segment("sternum")[0].model == ""
    assert loader.loaded == []


def test_name_learned_in_the_other_modality_only_stays_unknown(segmenter, volume, loader, body_model) -> None:
    config = ModelConfig(name="dsm-body", organs=(), tumors=(), trained=("sternum",), only_in={"MR": ("sternum",)})
    config.save(body_model)
    write_manifest(body_model)
    segmenter.others = OtherModels((model_entry(body_model),), loader)
    (result,) = segmenter.open(volume).segment("sternum")
    assert (result.found, result.model, result.name_status.kind) == (False, "", NameKind.UNKNOWN)
    assert loader.loaded == []


def test_damaged_model_is_refused_before_anything_is_encoded(segmenter, volume, body_model, loader) -> None:
    weights = body_model / "model.safetensors"
    weights.write_bytes(weights.read_bytes()[:-1] + b"x")
    scan = segmenter.open(volume)
    with pytest.raises(WeightsError, match="is damaged"):
        scan.segment("liver; sternum")
    assert not scan.is_encoded
    assert scan.segment("liver")[0].found, "what does not need it goes on"
    assert loader.loaded == []


def test_click_outside_is_refused_before_anything_is_encoded(segmenter, volume) -> None:
    liver, sternum = parse_prompts("liver; sternum")
    scan = segmenter.open(volume)
    with pytest.raises(InputError, match="outside"):
        scan.segment([liver, replace(sternum, clicks=(Click((9999.0, 0.0, 0.0)),))])
    assert not scan.is_encoded


def test_own_results_are_there_when_another_model_does_not_load(segmenter, volume, monkeypatch) -> None:
    def fail(entry: ModelEntry, _progress: ProgressCallback) -> Segmenter:
        raise WeightsError(f"{entry.path} is damaged.")

    segmenter.others = replace(segmenter.others, _load=fail, _loaded={})
    kept = []
    with pytest.raises(WeightsError):
        segmenter.open(volume).segment("sternum; liver", on_result=kept.append)
    assert [result.prompt.name for result in kept] == ["liver"]


def test_clicks_go_to_the_model_that_has_learned_the_name(segmenter, volume, loader) -> None:
    clicked = []

    class Clicked:
        def segment(self, prompt, **_):
            clicked.append(prompt.name)
            return loader.segmenter.encode(volume).segment(prompt.name)[0]

    open_ = loader.segmenter.open

    def with_clicks(*arguments, **options):
        scan = open_(*arguments, **options)
        scan._clicked = Clicked()
        return scan

    loader.segmenter.open = with_clicks
    (result,) = segmenter.open(volume).segment("sternum", clicks=[Click((16.0, 16.0, 16.0))])
    assert clicked == ["sternum"]
    assert result.model == "dsm-body"
