"""The same network, rewritten for inference on a CPU: normalisations and activations folded into channels-last layers.

Measured on the CPU of `docs/explanation/performance.md`: as fast as OpenVINO on the convolutions, with nothing to
install, compile or cache.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.utils.fusion import fuse_conv_bn_weights

from dsm.inference.embed_tiled import FusionInRows
from dsm.inference.working_grid import EDGE_MULTIPLE
from dsm.nn.dsm_net import DSMNet
from dsm.nn.encoder import ResidualBlock
from dsm.ops.convolution import add_convolution, convolution
from dsm.ops.linear import linear

# Which normalisation reads which convolution shows on any input, so on the smallest.
_PROBE_EDGE = 2 * EDGE_MULTIPLE


class OneDNNLinear(nn.Module):
    """A linear layer.

    Args:
        layer: Its weights are shared.
    """

    def __init__(self, layer: nn.Linear) -> None:
        super().__init__()
        self.weight, self.bias = layer.weight, layer.bias

    def forward(self, x: Tensor) -> Tensor:
        """`(..., channels)` → `(..., out_channels)`."""
        return linear(x, self.weight, self.bias)


class Convolution(nn.Module):
    """A convolution and the activation that reads it.

    Args:
        conv: Its weights are shared.
        activation: `"relu"`, `"gelu"` or `"none"`.
    """

    def __init__(self, conv: nn.Conv3d, activation: str = "none") -> None:
        super().__init__()
        self.weight, self.bias = conv.weight, conv.bias
        self.stride, self.dilation = conv.stride, conv.dilation
        self.padding: tuple[int, ...] = conv.padding  # type: ignore[assignment]  # numbers in this network
        self.activation = activation

    def forward(self, x: Tensor, padding: tuple[int, ...] | None = None) -> Tensor:
        """As `nn.Conv3d`, then the activation; `padding` replaces that of the layer."""
        return convolution(
            x,
            self.weight,
            self.bias,
            stride=self.stride,
            padding=self.padding if padding is None else padding,
            dilation=self.dilation,
            activation=self.activation,
        )


class ConvAddReLU(nn.Module):
    """The end of a residual block: a convolution is added to what skipped it, in place.

    Args:
        conv: Its weights are shared.
    """

    def __init__(self, conv: nn.Conv3d) -> None:
        super().__init__()
        self.weight, self.bias = conv.weight, conv.bias
        self.padding: tuple[int, ...] = conv.padding  # type: ignore[assignment]  # numbers in this network

    def forward(self, total: Tensor, x: Tensor) -> Tensor:
        """`relu(total + conv(x))`."""
        return add_convolution(total, x, self.weight, self.bias, padding=self.padding)


class FastResidualBlock(nn.Module):
    """`ResidualBlock` with folded normalisations. It overwrites its input, which nothing else reads."""

    def __init__(self, block: ResidualBlock) -> None:
        super().__init__()
        self.first = Convolution(block.conv1, "relu")
        self.second = ConvAddReLU(block.conv2)

    def forward(self, x: Tensor) -> Tensor:
        """`(batch, channels, i, j, k)` → the same."""
        return self.second(x, self.first(x))


@torch.no_grad()
def fold_norms(net: DSMNet) -> int:
    """Fold each BatchNorm that reads a convolution in `net.encode` into the weights of that convolution.

    Args:
        net: In evaluation mode; changed in place.

    Returns:
        How many were folded.
    """
    pairs: dict[nn.BatchNorm3d, nn.Conv3d] = _readers(net, (nn.BatchNorm3d,))
    for norm, conv in pairs.items():
        mean, variance = norm.running_mean, norm.running_var
        assert mean is not None  # noqa: S101  (norms here track their statistics)
        assert variance is not None  # noqa: S101
        weight, bias = fuse_conv_bn_weights(conv.weight, conv.bias, mean, variance, norm.eps, norm.weight, norm.bias)
        conv.weight, conv.bias = _constant(weight), _constant(bias)
    replace_modules(net, lambda module: nn.Identity() if module in pairs else None)
    return len(pairs)


def fast_on_cpu(net: DSMNet) -> DSMNet:
    """Rewrite `net` in place and return it: the same results to rounding.

    Args:
        net: In evaluation mode, on the CPU.
    """
    fold_norms(net)
    replace_modules(net, lambda module: FastResidualBlock(module) if isinstance(module, ResidualBlock) else None)
    fast: dict[nn.Module, nn.Module] = {}
    for activation, conv in _readers(net, (nn.ReLU, nn.GELU)).items():
        name = "relu" if isinstance(activation, nn.ReLU) else "gelu"
        fast |= {conv: Convolution(conv, name), activation: nn.Identity()}
    replace_modules(net, fast.get)
    replace_modules(net, lambda module: OneDNNLinear(module) if isinstance(module, nn.Linear) else None)
    if net.backbone is None:
        net.pixel_decoder.fusion4 = FusionInRows(net.pixel_decoder.fusion4)  # type: ignore[assignment]  # called alike
    replace_modules(net, lambda m: Convolution(m) if isinstance(m, nn.Conv3d) and m.groups == 1 else None)
    return net.to(memory_format=torch.channels_last_3d)  # type: ignore[call-overload]  # torch's stub lacks it


def _readers(net: DSMNet, kinds: tuple[type[nn.Module], ...]) -> dict[Any, nn.Conv3d]:
    """Find out by running: layers of some kinds that read what a convolution made, and that convolution."""
    makers: dict[int, nn.Conv3d] = {}
    alive: list[Tensor] = []  # an address must not be given away twice
    pairs: dict[Any, nn.Conv3d] = {}

    def made(module: Any, _inputs: Any, output: Tensor) -> None:
        makers[id(output)] = module
        alive.append(output)

    def read(module: Any, inputs: tuple[Tensor, ...]) -> None:
        if id(inputs[0]) in makers:
            pairs[module] = makers[id(inputs[0])]

    handles = []
    for module in net.modules():
        if isinstance(module, nn.Conv3d):
            handles.append(module.register_forward_hook(made))
        elif isinstance(module, kinds):
            handles.append(module.register_forward_pre_hook(read))
    try:
        channels = next(module.in_channels for module in net.modules() if isinstance(module, nn.Conv3d))
        net.encode(torch.zeros(1, channels, *3 * [_PROBE_EDGE], device=net.organ_text.device))
    finally:
        for handle in handles:
            handle.remove()
    return pairs


def replace_modules(net: nn.Module, replacement: Callable[[nn.Module], nn.Module | None]) -> None:
    """Put something else in place of each module of `net` for which `replacement` returns it; in place."""
    for parent in list(net.modules()):
        for name, child in list(parent.named_children()):
            new = replacement(child)
            if new is not None:
                setattr(parent, name, new)


def _constant(tensor: Tensor) -> nn.Parameter:
    return nn.Parameter(tensor, requires_grad=False)
