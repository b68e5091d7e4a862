"""A network that applies a threshold, for exact tests of everything around a network."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional

from dsm.models.config import ModelConfig


@dataclass(frozen=True)
class FakeEncoding:
    embedding: Tensor
    organ_queries: Tensor


@dataclass(frozen=True)
class FakeDecoded:
    logits: Tensor
    presence: Tensor


class ThresholdNet(nn.Module):
    """Logit of a prompt = gain * (first channel - first number of its text vector); presence = the second number.

    Args:
        stride: Of the logits, 1 or 2; at 2 they are means of blocks, as a stem would learn.
    """

    fine_halo = 0

    def __init__(self, stride: int) -> None:
        super().__init__()
        self.stride = stride
        self.register_buffer("organ_text", torch.zeros(1, 2))
        self.calls: list[str] = []
        self.batches: list[object] = []
        self.organ_levels = [2.0, 2.0]  # of spleen and liver: nowhere

    denoiser = None  # no visual prompt

    def fine(self, x: Tensor) -> tuple[Tensor, Tensor]:
        self.calls.append("fine")
        blocks = x[:, :1].unfold(2, 2, 2).unfold(3, 2, 2).unfold(4, 2, 2).flatten(5)  # (1, 1, i, j, k, 8)
        return blocks.movedim(-1, 1).flatten(1, 2), functional.avg_pool3d(x[:, :1], 4)

    def pixel_features(self, f2: Tensor, f4: Tensor, *, embed=None) -> Tensor:
        self.calls.append("coarse")
        return f2

    def encode_pixels(self, f2: Tensor) -> FakeEncoding:
        if self.stride == 2:
            return FakeEncoding(f2.mean(dim=1, keepdim=True), self._organ_queries())
        i, j, k = f2.shape[2:]
        blocks = f2.reshape(1, 2, 2, 2, i, j, k).permute(0, 4, 1, 5, 2, 6, 3)
        return FakeEncoding(blocks.reshape(1, 1, 2 * i, 2 * j, 2 * k), self._organ_queries())

    def _organ_queries(self) -> Tensor:
        return torch.tensor(self.organ_levels).view(1, -1, 1)

    def mask_head(self, queries: Tensor, embedding: Tensor) -> Tensor:
        return 40 * (embedding - queries[..., None, None])

    def decode(self, encoding: FakeEncoding, prompts: object) -> FakeDecoded:
        self.calls.append("decode")
        self.batches.append(prompts)
        level = prompts.text[:, 0].view(1, -1, 1, 1, 1)
        return FakeDecoded(40 * (encoding.embedding - level), prompts.text[None, :, 1])


class FakeEmbedder:
    """Text vectors `(level, presence logit)` by name."""

    def __init__(self, vectors: dict[str, tuple[float, float]]) -> None:
        self.vectors = vectors

    def embed(self, prompts):
        rows = [self.vectors.get(prompt.name, (0.25, 5.0)) for prompt in prompts]
        notes = [("an odd word",) if prompt.structure is None else () for prompt in prompts]
        return np.array(rows, dtype=np.float32), notes


@pytest.fixture
def make_segmenter():
    """Return a function that makes a segmenter around a `ThresholdNet`."""
    from dsm.inference.segmenter import Segmenter

    def make(
        *,
        stride: int = 1,
        vectors=None,
        organs=("spleen", "liver"),
        trained=("liver",),
        windows_hu=((-125.0, 275.0),),
        **calibration,
    ) -> Segmenter:
        config = ModelConfig(
            name="dsm-fake",
            organs=organs,
            tumors=("liver tumor",),
            trained=trained,
            windows_hu=windows_hu,
            channels=(4, 4, 4, 4),
            **calibration,
        )
        return Segmenter(ThresholdNet(stride).eval(), config, FakeEmbedder(vectors or {}))

    return make
