import pytest
import torch
from torch.nn import functional as F

from dsm.ops.ssd import ssd_scan, ssd_scan_ref

NAMES = ("x", "dt", "A", "B", "C", "D")
TOLERANCE = {torch.float32: 1e-4, torch.float64: 1e-9}


def make_inputs(length, dtype, *, batch=2, heads=2, head_dim=3, state=4, dt_scale=1.0, seed=0):
    generator = torch.Generator().manual_seed(seed)

    def randn(*shape):
        return torch.randn(*shape, generator=generator, dtype=torch.float64)

    values = (
        randn(batch, length, heads, head_dim),
        F.softplus(randn(batch, length, heads) - 2) * dt_scale,
        -randn(heads).exp(),
        randn(batch, length, state),
        randn(batch, length, state),
        randn(heads),
    )
    return [value.to(dtype).requires_grad_() for value in values]


def relative_error(found, expected):
    return ((found - expected).abs().max() / expected.abs().max().clamp_min(1e-12)).item()


def values_and_gradients(scan, inputs):
    y = scan(*inputs)
    weight = torch.randn(y.shape, generator=torch.Generator().manual_seed(1), dtype=torch.float64).to(y.dtype)
    return y, torch.autograd.grad((y * weight).sum(), inputs)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
# One chunk, borders of chunks, several chunks; beyond 64 chunks of 32 steps the carry is recursive.
@pytest.mark.parametrize("length", [1, 31, 32, 33, 63, 64, 65, 100, 64 * 32 + 5])
def test_equals_the_sequential_scan_in_value_and_gradients(length, dtype):
    inputs = make_inputs(length, dtype, batch=1 if length > 1000 else 2)
    y, gradients = values_and_gradients(ssd_scan, inputs)
    expected, expected_gradients = values_and_gradients(ssd_scan_ref, inputs)
    assert y.dtype == dtype
    assert relative_error(y, expected) < TOLERANCE[dtype]
    for name, found, wanted in zip(NAMES, gradients, expected_gradients, strict=True):
        assert relative_error(found, wanted) < TOLERANCE[dtype], name


def test_carry_recurses_twice():
    inputs = make_inputs(64 * 64 + 3, torch.float64, batch=1, heads=1, head_dim=1, state=2)
    with torch.no_grad():
        assert relative_error(ssd_scan(*inputs, chunk_size=1), ssd_scan_ref(*inputs)) < 1e-9


@pytest.mark.parametrize("chunk_size", [1, 2, 16, 64, 128])
def test_result_is_independent_of_chunk_size(chunk_size):
    inputs = make_inputs(70, torch.float64)
    assert relative_error(ssd_scan(*inputs, chunk_size=chunk_size), ssd_scan_ref(*inputs)) < 1e-9


@pytest.mark.parametrize("chunk_size", [32, 128])
def test_strong_decay_stays_finite(chunk_size):
    # exp(-S_j) of the factored form overflows here.
    inputs = make_inputs(300, torch.float32, dt_scale=40.0)
    scanned = values_and_gradients(lambda *args: ssd_scan(*args, chunk_size=chunk_size), inputs)
    expected, expected_gradients = values_and_gradients(ssd_scan_ref, inputs)
    assert (inputs[1] * inputs[2]).sum(1).min() < -1000
    assert relative_error(scanned[0], expected) < 1e-4
    for name, found, wanted in zip(NAMES, scanned[1], expected_gradients, strict=True):
        assert found.isfinite().all(), name
        assert relative_error(found, wanted) < 1e-4, name


def test_gradcheck():
    inputs = make_inputs(5, torch.float64, batch=1, heads=2, head_dim=1, state=2)
    assert torch.autograd.gradcheck(lambda *args: ssd_scan(*args, chunk_size=2), inputs)


def test_sequences_in_a_batch_are_independent():
    x, dt, A, B, C, D = make_inputs(40, torch.float64)  # noqa: N806
    alone = ssd_scan(x[1:], dt[1:], A, B[1:], C[1:], D)
    torch.testing.assert_close(ssd_scan(x, dt, A, B, C, D)[1:], alone)


def test_is_causal():
    inputs = make_inputs(80, torch.float64)
    changed = [value.detach().clone() for value in inputs]
    for value in changed[:2] + changed[3:5]:
        value[:, 50:] *= 2
    torch.testing.assert_close(ssd_scan(*inputs)[:, :50], ssd_scan(*changed)[:, :50])


def test_hand_computed():
    # h₁ = 2·3·5 = 30, y₁ = 30·7 + 11·5; h₂ = ½·30 + 1·2·1 = 17, y₂ = 17·1 + 11·1
    log_half = torch.log(torch.tensor(0.5, dtype=torch.float64))
    x = torch.tensor([5.0, 1.0], dtype=torch.float64).view(1, 2, 1, 1)
    dt = torch.tensor([2.0, 1.0], dtype=torch.float64).view(1, 2, 1)
    B = torch.tensor([3.0, 2.0], dtype=torch.float64).view(1, 2, 1)  # noqa: N806
    C = torch.tensor([7.0, 1.0], dtype=torch.float64).view(1, 2, 1)  # noqa: N806
    D = torch.tensor([11.0], dtype=torch.float64)  # noqa: N806
    for scan in (ssd_scan, ssd_scan_ref):
        y = scan(x, dt, log_half.view(1), B, C, D)
        torch.testing.assert_close(y.flatten(), torch.tensor([265.0, 28.0], dtype=torch.float64))


def test_decays_and_states_stay_float32_under_autocast():
    x, dt, A, B, C, D = (value.detach() for value in make_inputs(200, torch.float32, dt_scale=10.0))  # noqa: N806
    low = [value.bfloat16() for value in (x, B, C)]
    exact = ssd_scan(low[0].float(), dt, A, low[1].float(), low[2].float(), D)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        y = ssd_scan(low[0], dt, A, low[1], low[2], D)
    assert y.dtype == torch.bfloat16
    assert relative_error(y.float(), exact) < 2**-8  # only the result is rounded
