import numpy as np
import pytest
import torch

from dsm.io.manifest import read_manifest
from dsm.training.click_cases import load_click_case, read_click_cases, save_click_cases
from dsm.training.click_samples import SampleRules, draw_sample, merged_supervoxels, put_lesion


@pytest.fixture(scope="module")
def case(phantoms):
    entry = read_manifest(phantoms / "phantoms")[0]
    return load_click_case(entry, hidden=("liver tumor",), rng=np.random.default_rng(0))


def test_objects_are_all_labels_except_hidden_ones(case):
    assert sorted({found.name for found in case.objects}) == ["liver", "spleen"]
    liver = next(found for found in case.objects if found.name == "liver")
    assert liver.extent_mm == pytest.approx(2 * 6 * 4, rel=0.2)


@pytest.mark.parametrize("kind", ["labels", "lesions", "regions"])
def test_first_click_is_inside_the_object(case, kind):
    shares = {"labels": (1.0, 0.0), "lesions": (0.0, 1.0), "regions": (0.0, 0.0)}[kind]
    rules = SampleRules(labels=shares[0], lesions=shares[1], text=1.0, start_wrong=1.0)
    rng = np.random.default_rng(1)
    for _ in range(8):
        sample = draw_sample(case, 32, rules, rng)
        assert sample.image.shape == sample.truth.shape == sample.text.shape == (32, 32, 32)
        assert sample.image.isfinite().all()
        assert sample.truth[sample.click]
        assert sample.text.any() or sample.previous.any()


def test_image_of_a_labelled_window_matches_the_label(case):
    rules = SampleRules(labels=1.0, lesions=0.0, text=0.0, start_wrong=0.0)
    rng = np.random.default_rng(2)
    differences = []
    for _ in range(12):
        sample = draw_sample(case, 32, rules, rng)
        if not sample.truth.all():
            differences.append(float(sample.image[sample.truth].mean() - sample.image[~sample.truth].mean()))
    assert np.mean(differences) > 0.3  # both organs are brighter than what is around them


def test_synthetic_lesion_changes_the_image_inside_its_mask():
    image = torch.full((32, 32, 32), 0.5)
    for seed in range(10):
        filled, truth = put_lesion(image, np.random.default_rng(seed))
        assert truth.any()
        change = (filled - image).abs()
        assert float(change[truth].mean()) > 5 * float(change[~truth].mean())


def test_supervoxels_are_merged_up_to_object_borders():
    grid = np.moveaxis(np.indices((32, 32, 32)), 0, -1)
    ball = np.linalg.norm(grid - 16, axis=-1) < 9
    image = np.where(ball, 0.8, 0.3) + np.random.default_rng(0).normal(0, 0.01, ball.shape)
    overlaps = []
    for seed in range(8):
        region = merged_supervoxels(image, np.random.default_rng(seed))
        if region is not None:
            overlaps.append(2 * np.count_nonzero(region & ball) / (np.count_nonzero(region) + np.count_nonzero(ball)))
    assert np.mean(np.array(overlaps) > 0.8) >= 0.5  # the others grew from a supervoxel on the border


def test_uniform_window_has_no_region():
    image = np.full((32, 32, 32), 0.5) + np.random.default_rng(0).normal(0, 0.001, (32, 32, 32))
    assert merged_supervoxels(image, np.random.default_rng(0)) is None


def test_saved_cases_give_the_same_samples(case, tmp_path):
    save_click_cases([case], tmp_path / "cases.pt")
    (again,) = read_click_cases(tmp_path / "cases.pt")
    rules = SampleRules()
    one, two = (draw_sample(some, 32, rules, np.random.default_rng(5)) for some in (case, again))
    assert torch.equal(one.image, two.image)
    assert torch.equal(one.truth, two.truth)
