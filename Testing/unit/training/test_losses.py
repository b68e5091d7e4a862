"""Losses against numbers computed by hand."""

import math

import pytest
import torch

from dsm.training.losses import anomaly_loss, assignment_loss, group_loss, level_masks, mask_loss

LN2, LN3 = math.log(2), math.log(3)


def row(*values):
    """One prompt on a grid of 1 x 1 x n."""
    return torch.tensor(values, dtype=torch.float32).view(1, 1, 1, -1)


class TestMaskLoss:
    def test_unsure_prediction(self):
        # p = ½ everywhere: cross-entropy ln 2; Dice 1 - 2·½ / (1 + 1) = ½
        found = mask_loss(row(0, 0), row(1, 0).bool())
        assert found.item() == pytest.approx(LN2 + 0.5, abs=1e-4)

    def test_right_and_wrong(self):
        mask = row(1, 1, 0, 0).bool()
        assert mask_loss(row(50, 50, -50, -50), mask).item() == pytest.approx(0, abs=1e-4)
        assert mask_loss(row(-50, -50, 50, 50), mask).item() == pytest.approx(50 + 1, abs=1e-3)

    def test_empty_mask_has_no_dice(self):
        assert mask_loss(row(0, 0), row(0, 0).bool()).item() == pytest.approx(LN2)

    def test_dice_is_averaged_over_present_masks_only(self):
        logits = torch.cat([row(0, 0), row(0, 0), row(50, -50)])
        masks = torch.cat([row(1, 0), row(0, 0), row(1, 0)]).bool()
        expected = (LN2 + LN2 + 0) / 3 + (0.5 + 0) / 2
        assert mask_loss(logits, masks).item() == pytest.approx(expected, abs=1e-4)

    def test_balance_weights_small_masks(self):
        # One of five voxels is inside: it weighs 4^½ = 2, or 1; Dice 1 - 2·½ / (1 + 5/2) = 1 - 1/3.5
        logits, mask = row(0, 0, 0, 0, 0), row(1, 0, 0, 0, 0).bool()
        dice = 1 - 1 / 3.5
        assert mask_loss(logits, mask).item() == pytest.approx(LN2 * 6 / 5 + dice, abs=1e-4)
        assert mask_loss(logits, mask, balance=0.0).item() == pytest.approx(LN2 + dice, abs=1e-4)


class TestGroupLoss:
    def test_probability_of_any_member(self):
        # Logits 0 of two members, one other organ and none of them: p = 1/2; Dice 1 - 2·½ / (1 + 1)
        logits, rows = torch.cat([row(0, 0), row(0, 0), row(0, 0)]), torch.tensor([0, 2])
        assert group_loss(logits, row(1, 0)[0].bool(), rows).item() == pytest.approx(LN2 + 0.5, abs=1e-4)

    def test_any_member_satisfies_it(self):
        rows, mask = torch.tensor([0, 2]), row(1, 1, 0)[0].bool()
        either = torch.cat([row(50, -50, -50), row(-50, -50, 50), row(-50, 50, -50)])
        assert group_loss(either, mask, rows).item() == pytest.approx(0, abs=1e-3)
        assert group_loss(-either, mask, rows).item() > 10

    def test_gradient_of_members_and_non_members(self):
        logits = torch.zeros(3, 1, 1, 2, requires_grad=True)
        group_loss(logits, row(1, 0)[0].bool(), torch.tensor([0, 2])).backward()
        assert logits.grad is not None
        assert (logits.grad[[0, 2], 0, 0, 0] < 0).all()
        assert logits.grad[1, 0, 0, 0] > 0


