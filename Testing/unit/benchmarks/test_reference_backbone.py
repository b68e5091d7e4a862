from dataclasses import replace

import pytest
import torch
from torch._subclasses.fake_tensor import FakeTensorMode
from torch.utils.flop_counter import FlopCounterMode

from benchmarks.reference_backbone import REFERENCE, reference_net
from dsm.nn.prompt_batch import PromptBatch


@pytest.fixture(scope="module")
def published():
    """The net at its full width, 62 M random parameters: made once."""
    return reference_net().eval()


def prompts(net):
    return PromptBatch(
        text=net.organ_text[:3],
        organ_index=torch.tensor([0, -1, -1]),
        is_tumor=torch.tensor([False, False, True]),
        tumor_index=torch.tensor([-1, -1, 4]),
    )


def test_queries_are_the_published_ones():
    assert (len(REFERENCE.organs), len(REFERENCE.tumors)) == (25, 20)
    assert (REFERENCE.query_dim, REFERENCE.num_heads, REFERENCE.layers_per_level) == (512, 8, 1)


@torch.no_grad()
def test_small_widths_run():
    config = replace(REFERENCE, decoder_channels=(24, 48, 96), embed_dim=12, query_dim=16, text_dim=12)
    net = reference_net(config, torch.randn(25, 12)).eval()
    encoding = net.encode(torch.rand(1, 1, 64, 64, 64))
    assert encoding.embedding.shape == (1, 12, 32, 32, 32)
    assert [a.shape[1:] for a in encoding.organ_affinities] == [(25, 4, 4, 4), (25, 8, 8, 8), (25, 16, 16, 16)]
    decoded = net.decode(encoding, prompts(net))
    assert decoded.logits.shape == (1, 3, 32, 32, 32)
    assert decoded.logits.isfinite().all()


def test_parameters_and_flops_match_the_published_backbone(published):
    net = published
    # 62.19 M parameters and 636 GFLOP per 96³ were measured for the backbone of the release.
    assert sum(parameter.numel() for parameter in net.backbone.swin.parameters()) / 1e6 == pytest.approx(
        62.19, abs=0.01
    )
    assert sum(parameter.numel() for parameter in net.parameters()) < 100e6
    with FakeTensorMode(allow_non_fake_inputs=True), torch.no_grad(), FlopCounterMode(display=False) as counter:
        encoding = net.encode(torch.empty(1, 1, 96, 96, 96))
    assert encoding.embedding.shape == (1, 48, 48, 48, 48)
    assert 636e9 < counter.get_total_flops() < 700e9


@torch.no_grad()
def test_full_width_runs(published):
    # As at 96³, all levels but the last have several windows of attention, at a third of the work.
    decoded = published(torch.rand(1, 1, 64, 64, 64), prompts(published))
    assert decoded.logits.shape == (1, 3, 32, 32, 32)
    assert decoded.logits.isfinite().all()
