"""Baseline: MONAI's SegResNet with one output channel per name, trained alike."""

from __future__ import annotations

import time
from dataclasses import dataclass
from types import SimpleNamespace
from typing import Any, cast

import torch
from monai.networks.nets import SegResNet
from torch import Tensor, nn
from torch.nn import functional as F
from torch.utils.flop_counter import FlopCounterMode

from dsm.core.volume import Volume
from dsm.inference.encoded_volume import EncodedVolume
from dsm.inference.preprocess import prepare
from dsm.inference.scan import Scan
from dsm.inference.segmenter import Segmenter
from dsm.models.config import ModelConfig
from dsm.nn.dsm_net import Decoded, DSMNet
from dsm.nn.prompt_batch import PromptBatch
from dsm.training.crops import Crop
from dsm.training.losses import assignment_loss, dice_loss
from dsm.training.train import Trainer

_FLOP_EDGE = 48


@dataclass(frozen=True, slots=True)
class PlainEncoding:
    """Masks of all classes, under the names that a scan of DSM has for what it needs."""

    embedding: Tensor
    organ_queries: Tensor
    anomalies: tuple[Tensor, ...]


class PlainNet(nn.Module):
    """SegResNet on the working grid, one logit an organ, pooled to the grid of DSM's masks.

    It knows no tumor and no text: a name outside its organs is nowhere.

    Args:
        config: Organs and input channels.
        organ_text: Kept for the interface.
        filters: Channels at full resolution.
    """

    organ_text: Tensor
    denoiser = None

    def __init__(self, config: ModelConfig, organ_text: Tensor, *, filters: int) -> None:
        super().__init__()
        self.register_buffer("organ_text", organ_text)
        self.net = SegResNet(
            spatial_dims=3, in_channels=config.num_channels, out_channels=config.num_organs, init_filters=filters
        )

    def encode(self, x: Tensor) -> PlainEncoding:
        """`(1, channels, I, J, K)` → logits of the organs at half resolution."""
        logits = F.avg_pool3d(self.net(x), 2)
        eye = torch.eye(logits.shape[1], device=x.device)[None]
        return PlainEncoding(logits, eye, (-logits.amax(dim=1),))

    def mask_head(self, queries: Tensor, embedding: Tensor) -> Tensor:
        """Choose the channels of organs."""
        return torch.einsum("bqc,bcijk->bqijk", queries.to(embedding.dtype), embedding)

    def decode(self, encoding: PlainEncoding, prompts: PromptBatch) -> Decoded:
        """Channels of the organs that are asked; a constant for everything else."""
        known = (prompts.organ_index >= 0)[:, None, None, None]
        logits = encoding.embedding[0, prompts.organ_index.clamp_min(0)].where(known, -10.0)[None]
        return Decoded(logits, torch.full((1, len(prompts)), 10.0), encoding.organ_queries)


class PlainSegmenter(Segmenter):
    """A segmenter around `PlainNet`, which encodes in one pass."""

    def encode(self, volume: Volume, **_options: Any) -> Scan:
        """Encode a volume."""
        began = time.perf_counter()
        prepared = prepare(volume, spacing_mm=self.config.spacing_mm, windows_hu=self.config.windows_hu)
        with torch.inference_mode():
            encoding = cast("Any", self.net).encode(prepared.tensor)
        encoded = EncodedVolume(encoding, prepared.grid, num_slabs=1, seconds=time.perf_counter() - began)
        return Scan(
            volume=volume,
            _encode=lambda _: encoded,
            _net=self.net,
            _config=self.config,
            _embedder=self.embedder,
            _encoded=encoded,
        )


class PlainTrainer(Trainer):
    """Trains SegResNet of about the FLOPs of the recipe's DSM, on the same crops, steps and rates."""

    def _new_net(self, organ_text: Tensor) -> DSMNet:
        wanted = flops_per_voxel(DSMNet(self.config, organ_text), self.config)
        candidates = [PlainNet(self.config, organ_text, filters=8 * n) for n in range(1, 5)]
        costs = [flops_per_voxel(net, self.config) for net in candidates]
        best = min(range(len(costs)), key=lambda i: abs(costs[i] - wanted))
        self.flops = SimpleNamespace(dsm=wanted, plain=costs[best])
        return cast("DSMNet", candidates[best])

    def _loss(self, crop: Crop) -> tuple[Tensor, dict[str, float]]:
        net = cast("PlainNet", self.net)
        logits = net.encode(crop.image).embedding[0].float()
        found = [i for i, name in enumerate(crop.names) if name in self.names.organs]
        if not found:
            zero = 0.0 * logits.sum()
            return zero, {"mask": 0.0}
        annotated = torch.tensor([self.names.organs[crop.names[i]] for i in found])
        masks = crop.masks[found]
        zero = logits.new_zeros(())
        loss = dice_loss(logits[annotated], masks) + assignment_loss(logits, zero, masks.float(), annotated)
        return loss, {"mask": float(loss.detach())}

    def _write_model(self) -> None:
        """It has no folder that `dsm segment` could load."""


def flops_per_voxel(net: nn.Module, config: ModelConfig) -> float:
    """Floating-point operations of `net.encode` per voxel of the working grid, two a multiplication with addition."""
    was_training = net.training
    net.eval()
    with torch.inference_mode(), FlopCounterMode(display=False) as counter:
        cast("Any", net).encode(torch.zeros(1, config.num_channels, *[_FLOP_EDGE] * 3))
    net.train(was_training)
    return float(counter.get_total_flops()) / _FLOP_EDGE**3
