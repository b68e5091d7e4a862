from dataclasses import replace

import pytest
import torch

from dsm.training.cases import SOFT_TISSUE
from dsm.training.crops import Crop
from dsm.training.synthetic_lesions import LesionRules, add_lesions

RULES = LesionRules(
    probability=1.0, hosts={"liver": ("liver tumor",), "spleen": ("spleen tumor",)}, generic=0.0, absent=0.0
)


def crop_of(names=("liver", "left kidney"), level=0.6):
    masks = torch.zeros(len(names), 24, 24, 20, dtype=torch.bool)
    masks[0, 2:20, 2:20, 2:18] = True
    if len(names) > 1:
        masks[1, 20:24] = True
    return Crop(image=torch.full((1, 1, 48, 48, 40), level), masks=masks, names=names)


def lesioned(crop, seed=0, rules=RULES, modality="CT"):
    return add_lesions(crop, rules, 1.5, modality=modality, generator=torch.Generator().manual_seed(seed))


def test_lesion_is_named_after_its_host():
    new = lesioned(crop_of())
    assert new.names == ("liver", "left kidney", "liver tumor")
    assert new.masks[2].any()


@pytest.mark.parametrize("seed", range(12))
def test_lesion_is_inside_its_host_and_outside_other_organs(seed):
    crop = crop_of()
    new = lesioned(crop, seed)
    liver, kidney, tumor = new.masks
    assert not (tumor & ~liver).any()  # the host's mask holds it
    assert not (tumor & kidney).any()  # the others lose it


@pytest.mark.parametrize("seed", range(6))
def test_image_changes_inside_the_lesion_only(seed):
    crop = crop_of()
    new = lesioned(crop, seed)
    change = (new.image - crop.image).abs()[0, 0]
    inside = new.masks[2].repeat_interleave(2, 0).repeat_interleave(2, 1).repeat_interleave(2, 2)
    assert change[inside].mean() > 0.02
    assert new.image.min() >= 0
    assert new.image.max() <= 1
    assert change[~inside].mean() < 0.3 * change[inside].mean()


def test_input_is_not_changed():
    crop = crop_of()
    before = crop.image.clone(), crop.masks.clone()
    lesioned(crop)
    assert torch.equal(crop.image, before[0])
    assert torch.equal(crop.masks, before[1])


def test_lesion_depends_on_the_generator_only():
    one, same, other = (lesioned(crop_of(), seed) for seed in (1, 1, 2))
    assert torch.equal(one.image, same.image)
    assert not torch.equal(one.image, other.image)


@pytest.mark.parametrize(
    ("names", "rules"),
    [
        (("left kidney",), RULES),  # no host in sight
        (("liver", "liver tumor"), RULES),  # real ones are annotated
        (("liver",), replace(RULES, probability=0.0)),
    ],
)
def test_crop_without_a_suitable_host_is_unchanged(names, rules):
    crop = crop_of(names)
    assert lesioned(crop, rules=rules) is crop


def test_generic_and_absent_names():
    rules = replace(RULES, generic=1.0, absent=1.0)
    crop = crop_of(("liver", "spleen"))
    new = lesioned(crop, rules=rules)
    kind, generic, absent = new.names[2:]
    assert {kind, absent} == {"liver tumor", "spleen tumor"}
    assert generic in {"lesion", "tumor"}
    assert torch.equal(new.masks[2], new.masks[3])
    assert not new.masks[4].any()
    assert set(new.names[2:]) <= set(rules.names)


def test_cysts_of_ct_are_darker_than_their_host():
    rules = replace(RULES, hosts={"liver": ("liver cyst",)})
    for seed in range(5):
        crop = crop_of()
        new = lesioned(crop, seed, rules=rules)
        inside = new.masks[2].repeat_interleave(2, 0).repeat_interleave(2, 1).repeat_interleave(2, 2)
        assert new.image[0, 0][inside].mean() < 0.55


def test_mass_effect_displaces_other_tissue():
    moved = 0
    for seed in range(40):
        crop = crop_of()
        crop.image[0, 0, :, :, ::4] = 0.9  # stripes
        new = lesioned(crop, seed)
        moved += int(not torch.equal(new.masks[1] & ~new.masks[2], crop.masks[1] & ~new.masks[2]))
    assert 0 < moved < 40


@pytest.mark.parametrize("seed", range(6))
def test_lesion_in_a_lung_is_brighter_than_air(seed):
    rules = replace(RULES, hosts={"right lung": ("lung tumor",)})
    crop = crop_of(("right lung",), level=0.0)
    new = lesioned(crop, seed, rules)
    inside = new.masks[1].repeat_interleave(2, 0).repeat_interleave(2, 1).repeat_interleave(2, 2)
    assert new.image[0, 0][inside].mean() > 0.2


def test_lesions_in_soft_tissue_are_large():
    rules = replace(RULES, hosts={SOFT_TISSUE: ("soft tissue tumor",), "liver": ("liver tumor",)})
    masks = torch.ones(1, 40, 40, 40, dtype=torch.bool)
    crop = Crop(image=torch.full((1, 1, 80, 80, 80), 0.4), masks=masks, names=(SOFT_TISSUE,))
    smallest = min(int(lesioned(crop, seed, rules).masks[1].sum()) for seed in range(10))
    in_organ = replace(crop, names=("liver",))
    assert smallest > min(int(lesioned(in_organ, seed, rules).masks[1].sum()) for seed in range(10))


def test_healthy_crop_gets_negative_prompts():
    rules = replace(RULES, probability=0.0, healthy=1.0)
    found = set()
    for seed in range(8):
        crop = crop_of(("liver", "spleen"))
        new = lesioned(crop, seed, rules)
        asked = new.names[2:]
        assert torch.equal(new.image, crop.image)
        assert new.masks.shape[0] == len(new.names)
        assert not new.masks[2:].any()
        assert len(set(asked)) == len(asked) == 3
        found |= set(asked)
    assert found == {"liver tumor", "spleen tumor", "lesion", "tumor"}


def test_organs_with_real_lesions_get_no_negative_prompts():
    crop = crop_of(("liver", "liver tumor"))
    assert lesioned(crop, rules=replace(RULES, probability=0.0, healthy=1.0)) is crop
