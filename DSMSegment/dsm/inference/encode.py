"""One encoding, in one pass or, when memory is short, with the fine stages in slabs."""

from __future__ import annotations

import logging
import math

import torch
from torch import Tensor

from dsm.errors import OutOfMemoryError
from dsm.inference.cancel_points import EncodeSteps, cancel_points, leaf_modules
from dsm.inference.memory import usable_bytes
from dsm.inference.slabs import fine_in_slabs, largest_slab, plan_slabs
from dsm.inference.working_grid import EDGE_MULTIPLE
from dsm.models.config import ModelConfig
from dsm.nn.dsm_net import DSMNet, Encoding
from dsm.progress import Progress

_log = logging.getLogger(__name__)

# Activations of a stage that are alive at the same time: input, two of a residual block, its sum, one to spare.
_LIVE_ACTIVATIONS = 5
_FLOAT_BYTES = 4


def encode_tensor(
    net: DSMNet, config: ModelConfig, x: Tensor, *, max_slab: int | None, progress: Progress
) -> tuple[Encoding, int]:
    """Encode a prepared volume, in smaller and smaller slabs until it fits.

    Args:
        net: On its device.
        config: Of `net`.
        x: `(1, C, I, J, K)` on the CPU.
        max_slab: Most voxels along k of a slab; by default what an estimate of the memory allows.
        progress: Stage `"encode"`; may raise `JobCancelled`.

    Returns:
        The encoding and the number of slabs.

    Raises:
        OutOfMemoryError: If even the smallest slabs did not fit.
    """
    device = net.organ_text.device
    depth = x.shape[-1]
    if max_slab is None:
        max_slab = _fitting_slab(net, config, x, device)
    while True:
        slabs = plan_slabs(depth, max_slab=max_slab, halo=net.fine_halo)
        _log.debug("Encoding %s voxels in %d slab(s) on %s.", "x".join(map(str, x.shape[2:])), len(slabs), device)
        steps = EncodeSteps(progress, len(leaf_modules(net)) + 2 * len(slabs))
        try:
            with torch.inference_mode(), cancel_points(net, steps):
                steps.tick()
                fine = fine_in_slabs(net, x.to(device), slabs, on_slab=steps.tick)
                encoding = net.encode_from_fine(*fine)
        except (MemoryError, RuntimeError) as error:
            if not _is_out_of_memory(error):
                raise
            if max_slab <= EDGE_MULTIPLE:
                raise _out_of_memory(device) from error
        else:
            steps.finish()
            return encoding, len(slabs)
        # Outside of the handler, where the traceback would keep the tensors of the failed pass alive.
        if device.type == "cuda":
            torch.cuda.empty_cache()
        max_slab = max(EDGE_MULTIPLE, min(max_slab, depth) // 2 // EDGE_MULTIPLE * EDGE_MULTIPLE)
        _log.warning("Out of memory: encoding again in slabs of %d voxels.", max_slab)


def fine_bytes_per_voxel(config: ModelConfig) -> float:
    """Return what the fine stages take for a voxel of their input, in bytes."""
    c2, c4 = config.channels[:2]
    return _FLOAT_BYTES * (config.num_channels + _LIVE_ACTIVATIONS * (c2 / 2**3 + c4 / 4**3))


def _fitting_slab(net: DSMNet, config: ModelConfig, x: Tensor, device: torch.device) -> int:
    i, j, k = x.shape[2:]
    c2, c4 = config.channels[:2]
    # What stays in memory whatever the slab: the stitched features, and the embedding while it is made.
    kept = _FLOAT_BYTES * math.prod((i, j, k)) * ((c2 + 4 * config.embed_dim) / 2**3 + 3 * c4 / 4**3)
    return largest_slab(
        (i, j, k),
        usable_bytes=max(0, int(usable_bytes(device) - kept)),
        bytes_per_voxel=fine_bytes_per_voxel(config),
        halo=net.fine_halo,
    )


def _is_out_of_memory(error: BaseException) -> bool:
    if isinstance(error, (MemoryError, torch.OutOfMemoryError)):
        return True
    # The CPU allocator raises a plain RuntimeError.
    text = str(error)
    return "can't allocate memory" in text or "not enough memory" in text


def _out_of_memory(device: torch.device) -> OutOfMemoryError:
    if device.type == "cuda":
        return OutOfMemoryError(
            "The GPU has too little memory for this image.",
            code="oom_gpu",
            hint="Close other programs that use the GPU, or use the CPU.",
        )
    return OutOfMemoryError(
        "This machine has too little memory for this image.",
        code="oom_ram",
        hint="Close other programs, or crop the image to the part of interest.",
    )
