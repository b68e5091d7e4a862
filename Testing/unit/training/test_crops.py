import math
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from dsm.io.manifest import CaseEntry
from dsm.training.cases import Case
from dsm.training.crops import CropSampler

NAMES = {"liver": (1, 3), "spleen": (2,), "pancreas": (4,)}


@pytest.fixture
def case():
    """A bright liver with a brighter tumor, a spleen, no pancreas; the image tells the label."""
    label = torch.zeros(1, 1, 40, 36, 32, dtype=torch.uint8)
    label[..., 8:24, 8:28, 8:24] = 1
    label[..., 12:16, 12:16, 12:16] = 3
    label[..., 28:34, 20:30, 20:28] = 2
    entry = CaseEntry("x", Path("x"), Path("x"), "CT", NAMES, validation=False)
    present = {
        name: torch.isin(label[0, 0], torch.tensor(NAMES[name])).nonzero().float() for name in ("liver", "spleen")
    }
    return Case(entry=entry, image=label.float() / 4, label=label, spacing_mm=(1.0, 1.0, 2.0), present=present)


def sampler(size=(32, 32, 16), *, seed=0, class_centered=0.75, spacing=1.0):
    generator = torch.Generator().manual_seed(seed)
    return CropSampler(size, spacing, class_centered=class_centered, generator=generator)


def plain(crops, center):
    """No augmentation: only the grid is left."""
    crops._transform = lambda: torch.eye(3)
    crops._center = lambda case, matrix: torch.tensor(center)
    crops.intensity.transforms = ()
    return crops


def test_masks_have_half_the_size_of_the_crop(case):
    crop = sampler()(case)
    assert crop.image.shape == (1, 1, 32, 32, 16)
    assert crop.names == ("liver", "spleen", "pancreas")
    assert crop.masks.shape == (3, 16, 16, 8)
    assert crop.masks.dtype == torch.bool
    assert not crop.masks[2].any()
    assert crop.image.min() >= 0
    assert crop.image.max() <= 1


def test_without_augmentation_voxels_are_cut_out(case):
    # Same spacing, centre between voxels 15 and 16: voxels 4 … 27, and k at 2 mm: every crop voxel is half a voxel.
    crop = plain(sampler((24, 24, 16)), (15.5, 15.5, 15.75))(case)
    torch.testing.assert_close(crop.image[0, 0, :, :, 0], case.image[0, 0, 4:28, 4:28, 12], atol=1e-5, rtol=0)
    torch.testing.assert_close(
        crop.image[0, 0, :, :, 1], case.image[0, 0, 4:28, 4:28, 12:14].mean(-1), atol=1e-5, rtol=0
    )


def test_no_frame_of_zeros_around_a_small_scan(case):
    """As at inference: 40 x 36 x 64 mm make a grid of 16 x 16 x 32 at 3 mm, around the middle of the scan."""
    crops = sampler((96, 96, 96), spacing=3.0, class_centered=1.0)
    assert crops(case).image.shape == (1, 1, 16, 16, 32)
    crops._transform = lambda: torch.eye(3)
    crops.intensity.transforms = ()
    from_corner_mm = crops(case).masks[0].nonzero().float().mean(dim=0) * 6 + 3
    grid_mm, scan_mm = torch.tensor([48.0, 48.0, 96.0]), torch.tensor([40.0, 36.0, 64.0])
    torch.testing.assert_close(
        from_corner_mm - (grid_mm - scan_mm) / 2, torch.tensor([16.0, 18.0, 32.0]), atol=3, rtol=0
    )


def test_masks_are_aligned_with_the_image(case):
    # Voxels 4 … 35: every border in the plane lies between two blocks of 2³.
    crop = plain(sampler((32, 32, 32), spacing=1.0), (19.5, 19.5, 15.75))(case)
    pooled = torch.nn.functional.avg_pool3d(crop.image, 2)[0, 0]
    assert torch.equal(crop.masks.any(dim=0), pooled > 0.15)
    assert crop.masks[0].any()
    assert crop.masks[1].any()


def test_masks_are_aligned_with_the_image_under_augmentation(case):
    crops = sampler((32, 32, 32), class_centered=1.0)
    crops.intensity.transforms = ()
    for _ in range(5):
        crop = crops(case)
        pooled = torch.nn.functional.avg_pool3d(crop.image, 2)[0, 0]
        foreground = crop.masks.any(dim=0)
        agreement = ((pooled > 0.15) == foreground).float().mean()
        assert agreement > 0.93  # the rest are voxels at borders


def test_mirrored_crop_has_left_and_right_exchanged(case):
    def one(mirrored):
        return [
            plain(sampler((32, 32, 16), seed=seed), (15.5, 15.5, 15.5))(case, mirrored=mirrored) for seed in range(8)
        ]

    as_it_is = one(mirrored=False)[0]
    is_flipped = [not torch.equal(crop.image, as_it_is.image) for crop in one(mirrored=True)]
    assert 0 < sum(is_flipped) < 8
    flipped = one(mirrored=True)[is_flipped.index(True)]
    torch.testing.assert_close(flipped.image, as_it_is.image.flip(2), atol=1e-5, rtol=0)
    assert torch.equal(flipped.masks, as_it_is.masks.flip(1))


def test_masks_are_deformed_with_the_image(case):
    crops = sampler((32, 32, 32), class_centered=1.0)
    crops.intensity.transforms = ()
    rigid = sampler((32, 32, 32), class_centered=1.0)
    rigid.intensity.transforms = ()
    for _ in range(5):
        state = crops.generator.get_state()
        crop = crops(case, deformed=1.0)
        rigid.generator.set_state(state)
        assert not torch.equal(crop.image, rigid(case, deformed=1e-9).image)
        pooled = torch.nn.functional.avg_pool3d(crop.image, 2)[0, 0]
        agreement = ((pooled > 0.15) == crop.masks.any(dim=0)).float().mean()
        assert agreement > 0.93  # the rest are voxels at borders


