"""Every parameter learns: a non-zero gradient after two optimiser steps, in each training stage."""

from dataclasses import replace

import pytest
import torch

from dsm.training.crops import Crop
from dsm.training.mask_noise import MaskNoise
from dsm.training.objective import LabelSet, training_loss

# Stage I (organs, asked by their set and by text) does not use the tumor part at all: these have no gradient there, and
# the test checks that they have none. Stage II (organs and tumors) has no exception.
TUMOR_PART = ("tumor_init.", "tumor_layers.", "anomaly_weight", "denoiser.", "visual_weight")


def gradients(net, crop_names, recipe):
    """Gradients at the third step."""
    organs = ("spleen", "right kidney", "left kidney", "gallbladder", "esophagus")
    everything = (*organs, "liver tumor", "lung tumor")
    text = torch.nn.functional.normalize(torch.randn(len(everything), 12), dim=1)
    names = LabelSet(
        organs={name: row for row, name in enumerate(organs)},
        tumors={"liver tumor": 0, "lung tumor": 1},
        text=dict(zip(everything, text, strict=True)),
    )
    masks = torch.rand(len(crop_names), 16, 16, 16) < 0.2
    crop = Crop(image=torch.rand(1, 1, 32, 32, 32), masks=masks, names=crop_names)
    optimizer = torch.optim.AdamW(net.parameters(), lr=1e-3)
    generator = torch.Generator().manual_seed(0)
    for step in range(3):
        loss, _ = training_loss(net, crop, names, recipe, generator, noise=MaskNoise())
        optimizer.zero_grad(set_to_none=True)
        loss.backward()
        if step < 2:
            optimizer.step()
    return {name: parameter.grad for name, parameter in net.named_parameters()}


@pytest.fixture
def recipe(tiny_recipe):
    # A hidden name has no gradient for its vector, which is the idea; nor has a visual prompt that is left out.
    return replace(tiny_recipe, id_dropout=0.0, visual_prompt_dropout=0.0)


@pytest.mark.parametrize("layers_per_level", [1, 2])
def test_stage_one(tiny_net, recipe, layers_per_level):
    net = tiny_net(noise=False, layers_per_level=layers_per_level).train()
    found = gradients(net, ("spleen", "right kidney", "left kidney", "esophagus"), recipe)
    unused = {name for name in found if name.startswith(TUMOR_PART)}
    assert all(found[name] is None for name in unused)
    assert [name for name in found if name not in unused and (found[name] is None or not found[name].any())] == []


@pytest.mark.parametrize("layers_per_level", [1, 2])
def test_stage_two(tiny_net, recipe, layers_per_level):
    net = tiny_net(noise=False, layers_per_level=layers_per_level).train()
    found = gradients(net, ("spleen", "left kidney", "liver tumor", "lung tumor"), recipe)
    assert [name for name, gradient in found.items() if gradient is None or not gradient.any()] == []


def test_tumors_without_organ_labels_still_train_the_trunk(tiny_net, recipe):
    net = tiny_net(noise=False).train()
    found = gradients(net, ("liver tumor",), recipe)
    trunk = [name for name in found if name.startswith(("encoder.", "pixel_decoder.", "tumor_"))]
    assert [name for name in trunk if found[name] is None or not found[name].any()] == []


def test_gradients_are_finite(tiny_net, recipe):
    net = tiny_net(noise=False).train()
    found = gradients(net, ("spleen", "liver tumor"), recipe)
    assert all(gradient is not None and gradient.isfinite().all() for gradient in found.values())
