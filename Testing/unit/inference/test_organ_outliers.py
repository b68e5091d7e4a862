import numpy as np
import pytest

from dsm.core.options import SegmentOptions
from dsm.core.volume import Volume
from dsm.inference import scan
from dsm.inference.visual_prompt import Sampling
from dsm.text.prompt import parse_prompts

SHAPE = (64, 56, 48)
ORGAN = (slice(8, 56), slice(8, 48), slice(8, 40))
LESION = (slice(24, 36), slice(20, 32), slice(18, 30))
AT_BORDER = (slice(8, 10), slice(20, 32), slice(18, 30))
MM = 1.5


def volume_of(*lesions, modality="CT", affine=None):
    """Fat with an organ of 60 HU and a grain of 8 HU; lesions are boxes and their intensities."""
    rng = np.random.default_rng(0)
    array = rng.normal(-100, 8, SHAPE)
    array[ORGAN] = rng.normal(60, 8, [part.stop - part.start for part in ORGAN])
    for box, level in lesions:
        array[box] = level
    return Volume(array.astype(np.float32), np.diag([MM, MM, MM, 1.0]) if affine is None else affine, modality=modality)


@pytest.fixture
def found(make_segmenter):
    """Mask of "liver tumor" by a network that knows the liver alone, and marks all of it as tumor."""

    def of(volume, prompt="liver tumor", trained=("liver",)):
        vectors = {"liver tumor": (0.2, 5.0), "liver cyst": (0.2, 5.0)}
        segmenter = make_segmenter(stride=2, vectors=vectors, trained=trained)
        segmenter.net.organ_levels = [2.0, 0.2]
        return segmenter.encode(volume).segment(prompt)[0]

    return of


def dice(mask, box):
    truth = np.zeros(SHAPE, bool)
    truth[box] = True
    return 2 * (mask & truth).sum() / (mask.sum() + truth.sum())


def test_region_darker_than_its_organ_is_marked(found):
    result = found(volume_of((LESION, 10)))
    assert dice(result.full_mask(), LESION) > 0.75
    assert any("darker than the rest of the liver" in warning for warning in result.warnings)


def test_a_healthy_organ_is_not_marked(found):
    assert not found(volume_of()).found


def test_brighter_region_is_marked_in_mr_only(found):
    assert not found(volume_of((LESION, 110))).found
    assert dice(found(volume_of((LESION, 110), modality="MR")).full_mask(), LESION) > 0.5


def test_fat_in_the_organ_is_not_marked(found):
    assert not found(volume_of((LESION, -100))).found


def test_region_at_the_organ_border_is_not_marked(found):
    assert not found(volume_of((AT_BORDER, -20))).found


@pytest.mark.parametrize("signs", [(-1, -1, 1), (1, -1, -1), (-1, 1, -1)])
def test_position_is_independent_of_axis_order(found, signs):
    affine = np.array([[0, MM * signs[0], 0, 5], [MM * signs[1], 0, 0, -7], [0, 0, MM * signs[2], 3], [0, 0, 0, 1.0]])
    assert dice(found(volume_of((LESION, 10), affine=affine)).full_mask(), LESION) > 0.75


@pytest.mark.parametrize("prompt", ["liver tumor", "liver cyst"])
def test_network_is_used_if_a_lesion_of_the_organ_was_trained(found, prompt):
    result = found(volume_of((LESION, 10)), prompt, trained=("liver", "liver tumor"))
    assert not any("darker" in warning for warning in result.warnings)
    assert result.full_mask()[ORGAN].mean() > 0.9


def test_visual_prompts_are_sampled_only_for_network_results(make_segmenter, monkeypatch):
    drawn = {}

    def decode(net, encoding, prompts, sampling, *, spread, precision):
        drawn[sampling] = prompts.text[:, 0].tolist()
        return net.decode(encoding, prompts), None

    monkeypatch.setattr(scan, "decode_with_visual_prompts", decode)
    segmenter = make_segmenter(
        stride=2, vectors={"liver tumor": (0.25, 5.0), "spleen": (0.5, 5.0), "lesion": (0.75, 5.0)}
    )
    segmenter.net.organ_levels = [2.0, 0.2]
    how = Sampling(seed=3)
    scan_ = segmenter.encode(volume_of((LESION, 10)))
    results = scan_.segment("spleen; liver tumor; lesion", SegmentOptions(guess=True), sampling=how)
    assert drawn == {how: [0.5, 0.75]}
    assert [result.prompt.name for result in results] == ["spleen", "liver tumor", "lesion"]
    assert dice(results[1].full_mask(), LESION) > 0.75


def test_untrained_organ_has_no_result(found):
    assert not found(volume_of((LESION, 10)), trained=()).found


def test_sampled_logits_rank_the_lesion_highest(make_segmenter):
    segmenter = make_segmenter(stride=2, vectors={"liver tumor": (0.2, 5.0)})
    segmenter.net.organ_levels = [2.0, 0.2]
    scan = segmenter.encode(volume_of((LESION, 10)))
    (prompt,) = parse_prompts("liver tumor")
    lesion, organ, outside = scan.sample_logits(prompt, np.array([(30, 26, 24), (45, 40, 30), (2, 2, 2)]))
    assert lesion > 2
    assert -5 < organ < 0
    assert outside < -10
