import math

import pytest
import torch

from dsm.training.alignment import AlignmentHead, soft_contrastive_loss, soft_targets


def test_targets_by_hand():
    text = torch.eye(2)  # nothing in common: e⁰ against e⁻¹⁰
    low = math.exp(-10) / (1 + math.exp(-10))
    torch.testing.assert_close(soft_targets(text), torch.tensor([[1 - low, low], [low, 1 - low]]))


def test_equal_names_share_the_target():
    text = torch.tensor([[1.0, 0.0], [1.0, 0.0], [0.0, 1.0]])
    torch.testing.assert_close(soft_targets(text)[0], torch.tensor([0.5, 0.5, 0.0]), atol=1e-4, rtol=0)


def test_loss_by_hand():
    # Uniform logits: each cross-entropy is log 2, whatever the targets.
    assert soft_contrastive_loss(torch.zeros(2, 2), torch.eye(2)).item() == pytest.approx(math.log(2))
    # One right answer each, ahead by 3.
    expected = math.log(1 + math.exp(-3))
    assert soft_contrastive_loss(3 * torch.eye(2), torch.eye(2)).item() == pytest.approx(expected)


def test_training_aligns_queries_with_their_names():
    torch.manual_seed(0)
    head, queries, text = AlignmentHead(8, 6), torch.randn(5, 8), torch.randn(5, 6)
    optimizer = torch.optim.Adam(head.parameters(), lr=0.02)
    first = head(queries, text).item()
    for _ in range(100):
        optimizer.zero_grad()
        loss = head(queries, text)
        loss.backward()
        optimizer.step()
    assert loss.item() < 0.3 * first