def test_thick_slices_are_averages_of_one_axis(case):
    def one(thick_slices, seed):
        crops = plain(sampler((32, 32, 32), seed=seed), (19.5, 19.5, 15.75))
        return crops(case, thick_slices=thick_slices)

    sharp = one(0.0, 0)
    axes = []
    for seed in range(8):
        thick = one(1.0, seed)
        assert torch.equal(thick.masks, sharp.masks)
        profiles = [
            (thick.image - sharp.image).mean(dim=[2 + other for other in range(3) if other != axis]).abs().amax()
            for axis in range(3)
        ]
        axes.append(max(range(3), key=lambda axis: float(profiles[axis])))
        # The whole crop is as bright as before, but for its borders.
        assert thick.image.mean() == pytest.approx(float(sharp.image.mean()), rel=0.15)
    assert axes.count(2) > 1
    assert len(set(axes)) > 1


def test_head_is_put_around_the_brain_of_a_share_of_the_crops(case):
    brain = replace(case, image=case.image * (case.label == 1))
    images = [
        plain(sampler((32, 32, 32), seed=seed), (19.5, 19.5, 15.75))(brain, with_head=0.5).image for seed in range(8)
    ]
    stripped = plain(sampler((32, 32, 32)), (19.5, 19.5, 15.75))(brain).image
    has_head = [not torch.equal(image, stripped) for image in images]
    assert 0 < sum(has_head) < 8
    with_head = images[has_head.index(True)]
    assert torch.equal(with_head[stripped > 0], stripped[stripped > 0])
    assert (with_head[stripped == 0] > 0).float().mean() > 0.2


def test_outside_of_the_case_is_background(case):
    crop = plain(sampler((16, 16, 16)), (-100.0, -100.0, -100.0))(case)
    assert not crop.image.any()
    assert not crop.masks.any()


def test_class_centered_crops_contain_a_present_name(case):
    crops = sampler((16, 16, 16), class_centered=1.0)
    assert all(crops(case).masks.any() for _ in range(10))


def test_rotation_and_scale_are_bounded():
    crops = sampler()
    for _ in range(50):
        matrix = crops._transform()
        scales = torch.linalg.svdvals(matrix)
        assert scales.min() >= 0.8 * 0.94
        assert scales.max() <= 1.25 * 1.06
        rotation = matrix / matrix.norm(dim=0)
        angle = math.degrees(math.acos(min(1.0, (rotation.trace().item() - 1) / 2)))
        assert angle <= 12 * 3**0.5 + 0.5
        assert matrix.det() > 0  # never mirrored: left and right have names


def test_crops_depend_on_the_generator_state_only(case):
    first, second = sampler(), sampler()
    for _ in range(3):
        first(case)
    second.generator.set_state(first.generator.get_state())  # another sampler, as after a resume
    for _ in range(4):
        one, other = first(case), second(case)
        torch.testing.assert_close(one.image, other.image, rtol=0, atol=0)
        assert (one.masks == other.masks).all()


def test_crops_differ(case):
    crops = sampler()
    assert (crops(case).image - crops(case).image).abs().max() > 0.1


def test_case_without_known_labels_can_be_cropped(case):
    empty = replace(case, present={})
    assert sampler(class_centered=1.0)(empty).image.shape == (1, 1, 32, 32, 16)


def test_second_window_is_dropped_at_random_and_zero_if_missing(case):
    two = replace(case, image=torch.cat([case.image, case.image / 2], dim=1))
    crops = sampler(class_centered=1.0)
    crops.channel_dropout = 0.5
    seen = {bool(crops(two).image[0, 1].any()) for _ in range(20)}
    assert seen == {False, True}
    lacking = replace(case, image=torch.cat([case.image, torch.zeros_like(case.image)], dim=1))
    drawn = [crops(lacking).image for _ in range(10)]
    assert not any(image[0, 1].any() for image in drawn)
    assert all(image[0, 0].any() for image in drawn)


def test_only_selected_names_are_drawn(case):
    crops = sampler((16, 16, 16), class_centered=1.0)
    crops.names_that_matter = {"spleen"}
    drawn = [crops(case) for _ in range(10)]
    assert all(crop.names == ("spleen",) and crop.masks.any() for crop in drawn)
    crops.names_that_matter = {"heart"}
    assert crops(case).masks.shape == (0, 8, 8, 8)


def test_random_contrast_changes_organs_in_the_first_window_only(case):
    windows = replace(case, image=case.image.expand(1, 2, *case.image.shape[2:]).contiguous())
    generator = torch.Generator().manual_seed(0)
    crops = CropSampler((32, 32, 16), 1.0, class_centered=0.75, generator=generator, random_contrast=1.0)
    plain(crops, [20.0, 18.0, 16.0])
    liver, lesion = [], []
    for _ in range(20):
        drawn = crops(windows)
        image, masks = drawn.image[0, :, ::2, ::2, ::2], dict(zip(drawn.names, drawn.masks, strict=True))
        assert image[0][~masks["liver"] & ~masks["spleen"]].abs().max() == 0
        assert drawn.image[0, 1].abs().max() == 0
        liver.append(float(image[0][masks["liver"]].mean()))
        lesion.append(float(image[0][masks["spleen"]].mean()))
    assert len({a < b for a, b in zip(liver, lesion, strict=True)}) == 2  # the order of two organs changes
