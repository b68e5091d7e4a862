import pytest
import torch
from torch.nn import functional as F

from dsm.nn.tumor_refine import TumorRefine


@pytest.fixture
def refine():
    torch.manual_seed(0)
    return TumorRefine(8, 2).eval()


def test_initial_bias_strength_is_four(refine):
    torch.testing.assert_close(F.softplus(refine.raw_beta), torch.tensor(4.0))


def test_attention_follows_the_map(refine):
    values, organs = torch.randn(1, 10, 8), torch.randn(1, 2, 8)
    queries = torch.randn(1, 1, 8)
    refine.raw_beta.data.fill_(1e4)
    spot = F.one_hot(torch.tensor([3]), 10).float()
    found = refine(queries, refine.keys_values(values), spot, organs)
    alone = refine(queries, refine.keys_values(values[:, 3:4]), torch.ones(1, 1), organs)
    torch.testing.assert_close(found, alone)


def test_constant_map_has_no_effect(refine):
    keys_values, organs = refine.keys_values(torch.randn(1, 10, 8)), torch.randn(1, 2, 8)
    queries = torch.randn(1, 1, 8)
    low, high = (refine(queries, keys_values, torch.full((1, 10), level), organs) for level in (0.0, 1.0))
    torch.testing.assert_close(low, high)


def test_tumors_are_independent(refine):
    keys_values, organs = refine.keys_values(torch.randn(2, 10, 8)), torch.randn(2, 3, 8)
    queries, spots = torch.randn(2, 3, 8), torch.rand(2, 10)
    together = refine(queries, keys_values, spots, organs)
    alone = torch.cat([refine(queries[:, i : i + 1], keys_values, spots, organs) for i in range(3)], dim=1)
    torch.testing.assert_close(together, alone)
