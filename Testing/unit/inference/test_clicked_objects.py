"""Segmentation of clicked objects, on scans with and without an encoding."""

from __future__ import annotations

from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest

from dsm.core.boxes import Box, CroppedArray
from dsm.core.click import MAX_CLICKS, Click
from dsm.core.name_status import ResultSource
from dsm.core.options import SegmentOptions
from dsm.core.volume import Volume
from dsm.errors import InputError, JobCancelled, ModelError, PromptError
from dsm.inference.click_scan import ClickScan
from dsm.inference.segmenter import Scan, Segmenter
from dsm.text.prompt import parse_prompts

MIDDLE = Click((-40, -36, 40))
NEAR = Click((-46, -36, 40))
AWAY = Click((-60, -50, 40), inside=False)


@pytest.fixture(scope="module")
def volume():
    rng = np.random.default_rng(0)
    array = rng.normal(40, 10, (40, 36, 20))
    array[14:26, 12:24, 6:14] += 80
    return Volume(array.astype(np.int16), np.diag([-2.0, -2.0, 4.0, 1.0]))


@pytest.fixture(scope="module")
def segmenter(click_model):
    return Segmenter.from_pretrained(click_model)


@pytest.fixture
def looks(segmenter, monkeypatch):
    """The sums of the text masks that the click network was shown, one a look; it finds a ball around each click."""
    seen = []

    def look(image, clicks, *, previous, text):
        seen.append(float(text.sum()))
        import torch

        i, j, k = (torch.arange(n, dtype=torch.float32) for n in image.shape)
        logits = torch.full_like(image, -5.0)
        for (a, b, c), inside in clicks:
            square = ((i - a) ** 2)[:, None, None] + ((j - b) ** 2)[None, :, None] + ((k - c) ** 2)[None, None, :]
            logits = torch.where(square < 7.5**2, torch.tensor(5.0 if inside else -5.0), logits)
        return logits

    monkeypatch.setattr(segmenter.click_network, "look", look)
    return seen


def clicked(name, *clicks):
    return replace(parse_prompts(name)[0], clicks=clicks)


@pytest.mark.usefixtures("looks")
def test_clicks_only_need_no_encoding(segmenter, volume):
    scan = segmenter.open(volume)
    (result,) = scan.segment("schwannoma", clicks=[MIDDLE])
    assert not scan.is_encoded
    assert (result.prompt.name, result.prompt.clicks) == ("schwannoma", (MIDDLE,))
    assert (result.found, result.score, result.source) == (True, None, ResultSource.CLICK)
    assert result.full_mask()[20, 18, 10]
    assert result.volume_ml == pytest.approx(result.full_mask().sum() * volume.voxel_ml)


def test_mask_is_on_the_grid_of_the_volume(segmenter, volume):
    (result,) = segmenter.open(volume).segment("schwannoma", clicks=[MIDDLE])
    assert result.full_mask().shape == volume.shape
    assert result.found == bool(result.full_mask().any())


def test_each_click_costs_one_pass_and_undo_is_cached(segmenter, volume, looks):
    scan = segmenter.open(volume)
    one = scan.segment("schwannoma", clicks=[MIDDLE])[0]
    first = len(looks)
    two = scan.segment("schwannoma", clicks=[MIDDLE, NEAR])[0]
    second = len(looks) - first
    fresh = segmenter.open(volume).segment("schwannoma", clicks=[MIDDLE, NEAR])[0]
    assert len(looks) - first - second == first + second, "a scan without the first click has to do it too"
    assert np.array_equal(fresh.full_mask(), two.full_mask())
    before = len(looks)
    again = scan.segment("schwannoma", clicks=[MIDDLE])[0]
    assert len(looks) == before
    assert np.array_equal(again.full_mask(), one.full_mask())


def test_mixed_run_encodes_once_and_returns_results_in_prompt_order(segmenter, volume, looks):
    scan, arrived, stages = segmenter.open(volume), [], []
    prompts = [*parse_prompts("liver"), clicked("schwannoma", MIDDLE), *parse_prompts("spleen")]
    results = scan.segment(
        prompts,
        on_result=lambda result: arrived.append(result.prompt.name),
        progress=lambda stage, *_: stages.append(stage),
    )
    assert scan.is_encoded
    assert [result.prompt for result in results] == prompts
    assert arrived == ["schwannoma", "liver", "spleen"]
    assert {"encode", "text", "decode"} <= set(stages)
    assert [result.source for result in results] == [ResultSource.LEARNED, ResultSource.CLICK, ResultSource.LEARNED]
    expected = segmenter.encode(volume).segment("liver; spleen")
    for one, other in zip((results[0], results[2]), expected, strict=True):
        assert np.array_equal(one.full_mask(), other.full_mask())
    assert not any(looks), "the name has not been learned"


def test_lesion_mask_is_not_a_prior_for_clicks(segmenter, volume, looks, monkeypatch):
    monkeypatch.setattr("dsm.inference.scan._LEAST_CONFIDENCE", 0.0)
    scan = segmenter.encode(volume)
    full = CroppedArray.from_mask(np.ones(volume.shape, np.uint8))
    monkeypatch.setattr(Scan, "_segment_named", lambda *_, **__: [SimpleNamespace(mask=full)])
    scan.segment("liver tumor", clicks=[MIDDLE])
    assert not any(looks)
    scan.segment("liver", clicks=[MIDDLE])
    assert looks[-1] > 0


