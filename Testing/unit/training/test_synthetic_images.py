import json
from dataclasses import replace

import numpy as np
import pytest
import SimpleITK as sitk
import torch

from dsm.errors import ConfigError
from dsm.io.manifest import read_manifest
from dsm.training.case_cache import cached_case
from dsm.training.cases import load_case
from dsm.training.crops import CropSampler
from dsm.training.recipe import Recipe, Source
from dsm.training.synthetic_images import OTHER_TISSUE_ID, add_other_tissue, random_deformation, synthetic_image
from dsm.training.tissues import OTHER_TISSUE, tissue_of
from dsm.training.train import _entries

WINDOWS = ((-125.0, 275.0), (-1000.0, 600.0))
NAMES = {1: "liver", 2: "left lung", 3: "L2 vertebra", 4: "left lung upper lobe"}


def generator(seed=0):
    return torch.Generator().manual_seed(seed)


def label_map():
    """A liver, a lung and a vertebra in unlabelled tissue, and air around it."""
    label = torch.zeros(48, 48, 32, dtype=torch.uint8)
    label[4:44, 4:44] = OTHER_TISSUE_ID
    label[8:20, 8:30] = 1
    label[26:40, 8:30] = 2
    label[20:28, 34:42] = 3
    return label


@pytest.fixture(scope="module")
def label_set(tmp_path_factory):
    """A data set of one label map without a scan."""
    folder = tmp_path_factory.mktemp("labels")
    label = np.where(label_map().numpy() == OTHER_TISSUE_ID, 0, label_map().numpy()).astype(np.uint8)
    label[30:36, 12:20] = 4
    image = sitk.GetImageFromArray(label.transpose(2, 1, 0))
    image.SetSpacing((3.0, 3.0, 3.0))
    sitk.WriteImage(image, str(folder / "a_seg.nii.gz"))
    case = {"id": "a", "label": "a_seg.nii.gz", "modality": "none", "split": "training"}
    labels = {str(key): name for key, name in NAMES.items()}
    manifest = {"name": "maps", "labels": labels, "annotated": list(NAMES.values()), "cases": [case]}
    (folder / "dataset.json").write_text(json.dumps(manifest))
    return folder


@pytest.mark.parametrize(
    ("name", "tissue"),
    [
        ("liver", "solid organ"),
        ("left lung upper lobe", "lung"),
        ("right rib 4", "bone"),
        ("lumbar spine", "bone"),
        ("spinal cord", "neural"),
        ("left atrial appendage", "blood"),
        ("costal cartilages", "cartilage"),
        ("small intestine", "hollow"),
        ("left kidney cyst", "fluid"),
        ("left autochthonous back muscles", "muscle"),
        ("left hippocampus", "gray matter"),
        ("left lateral ventricle", "brain fluid"),
        ("left ventricle", "blood"),
        (OTHER_TISSUE, OTHER_TISSUE),
    ],
)
def test_tissue_of_a_name(name, tissue):
    assert tissue_of(name).name == tissue


def test_ct_like_image_has_realistic_density_order():
    """Of 40 images, those with a second window: air, lung, soft tissue, bone."""
    label, count = label_map(), 0
    for seed in range(40):
        image = synthetic_image(label, NAMES, WINDOWS, generator=generator(seed))
        assert image.shape == (1, 2, 48, 48, 32)
        assert float(image.min()) >= 0
        assert float(image.max()) <= 1
        if not image[0, 1].any():
            continue
        count += 1
        air, lung, liver, bone = (float(image[0, 1][label == label_id].mean()) for label_id in (0, 2, 1, 3))
        assert air < lung < liver < bone
    assert 10 < count < 30


def test_intensities_vary_and_are_reproducible_with_the_seed():
    label = label_map()
    one, same, other = (synthetic_image(label, NAMES, WINDOWS, generator=generator(seed)) for seed in (1, 1, 2))
    assert torch.equal(one, same)
    assert not torch.equal(one, other)


def test_both_sides_of_a_pair_are_of_one_tissue():
    label = torch.zeros(32, 32, 32, dtype=torch.uint8)
    label[2:14, 2:30, 2:30], label[18:30, 2:30, 2:30] = 1, 2
    for seed in range(8):
        image = synthetic_image(
            label, {1: "left kidney", 2: "right kidney"}, ((0.0, 1.0),), generator=generator(seed), mr_share=1.0
        )[0, 0]
        left, right = image[4:12, 8:24, 8:24].mean(), image[20:28, 8:24, 8:24].mean()
        assert abs(float(left - right)) < 0.3  # the field of the coil
    with_names = [
        synthetic_image(label, {1: "left kidney", 2: name}, ((0.0, 1.0),), generator=generator(3), mr_share=1.0)
        for name in ("right kidney", "spleen")
    ]
    assert not torch.equal(*with_names)


def test_mr_like_brains_have_the_order_of_a_sequence_or_any():
    """Of 60 images: fluid is darkest in those like T1, brightest in those like T2; some have another order."""
    label = torch.zeros(48, 32, 16, dtype=torch.uint8)
    label[:16], label[16:32], label[32:] = 1, 2, 3
    names = {1: "left lateral ventricle", 2: "left cerebral cortex", 3: "left cerebral white matter"}
    orders = [
        tuple(torch.stack([image[4:12].mean(), image[20:28].mean(), image[36:44].mean()]).argsort().tolist())
        for seed in range(60)
        for image in synthetic_image(label, names, ((0.0, 1.0),), generator=generator(seed), mr_share=1.0)[0]
    ]
    assert orders.count((0, 1, 2)) > 12  # T1
    assert orders.count((2, 1, 0)) > 8  # T2
    assert len(set(orders)) >= 4


