import torch

from dsm.nn.pixel_decoder import PixelDecoder


def test_shapes_of_maps_and_embedding():
    decoder = PixelDecoder((3, 4, 5, 6), (7, 8, 9), 10).eval()
    pyramid = [torch.randn(2, c, 32 // s, 16 // s, 48 // s) for c, s in zip((3, 4, 5, 6), (2, 4, 8, 16), strict=True)]
    pixels = decoder(*pyramid)
    assert pixels.f16.shape == (2, 9, 2, 1, 3)
    assert pixels.f8.shape == (2, 8, 4, 2, 6)
    assert pixels.f4.shape == (2, 7, 8, 4, 12)
    assert pixels.embedding.shape == (2, 10, 16, 8, 24)
    torch.testing.assert_close(pixels.embedding.norm(dim=1), torch.ones(2, 16, 8, 24))


def test_coarse_features_reach_the_embedding():
    decoder = PixelDecoder((3, 4, 5, 6), (7, 8, 9), 10).eval()
    pyramid = [torch.randn(1, c, 32 // s, 32 // s, 32 // s) for c, s in zip((3, 4, 5, 6), (2, 4, 8, 16), strict=True)]
    before = decoder(*pyramid).embedding
    pyramid[3] = pyramid[3] + 1
    assert (decoder(*pyramid).embedding - before).abs().max() > 1e-4
