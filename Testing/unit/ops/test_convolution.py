import pytest
import torch
from torch.nn import functional as F

from dsm.ops import convolution as module
from dsm.ops.convolution import add_convolution, convolution

ACTIVATIONS = {"none": lambda x: x, "relu": F.relu, "gelu": F.gelu}


def layer(channels=5, out=7, kernel=3):
    x = torch.randn(2, channels, 6, 8, 10).to(memory_format=torch.channels_last_3d)
    return x, 0.1 * torch.randn(out, channels, kernel, kernel, kernel), torch.randn(out)


@pytest.fixture(params=["oneDNN", "a torch without it"])
def _library(request, monkeypatch):
    if request.param != "oneDNN":
        monkeypatch.setattr(module, "_ONEDNN_CONVOLUTION", None)
        monkeypatch.setattr(module, "_ONEDNN_SUM", None)


@pytest.mark.usefixtures("_library")
@pytest.mark.parametrize("activation", ACTIVATIONS)
@pytest.mark.parametrize(
    ("kernel", "settings"),
    [
        (3, {"padding": 1}),
        (3, {"padding": 2, "dilation": 2}),
        (1, {}),
        (4, {"stride": 2, "padding": 1}),
        (2, {"stride": 2}),
    ],
)
@torch.inference_mode()
def test_equals_torch(kernel, settings, activation):
    x, weight, bias = layer(kernel=kernel)
    each_axis = {name: 3 * (value,) for name, value in settings.items()}
    found = convolution(x, weight, bias, **each_axis, activation=activation)
    expected = ACTIVATIONS[activation](F.conv3d(x, weight, bias, **settings))
    torch.testing.assert_close(found, expected, atol=1e-5, rtol=1e-5)
    assert found.is_contiguous(memory_format=torch.channels_last_3d)


@pytest.mark.usefixtures("_library")
@torch.inference_mode()
def test_end_of_a_residual_block():
    x, weight, bias = layer(out=5)
    total = torch.randn_like(x)
    expected = F.relu(total + F.conv3d(x, weight, bias, padding=1))
    torch.testing.assert_close(
        add_convolution(total.clone(), x, weight, bias, padding=(1, 1, 1)), expected, atol=1e-5, rtol=1e-5
    )


@torch.inference_mode()
def test_addition_is_in_place():
    x, weight, bias = layer(out=5)
    total = torch.randn_like(x)
    assert add_convolution(total, x, weight, bias, padding=(1, 1, 1)).data_ptr() == total.data_ptr()


def test_gradients_flow():
    x, weight, bias = layer()
    x.requires_grad_()
    convolution(x, weight, bias, padding=(1, 1, 1), activation="relu").sum().backward()
    assert x.grad.abs().sum() > 0


@pytest.mark.parametrize("kernel", [1, 3])
@torch.inference_mode()
def test_other_types_fall_back_to_torch(kernel):
    x, weight, bias = layer(kernel=kernel)
    with torch.autocast("cpu", torch.bfloat16):
        assert convolution(x, weight, bias).dtype == torch.bfloat16
    assert convolution(x.double(), weight.double(), bias.double()).dtype == torch.float64


@pytest.mark.usefixtures("_library")
@pytest.mark.parametrize("activation", ACTIVATIONS)
@torch.inference_mode()
def test_equals_torch_in_bfloat16_under_autocast(activation):
    x, weight, bias = layer()
    with torch.autocast("cpu", torch.bfloat16):
        found = convolution(x, weight, bias, padding=(1, 1, 1), activation=activation)
        expected = ACTIVATIONS[activation](F.conv3d(x, weight, bias, padding=1))
    assert found.dtype == torch.bfloat16
    torch.testing.assert_close(found, expected, atol=0.02, rtol=0.02)


@torch.inference_mode()
def test_end_of_a_residual_block_in_bfloat16_is_in_place():
    x, weight, bias = layer(out=5)
    total = torch.randn_like(x).bfloat16()
    with torch.autocast("cpu", torch.bfloat16):
        expected = F.relu(total + F.conv3d(x, weight, bias, padding=1))
        found = add_convolution(total, x, weight, bias, padding=(1, 1, 1))
    torch.testing.assert_close(found, expected, atol=0.03, rtol=0.03)
    assert found.data_ptr() == total.data_ptr()


def test_under_autocast_gradients_flow():
    x, weight, bias = layer()
    weight.requires_grad_()
    with torch.autocast("cpu", torch.bfloat16):
        found = convolution(x, weight, bias, padding=(1, 1, 1), activation="relu")
    (gradient,) = torch.autograd.grad(found.float().sum(), weight)
    assert gradient.abs().sum() > 0
