"""The whole network on volumes of a few voxels."""

import pytest
import torch
from torch.nn import functional as F

from dsm.nn.prompt_batch import PromptBatch

TOLERANCE = {"rtol": 1e-4, "atol": 1e-4}


@pytest.fixture(scope="module")
def net(tiny_net):
    return tiny_net()


@pytest.fixture(autouse=True)
def no_gradients():
    with torch.no_grad():
        yield


def volume(*shape, seed=0):
    return torch.rand(*shape, generator=torch.Generator().manual_seed(seed))


def texts(count, seed=3):
    return F.normalize(torch.randn(count, 12, generator=torch.Generator().manual_seed(seed)), dim=1)


def mixed_prompts(net):
    """An organ of the set, a free organ, a known tumor, a free tumor."""
    text = torch.cat([net.organ_text[1:2], texts(3)])
    return PromptBatch(
        text=text,
        organ_index=torch.tensor([1, -1, -1, -1]),
        is_tumor=torch.tensor([False, False, True, True]),
        tumor_index=torch.tensor([-1, -1, 0, -1]),
    )


def rows(prompts, index):
    return PromptBatch(
        text=prompts.text[index],
        organ_index=prompts.organ_index[index],
        is_tumor=prompts.is_tumor[index],
        tumor_index=prompts.tumor_index[index],
    )


def test_shapes(net):
    encoding = net.encode(volume(1, 1, 32, 48, 16))
    assert encoding.embedding.shape == (1, 8, 16, 24, 8)
    assert encoding.organ_queries.shape == (1, 5, 16)
    grids = [(2, 3, 1), (4, 6, 2), (8, 12, 4)]
    assert [tuple(a.shape) for a in encoding.organ_affinities] == [(1, 5, *grid) for grid in grids]
    assert [tuple(a.shape) for a in encoding.anomalies] == [(1, *grid) for grid in grids]
    decoded = net.decode(encoding, mixed_prompts(net))
    assert decoded.logits.shape == (1, 4, 16, 24, 8)
    assert decoded.presence.shape == (1, 4)
    assert decoded.queries.shape == (1, 4, 16)
    assert decoded.logits.isfinite().all()


def test_two_layers_per_level(tiny_net):
    net = tiny_net(layers_per_level=2)
    encoding = net.encode(volume(1, 1, 32, 32, 32))
    assert len(encoding.organ_affinities) == len(net.kmax_layers) == 6
    assert [a.shape[1] for a in encoding.anomalies] == [2, 4, 8]
    assert net.decode(encoding, mixed_prompts(net)).logits.isfinite().all()


def test_encode_then_decode_is_the_forward_pass(net):
    x, prompts = volume(1, 1, 32, 32, 48), mixed_prompts(net)
    whole = net(x, prompts)
    encoding = net.encode(x)
    net.decode(encoding, rows(prompts, [2, 3]))  # an earlier prompt leaves no trace
    later = net.decode(encoding, prompts)
    for found, expected in zip(later, whole, strict=True):
        torch.testing.assert_close(found, expected, rtol=0, atol=0)


def test_result_is_independent_of_other_prompts(net):
    encoding = net.encode(volume(1, 1, 32, 32, 32))
    prompts = mixed_prompts(net)
    together = net.decode(encoding, prompts)
    for index in range(len(prompts)):
        alone = net.decode(encoding, rows(prompts, [index]))
        torch.testing.assert_close(alone.logits[:, 0], together.logits[:, index], **TOLERANCE)
        torch.testing.assert_close(alone.presence[:, 0], together.presence[:, index], **TOLERANCE)
    swapped = net.decode(encoding, rows(prompts, [3, 1, 0, 2]))
    torch.testing.assert_close(swapped.logits, together.logits[:, [3, 1, 0, 2]], **TOLERANCE)


@pytest.mark.parametrize("is_tumor", [False, True])
def test_name_outside_the_query_sets_is_decoded_from_text(net, is_tumor):
    encoding = net.encode(volume(1, 1, 32, 32, 32))
    text = texts(3)
    logits = net.decode(encoding, PromptBatch.from_text(text, is_tumor=is_tumor)).logits
    assert logits.isfinite().all()
    permuted = net.decode(encoding, PromptBatch.from_text(text[[1, 2, 0]], is_tumor=is_tumor)).logits
    torch.testing.assert_close(permuted, logits[:, [1, 2, 0]], **TOLERANCE)
    assert (permuted - logits).abs().amax(dim=(0, 2, 3, 4)).min() > 0.1


