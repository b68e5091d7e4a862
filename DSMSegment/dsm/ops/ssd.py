"""State-space scan of Mamba-2 (SSD) in matrix-product form, beside its sequential reference.

The recurrence (Dao & Gu 2024, arXiv 2405.21060, eq. 1), a head with scalar decay:

    h_t = exp(dt_t A) h_{t-1} + dt_t B_t x_tᵀ        y_t = C_t h_t + D x_t

The chunked form computes the inside of each chunk as masked attention and carries states between chunks. Decays are
always formed as exp(S_i - S_j) with i ≥ j, never as exp(S_i) · exp(-S_j): the second overflows for strong decay.
"""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional as F

from dsm.ops.ssd_kernels import fused_ssd_scan

# Chunks up to this many are carried by one matrix product; longer sequences of chunks are carried recursively.
_MAX_DIRECT_CARRY = 64


def ssd_scan(x: Tensor, dt: Tensor, A: Tensor, B: Tensor, C: Tensor, D: Tensor, *, chunk_size: int = 32) -> Tensor:
    """Scan a sequence with one decay per head, in chunks.

    Args:
        x: Inputs `(batch, length, heads, head_dim)`.
        dt: Positive step sizes `(batch, length, heads)`.
        A: Negative decay rates `(heads,)`.
        B: Input projections `(batch, length, state)`, shared by the heads.
        C: Output projections `(batch, length, state)`, shared by the heads.
        D: Skip weights `(heads,)`.
        chunk_size: Steps per chunk: 32 is fastest on CPUs, 128 on GPUs.

    Returns:
        Outputs `(batch, length, heads, head_dim)`, in the type of `x`.

    Note:
        Step sizes, decays and states are kept in float32 (float64 for float64 input) under autocast too. On CUDA the
        kernels of `mamba_ssm` take over where it is installed, with a chunk size of their own.

    References:
        Dao & Gu 2024, arXiv 2405.21060, section 6.
    """
    if x.is_cuda and (fused := fused_ssd_scan(x, dt, A, B, C, D)) is not None:
        return fused
    length = x.shape[1]
    exact = torch.float64 if x.dtype == torch.float64 else torch.float32
    with torch.autocast(device_type=x.device.type, enabled=False):
        padding = -length % chunk_size
        xs, dts, Bs, Cs = (_chunked(t.to(exact), padding, chunk_size) for t in (x, dt, B, C))
        xs, dts = xs.transpose(2, 3), dts.transpose(2, 3)  # (batch, chunks, heads, steps, ...)
        total = (dts * A.to(exact)[:, None]).cumsum(-1)
        # Step sizes and skip weights go into the small matrices, never onto the inputs, which are the large ones.
        inside = _decay_between(total) * (Cs @ Bs.transpose(-1, -2))[:, :, None] * dts[..., None, :]
        inside.diagonal(dim1=-2, dim2=-1).add_(D.to(exact)[:, None])

        to_end = torch.exp(total[..., -1:] - total)  # decay from each step to the end of its chunk
        states = (Bs.transpose(-1, -2)[:, :, None] * (to_end * dts)[..., None, :]) @ xs
        carried = _decayed_sums(total[..., -1].transpose(1, 2), states.transpose(1, 2)).transpose(1, 2)
        before = F.pad(carried[:, :-1], (0, 0, 0, 0, 0, 0, 1, 0))
        # What comes from inside the chunk and what was carried to it, as one product.
        from_before = Cs[:, :, None] * torch.exp(total)[..., None]
        y = torch.cat([inside, from_before], dim=-1) @ torch.cat([xs, before], dim=-2)
    return y.transpose(2, 3).flatten(1, 2)[:, :length].to(x.dtype)


def ssd_scan_ref(x: Tensor, dt: Tensor, A: Tensor, B: Tensor, C: Tensor, D: Tensor) -> Tensor:
    """Scan step by step, as the equation reads. Arguments and result as `ssd_scan`."""
    batch, length, heads, head_dim = x.shape
    state = x.new_zeros(batch, heads, B.shape[-1], head_dim)
    outputs = []
    for t in range(length):
        decay = torch.exp(dt[:, t] * A)[..., None, None]
        step = torch.einsum("zn,zh,zhp->zhnp", B[:, t], dt[:, t], x[:, t])
        state = decay * state + step
        outputs.append(torch.einsum("zn,zhnp->zhp", C[:, t], state) + D[:, None] * x[:, t])
    return torch.stack(outputs, dim=1)


def _chunked(t: Tensor, padding: int, chunk_size: int) -> Tensor:
    """(batch, length, ...) → (batch, chunks, steps, ...), zero-padded at the end: dt = 0 neither decays nor adds."""
    if padding:
        t = F.pad(t, (0, 0) * (t.ndim - 2) + (0, padding))
    return t.unflatten(1, (-1, chunk_size))


def _decay_between(total: Tensor) -> Tensor:
    """(..., steps) cumulative log decay → (..., i, j) = exp(total_i - total_j) for i ≥ j, else 0."""
    difference = total[..., :, None] - total[..., None, :]
    steps = total.shape[-1]
    future = torch.ones(steps, steps, dtype=torch.bool, device=total.device).triu(1)
    return difference.masked_fill(future, -torch.inf).exp()


def _decayed_sums(log_decay: Tensor, states: Tensor) -> Tensor:
    """Run s_c ← exp(log_decay_c) s_{c-1} + states_c over the chunks, without a loop over them.

    `log_decay` is (batch, heads, chunks), `states` (batch, heads, chunks, state, head_dim).
    """
    chunks = states.shape[2]
    if chunks <= _MAX_DIRECT_CARRY:
        weights = _decay_between(log_decay.cumsum(-1))
        return (weights @ states.flatten(-2)).unflatten(-1, states.shape[-2:])
    padding = -chunks % _MAX_DIRECT_CARRY
    decays = F.pad(log_decay, (0, padding)).unflatten(-1, (-1, _MAX_DIRECT_CARRY))
    grouped = F.pad(states, (0, 0, 0, 0, 0, padding)).unflatten(2, (-1, _MAX_DIRECT_CARRY))
    total = decays.cumsum(-1)
    local = (_decay_between(total) @ grouped.flatten(-2)).unflatten(-1, states.shape[-2:])
    carried = _decayed_sums(total[..., -1], local[:, :, :, -1])
    before = F.pad(carried[:, :, :-1], (0, 0, 0, 0, 1, 0))
    summed = local + torch.exp(total)[..., None, None] * before[:, :, :, None]
    return summed.flatten(2, 3)[:, :, :chunks]
