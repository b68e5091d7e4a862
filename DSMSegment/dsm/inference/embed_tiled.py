"""Embedding in tiles of a few planes at 3 and 6 mm: one map of the whole box in memory instead of seven."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from dsm.inference.plane_tiles import inner_planes, plane_tiles, sliding_window
from dsm.nn.diffusion_fusion import DiffusionFusion
from dsm.nn.pixel_decoder import PixelDecoder
from dsm.ops.add_doubled import add_doubled_
from dsm.ops.gelu import gelu
from dsm.ops.linear import linear
from dsm.ops.semantic_diffusion import semantic_difference

# Planes along i, which lie one after another in channels-last memory. Even, for the map at half the resolution.
_MERGED = 4
# More, because the convolution sees a plane more on both sides.
_REFINED = 8
# Planes at 6 mm.
_FUSED = 16
# Planes on either side: a convolution sees one, and the map at half the resolution has one for two.
_HALO = 2


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
    size = (1, up.shape[1], *f2.shape[2:])
    embedding = torch.empty(size, dtype=up.dtype, device=up.device, memory_format=torch.channels_last_3d)

    def merge(first: int, last: int, into: Tensor) -> None:
        for start, stop in plane_tiles(last - first, _MERGED):
            begin, end = first + start, first + stop
            joined = decoder.join(f2[:, :, begin:end], up[:, :, begin // 2 : end // 2])
            into[:, :, start:stop] = gelu(joined)

    for start, stop, merged in sliding_window(embedding, merge, planes=_REFINED, halo=_HALO):
        refined = inner_planes(decoder.refine, merged[:, :, _HALO - 1 : 1 - _HALO])
        projected = decoder.finish(merged[:, :, _HALO:-_HALO], refined)
        F.normalize(projected, dim=1, out=embedding[:, :, start:stop])
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
        fused = torch.empty_like(features, memory_format=torch.channels_last_3d)

        def mix(first: int, last: int, into: Tensor) -> None:
            into.copy_(self._mixed(features, guidance, first, last))

        for start, stop, mixed in sliding_window(fused, mix, planes=_FUSED, halo=_HALO):
            smooth = inner_planes(self.fusion.smooth, mixed[:, :, _HALO - 1 : 1 - _HALO])
            fused[:, :, start:stop] = self.fusion.activation(smooth)
        return fused

    def _mixed(self, features: Tensor, guidance: Tensor, first: int, last: int) -> Tensor:
        """Compute planes `first` to `last - 1` of what the smoothing convolution reads."""
        fusion = self.fusion
        low, high = max(0, first - _HALO), min(features.shape[2], last + _HALO)
        guide = fusion.guide(guidance[:, :, low // 2 : high // 2])
        doubled = F.interpolate(guide, scale_factor=2.0, mode="nearest")
        kernels = fusion.feature_kernel, fusion.guidance_kernel
        change = semantic_difference(features[:, :, low:high], doubled, *kernels)[:, :, first - low : last - low]
        diffused = F.relu_(fusion.mix(change)).mul_(fusion.gamma[:, None, None, None]).add_(features[:, :, first:last])
        mixed = _by_channel(diffused, self.of_features)
        return add_doubled_(mixed, _by_channel(guide[:, :, (first - low) // 2 : (last - low) // 2], self.of_guide))


def _by_channel(x: Tensor, weight: Tensor) -> Tensor:
    return linear(x.movedim(1, -1), weight).movedim(-1, 1)
