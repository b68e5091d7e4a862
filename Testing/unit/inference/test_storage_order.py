from __future__ import annotations

from itertools import permutations, product

import numpy as np
import pytest

from dsm.core.boxes import Box
from dsm.core.orientation import Orientation
from dsm.core.volume import Volume
from dsm.inference.body_grid import make_working_grid

SPACING_MM = (0.9, 1.3, 4.0)


def body(modality: str) -> Volume:
    """An uneven body off the centre of its field of view, with a couch below."""
    shape = (151, 118, 37)
    i, j, k = np.meshgrid(*map(np.arange, shape), indexing="ij")
    inside = ((i - 70) / 51) ** 2 + ((j - 61) / 38) ** 2 < 1 - 0.01 * k
    rng = np.random.default_rng(0)
    air, tissue = (-1000, 40) if modality == "CT" else (10, 400)
    values = np.where(inside, tissue, air) + rng.normal(0, 5, shape)
    return Volume(values.astype(np.float32), np.diag([*SPACING_MM, 1.0]), modality)


def stored(volume: Volume, axes: tuple[int, ...], flips: tuple[bool, ...]) -> Volume:
    """The same image in another storage order."""
    index = np.zeros((4, 4))
    index[3, 3] = 1
    array = volume.array.transpose(axes)
    for new, (old, flip) in enumerate(zip(axes, flips, strict=True)):
        index[old, new] = -1 if flip else 1
        index[old, 3] = volume.shape[old] - 1 if flip else 0
        array = np.flip(array, new) if flip else array
    return Volume(array, volume.affine @ index, volume.modality)


@pytest.mark.parametrize("modality", ["CT", "MR"])
@pytest.mark.parametrize("region", [None, Box((40, 30, 5), (61, 52, 11))])
def test_grid_is_the_same_in_all_48_storage_orders(modality: str, region: Box | None) -> None:
    volume = body(modality)
    _, wanted = make_working_grid(volume, spacing_mm=1.5, region=region)
    for axes, flips in product(permutations(range(3)), product((False, True), repeat=3)):
        other = stored(volume, axes, flips)
        moved = region and Orientation.of(other.affine).box_from_ras(region, other.shape)
        found, grid = make_working_grid(other, spacing_mm=1.5, region=moved)
        assert (grid.box, grid.shape) == (wanted.box, wanted.shape), (axes, flips)
        assert found.threshold == pytest.approx(make_working_grid(volume, spacing_mm=1.5)[0].threshold)
        np.testing.assert_allclose(grid.origin, wanted.origin)
