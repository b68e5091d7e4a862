import pytest
import torch
from torch import nn

from dsm.nn.convolution import Conv3d, NormedConvolution, normed


def settled(channels):
    """A BatchNorm that has seen data, frozen."""
    norm = nn.BatchNorm3d(channels)
    nn.init.uniform_(norm.weight, 0.5, 2.0)
    nn.init.normal_(norm.bias)
    norm.running_mean.normal_()
    norm.running_var.uniform_(0.5, 3.0)
    return norm.eval()


def gradients(result, module, x):
    parameters = [x, *module.parameters()]
    toward = torch.randn(result.shape, generator=torch.Generator().manual_seed(1))
    return torch.autograd.grad(result, parameters, toward)


@pytest.mark.parametrize("bias", [False, True])
@pytest.mark.parametrize(("kernel", "stride", "padding"), [(3, 1, 1), (2, 2, 0), (1, 1, 0)])
def test_frozen_norm_is_folded_with_the_same_gradients(kernel, stride, padding, bias):
    module = NormedConvolution(Conv3d(3, 4, kernel, stride=stride, padding=padding, bias=bias), settled(4))
    x = torch.randn(1, 3, 6, 6, 4).contiguous(memory_format=torch.channels_last_3d).requires_grad_()
    folded = module(x)
    plain = module[1](nn.Conv3d.forward(module[0], x))
    torch.testing.assert_close(folded, plain, rtol=1e-4, atol=1e-5)
    for ours, theirs in zip(gradients(folded, module, x), gradients(plain, module, x), strict=True):
        torch.testing.assert_close(ours, theirs, rtol=1e-3, atol=1e-4)


def test_norm_uses_crop_statistics_in_training():
    norm = settled(4).train()
    conv = Conv3d(3, 4, 1, bias=False)
    before = norm.running_mean.clone()
    result = normed(conv, norm, torch.randn(1, 3, 6, 6, 4))
    assert not torch.equal(norm.running_mean, before)
    torch.testing.assert_close(result.mean(dim=(0, 2, 3, 4)), norm.bias, rtol=0, atol=1e-4)


def test_layers_are_called_separately_without_gradients():
    """Forward hooks, by which a rewrite for inference pairs normalisations with convolutions, are called."""
    module, called = NormedConvolution(Conv3d(3, 4, 1, bias=False), settled(4)), []
    for layer in module:
        layer.register_forward_hook(lambda layer, *_: called.append(layer))
    with torch.no_grad():
        module(torch.randn(1, 3, 4, 4, 4))
    assert called == list(module)
