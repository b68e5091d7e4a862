import pytest
import torch

from dsm.nn.encoder import Encoder, Stage


def make_encoder(num_blocks=(1, 1, 1, 1)):
    torch.manual_seed(0)
    return Encoder(2, (3, 4, 5, 6), num_blocks).eval()


def test_pyramid_shapes():
    encoder = make_encoder()
    f2, f4 = encoder.fine(torch.rand(1, 2, 32, 48, 16))
    f8, f16 = encoder.coarse(f4)
    assert [tuple(f.shape) for f in (f2, f4, f8, f16)] == [
        (1, 3, 16, 24, 8),
        (1, 4, 8, 12, 4),
        (1, 5, 4, 6, 2),
        (1, 6, 2, 3, 1),
    ]


@pytest.mark.parametrize(("num_blocks", "halo"), [((1, 1, 1, 1), 16), ((1, 1, 2, 2), 16), ((2, 2, 1, 1), 32)])
def test_halo_covers_the_receptive_field_of_fine_features(num_blocks, halo):
    encoder = make_encoder(num_blocks)
    assert encoder.fine_halo == halo
    x = torch.rand(1, 2, 96, 16, 16, requires_grad=True)
    for features, stride in zip(encoder.fine(x), (2, 4), strict=True):
        middle = 48 // stride
        (gradient,) = torch.autograd.grad(features[:, :, middle].square().sum(), x, retain_graph=True)
        seen = gradient.abs().sum(dim=(0, 1, 3, 4)).nonzero()[:, 0]
        assert seen.min() >= 48 - halo
        assert seen.max() < 48 + stride + halo


@pytest.mark.parametrize("kernel", [2, 4])
def test_strided_convolution_keeps_centres_aligned(kernel):
    # A symmetric kernel on a linear ramp gives the ramp at the centre of each 2³ block.
    stage = Stage(1, 1, 0, kernel=kernel).eval()
    torch.nn.init.constant_(stage[0].weight, 1 / kernel**3)
    ramp = torch.arange(16.0).view(1, 1, 16, 1, 1).expand(1, 1, 16, 16, 16)
    found = stage[0](ramp)[0, 0, 1:-1, 4, 4]
    torch.testing.assert_close(found, 2 * torch.arange(1.0, 7.0) + 0.5)


def test_features_are_independent_of_the_tile():
    encoder = make_encoder()
    for module in encoder.modules():
        if isinstance(module, torch.nn.BatchNorm3d):
            torch.nn.init.uniform_(module.running_mean, -1, 1)
            torch.nn.init.uniform_(module.running_var, 0.5, 2)
    x = torch.rand(1, 2, 80, 16, 16)
    with torch.no_grad():
        whole, tile = encoder.fine(x), encoder.fine(x[:, :, 16:64])
    torch.testing.assert_close(tile[0][:, :, 8:-8], whole[0][:, :, 16:24], rtol=1e-5, atol=1e-6)
    torch.testing.assert_close(tile[1][:, :, 4:-4], whole[1][:, :, 8:12], rtol=1e-5, atol=1e-6)


def test_coarse_features_have_a_global_receptive_field():
    encoder = make_encoder()
    x = torch.rand(1, 2, 64, 16, 16, requires_grad=True)
    f8, f16 = encoder.coarse(encoder.fine(x)[1])
    for features in (f8, f16):
        (gradient,) = torch.autograd.grad(features[:, :, 0].square().sum(), x, retain_graph=True)
        assert gradient[:, :, -16:].any()
