"""TotalSegmentator at 3 mm, the pipeline that `dsm bench` measures beside ours."""

from __future__ import annotations

import torch
from torch import nn

from dsm.bench.peer import Peer
from dsm.bench.plain_unet import PlainUNet
from dsm.bench.windows import Windows

WIDTHS = (32, 64, 128, 256, 320, 320)


def _build() -> nn.Module:
    return PlainUNet(WIDTHS[:5], 118).eval()


TOTALSEGMENTATOR_3MM = Peer(
    name="totalsegmentator-3mm",
    title="TotalSegmentator 3 mm",
    source="nnU-Net plan of task 297: 5 stages, 112×112×128, step 0.8, 118 classes",
    spacing_mm=3.0,
    windows=Windows((112, 112, 128), 0.8),
    num_classes=118,
    build=_build,
    dtype=torch.float16,
)
