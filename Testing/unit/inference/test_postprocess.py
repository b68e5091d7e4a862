import numpy as np
import pytest
import torch
from scipy import ndimage

from dsm.core.boxes import Box
from dsm.core.volume import Volume
from dsm.inference import postprocess
from dsm.inference.postprocess import native_mask, native_probability, network_confidence
from dsm.inference.working_grid import WorkingGrid


def grid_of(shape=(40, 30, 24), spacing=(0.8, 1.1, 2.5), box=None):
    volume = Volume(np.zeros(shape, np.int16), np.diag([*spacing, 1.0]))
    return WorkingGrid.of(volume, box or Box((0, 0, 0), shape), spacing_mm=1.5)


def smooth_logits(grid, *, seed=0, offset=0.0):
    shape = [n // 2 for n in grid.padded_shape]
    noise = np.random.default_rng(seed).normal(size=shape)
    return torch.from_numpy((40 * ndimage.gaussian_filter(noise, 2) + offset).astype(np.float32))


def interpolated(logits, grid):
    """Reference: SciPy at every voxel of the whole grid."""
    valid = logits.numpy()[tuple(slice(0, -(-n // 2)) for n in grid.shape)]
    axes = [grid.feature_coordinates(a, 0, n, stride=2) for a, n in enumerate(grid.view_shape)]
    return ndimage.map_coordinates(valid, np.meshgrid(*axes, indexing="ij"), order=1, mode="nearest")


@pytest.mark.parametrize("threshold", [0.5, 0.2])
@pytest.mark.parametrize("seed", range(4))
def test_mask_matches_interpolation_of_the_whole_grid(seed, threshold, monkeypatch):
    monkeypatch.setattr(postprocess, "_CHUNK_VOXELS", 700)
    grid = grid_of()
    logits = smooth_logits(grid, seed=seed, offset=-3)
    found = native_mask(logits, grid, threshold=threshold, keep_fraction=0.0)
    reference = interpolated(logits, grid)
    expected = reference > np.log(threshold / (1 - threshold))
    full = found.mask.paste_into(grid.input_shape).astype(bool)
    assert not (full != expected)[abs(reference) > 1e-4].any()
    assert found.num_voxels == full.sum()


def test_only_the_body_box_is_written():
    box = Box((10, 5, 3), (30, 25, 20))
    grid = grid_of(box=box)
    found = native_mask(torch.full([n // 2 for n in grid.padded_shape], 5.0), grid, threshold=0.5, keep_fraction=0.0)
    assert found.mask.box == box
    assert found.mask.array.all()


def test_features_of_the_padding_are_ignored():
    grid = grid_of(shape=(20, 20, 20), spacing=(1.5, 1.5, 1.5))
    logits = torch.full((16, 16, 16), -5.0)
    logits[10:] = 9.0
    found = native_mask(logits, grid, threshold=0.5, keep_fraction=0.0)
    assert found.num_voxels == 0
    assert found.mean_probability == pytest.approx(1 / (1 + np.exp(5)))


def test_distant_stray_voxel_does_not_enlarge_the_box():
    grid = grid_of(shape=(64, 64, 64), spacing=(1.5, 1.5, 1.5))
    logits = torch.full((32, 32, 32), -9.0)
    logits[4:10, 4:10, 4:10] = 9.0
    logits[30, 30, 30] = 60.0
    found = native_mask(logits, grid, threshold=0.5, keep_fraction=1.0)
    assert max(found.mask.box.stop) < 24
    both = native_mask(logits, grid, threshold=0.5, keep_fraction=0.0)
    assert min(both.mask.box.stop) > 60


def test_target_between_thick_slices_gives_an_empty_mask():
    grid = grid_of(shape=(32, 32, 4), spacing=(1.5, 1.5, 30.0))
    logits = torch.full([n // 2 for n in grid.padded_shape], -9.0)
    logits[8, 8, 9] = 0.5
    found = native_mask(logits, grid, threshold=0.5, keep_fraction=1.0)
    assert found.num_voxels == 0
    assert found.mask.array.size == 0


def test_probability_equals_interpolated_logits():
    grid = grid_of()
    logits = smooth_logits(grid, offset=-4)
    expected = 1 / (1 + np.exp(-interpolated(logits, grid)))
    full = native_probability(logits, grid).paste_into(grid.input_shape)
    np.testing.assert_allclose(full, np.where(full == 0, 0, expected), atol=2e-3)
    assert (expected[full == 0] < 0.02).all()


def test_faint_probability_is_empty():
    grid = grid_of()
    assert native_probability(torch.full([n // 2 for n in grid.padded_shape], -20.0), grid).array.size == 0


@pytest.mark.parametrize(
    ("probability", "presence", "expected"), [(0.8, 0.0, 0.4), (1.0, 100.0, 1.0), (0.9, -1e9, 0.0), (0.5, 1e9, 0.5)]
)
def test_confidence_is_mean_probability_times_presence(probability, presence, expected):
    assert network_confidence(probability, presence) == pytest.approx(expected)
