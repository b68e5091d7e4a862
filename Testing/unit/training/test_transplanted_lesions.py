"""Lesions of one case in the organ of another: place, intensities, masks, names."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
import torch
from torch import Tensor

from dsm.io.manifest import CaseEntry
from dsm.training.cases import Case
from dsm.training.crops import Crop
from dsm.training.transplanted_lesions import TransplantRules, lesion_bank, transplant_lesions

RULES = TransplantRules(probability=1.0, hosts={"liver": "liver tumor"}, absent=1.0)
LIVER, TUMOR = 0.6, 0.4  # intensities of the donor


def donor(*, lesion: bool = True, modality: str = "CT", windows: int = 2) -> Case:
    """A case with a liver of which a block is tumor; voxels of 2 mm."""
    label = torch.zeros(1, 1, 30, 30, 30, dtype=torch.uint8)
    label[..., 2:28, 2:28, 2:28] = 1
    if lesion:
        label[..., 10:18, 10:18, 10:18] = 2
    image = torch.where(label == 2, TUMOR, LIVER * (label > 0)).expand(1, windows, -1, -1, -1).clone()
    targets = {"liver": (1, 2), "liver tumor": (2,)}
    present = {name: torch.zeros(1, 3) for name, ids in targets.items() if any((label == i).any() for i in ids)}
    path = Path("donor.nii.gz")
    entry = CaseEntry("donor", path, path, modality, targets, validation=False)
    return Case(entry, image, label, (2.0, 2.0, 2.0), present)


def crop_of(names: tuple[str, ...] = ("liver", "left kidney"), level: float = 0.8) -> Crop:
    masks = torch.zeros(len(names), 24, 24, 20, dtype=torch.bool)
    masks[0, 2:20, 2:20, 2:18] = True
    masks[1:2, 20:24] = True
    return Crop(image=torch.full((1, 2, 48, 48, 40), level), masks=masks, names=names)


def transplanted(
    crop: Crop, seed: int = 0, rules: TransplantRules = RULES, modality: str = "CT", case: Case | None = None
) -> Crop:
    generator = torch.Generator().manual_seed(seed)
    bank = lesion_bank([case or donor()], rules)
    return transplant_lesions(crop, bank, rules, 2.0, modality=modality, generator=generator)


def doubled(mask: Tensor) -> Tensor:
    return mask.repeat_interleave(2, 0).repeat_interleave(2, 1).repeat_interleave(2, 2)


def test_bank_holds_the_difference_to_the_host() -> None:
    ((lesion,),) = lesion_bank([donor(), donor(lesion=False)], RULES)["liver tumor"]
    assert int(lesion.mask.sum()) == 8**3
    assert lesion.difference[0][lesion.mask].numpy() == pytest.approx(TUMOR - LIVER, abs=1e-5)
    assert lesion.is_shown == (True, True)


@pytest.mark.parametrize("seed", range(8))
def test_lesion_is_a_part_of_its_host_and_of_no_other_organ(seed: int) -> None:
    liver, kidney, tumor = transplanted(crop_of(), seed).masks
    assert tumor.any()
    assert not (tumor & ~liver).any()
    assert not (tumor & kidney).any()


@pytest.mark.parametrize("seed", range(8))
def test_lesion_is_darker_than_its_new_host_as_it_was_in_the_old_one(seed: int) -> None:
    crop = crop_of()
    new = transplanted(crop, seed)
    assert new.names == ("liver", "left kidney", "liver tumor")
    change = (new.image - crop.image)[0]
    inside = doubled(new.masks[2])
    assert -0.3 < change[0][inside].mean() < -0.08
    assert change[0][~inside].abs().mean() < 0.02
    assert torch.equal(crop.image, crop_of().image), "the crop itself stays"


def test_annotated_lesions_stay() -> None:
    crop = crop_of(("liver", "left kidney", "liver tumor"))
    crop.masks[2, 5:7, 5:7, 5:7] = True
    new = transplanted(crop)
    assert new.names == crop.names
    assert (new.masks[2] & crop.masks[2]).sum() == crop.masks[2].sum()
    assert new.masks[2].sum() > crop.masks[2].sum()


@pytest.mark.parametrize(
    ("crop", "rules", "modality"),
    [(crop_of(("spleen",)), RULES, "CT"), (crop_of(), RULES, "MR"), (crop_of(), replace(RULES, hosts={}), "CT")],
)
def test_crop_without_a_host_or_a_lesion_of_its_modality_is_unchanged(
    crop: Crop, rules: TransplantRules, modality: str
) -> None:
    assert transplanted(crop, rules=rules, modality=modality) is crop


def test_crop_without_lesions_says_that_there_are_none() -> None:
    new = transplanted(crop_of(), rules=replace(RULES, probability=0.0))
    assert new.names == ("liver", "left kidney", "liver tumor")
    assert not new.masks[2].any()
    annotated = crop_of(("liver", "left kidney", "liver tumor"))
    assert transplanted(annotated, rules=replace(RULES, probability=0.0)) is annotated


def test_parts_of_a_lesion_are_unknown_where_one_is_put() -> None:
    rules = replace(RULES, parts={"liver tumor": ("necrosis",)})
    crop = crop_of(("liver", "necrosis", "left kidney"))
    assert transplanted(crop, rules=rules).names == ("liver", "left kidney", "liver tumor")
    assert transplanted(crop, rules=replace(rules, probability=0.0)).names == (*crop.names, "liver tumor")


def test_window_that_the_donor_lacks_is_hidden() -> None:
    case = donor()
    case.image[:, 1] = 0.0
    new = transplanted(crop_of(), case=case)
    assert not new.image[:, 1].any()
    assert new.image[:, 0].any()


def test_organ_is_shifted_with_its_lesions_in_half_of_the_crops() -> None:
    rules, windows = (
        TransplantRules(probability=0.0, hosts={}, shift_hu={"liver": (-80, -80)}),
        ((-125, 275), (-1000, 600)),
    )
    shifts = []
    for seed in range(20):
        crop, generator = crop_of(("liver", "left kidney", "liver tumor")), torch.Generator().manual_seed(seed)
        new = transplant_lesions(crop, {}, rules, 2.0, modality="CT", generator=generator, windows_hu=windows)
        change = (new.image - crop.image)[0]
        assert change[:, 42:].abs().max() == 0, "the liver alone"
        assert change[1, 20, 20, 20] == pytest.approx(change[0, 20, 20, 20] / 4)
        shifts.append(float(change[0, 20, 20, 20]))
    assert sorted({round(shift, 3) for shift in shifts}) == [-0.2, 0.0]
