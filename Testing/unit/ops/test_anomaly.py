import pytest
import torch

from dsm.ops.anomaly import anomaly_map


def test_anomaly_is_high_in_unassigned_voxels():
    affinity = torch.full((1, 3, 1000), -5.0)
    affinity[0, 0, :500] = 4.0
    affinity[0, 2, 500:900] = 4.0
    found = anomaly_map(affinity)[0]
    assert (found[:900] == 0).all()
    assert (found[900:] == 1).all()


def test_scale_runs_from_percentile_to_percentile():
    ramp = torch.linspace(0, 1, 1001)[torch.randperm(1001)]
    found = anomaly_map(-ramp[None, None])[0]  # one organ with M = -ramp, so the anomaly is the ramp
    torch.testing.assert_close(found, ((ramp - 0.01) / 0.98).clamp(0, 1), atol=2e-3, rtol=0)


def test_scale_is_robust_to_outliers():
    affinity = torch.rand(1, 2, 5000)
    odd = affinity.clone()
    odd[..., 7] = -1e6
    torch.testing.assert_close(anomaly_map(odd)[..., 8:], anomaly_map(affinity)[..., 8:], atol=2e-3, rtol=0)


def test_scans_in_a_batch_are_scaled_separately():
    first, second = torch.randn(1, 4, 300), 50 * torch.randn(1, 4, 300) + 7
    both = anomaly_map(torch.cat([first, second]))
    torch.testing.assert_close(both, torch.cat([anomaly_map(first), anomaly_map(second)]))


@pytest.mark.parametrize("voxels", [1, 2, 8])
def test_result_is_finite_for_few_or_equal_voxels(voxels):
    found = anomaly_map(torch.ones(1, 2, voxels))
    assert found.shape == (1, voxels)
    assert ((found >= 0) & (found <= 1)).all()


def test_gradient_reaches_the_affinity():
    affinity = torch.randn(1, 3, 100, requires_grad=True)
    anomaly_map(affinity).sum().backward()
    assert affinity.grad.isfinite().all()
    assert (affinity.grad <= 0).all()  # a stronger claim never makes a voxel more anomalous
    assert affinity.grad.any()
