import pytest
import torch
from torch import nn

from dsm.inference.fast_network import fast_on_cpu, fold_norms
from dsm.nn.prompt_batch import PromptBatch


@pytest.fixture
def prompts():
    return PromptBatch(
        text=nn.functional.normalize(torch.randn(3, 12, generator=torch.Generator().manual_seed(1)), dim=1),
        organ_index=torch.tensor([0, -1, -1]),
        is_tumor=torch.tensor([False, False, True]),
        tumor_index=torch.tensor([-1, -1, 1]),
    )


@pytest.mark.parametrize("rewrite", [fold_norms, fast_on_cpu])
@torch.no_grad()
def test_results_are_the_same(tiny_net, prompts, rewrite):
    x = torch.rand(1, 1, 32, 48, 64, generator=torch.Generator().manual_seed(0))
    expected = tiny_net()(x, prompts)
    net = tiny_net()
    rewrite(net)
    found = net(x, prompts)
    torch.testing.assert_close(found.logits, expected.logits, atol=1e-4, rtol=1e-4)
    torch.testing.assert_close(found.presence, expected.presence, atol=1e-4, rtol=1e-4)


def test_all_batch_norms_are_folded(tiny_net):
    net = tiny_net()
    before = sum(isinstance(module, nn.BatchNorm3d) for module in net.modules())
    assert fold_norms(net) == before > 20
    assert not any(isinstance(module, nn.BatchNorm3d) for module in net.modules())


@torch.no_grad()
def test_features_stay_channels_last(tiny_net):
    """One layer that falls out of it would copy every feature map twice."""
    net = fast_on_cpu(tiny_net())
    x = torch.rand(1, 1, 32, 32, 32)
    assert net.encode(x).embedding.is_contiguous(memory_format=torch.channels_last_3d)
