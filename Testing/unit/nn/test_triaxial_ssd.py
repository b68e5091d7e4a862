import pytest
import torch

from dsm.nn.triaxial_ssd import TriaxialSSD


@pytest.fixture
def block():
    torch.manual_seed(0)
    return TriaxialSSD(6)


def test_receptive_field_is_global(block):
    features = torch.randn(1, 6, 3, 2, 4, requires_grad=True)
    for corner in ((0, 0, 0), (2, 1, 3), (1, 0, 2)):
        (gradient,) = torch.autograd.grad(block(features)[(0, slice(None), *corner)].square().sum(), features)
        assert (gradient.abs().sum(dim=1) > 0).all()


def test_single_scan_equals_its_layers(block):
    # All scans but the first forward one are silenced: what is left runs in raster order, k fastest.
    for scans in (block.forward_scans, block.backward_scans):
        for scan in scans:
            torch.nn.init.zeros_(scan.out_proj.weight)
    torch.nn.init.normal_(block.forward_scans[1].out_proj.weight)
    features = torch.randn(1, 6, 2, 3, 4)
    tokens = block.norm(features.movedim(1, -1)).permute(0, 2, 3, 1, 4)  # j, k, i: i runs fastest
    scanned = block.forward_scans[1](tokens.reshape(1, 24, 6)).reshape(1, 3, 4, 2, 6).permute(0, 4, 3, 1, 2)
    expected = features + block.scale[:, None, None, None] * scanned
    torch.testing.assert_close(block(features), expected)


def test_backward_scan_mirrors_the_forward_scan(block):
    for ahead, behind in zip(block.forward_scans, block.backward_scans, strict=True):
        behind.load_state_dict(ahead.state_dict())
    features = torch.randn(1, 6, 3, 4, 2)
    torch.testing.assert_close(block(features.flip(2, 3, 4)), block(features).flip(2, 3, 4), rtol=1e-4, atol=1e-5)


def test_shape_and_batch(block):
    features = torch.randn(2, 6, 1, 5, 3)
    out = block(features)
    assert out.shape == features.shape
    torch.testing.assert_close(out[1:], block(features[1:]), rtol=1e-4, atol=1e-5)


def test_result_is_independent_of_memory_format(block):
    features = torch.randn(2, 6, 3, 4, 5)
    strided = features.contiguous(memory_format=torch.channels_last_3d)
    torch.testing.assert_close(block(strided), block(features))
