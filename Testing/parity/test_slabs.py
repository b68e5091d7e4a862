"""Fine stages in slabs with a halo, joined, equal one pass over the volume."""

import pytest
import torch

from dsm.inference.slabs import fine_in_slabs, plan_slabs
from dsm.nn.prompt_batch import PromptBatch


@pytest.mark.parametrize("max_slab", [16, 32, 48])
@torch.no_grad()
def test_slabs_equal_one_pass(tiny_net, max_slab):
    net = tiny_net()
    x = torch.rand(1, 1, 32, 16, 112, generator=torch.Generator().manual_seed(0))
    prompts = PromptBatch(
        text=torch.nn.functional.normalize(torch.randn(3, 12), dim=1),
        organ_index=torch.tensor([0, -1, -1]),
        is_tumor=torch.tensor([False, False, True]),
        tumor_index=torch.tensor([-1, -1, 1]),
    )
    slabs = plan_slabs(x.shape[-1], max_slab=max_slab, halo=net.fine_halo)
    assert len(slabs) > 1
    whole = net(x, prompts)
    stitched = net.decode(net.encode_pixels(net.pixel_features(*fine_in_slabs(net, x, slabs))), prompts)
    assert (stitched.logits - whole.logits).abs().max() < 1e-3
    assert (stitched.presence - whole.presence).abs().max() < 1e-3


@torch.no_grad()
def test_the_halo_is_needed(tiny_net):
    net = tiny_net()
    x = torch.rand(1, 1, 16, 16, 64, generator=torch.Generator().manual_seed(0))
    whole = net.fine(x)
    cut = fine_in_slabs(net, x, plan_slabs(64, max_slab=32, halo=0))
    assert (cut[1] - whole[1]).abs().max() > 1e-2
