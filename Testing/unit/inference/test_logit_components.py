import numpy as np
import torch

from dsm.inference.logit_components import component_means, components_above, keep_sure_parts, remove_components


def two_parts():
    """A part with a sure core and an unsure rim, and one that is unsure throughout."""
    logits = torch.full((10, 6, 6), -5.0)
    logits[1:4, 1:4, 1:4] = 0.5
    logits[2, 1:4, 1:4] = 6.0
    logits[7:9, 2:4, 2:4] = 0.5
    return logits


def test_components_are_labelled_with_their_mean_probability():
    logits = two_parts()
    inside, parts, count = components_above(logits, 0.5)
    assert count == 2
    assert int(inside.sum()) == 27 + 8
    means = component_means(logits[inside], inside, parts, count)
    np.testing.assert_allclose(means, [0, (9 * 6 + 18 * 0.5) / 27, 0.5], rtol=1e-6)


def test_threshold_is_a_probability():
    assert components_above(two_parts(), 0.9)[2] == 1


def test_low_confidence_part_is_dropped_and_rim_of_a_confident_part_kept():
    logits = two_parts()
    before = logits.clone()
    kept = keep_sure_parts(logits, threshold=0.5, confidence=0.7)
    assert torch.equal(kept[:5], before[:5])
    assert (kept[5:] < 0).all()
    assert torch.equal(logits, before)


def test_all_parts_are_kept_without_a_confidence_limit():
    logits = two_parts()
    assert torch.equal(keep_sure_parts(logits, threshold=0.5, confidence=0.0), logits)


def test_logits_without_foreground_are_unchanged():
    logits = torch.full((4, 4, 4), -3.0)
    assert torch.equal(keep_sure_parts(logits, threshold=0.5, confidence=0.9), logits)


def test_background_logits_are_unchanged():
    logits = two_parts()
    _, parts, count = components_above(logits, 0.5)
    none = remove_components(logits, parts, kept=np.zeros(count + 1, dtype=bool))
    assert torch.equal(none[0], logits[0])
    assert (none < 0).all()
