"""Cost of another pipeline, from file to file."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from dsm.bench.peer import Peer
from dsm.bench.stopwatch import Cost, Stopwatch, peak_rss_bytes
from dsm.bench.windows import slide
from dsm.core.boxes import Box, CroppedArray
from dsm.core.volume import Volume
from dsm.inference.preprocess import resample_to
from dsm.inference.working_grid import WorkingGrid
from dsm.io.image import read_volume
from dsm.io.nifti import write_nifti


@torch.inference_mode()
def peer_cost(peer: Peer, scan: Path, out: Path, *, num_windows: int) -> dict[str, Any]:
    """Run a pipeline on a scan: read, resample, normalise, slide, argmax, resample back, write.

    Reading, resampling and writing are ours, which are faster than theirs, so what differs is the network, the grid and
    the windows. There is no body box: none of them has one.

    Args:
        peer: The pipeline.
        scan: `.nii.gz`.
        out: Folder for the label map.
        num_windows: Most windows of a network that are run; each other one is taken to cost as much as the cheapest.

    Returns:
        A row of the report.
    """
    net = peer.build()
    clock = Stopwatch()
    with clock.stage("read"):
        volume = read_volume(scan)
    with clock.stage("prepare"):
        grid, resampled = _on_its_grid(volume, peer)
        image = _normalised(resampled, peer)
    slid = slide(
        net,
        image,
        peer.windows,
        num_classes=peer.num_classes,
        dtype=peer.dtype,
        stride=peer.output_stride,
        most=num_windows,
    )
    with clock.stage("argmax"):
        classes = slid.logits[0] > 0 if peer.num_classes == 1 else slid.logits.argmax(0)
        labels = classes.to(torch.uint8).numpy()
    with clock.stage("back"):
        native = labels if grid is None else _to_native(labels, grid, volume, stride=peer.output_stride)
        native = native[tuple(map(slice, volume.shape))]
    with clock.stage("write"):
        write_nifti(
            out / f"{peer.name}.nii.gz", CroppedArray(native, (0, 0, 0)), volume.shape, volume.affine, is_label=True
        )
    # Every network slides and has its own argmax; the rest happens once.
    stages = {**clock.stages, "network": slid.cost * peer.num_nets, "argmax": clock.stages["argmax"] * peer.num_nets}
    total = sum(stages.values(), Cost(0, 0))
    return {
        "name": peer.name,
        "title": peer.title,
        "source": peer.source,
        "cpu_s": total.cpu_s,
        "wall_s": total.wall_s,
        "peak_rss_bytes": peak_rss_bytes(),
        "kflop_per_voxel": peer.num_nets * slid.flops / math.prod(peer.windows.edges) / 1e3,
        "tflop": peer.num_nets * slid.num_windows * slid.flops / 1e12,
        "windows": slid.num_windows * peer.num_nets,
        "windows_run": slid.num_run,
        "stages_cpu_s": {stage: cost.cpu_s for stage, cost in stages.items()},
    }


def _on_its_grid(volume: Volume, peer: Peer) -> tuple[WorkingGrid | None, Tensor]:
    """The image on the grid of the pipeline, float32, and that grid; None where it is the scan's."""
    if peer.spacing_mm is None:
        return None, torch.from_numpy(volume.array).float()
    grid = WorkingGrid.of(volume, Box((0, 0, 0), volume.shape), spacing_mm=peer.spacing_mm)
    return grid, resample_to(grid, volume.array)


def _normalised(image: Tensor, peer: Peer) -> Tensor:
    """Z-score within the window of soft tissue, padded to one window: `(1, I, J, K)`."""
    image = image.clamp_(-1000, 1000)
    image = (image - image.mean()) / image.std()
    i, j, k = image.shape
    padding = [full - n for full, n in zip(peer.windows.padded((i, j, k)), (i, j, k), strict=True)]
    return F.pad(image, (0, padding[2], 0, padding[1], 0, padding[0]), value=float(image.min()))[None]


def _to_native(labels: np.ndarray, grid: WorkingGrid, volume: Volume, *, stride: int) -> np.ndarray:
    """Nearest neighbour along each axis; the grid of the scan is in RAS order already."""
    for axis, length in enumerate(volume.shape):
        position = grid.feature_coordinates(axis, 0, length, stride=stride)
        labels = labels.take(np.clip(np.rint(position), 0, labels.shape[axis] - 1).astype(np.int64), axis=axis)
    return np.asfortranarray(labels)
