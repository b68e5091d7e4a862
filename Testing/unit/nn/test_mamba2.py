import pytest
import torch
from torch.nn import functional as F

from dsm.nn.mamba2 import GatedRMSNorm, Mamba2
from dsm.ops.ssd import ssd_scan_ref


@pytest.mark.parametrize(("d_model", "expand", "headdim", "heads"), [(32, 2, 32, 2), (96, 1, 64, 3), (192, 1, 64, 3)])
def test_parameters_are_named_and_shaped_as_documented(d_model, expand, headdim, heads):
    # mamba_ssm.modules.mamba2.Mamba2 with ngroups=1; `Testing/parity` compares with the real one where it is installed.
    inner, state, conv = expand * d_model, 16, 4
    expected = {
        "dt_bias": (heads,),
        "A_log": (heads,),
        "D": (heads,),
        "in_proj.weight": (2 * inner + 2 * state + heads, d_model),
        "conv1d.weight": (inner + 2 * state, 1, conv),
        "conv1d.bias": (inner + 2 * state,),
        "norm.weight": (inner,),
        "out_proj.weight": (d_model, inner),
    }
    layer = Mamba2(d_model, expand=expand, headdim=headdim)
    assert {name: tuple(value.shape) for name, value in layer.state_dict().items()} == expected


def test_initial_values_are_in_the_documented_ranges():
    layer = Mamba2(512, headdim=1)
    steps, decays = F.softplus(layer.dt_bias), layer.A_log.exp()
    assert steps.min() >= 1e-3 * 0.99
    assert steps.max() <= 1e-1 * 1.01
    assert decays.min() >= 1
    assert decays.max() <= 16
    assert steps.log10().std() > 0.4  # log-uniform: spread over the two decades


def mamba2_ref(layer, sequence):
    """The layer step by step, as the paper reads."""
    z, x, B, C, dt = layer.in_proj(sequence).split(  # noqa: N806
        [layer.d_inner, layer.d_inner, layer.d_state, layer.d_state, layer.nheads], dim=-1
    )
    mixed = torch.cat([x, B, C], dim=-1)
    kernel, bias = layer.conv1d.weight[:, 0], layer.conv1d.bias
    padded = torch.cat([mixed.new_zeros(len(mixed), kernel.shape[1] - 1, mixed.shape[2]), mixed], dim=1)
    steps = [(padded[:, t : t + kernel.shape[1]] * kernel.T).sum(1) + bias for t in range(sequence.shape[1])]
    x, B, C = F.silu(torch.stack(steps, dim=1)).split(  # noqa: N806
        [layer.d_inner, layer.d_state, layer.d_state], dim=-1
    )
    heads = x.unflatten(-1, (layer.nheads, layer.headdim))
    y = ssd_scan_ref(heads, F.softplus(dt + layer.dt_bias), -layer.A_log.exp(), B, C, layer.D).flatten(-2)
    gated = y * F.silu(z)
    normed = gated / (gated.square().mean(-1, keepdim=True) + 1e-5).sqrt() * layer.norm.weight
    return layer.out_proj(normed)


def test_equals_the_reference():
    layer = Mamba2(6, d_state=3, headdim=4)
    torch.nn.init.uniform_(layer.norm.weight, 0.5, 2)
    torch.nn.init.normal_(layer.D)
    sequence = torch.randn(2, 70, 6)
    torch.testing.assert_close(layer(sequence), mamba2_ref(layer, sequence), rtol=1e-4, atol=1e-5)


def test_is_causal():
    layer = Mamba2(8)
    sequence = torch.randn(1, 50, 8)
    changed = sequence.clone()
    changed[:, 30:] = 0
    with torch.no_grad():
        before, after = layer(sequence), layer(changed)
    torch.testing.assert_close(before[:, :30], after[:, :30])
    assert (before[:, 30:] - after[:, 30:]).abs().max() > 1e-3


def test_head_dimension_divides_odd_widths():
    assert Mamba2(36, expand=1).headdim == 4
    assert Mamba2(36, expand=1)(torch.randn(1, 5, 36)).shape == (1, 5, 36)


def test_gate_is_applied_before_normalisation():
    norm = GatedRMSNorm(2, eps=0.0)
    gate = torch.tensor([[100.0, 100.0]])  # silu(100) = 100
    torch.testing.assert_close(norm(torch.tensor([[3.0, 4.0]]), gate), torch.tensor([[3.0, 4.0]]) / 12.5**0.5)
