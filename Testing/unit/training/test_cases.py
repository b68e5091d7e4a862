import numpy as np
import pytest
import SimpleITK as sitk
import torch

from dsm.io.manifest import CaseEntry, read_manifest
from dsm.training.cases import BRAIN_TISSUE, SKELETON, SOFT_TISSUE, load_case

WINDOW = ((-125.0, 275.0),)


@pytest.fixture(scope="module")
def entries(phantoms):
    return read_manifest(phantoms / "phantoms")


def load(entry, windows=WINDOW):
    return load_case(entry, windows, rng=np.random.default_rng(0))


def test_every_fifth_case_is_used_for_validation(entries):
    assert [entry.validation for entry in entries] == [False, False, False, False, True]


def test_image_is_windowed_as_at_inference(entries):
    case = load(entries[0], (*WINDOW, (-1000.0, 0.0)))
    assert case.image.shape == (1, 2, 28, 24, 20)
    assert case.image.dtype == torch.float32
    assert case.spacing_mm == (4.0, 4.0, 4.0)
    assert (case.image >= 0).all()
    assert (case.image <= 1).all()
    liver = case.label[0, 0] == 1
    assert case.image[0, 0][liver].mean() == pytest.approx((120 + 125) / 400, abs=0.02)
    assert (case.image[0, 1][liver] == 1).all()  # above the second window


def test_organ_includes_its_tumor(entries):
    case = load(entries[0])
    assert case.entry.targets == {"liver": (1, 3), "spleen": (2,), "liver tumor": (3,)}
    for name, ids in case.entry.targets.items():
        voxels = case.present[name].long()
        assert len(voxels) == min(4096, int(torch.isin(case.label, torch.tensor(ids)).sum()))
        assert set(case.label[0, 0][tuple(voxels.T)].tolist()) == set(ids)


def test_soft_tissue_excludes_organs(entries):
    case = load_case(entries[0], WINDOW, rng=np.random.default_rng(0), add_soft_tissue=True)
    tissue = torch.isin(case.label, torch.tensor(case.entry.targets[SOFT_TISSUE]))
    assert tissue.any()
    before = load(entries[0]).label
    assert torch.equal(case.label[~tissue], before[~tissue])
    assert not before[tissue].any()


def test_skeleton_is_dense_and_excludes_organs(entries, tmp_path):
    image = sitk.ReadImage(str(entries[0].image))
    voxels = sitk.GetArrayFromImage(image)
    voxels[2:9, 2:9] = 900
    dense = sitk.GetImageFromArray(voxels)
    dense.CopyInformation(image)
    sitk.WriteImage(dense, str(tmp_path / "dense.nii.gz"))
    entry = CaseEntry("x", tmp_path / "dense.nii.gz", entries[0].label, "CT", entries[0].targets, validation=False)
    case = load_case(entry, WINDOW, rng=np.random.default_rng(0), add_skeleton=True)
    bone = torch.isin(case.label, torch.tensor(case.entry.targets[SKELETON]))
    assert bone.any()
    assert (case.image[0, 0][bone[0, 0]] > 0.8).float().mean() > 0.9
    assert not load(entries[0]).label[bone].any()


def test_brain_tissue_is_all_that_a_stripped_scan_shows(entries, tmp_path):
    image = sitk.ReadImage(str(entries[0].image))
    voxels = sitk.GetArrayFromImage(image) + 2000  # above the air around it
    labels = sitk.GetArrayFromImage(sitk.ReadImage(str(entries[0].label)))
    voxels[:, :, :8] = 0
    stripped = sitk.GetImageFromArray(voxels)
    stripped.CopyInformation(image)
    sitk.WriteImage(stripped, str(tmp_path / "stripped.nii.gz"))
    entry = CaseEntry("x", tmp_path / "stripped.nii.gz", entries[0].label, "MR", entries[0].targets, validation=False)
    case = load_case(entry, WINDOW, rng=np.random.default_rng(0), add_brain_tissue=True)
    tissue = torch.isin(case.label, torch.tensor(case.entry.targets[BRAIN_TISSUE]))
    assert int(tissue.sum()) == np.count_nonzero((voxels > 0) | (labels > 0))
    assert all(set(ids) < set(case.entry.targets[BRAIN_TISSUE]) for ids in entry.targets.values() if ids)


def test_absent_name_is_annotated_but_not_present(entries):
    entry = entries[0]
    targets = {**entry.targets, "pancreas": (9,)}
    case = load(CaseEntry(entry.case_id, entry.image, entry.label, "CT", targets, validation=False))
    assert "pancreas" in case.entry.targets
    assert "pancreas" not in case.present


@pytest.mark.parametrize("axes", [(1, 0, 2), (2, 1, 0)])
def test_case_is_independent_of_file_orientation(entries, tmp_path, axes):
    original = load(entries[0])
    turned = {}
    for kind in ("image", "label"):
        image = sitk.Flip(sitk.PermuteAxes(sitk.ReadImage(str(getattr(entries[0], kind))), axes), (True, False, True))
        turned[kind] = tmp_path / f"{kind}.nii.gz"
        sitk.WriteImage(image, str(turned[kind]))
    case = load(CaseEntry("x", turned["image"], turned["label"], "CT", entries[0].targets, validation=False))
    assert (case.label == original.label).all()
    torch.testing.assert_close(case.image, original.image)


def test_mr_has_a_single_window(entries):
    entry = entries[0]
    case = load(CaseEntry("x", entry.image, entry.label, "MR", entry.targets, validation=False), (*WINDOW, *WINDOW))
    assert not case.image[:, 1].any()
    body = case.image[0, 0][case.image[0, 0] > 0]
    assert 0.1 < body.mean() < 0.8
