import numpy as np
import pytest
import torch
from scipy.special import expit

from dsm.core.boxes import Box
from dsm.core.volume import Volume
from dsm.inference.feature_samples import values_at
from dsm.inference.postprocess import native_probability
from dsm.inference.working_grid import WorkingGrid
from dsm.text.prompt import parse_prompts

SHAPE = (23, 30, 24)
TURNED = np.array([[0, -1.1, 0, 5], [0, 0, 2.5, -3], [0.8, 0, 0, 2], [0, 0, 0, 1.0]])


def grid_of(affine):
    return WorkingGrid.of(Volume(np.zeros(SHAPE, np.int16), affine), Box((0, 0, 0), SHAPE), spacing_mm=1.5)


@pytest.mark.parametrize("affine", [np.diag([0.8, 1.1, 2.5, 1.0]), np.diag([-1.5, -1.5, 3.0, 1.0]), TURNED])
def test_samples_match_the_probability_map(affine):
    grid = grid_of(affine)
    noise = np.random.default_rng(0).normal(size=[n // 2 for n in grid.padded_shape])
    logits = torch.from_numpy(noise.astype(np.float32))
    logits[0, 0, 0] = 5  # so that the map covers the corner, too
    voxels = np.argwhere(np.ones(SHAPE, bool))
    full = native_probability(logits, grid).paste_into(SHAPE).reshape(-1).astype(np.float32)
    np.testing.assert_allclose(expit(values_at(logits, grid, voxels)), full, atol=2e-3)


def test_linear_ramp_and_padding():
    grid = grid_of(np.diag([1.5, 1.5, 1.5, 1.0]))
    ramp = torch.arange(grid.padded_shape[0] // 2).float()[:, None, None].expand(-1, 16, 16)
    # Voxel i lies at feature (i - 0.5) / 2; 23 voxels are 12 features, the last one is number 11.
    values = values_at(ramp, grid, np.array([[0, 0, 0], [1, 5, 5], [4, 0, 9], [22, 3, 3]]))
    np.testing.assert_allclose(values, [0, 0.25, 1.75, 10.75])


def test_logits_of_a_scan(make_segmenter):
    array = np.full((12, 12, 12), -125.0, np.float32)
    array[6:] = 275
    scan = make_segmenter(vectors={"liver tumor": (0.25, 5.0)}, trained=("liver tumor",)).encode(
        Volume(array, np.diag([1.5, 1.5, 1.5, 1.0]))
    )
    (prompt,) = parse_prompts("liver tumor")
    logits = scan.sample_logits(prompt, np.array([[0, 6, 6], [11, 6, 6]]))
    np.testing.assert_allclose(logits, [40 * -0.25, 40 * 0.75], rtol=1e-5)
