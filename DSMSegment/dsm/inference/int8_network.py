"""The same network with its large convolutions in 8-bit integers, for CPUs."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from dsm.inference.fast_network import ConvAddReLU, Convolution, replace_modules
from dsm.nn.dsm_net import DSMNet
from dsm.ops.gelu import gelu
from dsm.ops.int8_convolution import int8_convolution, pack

_KERNEL = (3, 3, 3)
_FEWEST_CHANNELS = 32  # below, rounding the input costs more than the convolution saves


class Int8Convolution(nn.Module):
    """A `Convolution` in integers; it takes and gives float32."""

    def __init__(self, layer: Convolution) -> None:
        super().__init__()
        self.packed, self.bias = pack(layer.weight, padding=layer.padding), layer.bias
        self.padding, self.activation = layer.padding, layer.activation

    def forward(self, x: Tensor, padding: tuple[int, ...] | None = None) -> Tensor:
        """As `Convolution`."""
        y = int8_convolution(x, self.packed, self.bias, padding=self.padding if padding is None else padding)
        if self.activation == "relu":
            return F.relu_(y)
        return gelu(y) if self.activation == "gelu" else y


class Int8SumConvolution(nn.Module):
    """A `ConvAddReLU` in integers."""

    def __init__(self, layer: ConvAddReLU) -> None:
        super().__init__()
        self.packed, self.bias = pack(layer.weight, padding=layer.padding), layer.bias
        self.padding = layer.padding

    def forward(self, total: Tensor, x: Tensor) -> Tensor:
        """As `ConvAddReLU`."""
        return F.relu_(total.add_(int8_convolution(x, self.packed, self.bias, padding=self.padding)))


@torch.no_grad()
def int8_on_cpu(net: DSMNet) -> DSMNet:
    """Rewrite what encodes voxels, in place, and return the network; queries and prompts stay in float32.

    Args:
        net: From `fast_on_cpu`.
    """
    for part in (net.encoder, net.pixel_decoder):
        replace_modules(part, lambda m: Int8Convolution(m) if _is_large(m) and isinstance(m, Convolution) else None)
        replace_modules(part, lambda m: Int8SumConvolution(m) if isinstance(m, ConvAddReLU) else None)
    return net


def _is_large(module: nn.Module) -> bool:
    if not isinstance(module, Convolution):
        return False
    shape = module.weight.shape
    return shape[2:] == _KERNEL and module.stride == (1, 1, 1) and shape[1] >= _FEWEST_CHANNELS
