"""Mamba-2 block with the parameter names and shapes of `mamba_ssm.modules.mamba2.Mamba2`."""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from dsm.ops.causal_conv import causal_conv
from dsm.ops.ssd import ssd_scan

# Initial step sizes are log-uniform in this range, decay rates uniform (both as the Mamba-2 paper's defaults).
_DT_RANGE = (1e-3, 1e-1)
_DECAY_RANGE = (1.0, 16.0)


class Mamba2(nn.Module):
    """Selective state-space layer over a sequence, in one direction.

    The parameters load from and into `mamba_ssm`'s `Mamba2` with one group; its fused CUDA kernels do the scan where
    they are installed (`dsm.ops.ssd_kernels`).

    Args:
        d_model: Channels in and out.
        d_state: State size per head.
        d_conv: Width of the causal convolution.
        expand: Inner channels per channel.
        headdim: Channels per head; few wide heads are fastest.

    Shape:
        `(batch, length, d_model)` → the same.

    References:
        Dao & Gu 2024, arXiv 2405.21060.
    """

    def __init__(self, d_model: int, *, d_state: int = 16, d_conv: int = 4, expand: int = 2, headdim: int = 64) -> None:
        super().__init__()
        self.d_inner = expand * d_model
        self.d_state = d_state
        self.headdim = math.gcd(headdim, self.d_inner)
        self.nheads = self.d_inner // self.headdim
        conv_dim = self.d_inner + 2 * d_state
        self.in_proj = nn.Linear(d_model, 2 * self.d_inner + 2 * d_state + self.nheads, bias=False)
        self.conv1d = nn.Conv1d(conv_dim, conv_dim, d_conv, groups=conv_dim, padding=d_conv - 1)
        low, high = (math.log(value) for value in _DT_RANGE)
        dt = torch.exp(torch.rand(self.nheads) * (high - low) + low)
        self.dt_bias = nn.Parameter(dt + torch.log(-torch.expm1(-dt)))  # softplus⁻¹(dt)
        self.A_log = nn.Parameter(torch.empty(self.nheads).uniform_(*_DECAY_RANGE).log())
        self.D = nn.Parameter(torch.ones(self.nheads))
        self.norm = GatedRMSNorm(self.d_inner)
        self.out_proj = nn.Linear(self.d_inner, d_model, bias=False)

    def forward(self, sequence: Tensor) -> Tensor:
        """Apply the layer; see the class for shapes."""
        conv_dim = self.d_inner + 2 * self.d_state
        z, xBC, dt = self.in_proj(sequence).split([self.d_inner, conv_dim, self.nheads], dim=-1)  # noqa: N806
        xBC = F.silu(causal_conv(xBC, self.conv1d.weight, self.conv1d.bias))  # noqa: N806
        x, B, C = xBC.split([self.d_inner, self.d_state, self.d_state], dim=-1)  # noqa: N806
        dt = F.softplus(dt.float() + self.dt_bias)
        y = ssd_scan(x.unflatten(-1, (self.nheads, -1)), dt, -self.A_log.exp(), B, C, self.D)
        return self.out_proj(self.norm(y.flatten(-2), z))


class GatedRMSNorm(nn.Module):
    """RMS norm of `x · silu(gate)`."""

    def __init__(self, dim: int, eps: float = 1e-5) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.ones(dim))
        self.eps = eps

    def forward(self, x: Tensor, gate: Tensor) -> Tensor:
        """Gate and normalise over the last axis."""
        x = x * F.silu(gate)
        return F.rms_norm(x, (x.shape[-1],), self.weight.to(x.dtype), self.eps)
