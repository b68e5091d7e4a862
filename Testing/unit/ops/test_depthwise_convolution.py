import pytest
import torch
from torch.nn import functional as F

from dsm.ops.depthwise_convolution import depthwise_convolution


def arguments(shape, dtype, *, channels_last=False):
    generator = torch.Generator().manual_seed(0)
    x = torch.randn(shape, generator=generator, dtype=dtype)
    if channels_last:
        x = x.contiguous(memory_format=torch.channels_last_3d)
    kernels = torch.randn(shape[1], 1, 3, 3, 3, generator=generator, dtype=dtype)
    return x.requires_grad_(), kernels.requires_grad_()


@pytest.mark.parametrize("shape", [(1, 2, 4, 3, 5), (2, 3, 2, 2, 3), (1, 2, 1, 3, 2)])
def test_gradcheck(shape):
    assert torch.autograd.gradcheck(depthwise_convolution, arguments(shape, torch.float64))


@pytest.mark.parametrize("channels_last", [False, True])
def test_equals_torch(channels_last):
    x, kernels = arguments((1, 16, 9, 8, 7), torch.float32, channels_last=channels_last)
    found = depthwise_convolution(x, kernels)
    expected = F.conv3d(x, kernels, padding=1, groups=16)
    torch.testing.assert_close(found, expected)
    toward = torch.randn(found.shape, generator=torch.Generator().manual_seed(1))
    for ours, theirs in zip(
        torch.autograd.grad(found, (x, kernels), toward),
        torch.autograd.grad(expected, (x, kernels), toward),
        strict=True,
    ):
        torch.testing.assert_close(ours, theirs, rtol=1e-4, atol=1e-4)
