"""Embedding in tiles of a few planes at 3 and 6 mm: one map of the whole box in memory instead of seven."""

from __future__ import annotations

from collections.abc import Iterator

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from dsm.nn.diffusion_fusion import DiffusionFusion
from dsm.nn.pixel_decoder import PixelDecoder
from dsm.ops.linear import linear
from dsm.ops.semantic_diffusion import semantic_difference

# Planes along i, which lie one after another in channels-last memory. Even, for the map at half the resolution.
_MERGED = 4
# More, because the convolution sees a plane more on both sides.
_REFINED = 16
# Planes at 6 mm, and how far the fusion sees: two convolutions.
_FUSED, _FUSION_HALO = 16, 2


def embed_tiled(decoder: PixelDecoder, f2: Tensor, d4: Tensor) -> Tensor:
    """Compute `PixelDecoder.embed` tile by tile, without gradients.

    All but one 3³ convolution goes voxel by voxel, so it is done for a few planes while they are in the processor's
    cache, and memory that the system would have to find and fill with zeros is not needed.

    Args:
        decoder: In evaluation mode.
        f2: Stride-2 features `(1, channels, I/2, J/2, K/2)`.
        d4: Map at 6 mm `(1, channels, I/4, J/4, K/4)`.

    Returns:
        `(1, embed_dim, I/2, J/2, K/2)`, channels last.
    """
    up = decoder.up2(d4)
    count = f2.shape[2]
    size = (1, up.shape[1], *f2.shape[2:])
    embedding = torch.empty(size, dtype=up.dtype, device=up.device, memory_format=torch.channels_last_3d)
    for start, stop in _rows(count, _MERGED):
        embedding[:, :, start:stop] = decoder.merge(f2[:, :, start:stop], up[:, :, start // 2 : stop // 2])
    # In place: what is finished waits until the next rows have seen what it was.
    finished, where = embedding[:, :, :0], slice(0, 0)
    for start, stop in _rows(count, _REFINED):
        first, last = max(0, start - 1), min(count, stop + 1)
        refined = decoder.refine(embedding[:, :, first:last])[:, :, start - first : stop - first]
        embedding[:, :, where] = finished
        finished, where = decoder.finish(embedding[:, :, start:stop], refined), slice(start, stop)
    embedding[:, :, where] = finished
    return embedding


class FusionInRows(nn.Module):
    """Compute `DiffusionFusion` with guidance of half the size, without gradients, for channels-last maps.

    The guidance is mixed before it is doubled in size, which is an eighth of the work, and nothing is joined.

    Args:
        fusion: With its normalisations folded away.
    """

    def __init__(self, fusion: DiffusionFusion) -> None:
        super().__init__()
        self.fusion = fusion
        # Contiguous, or oneDNN takes a path that is a hundred times slower.
        self.of_guide, self.of_features = (w.contiguous() for w in fusion.fuse.weight.flatten(1).chunk(2, dim=1))

    def forward(self, features: Tensor, guidance: Tensor) -> Tensor:
        """Fuse `(1, channels, i, j, k)` with `(1, channels, i/2, j/2, k/2)`."""
        count = features.shape[2]
        fused = torch.empty_like(features, memory_format=torch.channels_last_3d)
        for start, stop in _rows(count, _FUSED):
            first, last = max(0, start - _FUSION_HALO), min(count, stop + _FUSION_HALO)
            part = self._fuse(features[:, :, first:last], guidance[:, :, first // 2 : last // 2])
            fused[:, :, start:stop] = part[:, :, start - first : stop - first]
        return fused

    def _fuse(self, features: Tensor, guidance: Tensor) -> Tensor:
        fusion = self.fusion
        guide = fusion.guide(guidance)
        mixed = F.interpolate(_by_channel(guide, self.of_guide), scale_factor=2.0, mode="nearest")
        guide = F.interpolate(guide, scale_factor=2.0, mode="nearest")
        change = semantic_difference(features, guide, fusion.feature_kernel, fusion.guidance_kernel)
        diffused = F.relu_(fusion.mix(change)).mul_(fusion.gamma[:, None, None, None]).add_(features)
        return fusion.activation(fusion.smooth(mixed.add_(_by_channel(diffused, self.of_features))))


def _by_channel(x: Tensor, weight: Tensor) -> Tensor:
    return linear(x.movedim(1, -1), weight).movedim(-1, 1)


def _rows(count: int, most: int) -> Iterator[tuple[int, int]]:
    return ((start, min(count, start + most)) for start in range(0, count, most))
