import torch

from dsm.nn.attention import Attention


def test_equals_torch_multi_head_attention():
    attention = Attention(8, 2, context_dim=6)
    reference = torch.nn.MultiheadAttention(8, 2, kdim=6, vdim=6, batch_first=True)
    keys, values = attention.key_value.weight.split(8)
    reference.q_proj_weight.data, reference.k_proj_weight.data = attention.query.weight.data, keys.data
    reference.v_proj_weight.data = values.data
    reference.in_proj_bias.data = torch.cat([attention.query.bias, attention.key_value.bias]).detach()
    reference.out_proj.load_state_dict(attention.out.state_dict())
    queries, context = torch.randn(2, 3, 8), torch.randn(2, 5, 6)
    expected, _ = reference(queries, context, context)
    torch.testing.assert_close(attention(queries, attention.keys_values(context)), expected)


def test_bias_selects_keys():
    attention = Attention(4, 1)
    queries, context = torch.randn(1, 1, 4), torch.randn(1, 3, 4)
    bias = torch.tensor([0.0, 1e4, 0.0]).view(1, 1, 1, 3)
    only = attention(queries, attention.keys_values(context[:, 1:2]))
    torch.testing.assert_close(attention(queries, attention.keys_values(context), bias), only)
