import pytest
import torch
from torch.utils.flop_counter import FlopCounterMode

from dsm.bench.plain_unet import PlainUNet


@pytest.mark.parametrize(
    ("widths", "classes", "millions", "kflop"),
    [((32, 64, 128, 256, 320, 320), 25, 31.2, 457), ((32, 64, 128, 256, 320), 118, 16.6, 458)],
)
def test_parameters_and_flops_match_totalsegmentator(widths, classes, millions, kflop):
    with torch.device("meta"):
        net = PlainUNet(widths, classes)
        with FlopCounterMode(display=False) as counter:
            net(torch.empty(1, 1, 64, 64, 64))
    assert sum(parameter.numel() for parameter in net.parameters()) / 1e6 == pytest.approx(millions, abs=0.06)
    assert counter.get_total_flops() / 64**3 / 1e3 == pytest.approx(kflop, abs=1)


def test_shape():
    assert PlainUNet((4, 8, 8), 3)(torch.zeros(1, 1, 8, 12, 16)).shape == (1, 3, 8, 12, 16)
