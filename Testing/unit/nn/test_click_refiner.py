import pytest
import torch

from dsm.inference.click_scan import folded
from dsm.nn.click_refiner import CHANNELS, ClickRefiner, ClickRefinerConfig, shuffle_up


@pytest.fixture
def net():
    torch.manual_seed(0)
    net = ClickRefiner(ClickRefinerConfig(channels=(8, 8, 16, 16), detail=4))
    for module in net.modules():
        if isinstance(module, torch.nn.BatchNorm3d):
            module.running_mean.normal_()
            module.running_var.uniform_(0.5, 2)
    return net


def test_one_logit_per_voxel_for_any_window(net):
    for edge in (16, 32, 48):
        assert net(torch.rand(2, len(CHANNELS), edge, edge, edge)).shape == (2, edge, edge, edge)


def test_all_weights_have_gradients(net):
    net(torch.rand(2, len(CHANNELS), 32, 32, 32)).square().mean().backward()
    assert not [name for name, p in net.named_parameters() if p.grad is None or not p.grad.any()]


def test_normalisations_are_folded(net):
    x = torch.rand(1, len(CHANNELS), 32, 32, 32)
    fast = folded(net)
    assert not any(isinstance(module, torch.nn.BatchNorm3d) for module in fast.modules())
    with torch.inference_mode():
        torch.testing.assert_close(fast(x), net.eval()(x), rtol=1e-4, atol=1e-5)


def test_the_default_has_at_most_three_million_parameters():
    assert sum(p.numel() for p in ClickRefiner(ClickRefinerConfig()).parameters()) <= 3_000_000


def test_pixel_shuffle_in_3d():
    x = torch.arange(8.0).reshape(1, 8, 1, 1, 1)
    assert shuffle_up(x).reshape(2, 2, 2).tolist() == torch.arange(8.0).reshape(2, 2, 2).tolist()
