"""Estimated time of a run, before it begins."""

from __future__ import annotations

import math
import time
from dataclasses import dataclass

import torch

from dsm.core.volume import Volume
from dsm.inference.body_grid import make_working_grid
from dsm.inference.memory_ladder import Step, predicted_bytes
from dsm.inference.working_grid import EDGE_MULTIPLE
from dsm.models.config import ModelConfig
from dsm.nn.dsm_net import DSMNet
from dsm.progress import ProgressCallback, ignore_progress

# The probe is this many blocks of 16 voxels along each axis: small enough for tenths of a second, large enough that
# its features leave the first caches, as those of a body do.
_PROBE_BLOCKS = 5
# The first one meets cold caches.
_NUM_PROBES = 2
_MEGAVOXEL = 1e6


@dataclass(frozen=True, slots=True)
class Estimate:
    """Predicted cost of encoding a volume.

    Args:
        encode_s: Seconds on the wall, if the machine stays as busy as it was a moment ago.
        memory_bytes: Most memory at one time for one pass, beside the volume.
    """

    encode_s: float
    memory_bytes: int


@torch.inference_mode()
def seconds_per_megavoxel(net: DSMNet, config: ModelConfig, *, progress: ProgressCallback = ignore_progress) -> float:
    """Encode a small empty block, and return the seconds per million voxels.

    Args:
        net: In evaluation mode, on its device.
        config: Of `net`.
        progress: Stage `"measure"`; may raise `JobCancelled`.
    """
    edge = _PROBE_BLOCKS * EDGE_MULTIPLE
    block = torch.rand(1, config.num_channels, edge, edge, edge, device=net.organ_text.device)
    seconds = []
    for number in range(_NUM_PROBES):
        progress("measure", number, _NUM_PROBES)
        began = time.perf_counter()
        net.encode(block)
        if block.is_cuda:
            torch.cuda.synchronize()
        seconds.append(time.perf_counter() - began)
    progress("measure", _NUM_PROBES, _NUM_PROBES)
    return min(seconds) * _MEGAVOXEL / edge**3


def estimate_encoding(net: DSMNet, config: ModelConfig, volume: Volume) -> Estimate:
    """Measure, and scale by the number of voxels: the cost is linear in it.

    Args:
        net: In evaluation mode, on its device.
        config: Of `net`.
        volume: Only looked at as far as finding the body needs.
    """
    _, grid = make_working_grid(volume, spacing_mm=config.spacing_mm)
    megavoxels = math.prod(grid.padded_shape) / _MEGAVOXEL
    needed = predicted_bytes(config, grid.padded_shape, Step(grid.padded_shape[2]), halo=net.fine_halo)
    return Estimate(seconds_per_megavoxel(net, config) * megavoxels, int(needed))
