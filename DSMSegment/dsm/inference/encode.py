"""Encoding in one pass or, when memory is short, with the fine stages in slabs."""

from __future__ import annotations

import errno
import logging

import torch
from torch import Tensor

from dsm.errors import OutOfMemoryError
from dsm.inference.cancel_points import EncodeSteps, cancel_points, leaf_modules
from dsm.inference.embed_tiled import embed_tiled
from dsm.inference.embedding_storage import allocate_embedding
from dsm.inference.memory import usable_bytes
from dsm.inference.memory_ladder import Step, ladder, predicted_bytes
from dsm.inference.slabs import EMBED_HALO, embed_in_slabs, fine_in_slabs, plan_slabs
from dsm.models.config import ModelConfig
from dsm.nn.dsm_net import DSMNet, Encoding
from dsm.progress import ProgressCallback

_NO_ROOM = ("can't allocate memory", "not enough memory", "could not create a", "could not execute a")
_log = logging.getLogger(__name__)


def encode_tensor(
    net: DSMNet, config: ModelConfig, x: Tensor, *, max_slab: int | None, progress: ProgressCallback
) -> tuple[Encoding, int]:
    """Encode a prepared volume on the first step of the memory ladder that fits.

    Args:
        net: On its device.
        config: Of `net`.
        x: `(1, C, I, J, K)` on the CPU.
        max_slab: Most voxels along k of a slab; by default what an estimate of the memory allows.
        progress: Stage `"encode"`; may raise `JobCancelled`.

    Returns:
        The encoding and the number of slabs.

    Raises:
        OutOfMemoryError: If even the smallest step did not fit.
    """
    device, depth = net.organ_text.device, x.shape[-1]
    steps = list(ladder(depth, start=max_slab))
    if max_slab is None:
        room = usable_bytes(device)
        shape = (x.shape[2], x.shape[3], depth)
        while len(steps) > 1 and predicted_bytes(config, shape, steps[0], halo=net.fine_halo) > room:
            del steps[0]
    for number, step in enumerate(steps):
        if number or step.max_slab < depth:
            _log.warning("Memory is short, so this scan is encoded in smaller parts: %s.", step.describe(depth))
        try:
            return _encode_on(step, net, config, x, progress)
        except (MemoryError, RuntimeError, OSError) as error:
            if not _is_out_of_memory(error):
                raise
            if step is steps[-1]:
                raise _out_of_memory(device) from error
        # Outside of the handler, where the traceback would keep the tensors of the failed pass alive.
        if device.type == "cuda":
            torch.cuda.empty_cache()
    raise AssertionError("unreachable")


def _encode_on(
    step: Step, net: DSMNet, config: ModelConfig, x: Tensor, progress: ProgressCallback
) -> tuple[Encoding, int]:
    device, depth = net.organ_text.device, x.shape[-1]
    slabs = plan_slabs(depth, max_slab=step.max_slab, halo=net.fine_halo)
    _log.debug("Encoding %s voxels in %d slab(s).", "x".join(map(str, x.shape[2:])), len(slabs))
    in_parts = step.max_slab < depth or step.is_half
    steps = EncodeSteps(progress, len(leaf_modules(net)) + 2 * len(slabs))

    def embed_part(f2: Tensor, d4: Tensor) -> Tensor:
        # On a GPU a kernel for a few planes would be too small.
        return embed_tiled(net.pixel_decoder, f2, d4) if device.type == "cpu" else net.pixel_decoder.embed(f2, d4)

    def embed(f2: Tensor, d4: Tensor) -> Tensor:
        if not in_parts:
            return embed_part(f2, d4)
        room = allocate_embedding(config, (x.shape[2], x.shape[3], depth), step, device)
        parts = plan_slabs(depth, max_slab=step.max_slab, halo=EMBED_HALO)
        return embed_in_slabs(embed_part, f2, d4, parts, into=room)

    with torch.inference_mode(), cancel_points(net, steps):
        steps.tick()
        # One expression, so that the fine features are freed before the queries are computed.
        pixels = net.pixel_features(*fine_in_slabs(net, x.to(device), slabs, on_slab=steps.tick), embed=embed)
        encoding = net.encode_pixels(pixels)
    steps.finish()
    return encoding, len(slabs)


def _is_out_of_memory(error: BaseException) -> bool:
    if isinstance(error, (MemoryError, torch.OutOfMemoryError)):
        return True
    if isinstance(error, OSError):  # a file that is to be mapped into memory
        return error.errno == errno.ENOMEM
    # The CPU allocator and oneDNN raise a plain RuntimeError.
    return any(words in str(error) for words in _NO_ROOM)


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
