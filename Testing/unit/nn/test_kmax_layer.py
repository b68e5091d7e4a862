import pytest
import torch

from dsm.nn.kmax_layer import KMaxSSMLayer, LevelTokens


@pytest.fixture
def layer():
    torch.manual_seed(0)
    return KMaxSSMLayer(8, 2, num_organs=4, refine=True).eval()


@pytest.fixture
def memory():
    torch.manual_seed(1)
    return LevelTokens(6, 8).eval()(torch.randn(2, 6, 2, 3, 4))


def test_tokens_are_in_raster_order_with_unit_length_keys(memory):
    assert memory.keys.shape == (2, 8, 24)
    assert memory.values.shape == (2, 24, 8)
    torch.testing.assert_close(memory.keys.norm(dim=1), torch.ones(2, 24))
    tokens = LevelTokens(6, 8).eval()
    features = torch.randn(1, 6, 2, 3, 4)
    torch.testing.assert_close(tokens(features).values[0, 1 * 12 + 2 * 4 + 3], tokens.value(features)[0, :, 1, 2, 3])


def test_step_is_the_k_means_update(layer, memory):
    queries = torch.randn(2, 4, 8)
    layer.update.weight.data = torch.eye(8)
    layer.update.bias.data.zero_()
    _, affinity, state = layer(queries, memory)
    owner = affinity.argmax(dim=1).masked_fill(affinity.amax(dim=1) <= layer.void, -1)
    for batch in range(2):
        for query in range(4):
            owned = memory.values[batch, owner[batch] == query]
            expected = queries[batch, query] + owned.sum(0) / (len(owned) + 1)
            torch.testing.assert_close(state.queries[batch, query], expected)


def test_claim_is_the_maximum_of_organs_and_void(layer, memory):
    layer.void.data.fill_(0.3)
    _, affinity, state = layer(torch.randn(2, 4, 8), memory)
    torch.testing.assert_close(state.claim, affinity.amax(dim=1).clamp_min(0.3))


def test_prompt_is_assigned_only_unclaimed_voxels(layer, memory):
    _, _, state = layer(torch.randn(2, 4, 8), memory)
    queries = torch.randn(2, 1, 8)
    state.claim.fill_(1e6)
    nothing = layer.prompt(queries, memory, state)
    memory.values.mul_(100)
    torch.testing.assert_close(layer.prompt(queries, memory, state), nothing)
    state.claim.fill_(-1e6)
    assert (layer.prompt(queries, memory, state) - nothing).abs().max() > 1e-3


def test_prompts_are_independent(layer, memory):
    _, _, state = layer(torch.randn(2, 4, 8), memory)
    queries = torch.randn(2, 3, 8)
    together = layer.prompt(queries, memory, state)
    alone = torch.cat([layer.prompt(queries[:, i : i + 1], memory, state) for i in range(3)], dim=1)
    torch.testing.assert_close(together, alone)


def test_affinity_has_a_gradient_but_the_assignment_has_none(layer, memory):
    layer.train()
    queries = torch.randn(2, 4, 8)
    updated, affinity, _ = layer(queries, memory)
    layer.zero_grad()
    updated.square().sum().backward(retain_graph=True)
    assert layer.to_key.weight.grad is None
    affinity.square().sum().backward()
    assert layer.to_key.weight.grad.any()
