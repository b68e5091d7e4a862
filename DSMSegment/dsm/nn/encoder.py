"""Convolutional encoder: strided stem at 1.5 mm, residual stages at 3, 6, 12 and 24 mm, whole-volume context."""

from __future__ import annotations

from collections.abc import Sequence

from torch import Tensor, nn
from torch.nn import functional as F

from dsm.nn.convolution import normed
from dsm.nn.triaxial_ssd import TriaxialSSD


class ResidualBlock(nn.Module):
    """Two 3³ convolutions with BatchNorm around a skip connection.

    BatchNorm, because at inference it is a constant scale: nothing depends on the tile, and it folds away.
    """

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.conv1 = nn.Conv3d(channels, channels, 3, padding=1, bias=False)
        self.norm1 = nn.BatchNorm3d(channels)
        self.conv2 = nn.Conv3d(channels, channels, 3, padding=1, bias=False)
        self.norm2 = nn.BatchNorm3d(channels)

    def forward(self, x: Tensor) -> Tensor:
        """`(batch, channels, i, j, k)` → the same."""
        y = normed(self.conv2, self.norm2, F.relu(normed(self.conv1, self.norm1, x), inplace=True))
        return F.relu(y.add_(x), inplace=True)  # no third map: at 3 mm one takes 12 bytes for each voxel of 1.5 mm


class Stage(nn.Sequential):
    """Halve the resolution, then residual blocks. Kernel = stride + 2·padding keeps voxel centres aligned."""

    def __init__(self, in_channels: int, channels: int, num_blocks: int, *, kernel: int = 2) -> None:
        super().__init__(
            nn.Conv3d(in_channels, channels, kernel, stride=2, padding=(kernel - 2) // 2, bias=False),
            nn.BatchNorm3d(channels),
            nn.ReLU(inplace=True),
            *(ResidualBlock(channels) for _ in range(num_blocks)),
        )

    def forward(self, x: Tensor) -> Tensor:
        """`(batch, in_channels, i, j, k)` → `(batch, channels, i/2, j/2, k/2)`."""
        conv, norm, *others = self
        x = normed(conv, norm, x)
        for module in others:
            x = module(x)
        return x


class Encoder(nn.Module):
    """Feature pyramid at strides 2, 4, 8 and 16; state-space context at strides 8 and 16.

    Args:
        in_channels: Intensity channels.
        channels: Widths at strides 2, 4, 8, 16.
        num_blocks: Residual blocks at strides 2, 4, 8, 16.

    References:
        `docs/explanation/method.md`; the published DSM uses Swin UNETR-48 (`dsm-reference`).
    """

    # Input voxels on each side that the stride-4 features can see: stem 1, two 3³ at stride 2, two 3³ at stride 4 a
    # block. Rounded up to the stride of the deepest stage.
    def __init__(self, in_channels: int, channels: Sequence[int], num_blocks: Sequence[int]) -> None:
        super().__init__()
        c2, c4, c8, c16 = channels
        self.stage2 = Stage(in_channels, c2, num_blocks[0], kernel=4)
        self.stage4 = Stage(c2, c4, num_blocks[1])
        self.stage8 = Stage(c4, c8, num_blocks[2])
        self.context8 = TriaxialSSD(c8)
        self.stage16 = Stage(c8, c16, num_blocks[3])
        self.context16 = TriaxialSSD(c16)
        reach = 1 + 2 * 2 * num_blocks[0] + 4 * 2 * num_blocks[1]
        self.fine_halo = -(-reach // 16) * 16

    def fine(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """Stride-2 and stride-4 features: local, so they may be computed in slabs with `fine_halo`."""
        f2 = self.stage2(x)
        return f2, self.stage4(f2)

    def coarse(self, f4: Tensor) -> tuple[Tensor, Tensor]:
        """Stride-8 and stride-16 features with whole-volume context."""
        f8 = self.context8(self.stage8(f4))
        return f8, self.context16(self.stage16(f8))
