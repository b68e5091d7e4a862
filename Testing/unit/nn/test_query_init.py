import torch

from dsm.nn.query_init import QueryInit


def test_unknown_name_is_initialised_from_text_only():
    start = QueryInit(12, 8, 3)
    text = torch.randn(2, 12)
    torch.testing.assert_close(start(text, torch.tensor([-1, -1])), start.text(text))


def test_known_name_adds_a_learned_vector():
    start = QueryInit(12, 8, 3)
    text = torch.randn(2, 12)
    torch.testing.assert_close(start(text, torch.tensor([2, -1])) - start.text(text), torch.stack(
        [start.embedding[2], torch.zeros(8)]
    ))  # fmt: skip


def test_query_is_independent_of_text_scale():
    start = QueryInit(12, 8, 3)
    text = torch.randn(1, 12)
    ids = torch.tensor([-1])
    torch.testing.assert_close(start(text, ids), start(100 * text, ids), rtol=1e-3, atol=1e-3)
