from dataclasses import replace

import pytest
import torch

from dsm.training.crops import Crop
from dsm.training.objective import LabelSet, training_loss


@pytest.fixture
def names():
    text = torch.nn.functional.normalize(torch.randn(5, 12), dim=1)
    organs = ("spleen", "right kidney", "left kidney")
    return LabelSet(
        organs={name: row for row, name in enumerate(organs)} | {"gallbladder": 3, "esophagus": 4},
        tumors={"liver tumor": 0, "lung tumor": 1},
        text=dict(zip((*organs, "liver tumor", "lung tumor"), text, strict=True)),
    )


def crop_of(*names):
    masks = torch.zeros(len(names), 16, 16, 16, dtype=torch.bool)
    for row in range(len(names)):
        masks[row, 4 * row : 4 * row + 3, 2:12, 3:14] = True
    return Crop(image=torch.rand(1, 1, 32, 32, 32), masks=masks, names=names)


@pytest.fixture
def parts_of(tiny_net, names, tiny_recipe):
    net = tiny_net()

    def parts_of(crop, **changes):
        generator = torch.Generator().manual_seed(0)
        total, parts = training_loss(net, crop, names, replace(tiny_recipe, **changes), generator)
        assert total.item() == pytest.approx(sum(parts.values()), rel=1e-5)
        return parts

    return parts_of


def test_parts_follow_the_annotation(parts_of):
    assert set(parts_of(crop_of("spleen", "left kidney"))) == {"mask", "levels", "presence", "text"}
    assert set(parts_of(crop_of("spleen", "liver tumor"))) == {"mask", "levels", "presence", "text", "tumor"}
    assert set(parts_of(crop_of("liver tumor"))) == {"tumor"}


def test_names_unknown_to_the_model_are_ignored(parts_of):
    crop = crop_of("spleen", "left kidney")
    more = Crop(crop.image, torch.cat([crop.masks, crop.masks[:1]]), (*crop.names, "heart"))
    for part, value in parts_of(crop, text_prompts=0).items():
        assert parts_of(more, text_prompts=0)[part] == pytest.approx(value)


def test_weights(parts_of):
    crop = crop_of("spleen", "liver tumor")
    once, twice = (parts_of(crop, text_weight=w, tumor_weight=w, level_weight=w, presence_weight=0.0) for w in (1, 2))
    for part in ("text", "tumor", "levels"):
        assert twice[part] == pytest.approx(2 * once[part], rel=1e-5)
    assert once["presence"] == 0
    assert "text" not in parts_of(crop, text_weight=0.0)
    assert "tumor" not in parts_of(crop, tumor_weight=0.0)


def test_training_reduces_the_loss(tiny_net, names, tiny_recipe):
    net = tiny_net(noise=False).train()
    crop = crop_of("spleen", "left kidney")
    optimizer = torch.optim.AdamW(net.parameters(), lr=3e-3)
    losses = []
    for step in range(12):
        generator = torch.Generator().manual_seed(step)
        loss, _ = training_loss(net, crop, names, tiny_recipe, generator)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    assert sum(losses[-3:]) < 0.9 * sum(losses[:3])


def test_prompts_are_encoded_by_text(names):
    batch = names.batch(["spleen", "lung tumor"], text_only=False)
    assert batch.organ_index.tolist() == [-1, -1]
    assert batch.tumor_index.tolist() == [-1, 1]
    assert batch.is_tumor.tolist() == [False, True]
    assert names.batch(["lung tumor"], text_only=True).tumor_index.tolist() == [-1]