class TestAssignmentLoss:
    def test_balance(self):
        # One voxel of organ 0 at ln 2 + ln 2, four of void at ln 2: weights 1 and ½ at balance ½.
        logits = row(math.log(1 / 3), 0, 0, 0, 0)
        args = (logits, torch.tensor(0.0), row(1, 0, 0, 0, 0), torch.tensor([0]))
        assert assignment_loss(*args).item() == pytest.approx((2 * LN2 + 0.5 * 4 * LN2) / 3)
        assert assignment_loss(*args, balance=0.0).item() == pytest.approx((2 * LN2 + 4 * LN2) / 5)

    @pytest.mark.parametrize("balance", [0.0, 0.5])
    def test_bool_masks_equal_float_masks(self, balance):
        generator = torch.Generator().manual_seed(0)
        logits = torch.randn(4, 3, 3, 3, generator=generator).requires_grad_()
        label = torch.randint(3, (3, 3, 3), generator=generator)
        masks, annotated = torch.stack([label == 1, label == 2]), torch.tensor([2, 0])
        losses = [
            assignment_loss(logits, torch.tensor(0.3), m, annotated, balance=balance) for m in (masks, masks.float())
        ]
        torch.testing.assert_close(losses[0], losses[1])
        torch.testing.assert_close(*(torch.autograd.grad(loss, logits)[0] for loss in losses))

    def test_bool_masks_may_overlap(self):
        masks = torch.stack([row(1, 0)[0], row(1, 1)[0]]).bool()
        args = torch.zeros(2, 1, 1, 2), torch.tensor(0.0)
        found = [assignment_loss(*args, m, torch.tensor([0, 1])) for m in (masks, masks.float())]
        torch.testing.assert_close(*found)

    def test_annotated_organs_compete_in_labelled_voxels(self):
        # Voxel 1 is organ 0: softmax over both organs and void. Voxel 2 is nothing known: organ 1 may own it, so it is
        # left out, and organ 0 competes with void.
        logits = torch.zeros(2, 1, 1, 2)
        found = assignment_loss(logits, torch.tensor(0.0), row(1, 0), torch.tensor([0]))
        assert found.item() == pytest.approx((LN3 + LN2) / 2)

    def test_all_organs_annotated(self):
        logits = torch.cat([row(2, -1), row(0, 1)])
        found = assignment_loss(logits, torch.tensor(0.5), torch.cat([row(0, 0), row(1, 0)]), torch.tensor([0, 1]))
        first = -math.log(math.exp(0) / (math.exp(2) + math.exp(0) + math.exp(0.5)))
        second = -math.log(math.exp(0.5) / (math.exp(-1) + math.exp(1) + math.exp(0.5)))
        assert found.item() == pytest.approx((first + second) / 2, abs=1e-6)

    def test_fractions_of_coarse_voxels(self):
        logits = torch.cat([row(1), row(7)])
        found = assignment_loss(logits, torch.tensor(0.0), row(0.25), torch.tensor([0]))
        total = math.log(math.e + 1)  # organ 1 is unknown and hidden
        assert found.item() == pytest.approx(0.25 * (total - 1) + 0.75 * total, abs=1e-5)

    def test_rows_follow_the_annotation(self):
        logits = torch.randn(4, 2, 2, 2)
        masks = torch.rand(2, 2, 2, 2).round()
        masks[1] *= 1 - masks[0]
        swapped = assignment_loss(logits, torch.tensor(0.1), masks.flip(0), torch.tensor([1, 3]))
        expected = assignment_loss(logits, torch.tensor(0.1), masks, torch.tensor([3, 1]))
        torch.testing.assert_close(swapped, expected)

    def test_unannotated_organs_are_suppressed_inside_other_organs_only(self):
        logits = torch.zeros(2, 1, 1, 2, requires_grad=True)
        assignment_loss(logits, torch.tensor(0.0), row(1, 0), torch.tensor([0])).backward()
        inside, outside = logits.grad[1].flatten()
        assert inside > 0
        assert outside == 0

    def test_void_has_a_gradient(self):
        void = torch.tensor(0.0, requires_grad=True)
        assignment_loss(torch.zeros(1, 1, 1, 2), void, row(0, 0), torch.tensor([0])).backward()
        assert void.grad < 0  # nothing is labelled, so void should win


class TestLevelMasks:
    def test_fractions(self):
        masks = torch.zeros(1, 4, 4, 4, dtype=torch.bool)
        masks[0, :2, :2, :2] = True
        masks[0, 2, 2, 2:] = True
        found = level_masks(masks, torch.Size([2, 2, 2]))
        expected = torch.zeros(1, 2, 2, 2)
        expected[0, 0, 0, 0], expected[0, 1, 1, 1] = 1, 2 / 8
        torch.testing.assert_close(found, expected)


def test_anomaly_loss_by_hand():
    # Two organs, three voxels: best affinities 2, 1, 0; void 0. Voxel 1 is a lesion, voxel 2 in no organ.
    affinity = torch.tensor([[2.0, -1.0, 0.0], [0.0, 1.0, -5.0]]).view(2, 3, 1, 1)
    organs = torch.tensor([1.0, 1.0, 0.0]).view(3, 1, 1)
    lesions = torch.tensor([0.0, 1.0, 0.0]).view(3, 1, 1)
    # σ(void - 2) should be 0, σ(void - 1) should be 1; half of the organ is lesion, so both weigh 1.
    expected = (math.log(1 + math.exp(-2)) + math.log(1 + math.exp(1))) / 2
    assert anomaly_loss(affinity, torch.tensor(0.0), organs, lesions).item() == pytest.approx(expected)


def test_anomaly_loss_needs_an_annotated_organ():
    nothing = torch.zeros(2, 2, 2)
    assert anomaly_loss(torch.randn(3, 2, 2, 2), torch.tensor(0.0), nothing, nothing) == 0
