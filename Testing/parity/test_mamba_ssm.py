"""Our scan and layer against the package whose kernels may take over. Skips where it or CUDA is missing."""

import pytest
import torch

from dsm.nn.mamba2 import Mamba2
from dsm.ops.ssd import ssd_scan, ssd_scan_ref
from dsm.ops.ssd_kernels import fused_ssd_scan

gpu = pytest.mark.skipif(not torch.cuda.is_available(), reason="needs CUDA")


def test_parameters_equal_those_of_mamba_ssm():
    mamba2 = pytest.importorskip("mamba_ssm.modules.mamba2", exc_type=ImportError)
    theirs = mamba2.Mamba2(64, d_state=16, d_conv=4, expand=2, headdim=32, ngroups=1)
    ours = Mamba2(64, d_state=16, d_conv=4, expand=2, headdim=32)
    assert {n: p.shape for n, p in ours.state_dict().items()} == {n: p.shape for n, p in theirs.state_dict().items()}
    ours.load_state_dict(theirs.state_dict())


@gpu
@pytest.mark.parametrize("length", [1, 127, 128, 129, 3000])
def test_fused_kernels_equal_the_scan(length):
    pytest.importorskip("mamba_ssm.ops.triton.ssd_combined", exc_type=ImportError)
    torch.manual_seed(0)
    x = torch.randn(2, length, 3, 32, device="cuda", requires_grad=True)
    dt = torch.nn.functional.softplus(torch.randn(2, length, 3, device="cuda") - 2).requires_grad_()
    A = (-torch.rand(3, device="cuda") * 4 - 0.5).requires_grad_()  # noqa: N806
    B, C = (torch.randn(2, length, 16, device="cuda", requires_grad=True) for _ in range(2))  # noqa: N806
    D = torch.randn(3, device="cuda", requires_grad=True)  # noqa: N806
    inputs = (x, dt, A, B, C, D)
    fused = fused_ssd_scan(*inputs)
    expected = ssd_scan_ref(*(value.double() for value in inputs)).float()
    # Triton multiplies float32 as TF32: 10 bits of mantissa.
    assert ((fused - expected).abs().max() / expected.abs().max()).item() < 2e-3
    weight = torch.randn_like(expected)
    found = torch.autograd.grad((fused * weight).sum(), inputs)
    wanted = torch.autograd.grad((expected * weight).sum(), inputs)
    for name, one, other in zip(["x", "dt", "A", "B", "C", "D"], found, wanted, strict=True):
        assert ((one - other).abs().max() / other.abs().max()).item() < 5e-3, name


@gpu
def test_plain_scan_on_cuda_equals_the_cpu(monkeypatch):
    monkeypatch.setattr("dsm.ops.ssd.fused_ssd_scan", lambda *_: None)
    generator = torch.Generator().manual_seed(0)
    inputs = [
        torch.randn(1, 300, 2, 32, generator=generator),
        torch.rand(1, 300, 2, generator=generator) / 10,
        -torch.rand(2, generator=generator),
        torch.randn(1, 300, 16, generator=generator),
        torch.randn(1, 300, 16, generator=generator),
        torch.ones(2),
    ]
    on_gpu = ssd_scan(*(value.cuda() for value in inputs)).cpu()
    torch.testing.assert_close(on_gpu, ssd_scan(*inputs), rtol=1e-3, atol=1e-4)
