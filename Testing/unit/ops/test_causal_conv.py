import pytest
import torch
from torch.nn import functional as F

from dsm.ops import causal_conv as module
from dsm.ops.causal_conv import causal_conv


def by_torch(x, weight, bias):
    padded = F.conv1d(x.transpose(1, 2), weight, bias, padding=weight.shape[-1] - 1, groups=len(weight))
    return padded[..., : x.shape[1]].transpose(1, 2)


@pytest.mark.parametrize("length", [1, 2, 3, 7, 8, 9, 30])
@torch.inference_mode()
def test_equals_torch(length, monkeypatch):
    monkeypatch.setattr(module, "_STEPS", 4)
    x, weight, bias = torch.randn(2, length, 5), torch.randn(5, 1, 4), torch.randn(5)
    torch.testing.assert_close(causal_conv(x, weight, bias), by_torch(x, weight, bias))


@torch.inference_mode()
def test_slice_of_a_wider_sequence():
    x, weight, bias = torch.randn(1, 20, 9)[..., 2:7], torch.randn(5, 1, 4), torch.randn(5)
    torch.testing.assert_close(causal_conv(x, weight, bias), by_torch(x, weight, bias))


def test_by_hand():
    x, weight = torch.tensor([[[1.0], [2.0], [3.0]]]), torch.tensor([[[10.0, 1.0]]])
    with torch.inference_mode():
        found = causal_conv(x, weight, torch.tensor([0.5]))
    assert found.flatten().tolist() == [1.5, 12.5, 23.5]


def test_gradients_flow():
    x, weight, bias = torch.randn(1, 6, 5, requires_grad=True), torch.randn(5, 1, 4), torch.randn(5)
    causal_conv(x, weight, bias).sum().backward()
    torch.testing.assert_close(x.grad[0, 0], weight[:, 0].sum(1))
