import itertools

import numpy as np
import pytest
import torch
from scipy import ndimage
from scipy.sparse import coo_matrix
from scipy.sparse.csgraph import dijkstra

from dsm.ops.geodesic import geodesic_distance, highest_barrier

SHAPE = (5, 4, 6)
SEED = (1, 2, 3)


@pytest.fixture
def cost():
    return np.random.default_rng(0).uniform(0.05, 1, SHAPE)


def graph(weight):
    """Edges between voxels that touch at a corner, at least."""
    rows, columns, values = [], [], []
    for voxel in np.ndindex(SHAPE):
        for step in itertools.product((-1, 0, 1), repeat=3):
            other = tuple(a + b for a, b in zip(voxel, step, strict=True))
            if any(step) and all(0 <= o < n for o, n in zip(other, SHAPE, strict=True)):
                rows.append(np.ravel_multi_index(voxel, SHAPE))
                columns.append(np.ravel_multi_index(other, SHAPE))
                values.append(weight(voxel, other))
    size = int(np.prod(SHAPE))
    return coo_matrix((values, (rows, columns)), shape=(size, size)).tocsr()


def seeds():
    found = torch.zeros((1, *SHAPE), dtype=torch.bool)
    found[(0, *SEED)] = True
    return found


def test_distances_equal_dijkstra(cost):
    expected = dijkstra(graph(lambda _, other: cost[other]), indices=np.ravel_multi_index(SEED, SHAPE)).reshape(SHAPE)
    found = geodesic_distance(torch.from_numpy(cost)[None], seeds(), steps=120)[0]
    np.testing.assert_allclose(found.numpy(), expected, rtol=1e-6)


@pytest.mark.parametrize("tolerance", [0.15, 0.3, 0.45, 0.6])
def test_barrier_is_the_tolerance_at_which_flood_fill_reaches_the_voxel(cost, tolerance):
    passable = cost <= tolerance
    passable[SEED] = True
    parts, _ = ndimage.label(passable, structure=np.ones((3, 3, 3)))
    found = highest_barrier(torch.from_numpy(cost)[None], seeds(), steps=120)[0].numpy()
    np.testing.assert_array_equal(found <= tolerance, parts == parts[SEED])


def test_unreachable_voxels_have_infinite_distance(cost):
    nowhere = torch.zeros((1, *SHAPE), dtype=torch.bool)
    assert torch.isinf(geodesic_distance(torch.from_numpy(cost)[None], nowhere, steps=3)).all()
    near = geodesic_distance(torch.from_numpy(cost)[None], seeds(), steps=1)[0]
    assert int(torch.isfinite(near).sum()) == 27
