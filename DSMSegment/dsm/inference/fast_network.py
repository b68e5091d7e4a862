"""The same network, rewritten for inference on a CPU: normalisations folded away, channels last, pointwise as products.

Measured on the CPU of `docs/explanation/performance.md`: as fast as OpenVINO on the convolutions, with nothing to
install, compile or cache.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.utils.fusion import fuse_conv_bn_weights

from dsm.inference.in_rows import FusionInRows
from dsm.inference.working_grid import EDGE_MULTIPLE
from dsm.nn.dsm_net import DSMNet
from dsm.ops.linear import linear

# Which normalisation reads which convolution shows on any input, so on the smallest.
_PROBE_EDGE = 2 * EDGE_MULTIPLE


class Product(nn.Module):
    """A linear layer.

    Args:
        linear: The layer, or a 1³ convolution; its weights are shared.
    """

    def __init__(self, linear: nn.Linear | nn.Conv3d) -> None:
        super().__init__()
        self.weight = nn.Parameter(linear.weight.flatten(1), requires_grad=False)
        self.bias = linear.bias

    def forward(self, x: Tensor) -> Tensor:
        """`(..., channels)` → `(..., out_channels)`."""
        return linear(x, self.weight, self.bias)


class PointwiseConv(Product):
    """A 1³ convolution as a product over the channels, which lie side by side in channels-last memory."""

    def forward(self, x: Tensor) -> Tensor:
        """`(batch, channels, i, j, k)` → `(batch, out_channels, i, j, k)`, channels last."""
        return super().forward(x.movedim(1, -1)).movedim(-1, 1)


@torch.no_grad()
def fold_norms(net: DSMNet) -> int:
    """Fold each BatchNorm that reads a convolution in `net.encode` into the weights of that convolution.

    Args:
        net: In evaluation mode; changed in place.

    Returns:
        How many were folded.
    """
    pairs = _conv_norm_pairs(net)
    for norm, conv in pairs.items():
        mean, variance = norm.running_mean, norm.running_var
        assert mean is not None  # noqa: S101  (norms here track their statistics)
        assert variance is not None  # noqa: S101
        weight, bias = fuse_conv_bn_weights(conv.weight, conv.bias, mean, variance, norm.eps, norm.weight, norm.bias)
        conv.weight, conv.bias = _constant(weight), _constant(bias)
    _replace(net, lambda module: nn.Identity() if module in pairs else None)
    return len(pairs)


def fast_on_cpu(net: DSMNet) -> DSMNet:
    """Rewrite `net` in place and return it: the same results to rounding.

    Args:
        net: In evaluation mode, on the CPU.
    """
    fold_norms(net)
    # torch runs pointwise convolutions as products too where it has one thread, but copies channels-last input first.
    _replace(net, lambda module: PointwiseConv(module) if _is_pointwise(module) else None)
    _replace(net, lambda module: Product(module) if isinstance(module, nn.Linear) else None)
    if net.backbone is None:
        net.pixel_decoder.fusion4 = FusionInRows(net.pixel_decoder.fusion4)  # type: ignore[assignment]  # called alike
    return net.to(memory_format=torch.channels_last_3d)  # type: ignore[call-overload]  # torch's stub lacks it


def _conv_norm_pairs(net: DSMNet) -> dict[nn.BatchNorm3d, nn.Conv3d]:
    """Find out by running: convolutions that are called once and whose result goes into a normalisation."""
    makers: dict[int, nn.Conv3d] = {}
    alive: list[Tensor] = []  # an address must not be given away twice
    pairs: dict[nn.BatchNorm3d, nn.Conv3d] = {}

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
        elif isinstance(module, nn.BatchNorm3d):
            handles.append(module.register_forward_pre_hook(read))
    try:
        channels = next(module.in_channels for module in net.modules() if isinstance(module, nn.Conv3d))
        net.encode(torch.zeros(1, channels, *3 * [_PROBE_EDGE], device=net.organ_text.device))
    finally:
        for handle in handles:
            handle.remove()
    return pairs


def _is_pointwise(module: nn.Module) -> bool:
    return (
        isinstance(module, nn.Conv3d)
        and module.kernel_size == (1, 1, 1)
        and module.stride == (1, 1, 1)
        and module.groups == 1
    )


def _replace(net: nn.Module, replacement: Any) -> None:
    for parent in list(net.modules()):
        for name, child in list(parent.named_children()):
            new = replacement(child)
            if new is not None:
                setattr(parent, name, new)


def _constant(tensor: Tensor) -> nn.Parameter:
    return nn.Parameter(tensor, requires_grad=False)
