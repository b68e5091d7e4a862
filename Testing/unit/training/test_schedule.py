import pytest
import torch

from dsm.training.recipe import Phase
from dsm.training.schedule import learning_rate, set_learning_rate

PHASE = Phase(steps=100, spacing_mm=4.0, crop=(32, 32, 32), lr=1.0, lr_end=0.0, warmup=10)


def test_learning_rate_warms_up_and_decays():
    rates = [learning_rate(PHASE, step) for step in (0, 4, 10, 50, 99)]
    assert rates == pytest.approx([1.0 * 0.1, 0.96 * 0.5, 0.9, 0.5, 0.01])


def test_learning_rate_is_constant_without_an_end():
    phase = Phase(steps=100, spacing_mm=4.0, crop=(32, 32, 32), lr=0.5)
    assert {learning_rate(phase, step) for step in (0, 50, 99)} == {0.5}


def test_learning_rate_per_parameter_group():
    groups = [{"params": [torch.zeros(1)], "part": "encoder"}, {"params": [torch.zeros(1)]}]
    optimizer = torch.optim.SGD(groups, lr=1.0)
    set_learning_rate(optimizer, PHASE, 50, {"encoder": 0.1})
    assert [group["lr"] for group in optimizer.param_groups] == pytest.approx([0.05, 0.5])
