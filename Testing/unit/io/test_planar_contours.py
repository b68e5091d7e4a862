"""Outlines, filled again by rasterisers that took no part in making them."""

from __future__ import annotations

import numpy as np
import pytest
import scipy.ndimage

pytest.importorskip("contourpy")
path = pytest.importorskip("matplotlib.path")

from dsm.io.planar_contours import outlines  # noqa: E402


def filled(polygon: np.ndarray, shape: tuple[int, int]) -> np.ndarray:
    pixels = np.indices(shape).reshape(2, -1).T
    return path.Path(polygon).contains_points(pixels).reshape(shape)


def area(polygon: np.ndarray) -> float:
    i, j = polygon.T
    return float(abs(i @ np.roll(j, -1) - j @ np.roll(i, -1)) / 2)


def random_mask(seed: int) -> np.ndarray:
    """Noise of any density, or islands with holes and islands in these; both reach the border."""
    random = np.random.default_rng(seed)
    noise = random.random(random.integers(1, 40, 2))
    return scipy.ndimage.gaussian_filter(noise, 1.5) > np.median(noise) if seed % 2 else noise < random.random()


@pytest.mark.parametrize("seed", range(60))
def test_filling_gives_the_mask_back_by_union_and_by_exclusion(seed: int) -> None:
    mask = random_mask(seed)
    polygons = outlines(mask)
    layers = np.array([filled(polygon, mask.shape) for polygon in polygons]).reshape(-1, *mask.shape)
    np.testing.assert_array_equal(layers.any(axis=0), mask)
    np.testing.assert_array_equal(np.logical_xor.reduce(layers, axis=0), mask)
    _, islands = scipy.ndimage.label(mask)
    _, outside = scipy.ndimage.label(np.pad(~mask, 1, constant_values=True), np.ones((3, 3)))
    assert len(polygons) == islands
    assert sum(map(area, polygons)) == pytest.approx(mask.sum() - 0.5 * islands + 0.5 * (outside - 1))


def test_no_point_is_superfluous_and_none_is_repeated() -> None:
    square = np.zeros((9, 9))
    square[2:7, 3:8] = 1
    (polygon,) = outlines(square)
    assert len(polygon) == 8
    assert len(np.unique(polygon, axis=0)) == 8


def test_single_pixel_and_nothing() -> None:
    (polygon,) = outlines(np.ones((1, 1)))
    assert sorted(polygon.tolist()) == [[-0.5, 0], [0, -0.5], [0, 0.5], [0.5, 0]]
    assert outlines(np.zeros((3, 4))) == []


def test_channel_to_a_hole_stays_between_the_rows_of_pixels() -> None:
    ring = np.ones((7, 7))
    ring[3, 3] = 0
    (polygon,) = outlines(ring)
    steps = np.diff(polygon, axis=0, append=polygon[:1])
    long = np.abs(steps[:, 0]) > 1
    channel = polygon[
        long & (steps[:, 1] == 0) & (polygon[:, 1] % 1 == 0.5) & (polygon[:, 1] > 0) & (polygon[:, 1] < 6)
    ]
    assert channel.tolist() == [[-0.5, 2.5], [3.0, 2.5]]