def test_learned_organ_mask_is_a_prior_for_clicks_if_encoded(segmenter, volume, looks, monkeypatch):
    monkeypatch.setattr("dsm.inference.scan._LEAST_CONFIDENCE", 0.0)  # random weights are sure of nothing
    scan = segmenter.open(volume)
    scan.segment("spleen", clicks=[MIDDLE])
    assert not any(looks)
    (by_name,) = scan.segment("spleen")
    assert by_name.found, "else this test shows nothing"
    inside = np.argwhere(by_name.full_mask())[0]
    place = Click(tuple((volume.affine @ [*inside, 1])[:3]))
    scan.segment("spleen", clicks=[place])
    assert looks[-1] > 0


@pytest.mark.usefixtures("looks")
def test_two_prompts_with_the_same_name_are_separate_objects(segmenter, volume):
    prompts = [clicked("schwannoma", MIDDLE), clicked("schwannoma", Click((-10, -10, 20)))]
    one, other = segmenter.open(volume).segment(prompts)
    assert one.found
    assert other.found
    assert not np.array_equal(one.full_mask(), other.full_mask())


@pytest.mark.usefixtures("looks")
def test_region_limits_the_clicked_object(segmenter, volume):
    region = Box((20, 0, 0), (40, 36, 20))
    (whole,) = segmenter.open(volume).segment("schwannoma", clicks=[MIDDLE])
    (part,) = segmenter.open(volume).segment("schwannoma", SegmentOptions(region=region), clicks=[MIDDLE])
    assert 0 < part.volume_ml < whole.volume_ml
    assert not part.full_mask()[:20].any()


def test_run_can_be_cancelled_before_each_network_pass(segmenter, volume, looks):
    scan = segmenter.open(volume)

    def cancel(stage, done, total):
        if looks:
            raise JobCancelled("The job was cancelled.")

    with pytest.raises(JobCancelled):
        scan.segment("schwannoma", clicks=[MIDDLE], progress=cancel)
    assert len(looks) == 1
    assert scan.segment("schwannoma", clicks=[MIDDLE, NEAR])[0].found


@pytest.mark.parametrize(
    ("clicks", "code"),
    [
        ([AWAY], "click.inside"),
        ([Click((-40.0, -36.0, 400.0))], "click.outside"),
        ([MIDDLE] * (MAX_CLICKS + 1), "click.too_many"),
    ],
)
def test_clicks_are_validated_before_computation(segmenter, volume, clicks, code):
    scan = segmenter.open(volume)
    with pytest.raises(InputError) as caught:
        scan.segment([*parse_prompts("liver"), clicked("schwannoma", *clicks)])
    assert caught.value.code == code
    assert caught.value.hint
    assert not scan.is_encoded
    if code == "click.outside":
        assert "400.0" in str(caught.value)


def test_clicks_with_several_prompts_are_refused(segmenter, volume):
    with pytest.raises(PromptError, match="2 prompts"):
        segmenter.open(volume).segment("kidneys", clicks=[MIDDLE])


def test_model_without_click_network_is_refused_before_encoding(tiny_model, volume):
    scan = Segmenter.from_pretrained(tiny_model).open(volume)
    with pytest.raises(ModelError, match="takes no clicks") as caught:
        scan.segment([*parse_prompts("liver"), clicked("schwannoma", MIDDLE)])
    assert caught.value.code == "model.clicks"
    assert not scan.is_encoded


def test_unknown_name_suggests_a_click_if_supported(segmenter, tiny_model, volume):
    (unknown,) = segmenter.encode(volume).segment("schwannoma")
    assert unknown.warnings[-1] == "Click on the schwannoma to have it segmented."
    (learned,) = segmenter.encode(volume).segment("liver")
    (without,) = Segmenter.from_pretrained(tiny_model).encode(volume).segment("schwannoma")
    assert not any("Click" in warning for warning in (*learned.warnings, *without.warnings))


@pytest.mark.usefixtures("looks")
def test_clicked_organ_of_an_implausible_size_is_flagged(segmenter, volume):
    (organ,) = segmenter.open(volume).segment("spleen", clicks=[MIDDLE])
    (lesion,) = segmenter.open(volume).segment("schwannoma", clicks=[MIDDLE])
    assert organ.volume_ml < 10
    assert any("less than the spleen of an adult has" in warning for warning in organ.warnings)
    assert not any(warning.startswith("Check:") for warning in lesion.warnings)


@pytest.mark.usefixtures("looks")
def test_mask_that_contradicts_a_click_is_flagged(segmenter, volume):
    scan = segmenter.open(volume)
    (first,) = scan.segment("schwannoma", clicks=[MIDDLE])
    (both,) = scan.segment("schwannoma", clicks=[MIDDLE, replace(NEAR, inside=False)])
    assert not any("contradicts" in warning for warning in first.warnings)
    assert not both.full_mask()[20, 18, 10], "the network of this test follows the last click"
    assert any(warning.startswith("Check: the mask contradicts 1 of 2 clicks;") for warning in both.warnings)


@pytest.mark.usefixtures("looks")
@pytest.mark.parametrize(("name", "expected_ml"), [("liver tumor", 2.6), ("schwannoma", None)])
def test_name_says_how_large_the_clicked_object_is(segmenter, volume, monkeypatch, name, expected_ml):
    opened, open_scan = [], ClickScan.of
    monkeypatch.setattr(
        ClickScan, "of", lambda *args, **options: opened.append(options["expected_ml"]) or open_scan(*args, **options)
    )
    segmenter.open(volume).segment(name, clicks=[MIDDLE])
    assert opened == [expected_ml]
