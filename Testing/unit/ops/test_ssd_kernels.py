"""Dispatch to the kernels of `mamba_ssm`. The package and CUDA are MOCKED here; `Testing/parity` has the real ones."""

import subprocess
import sys
import types

import pytest
import torch

from dsm.ops import ssd_kernels
from dsm.ops.ssd import ssd_scan, ssd_scan_ref

MODULE = "mamba_ssm.ops.triton.ssd_combined"
BATCH, LENGTH, HEADS, HEAD_DIM, STATE = 2, 40, 3, 32, 16


class MockCudaTensor(torch.Tensor):
    """A tensor that says it is on CUDA."""

    is_cuda = True


@pytest.fixture(autouse=True)
def forget_the_import():
    ssd_kernels._kernel.cache_clear()
    yield
    ssd_kernels._kernel.cache_clear()


@pytest.fixture
def calls(monkeypatch):
    """A stand-in for `mamba_ssm` that notes how it is called and computes the right thing."""
    noted = []

    def mamba_chunk_scan_combined(x, dt, A, B, C, chunk_size, D=None, **others):
        noted.append({"x": x, "dt": dt, "A": A, "B": B, "C": C, "chunk_size": chunk_size, "D": D, **others})
        return ssd_scan_ref(x.float(), dt, A, B[:, :, 0].float(), C[:, :, 0].float(), D)

    for name in ("mamba_ssm", "mamba_ssm.ops", "mamba_ssm.ops.triton"):
        monkeypatch.setitem(sys.modules, name, types.ModuleType(name))
    module = types.ModuleType(MODULE)
    module.mamba_chunk_scan_combined = mamba_chunk_scan_combined
    monkeypatch.setitem(sys.modules, MODULE, module)
    return noted


def make_inputs(dtype=torch.float32):
    return [
        torch.randn(BATCH, LENGTH, HEADS, HEAD_DIM, dtype=dtype),
        torch.rand(BATCH, LENGTH, HEADS) / 10,
        -torch.rand(HEADS),
        torch.randn(BATCH, LENGTH, STATE, dtype=dtype),
        torch.randn(BATCH, LENGTH, STATE, dtype=dtype),
        torch.randn(HEADS),
    ]


def on_cuda(inputs):
    return [value.as_subclass(MockCudaTensor) for value in inputs]


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_mocked_kernel_gets_the_documented_shapes(calls, dtype):
    inputs = make_inputs(dtype)
    y = ssd_scan(*on_cuda(inputs))
    (call,) = calls
    assert y.dtype == dtype
    torch.testing.assert_close(y.as_subclass(torch.Tensor), ssd_scan(*inputs), rtol=1e-2, atol=1e-2)
    assert call.pop("chunk_size") in {64, 128, 256}
    assert {name: tuple(value.shape) for name, value in call.items()} == {
        "x": (BATCH, LENGTH, HEADS, HEAD_DIM),
        "dt": (BATCH, LENGTH, HEADS),
        "A": (HEADS,),
        "B": (BATCH, LENGTH, 1, STATE),
        "C": (BATCH, LENGTH, 1, STATE),
        "D": (HEADS,),
    }
    assert all(call[name].dtype == torch.float32 for name in ("dt", "A", "D"))
    assert all(call[name].dtype == dtype for name in ("x", "B", "C"))


def test_mocked_kernel_is_not_called_for_float64(calls):
    assert ssd_kernels.fused_ssd_scan(*on_cuda(value.double() for value in make_inputs())) is None
    assert not calls


def test_kernels_are_not_loaded_on_cpu(calls, monkeypatch):
    monkeypatch.setattr(ssd_kernels, "_kernel", pytest.fail)
    inputs = make_inputs()
    assert ssd_scan(*inputs).isfinite().all()
    assert ssd_kernels.fused_ssd_scan(*inputs) is None
    assert not calls


def test_cuda_without_the_package_uses_plain_torch(monkeypatch):
    monkeypatch.setitem(sys.modules, "mamba_ssm", None)  # what an import of a missing package sees
    inputs = make_inputs()
    torch.testing.assert_close(ssd_scan(*on_cuda(inputs)).as_subclass(torch.Tensor), ssd_scan(*inputs))


def test_broken_package_is_reported_once(monkeypatch, caplog):
    def broken(name):
        raise ImportError("undefined symbol")

    monkeypatch.setattr(ssd_kernels.importlib, "import_module", broken)
    for _ in range(2):
        assert ssd_kernels.fused_ssd_scan(*on_cuda(make_inputs())) is None
    assert [record.levelname for record in caplog.records] == ["WARNING"]
    assert "undefined symbol" in caplog.text


def test_importing_the_scan_imports_no_kernels():
    code = "import sys, dsm.ops.ssd; sys.exit('mamba_ssm' in sys.modules or 'triton' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
