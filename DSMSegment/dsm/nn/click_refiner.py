"""Click network: a small class-agnostic residual U-Net from clicks in an image window to a mask."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from dsm.nn.encoder import ResidualBlock, Stage


@dataclass(frozen=True, slots=True, kw_only=True)
class ClickRefinerConfig:
    """Everything needed to build a `ClickRefiner`.

    Args:
        name: Name of the weights.
        channels: Widths at strides 2, 4, 8 and 16.
        detail: Channels at full resolution.
        window: Voxels along each edge of the window; a multiple of 16.
        trained: What the labels in the training data showed.
    """

    name: str = "clicks"
    channels: tuple[int, int, int, int] = (24, 48, 80, 96)
    detail: int = 8
    window: int = 48
    trained: tuple[str, ...] = ()


# What `dsm.inference.click_channels` makes, in this order.
CHANNELS = (
    "soft",
    "wide",
    "soft_difference",
    "wide_difference",
    "inside_near",
    "inside_far",
    "outside_near",
    "outside_far",
    "previous_mask",
    "text_mask",
    "inside_geodesic",
    "inside_barrier",
    "outside_geodesic",
)
_FULL_RESOLUTION = (0, 1, 2, 11)  # what the last layers see once more


class ClickRefiner(nn.Module):
    """U-Net that works at half resolution and below; borders are refined at full resolution.

    Args:
        config: Its sizes.
    """

    def __init__(self, config: ClickRefinerConfig) -> None:
        super().__init__()
        self.config = config
        c2, c4, c8, c16 = config.channels
        self.down2 = Stage(len(CHANNELS), c2, 1)
        self.down4 = Stage(c2, c4, 1)
        self.down8 = Stage(c4, c8, 1)
        self.down16 = Stage(c8, c16, 1)
        self.up8 = Up(c16, c8)
        self.up4 = Up(c8, c4)
        self.up2 = Up(c4, c2)
        self.to_detail = nn.Conv3d(c2, 8 * config.detail, 1)
        self.detail = nn.Sequential(
            nn.Conv3d(config.detail + len(_FULL_RESOLUTION), config.detail, 3, padding=1, bias=False),
            nn.BatchNorm3d(config.detail),
            nn.ReLU(inplace=True),
        )
        self.mask = nn.Conv3d(config.detail, 1, 3, padding=1)

    def forward(self, x: Tensor) -> Tensor:
        """`(batch, len(CHANNELS), i, j, k)`, edges multiples of 16 → logits of the mask `(batch, i, j, k)`."""
        f2 = self.down2(x)
        f4 = self.down4(f2)
        f8 = self.down8(f4)
        f16 = self.down16(f8)
        y = self.up2(self.up4(self.up8(f16, f8), f4), f2)
        detail = shuffle_up(self.to_detail(y))
        detail = self.detail(torch.cat([detail, x[:, list(_FULL_RESOLUTION)]], dim=1))
        mask: Tensor = self.mask(detail)[:, 0]
        return mask


class Up(nn.Module):
    """Double the resolution, add the skip connection, convolve."""

    def __init__(self, in_channels: int, channels: int) -> None:
        super().__init__()
        self.project = nn.Conv3d(in_channels, channels, 1, bias=False)
        self.norm = nn.BatchNorm3d(channels)
        self.block = ResidualBlock(channels)

    def forward(self, x: Tensor, skip: Tensor) -> Tensor:
        """Features at half the resolution of `skip` → features like `skip`."""
        up = F.interpolate(self.norm(self.project(x)), scale_factor=2, mode="trilinear", align_corners=False)
        result: Tensor = self.block(F.relu(up + skip))
        return result


def shuffle_up(x: Tensor) -> Tensor:
    """Channels to voxels: `(batch, 8 * c, i, j, k)` → `(batch, c, 2 i, 2 j, 2 k)`."""
    batch, channels, i, j, k = x.shape
    x = x.reshape(batch, channels // 8, 2, 2, 2, i, j, k).permute(0, 1, 5, 2, 6, 3, 7, 4)
    return x.reshape(batch, channels // 8, 2 * i, 2 * j, 2 * k)
