import numpy as np
import pytest
from scipy import ndimage

from dsm.core.volume import Volume
from dsm.evaluation import regions
from dsm.evaluation.regions import body_voxels, host_voxels, tumor_voxels


@pytest.fixture
def rng():
    return np.random.default_rng(0)


def as_mask(voxels, shape):
    mask = np.zeros(shape, bool)
    mask[tuple(voxels.T)] = True
    return mask


def test_tumor_voxels_are_sampled_from_the_mask(rng, monkeypatch):
    mask = np.zeros((9, 8, 7), bool)
    mask[3:6, 2:4, 5:7] = True
    assert (as_mask(tumor_voxels(mask, rng), mask.shape) == mask).all()
    monkeypatch.setattr(regions, "MAX_POSITIVES", 5)
    few = tumor_voxels(mask, rng)
    assert len(np.unique(few, axis=0)) == 5
    assert mask[tuple(few.T)].all()
    assert len(tumor_voxels(np.zeros((3, 3, 3), bool), rng)) == 0


@pytest.mark.parametrize("spacing", [(1, 1, 1), (1, 2.5, 5), (4, 1, 12)])
def test_host_is_dilated_by_10_mm(rng, spacing):
    shape = (40, 30, 24)
    host, tumor = np.zeros(shape, bool), np.zeros(shape, bool)
    host[15:22, 12:16, 10:13] = True
    tumor[18:20, 13:15, 11] = True
    near = ndimage.distance_transform_edt(~host, sampling=spacing) <= 10
    found = as_mask(host_voxels(host, tumor, spacing, rng), shape)
    assert (found == (near & ~tumor)).all()
    # One axis by hand: 10 mm on both sides of voxels 15 to 21.
    reach = int(10 // spacing[0])
    assert found[:, 12, 10].nonzero()[0].tolist() == list(range(max(0, 15 - reach), min(40, 22 + reach)))


def test_empty_host_has_no_voxels(rng):
    nothing = np.zeros((5, 5, 5), bool)
    assert len(host_voxels(nothing, nothing, (1, 1, 1), rng)) == 0


# All voxels of the body but the tumor's 125; or about as many as there may be.
@pytest.mark.parametrize(("most", "expected"), [(200_000, 900 * 30 - 125), (2000, pytest.approx(2000, rel=0.2))])
def test_body_excludes_surrounding_air_and_includes_lungs(rng, monkeypatch, most, expected):
    monkeypatch.setattr(regions, "MAX_NEGATIVES", most)
    array = np.full((40, 40, 30), -1000, np.int16)
    array[5:35, 5:35] = 40
    array[12:20, 12:20] = -900  # a lung, open at both ends of the scan
    tumor = np.zeros(array.shape, bool)
    tumor[25:30, 25:30, 10:15] = True
    voxels = body_voxels(Volume(array, np.diag([6.0, 6.0, 6.0, 1.0])), tumor, rng)
    i, j, k = voxels.T
    assert (array[i, j, k] > -1000).all()
    assert not tumor[i, j, k].any()
    share = np.mean(array[i, j, k] == -900)
    assert share == pytest.approx(64 / 900, abs=0.03)
    assert len(voxels) == expected


def test_axial_axis_is_found_in_any_orientation(rng):
    array = np.full((40, 40, 30), -1000, np.int16)
    array[5:35, 5:35] = 40
    array[12:20, 12:20] = -900
    affine = np.diag([6.0, 6.0, 6.0, 1.0])[:, [2, 0, 1, 3]]  # superior, right, anterior
    turned = np.ascontiguousarray(array.transpose(2, 0, 1))
    voxels = body_voxels(Volume(turned, affine), np.zeros(turned.shape, bool), rng)
    assert (turned[tuple(voxels.T)] == -900).sum() == 64 * 30
