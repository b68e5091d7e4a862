"""The diffusion-based visual prompt: hypotheses of where a tumor lies, denoised from random numbers."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from dsm.inference.precision import autocast_for
from dsm.nn.dsm_net import Decoded, DSMNet, Encoding, tumor_rows
from dsm.nn.prompt_batch import PromptBatch
from dsm.ops.ddim import sample


@dataclass(frozen=True, slots=True, kw_only=True)
class Sampling:
    """Parameters of the sampling of visual prompts.

    Args:
        hypotheses: Masks a prompt, denoised as one batch from different noise.
        steps: Evaluations of the denoiser, 1 to 4. More changed no Dice by more than 0.001 (8 scans of LiTS).
        seed: Of the noise; the same seed gives the same result, whatever else is asked.
    """

    hypotheses: int = 4
    steps: int = 1
    seed: int = 0


def draw_visual_prompts(
    net: DSMNet, encoding: Encoding, prompts: PromptBatch, sampling: Sampling, *, precision: str = "float32"
) -> Tensor:
    """Denoise coarse masks of the tumor prompts.

    Args:
        net: In evaluation mode.
        encoding: Of one scan.
        prompts: What is looked for; only its tumors count.
        sampling: How hypotheses are drawn.
        precision: Of the denoiser, one of `PRECISIONS`: that of the encoding. Its masks are coarse and begin as noise.

    Returns:
        `(tumor prompts, hypotheses, i, j, k)` at 12 mm, in [0, 1].
    """
    size = encoding.anomalies[1].shape[1:]
    generator = torch.Generator().manual_seed(sampling.seed)
    noise = torch.randn((sampling.hypotheses, *size), generator=generator).to(encoding.embedding.device)
    count = len(tumor_rows(prompts))

    def predict_clean(noisy: Tensor, level: float) -> Tensor:
        time = torch.full((sampling.hypotheses,), level, device=noisy.device)
        with autocast_for(precision, noisy.device):
            logits = net.predict_clean_masks(encoding, prompts, noisy, time)
        return 2 * logits.float().sigmoid() - 1

    clean = sample(predict_clean, noise.expand(count, -1, -1, -1, -1), num_steps=sampling.steps)
    return (clean + 1) / 2


def decode_with_visual_prompts(
    net: DSMNet,
    encoding: Encoding,
    prompts: PromptBatch,
    sampling: Sampling | None,
    *,
    spread: bool = False,
    precision: str = "float32",
) -> tuple[Decoded, Tensor | None]:
    """Decode under the mean hypothesis of each tumor prompt.

    Args:
        net: In evaluation mode.
        encoding: Of one scan.
        prompts: What is looked for.
        sampling: How hypotheses are drawn; None for no visual prompts.
        spread: Also decode each hypothesis alone.
        precision: As in `draw_visual_prompts`; the masks of the prompts are decoded in float32.

    Returns:
        The masks, and with `spread` their mean probability over the hypotheses `(prompts, i, j, k)`: between 0 and 1
        where hypotheses disagree, or where each is unsure.
    """
    if sampling is None or net.denoiser is None or not len(tumor_rows(prompts)):
        decoded = net.decode(encoding, prompts)
        return decoded, decoded.logits[0].sigmoid() if spread else None
    drawn = draw_visual_prompts(net, encoding, prompts, sampling, precision=precision)
    decoded = net.decode(encoding, prompts, visual_prompts=drawn.mean(dim=1)[None])
    if not spread:
        return decoded, None
    total = torch.zeros_like(decoded.logits[0])
    for hypothesis in drawn.unbind(dim=1):
        total += net.decode(encoding, prompts, visual_prompts=hypothesis[None]).logits[0].sigmoid()
    return decoded, total / sampling.hypotheses
