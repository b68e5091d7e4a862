"""Plain U-Net as planned by nnU-Net and used by TotalSegmentator: for its cost, with random weights."""

from __future__ import annotations

import torch
from torch import Tensor, nn


class PlainUNet(nn.Module):
    """Two 3³ convolutions a stage, InstanceNorm, LeakyReLU, strided convolutions down, transposed ones up.

    Args:
        widths: Channels of the stages, fine to coarse; each stage halves the resolution.
        num_classes: Output channels at full resolution.

    Shape:
        `(batch, 1, I, J, K)`, edges multiples of `2 ** (stages - 1)` → `(batch, num_classes, I, J, K)`.

    References:
        nnU-Net (Isensee et al. 2021); TotalSegmentator (Wasserthal et al. 2023) has 6 stages at 1.5 mm, 5 at 3 mm.
    """

    def __init__(self, widths: tuple[int, ...], num_classes: int) -> None:
        super().__init__()
        self.down = nn.ModuleList(
            nn.Sequential(_block(before, width, stride=1 if before == 1 else 2), _block(width, width))
            for before, width in zip((1, *widths), widths, strict=False)
        )
        coarse_to_fine = list(zip(widths[:0:-1], widths[-2::-1], strict=True))
        self.up = nn.ModuleList(nn.ConvTranspose3d(low, high, 2, stride=2) for low, high in coarse_to_fine)
        self.merge = nn.ModuleList(
            nn.Sequential(_block(2 * high, high), _block(high, high)) for _, high in coarse_to_fine
        )
        self.out = nn.Conv3d(widths[0], num_classes, 1)

    def forward(self, x: Tensor) -> Tensor:
        """Logits; see the class for shapes."""
        skips = []
        for stage in self.down:
            x = stage(x)
            skips.append(x)
        for up, merge, skip in zip(self.up, self.merge, skips[-2::-1], strict=True):
            x = merge(torch.cat([up(x), skip], dim=1))
        return self.out(x)


def _block(before: int, width: int, *, stride: int = 1) -> nn.Sequential:
    return nn.Sequential(
        nn.Conv3d(before, width, 3, stride=stride, padding=1),
        nn.InstanceNorm3d(width, affine=True),
        nn.LeakyReLU(inplace=True),
    )
