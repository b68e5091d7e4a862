import numpy as np
import pytest
import torch

from dsm.core.options import SegmentOptions
from dsm.core.volume import Volume
from dsm.inference.segmenter import Segmenter
from dsm.inference.visual_prompt import Sampling, decode_with_visual_prompts, draw_visual_prompts
from dsm.models.weights import load_model
from dsm.nn.prompt_batch import PromptBatch

TUMORS = ["liver tumor", "kidney tumor"]


@pytest.fixture(scope="module")
def net(dsm_tiny):
    return load_model(dsm_tiny)[0]


@pytest.fixture(scope="module")
def encoding(net):
    with torch.inference_mode():
        return net.encode(torch.rand(1, 1, 48, 32, 32, generator=torch.Generator().manual_seed(0)))


@pytest.fixture(scope="module")
def volume():
    array = np.random.default_rng(0).uniform(-120, 200, (40, 36, 30)).astype(np.float32)
    return Volume(array, np.diag([2.0, 2.0, 3.0, 1.0]))


@pytest.fixture(autouse=True)
def without_gradients():
    with torch.inference_mode():
        yield


def prompts(net, count, *, is_tumor=True):
    text = torch.randn(count, net.organ_text.shape[1], generator=torch.Generator().manual_seed(1))
    return PromptBatch.from_text(torch.nn.functional.normalize(text, dim=1), is_tumor=is_tumor)


def test_hypotheses_differ_and_lie_between_0_and_1(net, encoding):
    drawn = draw_visual_prompts(net, encoding, prompts(net, 2), Sampling(hypotheses=3))
    assert drawn.shape == (2, 3, 6, 4, 4)
    assert drawn.min() >= 0
    assert drawn.max() <= 1
    assert (drawn[:, 0] - drawn[:, 1]).abs().max() > 1e-4


def test_sampling_depends_on_the_seed_only(net, encoding):
    one, same, other = (draw_visual_prompts(net, encoding, prompts(net, 1), Sampling(seed=seed)) for seed in (3, 3, 4))
    assert torch.equal(one, same)
    assert not torch.equal(one, other)


def test_denoiser_uses_the_precision_of_the_encoding(net, encoding):
    exact, coarse = (
        draw_visual_prompts(net, encoding, prompts(net, 1), Sampling(), precision=precision)
        for precision in ("float32", "bfloat16")
    )
    assert coarse.dtype == torch.float32
    assert not torch.equal(exact, coarse)
    torch.testing.assert_close(exact, coarse, rtol=0, atol=0.03)


def test_masks_are_decoded_in_float32(net, encoding):
    batch = prompts(net, 1)
    exact, coarse = (
        decode_with_visual_prompts(net, encoding, batch, Sampling(), precision=precision)[0]
        for precision in ("float32", "bfloat16")
    )
    assert coarse.logits.dtype == torch.float32
    torch.testing.assert_close(exact.logits, coarse.logits, rtol=0, atol=0.05)


def test_result_is_independent_of_other_prompts(net, encoding):
    batch = prompts(net, 2)
    together, _ = decode_with_visual_prompts(net, encoding, batch, Sampling())
    for row in range(2):
        alone = PromptBatch.from_text(batch.text[row : row + 1], is_tumor=True)
        decoded, _ = decode_with_visual_prompts(net, encoding, alone, Sampling())
        torch.testing.assert_close(decoded.logits[:, 0], together.logits[:, row], rtol=1e-4, atol=1e-4)


def test_organs_need_no_visual_prompt(net, encoding):
    batch = prompts(net, 2, is_tumor=False)
    decoded, mean = decode_with_visual_prompts(net, encoding, batch, Sampling(), spread=True)
    torch.testing.assert_close(decoded.logits, net.decode(encoding, batch).logits)
    torch.testing.assert_close(mean, decoded.logits[0].sigmoid())


def test_mean_over_hypotheses(net, encoding):
    batch = prompts(net, 1)
    _, mean = decode_with_visual_prompts(net, encoding, batch, Sampling(hypotheses=2), spread=True)
    drawn = draw_visual_prompts(net, encoding, batch, Sampling(hypotheses=2))
    each = [net.decode(encoding, batch, visual_prompts=drawn[:, h][None]).logits[0].sigmoid() for h in (0, 1)]
    torch.testing.assert_close(mean, (each[0] + each[1]) / 2)
    assert (each[0] - each[1]).abs().max() > 1e-5


def test_fast_mode_skips_visual_prompts(dsm_tiny, volume):
    scan = Segmenter.from_pretrained(dsm_tiny).encode(volume)
    full, again = (
        scan.segment("liver tumor", SegmentOptions(probabilities=True, postprocess=False))[0] for _ in range(2)
    )
    fast = scan.segment("liver tumor", SegmentOptions(probabilities=True, postprocess=False, fast=True))[0]
    other = scan.segment(
        "liver tumor", SegmentOptions(probabilities=True, postprocess=False), sampling=Sampling(seed=9)
    )[0]
    assert (full.probability.array == again.probability.array).all()
    assert full.probability.array.sum() != fast.probability.array.sum()
    assert full.probability.array.sum() != other.probability.array.sum()


def test_uncertainty_is_highest_at_probability_one_half(dsm_tiny, volume):
    scan = Segmenter.from_pretrained(dsm_tiny).encode(volume)
    for result in scan.segment("liver; liver tumor", SegmentOptions(uncertainty=True)):
        map_ = result.uncertainty.array
        assert map_.dtype == "float16"
        assert 0 <= map_.min() <= map_.max() <= 1
    assert scan.segment("liver")[0].uncertainty is None
    organ = scan.segment("liver", SegmentOptions(uncertainty=True, probabilities=True))[0]
    p = organ.probability.array.astype("float32")
    assert abs(2 * (p * (1 - p)) ** 0.5 - organ.uncertainty.array).max() < 0.01
