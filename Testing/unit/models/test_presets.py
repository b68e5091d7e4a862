from pathlib import Path

import pytest
import torch
import yaml
from torch._subclasses.fake_tensor import FakeTensorMode
from torch.utils.flop_counter import FlopCounterMode

from dsm.errors import ConfigError
from dsm.models.config import ModelConfig
from dsm.models.presets import PRESET_NAMES, preset
from dsm.nn.dsm_net import DSMNet

RECIPES = Path(__file__).parents[3] / "recipes"
EDGE = 96


def measure(name):
    """Parameters, and floating-point operations of `encode` per voxel of the working grid (2 a multiplication)."""
    with FakeTensorMode(), torch.no_grad():  # shapes only: nothing is computed
        net = DSMNet(preset(name)).eval()
        with FlopCounterMode(display=False) as counter:
            net.encode(torch.empty(1, net.encoder.stage2[0].in_channels, EDGE, EDGE, EDGE))
    return sum(parameter.numel() for parameter in net.parameters()), counter.get_total_flops() / EDGE**3


@pytest.mark.parametrize(
    ("name", "most_parameters", "most_flops"),
    [("dsm-tiny", 1e6, 10e3), ("dsm-small", 12e6, 60e3), ("dsm-base", 60e6, 200e3)],
)
def test_size(name, most_parameters, most_flops):
    parameters, flops = measure(name)
    assert parameters < most_parameters
    assert 0 < flops <= most_flops


def test_flop_counter_counts_convolutions_and_products():
    # If torch stopped counting one of them, the bound above would mean nothing.
    with FlopCounterMode(display=False) as counter:
        torch.nn.functional.conv3d(torch.ones(1, 4, 8, 8, 8), torch.ones(4, 1, 3, 3, 3), padding=1, groups=4)
        assert counter.get_total_flops() == 2 * 4 * 8**3 * 27
        torch.einsum("zcin,zchi,zchnp->zcihp", *(torch.ones(s) for s in ((1, 1, 2, 3), (1, 1, 4, 2), (1, 1, 4, 3, 5))))
        assert counter.get_total_flops() > 2 * 4 * 8**3 * 27 + 2 * 2 * 3 * 4 * 5 - 1


def test_small_preset_matches_the_recipe():
    model = yaml.safe_load((RECIPES / "stage2-tumors.yaml").read_text(encoding="utf-8"))["model"]
    assert ModelConfig.from_dict({**model, "schema_version": 1}) == preset("dsm-small")


def test_names():
    assert PRESET_NAMES == ("dsm-tiny", "dsm-small", "dsm-base")
    assert all(preset(name).name == name for name in PRESET_NAMES)
    assert all(preset(name).trained == () for name in PRESET_NAMES)


@pytest.mark.parametrize("name", PRESET_NAMES)
def test_heads_divide_the_queries(name):
    assert preset(name).query_dim % preset(name).num_heads == 0


def test_unknown_name():
    with pytest.raises(ConfigError, match="'dsm-smal'") as caught:
        preset("dsm-smal")
    assert "dsm-small" in caught.value.hint
