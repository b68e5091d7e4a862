import torch

from dsm.ops.semantic_diffusion import semantic_difference


def semantic_difference_ref(features, guidance, feature_kernel, guidance_kernel):
    """Voxel by voxel, as the equation reads."""

    def change(volume, kernel, c, i, j, k):
        total = 0.0
        for di in range(3):
            for dj in range(3):
                for dk in range(3):
                    at = (i + di - 1, j + dj - 1, k + dk - 1)
                    if all(0 <= p < n for p, n in zip(at, volume.shape[2:], strict=True)):
                        total += kernel[c, 0, di, dj, dk] * volume[(0, c, *at)]
        return total

    result = torch.zeros_like(features)
    for c, i, j, k in torch.cartesian_prod(*(torch.arange(n) for n in features.shape[1:])).tolist():
        g = change(guidance, guidance_kernel, c, i, j, k)
        result[0, c, i, j, k] = change(features, feature_kernel, c, i, j, k) * g * g
    return result


def test_equals_the_loop_implementation():
    features, guidance = (torch.randn(1, 2, 3, 4, 3, dtype=torch.float64) for _ in range(2))
    kernels = [torch.randn(2, 1, 3, 3, 3, dtype=torch.float64) for _ in range(2)]
    expected = semantic_difference_ref(features, guidance, *kernels)
    torch.testing.assert_close(semantic_difference(features, guidance, *kernels), expected)


def test_constant_guidance_gives_no_diffusion():
    kernel = torch.randn(2, 1, 3, 3, 3)
    kernel -= kernel.mean(dim=(2, 3, 4), keepdim=True)  # a difference: its taps sum to 0
    found = semantic_difference(torch.randn(1, 2, 6, 6, 6), torch.ones(1, 2, 6, 6, 6), kernel, kernel)
    inside = found[:, :, 1:-1, 1:-1, 1:-1]
    torch.testing.assert_close(inside, torch.zeros_like(inside), atol=1e-6, rtol=0)


def test_gradcheck():
    inputs = [torch.randn(1, 2, 2, 3, 2, dtype=torch.float64, requires_grad=True) for _ in range(2)]
    kernels = [torch.randn(2, 1, 3, 3, 3, dtype=torch.float64, requires_grad=True) for _ in range(2)]
    assert torch.autograd.gradcheck(semantic_difference, (*inputs, *kernels))
