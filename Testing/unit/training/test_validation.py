from types import SimpleNamespace

import pytest
import torch
from torch.nn import functional as F

from dsm.io.manifest import read_manifest
from dsm.models.config import ModelConfig
from dsm.training.validation import validation_dice

CONFIG = ModelConfig(name="x", organs=("spleen", "liver"), tumors=(), spacing_mm=4.0)


class Thresholds(torch.nn.Module):
    """A network that finds organs by their intensity, or shifts what it finds."""

    def __init__(self, shift=0):
        super().__init__()
        self.shift = shift

    def encode(self, x):
        assert not self.training
        return SimpleNamespace(organ_queries=None, embedding=F.avg_pool3d(x, 2)[0, 0])

    def mask_head(self, queries, pooled):
        hu = (pooled * 400 - 125).roll(self.shift, dims=0)
        spleen = hu - 150  # 200 HU; the rest of the phantom is below 150
        liver = torch.minimum(hu - 60, 150 - hu)
        return torch.stack([spleen, liver])[None]


@pytest.fixture(scope="module")
def entries(phantoms):
    return read_manifest(phantoms / "phantoms")[:2]


def test_correct_masks_have_a_high_dice(entries):
    dice = validation_dice(Thresholds().train(), CONFIG, entries)
    assert set(dice) == {"spleen", "liver"}  # the tumor is no organ of this model
    assert all(value > 0.7 for value in dice.values())  # borders are half voxels of 8 mm


def test_wrong_masks_have_a_low_dice(entries):
    assert all(value < 0.2 for value in validation_dice(Thresholds(shift=5), CONFIG, entries).values())


def test_mode_of_the_network_is_restored(entries):
    for training in (True, False):
        net = Thresholds().train(training)
        validation_dice(net, CONFIG, entries[:1])
        assert net.training is training


def test_montages(entries, tmp_path):
    validation_dice(Thresholds(), CONFIG, entries, montages=tmp_path / "made")
    assert sorted(path.name for path in (tmp_path / "made").iterdir()) == ["phantom_0.png", "phantom_1.png"]


def test_no_cases():
    assert validation_dice(Thresholds(), CONFIG, []) == {}
