import pytest
import torch
from torch.nn import functional as F

from dsm.nn.diffusion_fusion import DiffusionFusion


@pytest.fixture
def fusion():
    torch.manual_seed(0)
    return DiffusionFusion(4, 6).eval()


def test_corners_are_initialised_as_third_mixed_difference(fusion):
    for kernels in (fusion.feature_kernel, fusion.guidance_kernel):
        corners = kernels.detach()[:, 0, ::2, ::2, ::2] / 0.35
        expected = torch.tensor([[[-1.0, 1.0], [1.0, -1.0]], [[1.0, -1.0], [-1.0, 1.0]]])
        torch.testing.assert_close(corners, expected.expand(4, 2, 2, 2))


def test_initially_equals_plain_fusion(fusion):
    features, guidance = torch.randn(1, 4, 4, 4, 4), torch.randn(1, 6, 4, 4, 4)
    guide = fusion.guide_norm(fusion.guide(guidance))
    expected = F.gelu(fusion.norm(fusion.smooth(fusion.fuse(torch.cat([guide, features], dim=1)))))
    torch.testing.assert_close(fusion(features, guidance), expected)


def test_diffusion_has_an_effect_for_nonzero_gamma(fusion):
    features, guidance = torch.randn(1, 4, 4, 4, 4), torch.randn(1, 6, 4, 4, 4)
    before = fusion(features, guidance)
    torch.nn.init.ones_(fusion.gamma)
    assert (fusion(features, guidance) - before).abs().max() > 1e-3


def test_guidance_of_half_size_is_upsampled(fusion):
    torch.nn.init.ones_(fusion.gamma)
    features, guidance = torch.randn(2, 4, 4, 6, 2), torch.randn(2, 6, 2, 3, 1)
    repeated = guidance.repeat_interleave(2, 2).repeat_interleave(2, 3).repeat_interleave(2, 4)
    torch.testing.assert_close(fusion(features, guidance), fusion(features, repeated))