def test_permuting_organ_text_changes_organ_masks(tiny_net):
    net = tiny_net()
    x = volume(1, 1, 32, 32, 32)
    before = net.encode(x)
    net.organ_text.copy_(net.organ_text.roll(1, dims=0))
    after = net.encode(x)
    assert (after.organ_queries - before.organ_queries).abs().amax(dim=(0, 2)).min() > 1e-2
    masks = [net.mask_head(encoding.organ_queries, encoding.embedding) for encoding in (before, after)]
    assert (masks[0] - masks[1]).abs().amax(dim=(0, 2, 3, 4)).min() > 0.1


def test_known_tumor_has_a_learned_vector(net):
    encoding = net.encode(volume(1, 1, 32, 32, 32))
    text, tumor = texts(1), torch.tensor([True])
    known, free = (
        net.decode(encoding, PromptBatch(text, torch.tensor([-1]), tumor, torch.tensor([row]))) for row in (1, -1)
    )
    assert (known.logits - free.logits).abs().max() > 0.1


def test_hidden_organs_are_initialised_from_text(net):
    x = volume(1, 1, 32, 32, 32)
    all_known, none_known = (net.encode(x, known_organs=torch.full((5,), known)) for known in (True, False))
    torch.testing.assert_close(all_known.organ_queries, net.encode(x).organ_queries, rtol=0, atol=0)
    assert (none_known.organ_queries - all_known.organ_queries).abs().max() > 0.1


def test_volumes_in_a_batch_are_independent(net):
    x, prompts = volume(2, 1, 32, 16, 48), mixed_prompts(net)
    together = net(x, prompts)
    for index in range(2):
        alone = net(x[index : index + 1], prompts)
        torch.testing.assert_close(together.logits[index : index + 1], alone.logits, **TOLERANCE)
        torch.testing.assert_close(together.presence[index : index + 1], alone.presence, **TOLERANCE)


def test_visual_prompt_replaces_the_anomaly_map(net):
    encoding = net.encode(volume(1, 1, 32, 32, 32))
    prompts = mixed_prompts(net)
    default = net.decode(encoding, prompts).queries
    spot = torch.zeros(1, 2, 4, 4, 4)  # a map for each of the two tumor prompts
    spot[0, :, 1, 1, 2] = 1
    spots = net.decode(encoding, prompts, visual_prompts=spot).queries
    torch.testing.assert_close(spots[:, :2], default[:, :2])
    assert (spots[:, 2:] - default[:, 2:]).abs().amax(dim=(0, 2)).min() > 1e-4


def test_anomaly_is_added_to_the_logits_of_tumors_only(tiny_net):
    net = tiny_net()
    encoding, prompts = net.encode(volume(1, 1, 32, 32, 32)), mixed_prompts(net)
    net.anomaly_weight.fill_(0.0)
    plain = net.decode(encoding, prompts).logits
    net.anomaly_weight.fill_(3.0)
    difference = net.decode(encoding, prompts).logits - plain
    assert not difference[:, :2].any()
    upsampled = F.interpolate(encoding.anomalies[-1][:, None], scale_factor=2.0, mode="trilinear")
    torch.testing.assert_close(difference[:, 2:], 3 * (upsampled - 0.5).expand(1, 2, -1, -1, -1), **TOLERANCE)


def test_result_is_independent_of_memory_format(net):
    x, prompts = volume(1, 1, 32, 32, 32), mixed_prompts(net)
    strided = net(x.contiguous(memory_format=torch.channels_last_3d), prompts)
    torch.testing.assert_close(strided.logits, net(x, prompts).logits, **TOLERANCE)


def test_without_refinement_there_is_no_refiner(tiny_net):
    assert all(layer.refiner is None for layer in tiny_net(state_space_refinement=False).kmax_layers)
    refined = [layer.refiner is not None for layer in tiny_net(layers_per_level=2).kmax_layers]
    assert refined == [True, True, True, True, False, False]  # 24 and 12 mm only
