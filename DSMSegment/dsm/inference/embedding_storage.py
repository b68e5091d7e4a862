"""Storage of an embedding: memory in single or half precision, or a memory-mapped file."""

from __future__ import annotations

import math
import tempfile

import numpy as np
import torch
from torch import Tensor

from dsm.core.boxes import Index3
from dsm.inference.memory_ladder import Step
from dsm.models.config import ModelConfig


def allocate_embedding(config: ModelConfig, shape: Index3, step: Step, device: torch.device) -> Tensor:
    """Return an embedding to be filled, channels last: `(1, channels, I/2, J/2, K/2)`."""
    i, j, k = (n // 2 for n in shape)
    size = (1, i, j, k, config.embed_dim)
    if step.is_on_disk and device.type == "cpu":
        # The mapping keeps the file's blocks; its name goes at once, so that nothing is left after a crash either.
        with tempfile.NamedTemporaryFile(prefix="dsm-embedding-") as file:
            file.truncate(math.prod(size) * np.dtype(np.float16).itemsize)
            return torch.from_numpy(np.memmap(file, np.float16, "r+", shape=size)).movedim(-1, 1)
    dtype = torch.float16 if step.is_half else torch.float32
    return torch.empty(size, dtype=dtype, device=device).movedim(-1, 1)
