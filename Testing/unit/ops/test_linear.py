import pytest
import torch
from torch.nn import functional as F

from dsm.ops import linear as module
from dsm.ops.linear import linear


@pytest.mark.parametrize("bias", [None, torch.randn(7)])
@pytest.mark.parametrize("shape", [(5,), (3, 5), (0, 5), (2, 3, 4, 5), (3, 20_000, 5)])
@torch.inference_mode()
def test_equals_torch(shape, bias):
    x, weight = torch.randn(shape), torch.randn(7, 5)
    torch.testing.assert_close(linear(x, weight, bias), F.linear(x, weight, bias))


@torch.inference_mode()
def test_any_memory_order():
    x = torch.randn(1, 5, 2, 3, 4).movedim(1, -1)
    assert not x.is_contiguous()
    weight = torch.randn(5, 7).T
    torch.testing.assert_close(linear(x, weight), F.linear(x, weight))
    torch.testing.assert_close(linear(x[:, ::2], weight), F.linear(x[:, ::2], weight))


def test_gradients_flow():
    x, weight = torch.randn(3, 5, requires_grad=True), torch.randn(7, 5, requires_grad=True)
    linear(x, weight).sum().backward()
    assert weight.grad is not None
    torch.testing.assert_close(x.grad, weight.sum(0).expand(3, 5))


@torch.inference_mode()
def test_other_types_fall_back_to_torch():
    with torch.autocast("cpu", torch.bfloat16):
        assert linear(torch.randn(3, 5), torch.randn(7, 5)).dtype == torch.bfloat16
    assert linear(torch.randn(3, 5).double(), torch.randn(7, 5).double()).dtype == torch.float64


@torch.inference_mode()
def test_torch_without_the_function_is_supported(monkeypatch):
    monkeypatch.setattr(module, "_ONEDNN_LINEAR", None)
    x, weight = torch.randn(3, 5), torch.randn(7, 5)
    assert torch.equal(linear(x, weight), F.linear(x, weight))


@torch.inference_mode()
def test_onednn_failure_falls_back_to_torch(monkeypatch):
    def refuse(*_):
        raise RuntimeError("could not create a memory object")

    monkeypatch.setattr(module, "_ONEDNN_LINEAR", refuse)
    x, weight = torch.randn(3, 5), torch.randn(7, 5)
    assert torch.equal(linear(x, weight), F.linear(x, weight))
