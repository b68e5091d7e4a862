"""Denoiser of coarse target masks: the diffusion-based visual prompt."""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn

from dsm.nn.attention import Attention
from dsm.nn.kmax_layer import LevelMemory
from dsm.ops.gelu import gelu
from dsm.ops.row_product import row_product

_TIME_CHANNELS = 32
_DILATIONS = (1, 2, 1)


class MaskDenoiser(nn.Module):
    """Predict the clean mask of each prompt at 12 mm from a noisy one (x0 prediction).

    It sees the pixel features, the anomaly map, the affinity of the prompt's query, and the noise level.
    Every normalisation works within one voxel, so that a result depends on no more than its neighbourhood.

    Args:
        dim: Channels of the queries and of the level's tokens.
        num_heads: Heads of the attention to the organ queries, which tells the prompt where its host lies.
        width: Channels inside.

    References:
        DSM (arXiv 2506.12747), diffusion-based visual prompts; x0 prediction on masks as in DFormer (arXiv 2306.03437).
    """

    def __init__(self, dim: int, num_heads: int, *, width: int = 32) -> None:
        super().__init__()
        self.query_norm = nn.LayerNorm(dim)
        self.organ_norm = nn.LayerNorm(dim)
        self.attention = Attention(dim, num_heads)
        self.to_key = nn.Linear(dim, dim)
        self.log_temperature = nn.Parameter(torch.tensor(1.0))
        self.pixels = nn.Linear(dim, width)
        self.stem = nn.Conv3d(3, width, 3, padding=1)
        self.convolutions = nn.ModuleList(nn.Conv3d(width, width, 3, padding=d, dilation=d) for d in _DILATIONS)
        self.condition = nn.Sequential(
            nn.Linear(dim + _TIME_CHANNELS, dim), nn.GELU(), nn.Linear(dim, 2 * width * len(_DILATIONS))
        )
        self.last = nn.Conv3d(width, 1, 1)

    def forward(
        self, noisy: Tensor, time: Tensor, queries: Tensor, memory: LevelMemory, anomaly: Tensor, organs: Tensor
    ) -> Tensor:
        """Predict clean masks as logits.

        Args:
            noisy: Masks in [-1, 1] plus noise, `(prompts, hypotheses, i, j, k)`.
            time: Noise level of each hypothesis in [0, 1], `(hypotheses,)`; 1 is noise alone.
            queries: `(1, prompts, dim)`.
            memory: Tokens of the 12 mm level of one scan.
            anomaly: Anomaly map at 12 mm, `(1, i, j, k)`.
            organs: Finished organ queries `(1, organs, dim)`.

        Returns:
            `(prompts, hypotheses, i, j, k)`.
        """
        prompts, hypotheses, *size = noisy.shape
        placed = queries + self.attention(self.query_norm(queries), self.attention.keys_values(self.organ_norm(organs)))
        # Casting the keys would take ten times as long as the product.
        with torch.autocast(noisy.device.type, enabled=False):
            key = self.to_key(placed.float()) * self.log_temperature.exp()
            at_home = row_product(key, memory.keys.float())[0].unflatten(-1, size)
        maps = torch.stack(
            [
                noisy,
                (2 * anomaly - 1).expand_as(noisy),
                at_home[:, None].expand_as(noisy),
            ],
            dim=2,
        ).flatten(0, 1)
        pixels = self.pixels(memory.values).transpose(1, 2).unflatten(-1, size)
        x = self.stem(maps) + pixels
        scales = self.condition(_pairs(placed[0], time)).chunk(2 * len(_DILATIONS), dim=-1)
        for index, convolution in enumerate(self.convolutions):
            scale, shift = (s[:, :, None, None, None] for s in scales[2 * index : 2 * index + 2])
            x = x + convolution(gelu(_unit_scale(x) * (1 + scale) + shift))
        return self.last(gelu(x)).view(prompts, hypotheses, *size)


def _pairs(queries: Tensor, time: Tensor) -> Tensor:
    """Query and noise level of each prompt and hypothesis: `(prompts * hypotheses, dim + time channels)`."""
    frequency = torch.exp(-math.log(1000.0) * torch.linspace(0, 1, _TIME_CHANNELS // 2, device=time.device))
    angle = 1000.0 * time[:, None] * frequency
    waves = torch.cat([angle.sin(), angle.cos()], dim=-1).to(queries.dtype)
    prompts, hypotheses = len(queries), len(time)
    return torch.cat([queries.repeat_interleave(hypotheses, 0), waves.repeat(prompts, 1)], dim=-1)


def _unit_scale(x: Tensor) -> Tensor:
    """Divide each voxel's channels by their root mean square."""
    return x * x.square().mean(dim=1, keepdim=True).add(1e-6).rsqrt()
