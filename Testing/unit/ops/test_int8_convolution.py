import pytest
import torch
from torch.nn import functional as F

from dsm.ops.int8_convolution import int8_convolution, pack

PADDING = (1, 1, 1)


def layer(low):
    x = low + (1 - low) * torch.rand(1, 32, 8, 10, 12).to(memory_format=torch.channels_last_3d)
    return x, 0.1 * torch.randn(32, 32, 3, 3, 3), torch.randn(32)


@pytest.mark.parametrize("low", [0.0, -0.2, 0.3])
@torch.inference_mode()
def test_equals_convolution_of_rounded_numbers(low):
    x, weight, bias = layer(low)
    scale = (1 - min(low, 0.0)) / 127
    zero = round(-min(low, 0.0) / scale)
    rounded = ((x / scale + zero + 0.5).floor() - zero) * scale
    channel = weight.flatten(1).abs().amax(1)[:, None, None, None, None] / 127
    expected = F.conv3d(rounded, (weight / channel).round() * channel, bias, padding=1)
    found = int8_convolution(x, pack(weight, padding=PADDING), bias, padding=PADDING)
    assert found.dtype == torch.float32
    assert found.is_contiguous(memory_format=torch.channels_last_3d)
    # The extremes of `x` are near 0 and 1, not at them, so a voxel may be rounded to the next level.
    torch.testing.assert_close(found, expected, atol=0.05, rtol=0)


@pytest.mark.parametrize("low", [0.0, -1.0])
@torch.inference_mode()
def test_is_close_to_the_exact_convolution(low):
    x, weight, _ = layer(low)
    exact = F.conv3d(x, weight, padding=1)
    rough = int8_convolution(x, pack(weight, padding=PADDING), None, padding=PADDING)
    assert (rough - exact).abs().mean() < 0.02 * exact.abs().mean()


@torch.inference_mode()
def test_largest_sums_do_not_overflow():
    x, weight = torch.ones(1, 32, 6, 6, 6), torch.ones(32, 32, 3, 3, 3)
    found = int8_convolution(x, pack(weight, padding=PADDING), None, padding=PADDING)
    torch.testing.assert_close(found, F.conv3d(x, weight, padding=1), rtol=1e-4, atol=0)


@torch.inference_mode()
def test_all_zeros():
    zeros = torch.zeros(1, 32, 4, 4, 4)
    assert not int8_convolution(zeros, pack(torch.zeros(32, 32, 3, 3, 3), padding=PADDING), None, padding=PADDING).any()