def test_deformation_is_smooth_and_bounded():
    field = random_deformation((32, 24, 16), 1.5, generator())
    assert field.shape == (32, 24, 16, 3)
    assert float(field.abs().max()) <= 10 / 1.5
    assert float(field.diff(dim=0).abs().max()) < 1.5  # a fold would need more than a voxel a voxel


def test_other_tissue_fills_the_body_and_not_the_air():
    label = np.zeros((80, 80, 40), dtype=np.uint8)
    label[20:30, 30:50] = 1
    label[50:60, 30:50] = 2
    filled = add_other_tissue(label, (3.0, 3.0, 3.0))
    assert (filled[32:48, 35:45, 5:35] == OTHER_TISSUE_ID).all()  # between both
    assert (filled[label > 0] == label[label > 0]).all()
    assert not filled[:10].any()
    assert not filled[:, :15].any()


def test_crops_of_a_label_map_are_aligned_with_the_synthetic_image(label_set):
    (entry,) = read_manifest(label_set, labels_alone=True)
    assert not entry.has_image
    case = load_case(entry, WINDOWS, rng=np.random.default_rng(0))
    assert case.image.shape == (1, 2, 48, 48, 32)
    sampler = CropSampler((32, 32, 32), 3.0, class_centered=1.0, generator=generator(), windows_hu=WINDOWS)
    seen = 0
    for _ in range(12):
        crop = sampler(case, synthetic=0.1)  # always, where there is no image
        assert crop.names == tuple(NAMES.values())
        bone = crop.masks[crop.names.index("L2 vertebra")]
        wide = torch.nn.functional.avg_pool3d(crop.image[:, 1:], 2)[0, 0]
        if wide.any() and int(bone.sum()) > 20:
            seen += 1
            assert float(wide[bone].mean()) > float(wide[~bone].mean()) + 0.1
    assert seen


def test_cases_without_an_image_need_synthetic_images(label_set):
    assert read_manifest(label_set) == []
    source = Source(folder=label_set.name, weight=1.0)
    recipe = Recipe(model={}, data_root="", sources=(source,), phases=())
    with pytest.raises(ConfigError, match="no training cases"):
        _entries(recipe, label_set.parent)
    union = {"left lung": ("left lung", "left lung upper lobe"), "spine": ("L2 vertebra", "L3 vertebra")}
    recipe = replace(recipe, sources=(replace(source, synthetic_images=1.0, unions=union),))
    (entry,), _, _ = _entries(recipe, label_set.parent)
    assert entry.targets["left lung"] == (2, 4)
    assert "spine" not in entry.targets  # a part is not annotated


def test_label_map_alone_is_cached_without_an_image(label_set, tmp_path):
    (entry,) = read_manifest(label_set, labels_alone=True)
    source = Source(folder=label_set.name, weight=1.0, synthetic_images=1.0)
    for _ in range(2):
        case = cached_case(entry, WINDOWS, source, seed=0, folder=tmp_path)
        assert case.image.shape == (1, 2, 48, 48, 32)
        assert not case.image.any()
    (path,) = tmp_path.iterdir()
    assert path.stat().st_size < 2 * case.label.numel() + 4 * 3 * 4096 * len(NAMES)


def test_body_around_labels_can_be_left_out(label_set, tmp_path):
    (entry,) = read_manifest(label_set, labels_alone=True)
    source = Source(folder=label_set.name, weight=1.0, synthetic_images=1.0)
    filled, bare = (
        cached_case(entry, WINDOWS, replace(source, add_body=add_body), seed=0, folder=tmp_path).label
        for add_body in (True, False)
    )
    assert int((filled == OTHER_TISSUE_ID).sum()) > 0
    assert int((bare == OTHER_TISSUE_ID).sum()) == 0


def test_stripped_images_show_the_brain_alone(tmp_path):
    """A brain of two tissues, fluid around it, and skin around that."""
    label = np.zeros((32, 32, 32), dtype=np.uint8)
    label[2:30, 2:30, 2:30], label[6:26, 6:26, 6:26] = 4, 3
    label[8:16, 8:24, 8:24], label[16:24, 8:24, 8:24] = 1, 2
    image = sitk.GetImageFromArray(label)
    image.SetSpacing((3.0, 3.0, 3.0))
    sitk.WriteImage(image, str(tmp_path / "a_seg.nii.gz"))
    names = {"1": "gray matter", "2": "white matter", "3": "cerebrospinal fluid", "4": "skin"}
    case = {"id": "a", "label": "a_seg.nii.gz", "modality": "MR"}
    manifest = {
        "name": "heads",
        "labels": names,
        "annotated": ["white matter", "brain"],
        "union": {"brain": ["gray matter", "white matter"]},
        "cases": [case],
    }
    (tmp_path / "dataset.json").write_text(json.dumps(manifest))
    (entry,) = read_manifest(tmp_path, labels_alone=True)
    case = load_case(entry, WINDOWS, rng=np.random.default_rng(0), add_body=False)
    sampler = CropSampler((32, 32, 32), 3.0, class_centered=0.0, generator=generator(), windows_hu=WINDOWS)

    def share_of_light(stripped):
        crops = [sampler(case, synthetic=1.0, mr_share=1.0, stripped=stripped) for _ in range(6)]
        assert all(crop.masks[crop.names.index("brain")].any() for crop in crops)
        return [float((crop.image[0, 0] > 0.15).float().mean()) for crop in crops]

    assert np.mean(share_of_light(1.0)) < 0.6 * np.mean(share_of_light(0.0))
