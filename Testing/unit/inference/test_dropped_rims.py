import torch

from dsm.inference.dropped_rims import without_dropped_rims
from dsm.inference.logit_components import keep_sure_parts

RIM, UNSURE, SURE = -1.5, 0.5, 6.0  # probabilities 0.18, 0.62, 1.0


def two_parts_with_rims(*, apart: bool) -> torch.Tensor:
    """A sure part and an unsure one, each with a rim; the rims touch unless they are apart."""
    logits = torch.full((16, 7, 7), -9.0)
    logits[1:6, 1:6, 1:6] = RIM
    logits[2:5, 2:5, 2:5] = SURE
    first = 7 if apart else 6
    logits[first : first + 5, 1:6, 1:6] = RIM
    logits[first + 1 : first + 4, 2:5, 2:5] = UNSURE
    return logits


def cut(logits: torch.Tensor) -> torch.Tensor:
    kept = keep_sure_parts(logits, threshold=0.5, confidence=0.75)
    return without_dropped_rims(logits, kept, threshold=0.5, faintest=0.01)


def test_dropped_part_stays_hidden_at_a_lower_threshold():
    for apart in (True, False):
        logits = two_parts_with_rims(apart=apart)
        before = logits.clone()
        seen = cut(logits) > -2.0
        assert seen[1:6, 1:6, 1:6].all(), "the sure part keeps its rim"
        assert not seen[6:].any()
        assert torch.equal(logits, before)


def test_separate_faint_part_is_kept():
    logits = two_parts_with_rims(apart=True)
    logits[13:15, 2:5, 2:5] = RIM
    assert (cut(logits)[13:15, 2:5, 2:5] == RIM).all()


def test_logits_are_unchanged_if_no_part_was_dropped():
    logits = two_parts_with_rims(apart=True)
    assert without_dropped_rims(logits, logits, threshold=0.5, faintest=0.01) is logits
