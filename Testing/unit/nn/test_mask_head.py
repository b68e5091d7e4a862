import torch

from dsm.nn.mask_head import MaskHead, PresenceHead


def test_logit_is_a_product_with_the_embedding():
    head = MaskHead(8, 5)
    queries, embedding = torch.randn(2, 3, 8), torch.randn(2, 5, 2, 3, 4)
    output = head.mlp(queries)
    expected = 10 * torch.einsum("bpc,bcijk->bpijk", output[..., :5], embedding) + output[..., 5, None, None, None]
    torch.testing.assert_close(head(queries, embedding), expected, rtol=1e-4, atol=1e-4)


def test_initially_most_voxels_are_background():
    torch.manual_seed(0)
    head = MaskHead(32, 16)
    embedding = torch.nn.functional.normalize(torch.randn(1, 16, 6, 6, 6), dim=1)
    assert (head(torch.randn(1, 20, 32), embedding) > 0).float().mean() < 0.25


def test_one_presence_logit_per_prompt():
    assert PresenceHead(8)(torch.randn(2, 3, 8)).shape == (2, 3)
