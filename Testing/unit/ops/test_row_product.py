import pytest
import torch

from dsm.ops.row_product import row_product


def test_gradcheck():
    generator = torch.Generator().manual_seed(0)
    queries = torch.randn(2, 3, 4, generator=generator, dtype=torch.float64, requires_grad=True)
    columns = torch.randn(2, 4, 5, generator=generator, dtype=torch.float64, requires_grad=True)
    torch.testing.assert_close(row_product(queries, columns), queries @ columns)
    assert torch.autograd.gradcheck(row_product, (queries, columns))


@pytest.fixture
def watched():
    """Queries, a channels-last map, and the gradients that the map gets."""
    features = torch.rand(1, 8, 4, 3, 2).contiguous(memory_format=torch.channels_last_3d).requires_grad_()
    seen = []
    copy = features * 1.0
    copy.register_hook(seen.append)
    return torch.rand(1, 2, 8, requires_grad=True), copy, seen


def test_gradient_of_a_channels_last_map_is_channels_last(watched):
    queries, copy, seen = watched
    row_product(queries, copy.flatten(2)).sum().backward()
    assert seen[0].is_contiguous(memory_format=torch.channels_last_3d)


def test_under_autocast_it_is_the_product_in_bfloat16_with_channels_last_gradients(watched):
    queries, copy, seen = watched
    with torch.autocast("cpu", torch.bfloat16):
        product = row_product(queries, copy.flatten(2))
        expected = queries @ copy.flatten(2)
    assert product.dtype == expected.dtype == torch.bfloat16
    assert product.is_contiguous()
    torch.testing.assert_close(product, expected, atol=0.02, rtol=0.02)
    product.float().sum().backward()
    assert seen[0].is_contiguous(memory_format=torch.channels_last_3d)
