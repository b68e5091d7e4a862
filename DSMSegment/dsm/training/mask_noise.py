"""Noise on coarse masks, as the denoiser of the visual prompt is trained (schedule: diffusers)."""

from __future__ import annotations

import torch
from diffusers.schedulers.scheduling_ddpm import DDPMScheduler
from torch import Tensor
from torch.nn import functional as F

from dsm.ops.ddim import TRAINING_STEPS

# A voxel of 12 mm counts as full from this share on: a lesion of 6 mm must be worth a prompt.
_FULL_SHARE = 0.2
# Sampling starts from noise alone, so that is what is practised most.
_PURE_NOISE = 0.4


class MaskNoise:
    """Targets and noisy masks of the denoiser: cosine schedule, prediction of the clean sample."""

    def __init__(self) -> None:
        self.scheduler = DDPMScheduler(
            num_train_timesteps=TRAINING_STEPS, beta_schedule="squaredcos_cap_v2", prediction_type="sample"
        )

    def target(self, masks: Tensor, size: torch.Size) -> Tensor:
        """Masks at half resolution `(prompts, I/2, J/2, K/2)` → coarse masks in [0, 1] `(prompts, *size)`."""
        share = F.avg_pool3d(masks[None].float(), masks.shape[1] // size[0])[0]
        return (share / _FULL_SHARE).clamp(0, 1)

    def add(self, target: Tensor, generator: torch.Generator) -> tuple[Tensor, Tensor]:
        """Noisy masks `(prompts, 1, i, j, k)` at one random noise level, and that level in (0, 1], `(1,)`."""
        step = torch.randint(TRAINING_STEPS, (1,), generator=generator)
        if torch.rand((), generator=generator) < _PURE_NOISE:
            step = torch.full_like(step, TRAINING_STEPS - 1)
        noise = torch.randn(target.shape, generator=generator)
        noisy = self.scheduler.add_noise(2 * target - 1, noise, step.expand(len(target)))
        return noisy[:, None], (step + 1) / TRAINING_STEPS
