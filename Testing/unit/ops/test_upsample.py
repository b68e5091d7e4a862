"""Trilinear interpolation by products against the operator of torch."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch.nn import functional as F

from dsm.ops.upsample import interpolation_matrix, upsample_trilinear


@pytest.mark.parametrize("size", [(10, 8, 14), (20, 16, 28), (7, 4, 9), (5, 4, 7), (1, 1, 1)])
def test_interpolates_as_torch(size: tuple[int, int, int]) -> None:
    x = torch.randn(2, 3, 5, 4, 7)

    torch.testing.assert_close(upsample_trilinear(x, size), F.interpolate(x, size, mode="trilinear"))


def test_is_float32_under_autocast() -> None:
    x = torch.randn(1, 1, 3, 4, 5)

    with torch.autocast("cpu", torch.bfloat16):
        result = upsample_trilinear(x, (6, 8, 10))

    torch.testing.assert_close(result, F.interpolate(x, (6, 8, 10), mode="trilinear"))


def test_gives_the_gradient_of_torch() -> None:
    x = torch.randn(1, 2, 3, 4, 5, requires_grad=True)
    weight = torch.randn(1, 2, 6, 8, 10)

    (ours,) = torch.autograd.grad((upsample_trilinear(x, (6, 8, 10)) * weight).sum(), x)
    (theirs,) = torch.autograd.grad((F.interpolate(x, (6, 8, 10), mode="trilinear") * weight).sum(), x)

    torch.testing.assert_close(ours, theirs)


@pytest.mark.parametrize("length", [1, 2, 7])
def test_interpolation_at_any_coordinate_is_numpy_interp(length: int) -> None:
    samples = np.random.default_rng(length).normal(size=length)
    coordinates = np.linspace(-2.0, length + 1.5, 41)
    values = interpolation_matrix(coordinates, length).double() @ torch.from_numpy(samples)
    np.testing.assert_allclose(values, np.interp(coordinates, np.arange(length), samples), atol=1e-5)
    assert interpolation_matrix(coordinates[:0], length).shape == (0, length)
