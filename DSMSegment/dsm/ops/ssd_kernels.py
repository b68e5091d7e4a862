"""Fused CUDA kernels of `mamba_ssm` for the state-space scan, where that package is installed."""

from __future__ import annotations

import functools
import importlib
import logging
from collections.abc import Callable

import torch
from torch import Tensor

_KERNEL_MODULE = "mamba_ssm.ops.triton.ssd_combined"
# A power of two, as the kernels want; 128 is fastest on GPUs (`docs/explanation/performance.md`).
_CHUNK_SIZE = 128
_log = logging.getLogger(__name__)


def fused_ssd_scan(x: Tensor, dt: Tensor, A: Tensor, B: Tensor, C: Tensor, D: Tensor) -> Tensor | None:  # noqa: N803
    """Scan with the fused kernels. Arguments and result as `dsm.ops.ssd.ssd_scan`.

    Returns:
        None where the kernels cannot take over: not on CUDA, float64, or `mamba_ssm` is not installed.
    """
    if not x.is_cuda or x.dtype == torch.float64:
        return None
    kernel = _kernel()
    if kernel is None:
        return None
    # The kernels know groups of heads that share B and C; here all heads are one group.
    groups = (projection.to(x.dtype)[:, :, None] for projection in (B, C))
    return kernel(x, dt.float(), A.float(), *groups, chunk_size=_CHUNK_SIZE, D=D.float()).to(x.dtype)


@functools.cache
def _kernel() -> Callable[..., Tensor] | None:
    """Import the kernels on first use on CUDA, because importing Triton is slow."""
    try:
        module = importlib.import_module(_KERNEL_MODULE)
    except ModuleNotFoundError:
        return None
    except (ImportError, OSError, RuntimeError) as error:  # built for another torch, or no driver
        _log.warning("mamba_ssm is installed but cannot be used, so the scan runs in plain PyTorch: %s", error)
        return None
    kernel: Callable[..., Tensor] = module.mamba_chunk_scan_combined
    return kernel
