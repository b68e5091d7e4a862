import torch
from torch.nn import functional as F

from dsm.ops.unit_length import unit_length


def test_gradcheck():
    x = torch.randn(2, 3, 2, 2, 2, generator=torch.Generator().manual_seed(0), dtype=torch.float64, requires_grad=True)
    torch.testing.assert_close(unit_length(x), F.normalize(x, dim=1))
    assert torch.autograd.gradcheck(unit_length, (x,))


def test_gradient_of_a_zero_vector_is_finite():
    x = torch.zeros(1, 3, 1, 1, 2, requires_grad=True)
    unit_length(x).sum().backward()
    assert torch.isfinite(x.grad).all()
