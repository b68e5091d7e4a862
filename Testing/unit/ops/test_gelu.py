"""GELU of channels-last maps against the operator of torch."""

from __future__ import annotations

import pytest
import torch
from torch.nn import functional as F

from dsm.ops.gelu import gelu


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
@pytest.mark.parametrize("memory_format", [torch.contiguous_format, torch.channels_last_3d])
def test_equals_torch_in_the_same_memory_order(dtype: torch.dtype, memory_format: torch.memory_format) -> None:
    x = (20 * torch.randn(2, 8, 5, 6, 7)).to(dtype).contiguous(memory_format=memory_format)

    result = gelu(x)

    torch.testing.assert_close(result, F.gelu(x))
    assert result.stride() == x.stride()
    assert result.dtype == dtype


def test_equals_torch_on_a_part_of_a_map() -> None:
    x = torch.randn(1, 8, 9, 6, 7).contiguous(memory_format=torch.channels_last_3d)[:, :, 2:6, 1:]

    torch.testing.assert_close(gelu(x), F.gelu(x))


def test_has_the_gradient_of_torch() -> None:
    x = torch.randn(1, 4, 3, 3, 3).contiguous(memory_format=torch.channels_last_3d).requires_grad_()
    weight = torch.randn(1, 4, 3, 3, 3)

    (ours,) = torch.autograd.grad((gelu(x) * weight).sum(), x)
    (theirs,) = torch.autograd.grad((F.gelu(x) * weight).sum(), x)

    torch.testing.assert_close(ours, theirs)
