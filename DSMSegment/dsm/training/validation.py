"""Quick validation during training: Dice at 3 mm on whole volumes."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
from torch.nn import functional as F

from dsm.core.boxes import CroppedArray
from dsm.core.volume import Volume
from dsm.evaluation.montage import draw_montage
from dsm.inference.preprocess import prepare, resample_to
from dsm.io.image import read_volume
from dsm.io.manifest import CaseEntry
from dsm.models.config import ModelConfig
from dsm.nn.dsm_net import DSMNet


@torch.no_grad()
def validation_dice(
    net: DSMNet, config: ModelConfig, entries: Sequence[CaseEntry], *, montages: Path | None = None
) -> dict[str, float]:
    """Mean Dice of each annotated organ over some cases, on the embedding's grid.

    `dsm evaluate` measures the same on the native grid, after post-processing; this one is for watching a run.

    Args:
        net: Any mode; it is left as it was.
        config: Of `net`.
        entries: The cases.
        montages: Folder for a picture of each case.
    """
    was_training = net.training
    net.eval()
    rows = {name: row for row, name in enumerate(config.organs)}
    scores: dict[str, list[float]] = {}
    for entry in entries:
        volume = read_volume(entry.image, modality=entry.modality)
        label = read_volume(entry.label, modality=entry.modality).array
        prepared = prepare(volume, spacing_mm=config.spacing_mm, windows_hu=config.windows_hu)
        encoding = net.encode(prepared.tensor.contiguous(memory_format=torch.channels_last_3d))
        logits = net.mask_head(encoding.organ_queries, encoding.embedding)[0]
        pairs = {}
        for name, label_ids in entry.targets.items():
            if name in rows:
                mask = resample_to(prepared.grid, np.isin(label, label_ids).astype(np.uint8))
                target = F.avg_pool3d(_padded(mask, prepared.tensor.shape[2:])[None], 2)[0] > 0.5
                found = logits[rows[name]] > 0
                union = (found.sum() + target.sum()).item()
                pairs[name] = CroppedArray.from_mask(target.numpy()), CroppedArray.from_mask(found.numpy())
                if target.any():
                    scores.setdefault(name, []).append(2 * (found & target).sum().item() / union)
        if montages is not None and pairs:
            image = F.avg_pool3d(prepared.tensor[:, :1], 2)[0, 0].numpy()
            # Intensities are windowed already, so the picture scales them by their percentiles as it does for MR.
            shown = Volume(image, np.diag([2 * config.spacing_mm] * 3 + [1.0]), modality="MR")
            draw_montage(shown, pairs, montages / f"{entry.case_id}.png")
    net.train(was_training)
    return {name: float(np.mean(values)) for name, values in scores.items()}


def _padded(mask: torch.Tensor, size: Sequence[int]) -> torch.Tensor:
    i, j, k = (full - n for full, n in zip(size, mask.shape, strict=True))
    return F.pad(mask, (0, k, 0, j, 0, i))
