from __future__ import annotations

import numpy as np
import pytest

from dsm.core.boxes import Box
from dsm.core.orientation import Orientation
from dsm.errors import GeometryError, ShapeError


def test_ras_needs_no_change() -> None:
    assert Orientation.of(np.diag([2.0, 1, 3, 1])) == Orientation((0, 1, 2), (False, False, False))


def test_lps_flips_two_axes() -> None:
    assert Orientation.of(np.diag([-1.0, -1, 1, 1])) == Orientation((0, 1, 2), (True, True, False))


def test_a_sagittal_series_is_transposed() -> None:
    # i runs to the back, j downwards, k to the right: the first voxel's neighbours by hand.
    affine = np.array([[0, 0, 4.0, 10], [-1, 0, 0, 20], [0, -1, 0, 30], [0, 0, 0, 1]])
    orientation = Orientation.of(affine)
    assert orientation == Orientation((2, 0, 1), (False, True, True))
    array = np.arange(24).reshape(2, 3, 4)
    ras = orientation.to_ras(array)
    assert ras.shape == orientation.shape_to_ras(array.shape) == (4, 2, 3)
    assert ras[0, 1, 2] == array[0, 0, 0]
    np.testing.assert_allclose(orientation.affine_to_ras(affine, array.shape) @ [0, 1, 2, 1], [10, 20, 30, 1])


def test_axes_of_a_45_degree_grid_are_assigned_by_the_best_sum() -> None:
    # Axis 0 alone prefers A, yet giving A to axis 1 fits better as a whole.
    angle = np.deg2rad(46)
    affine = np.eye(4)
    affine[:2, :2] = [[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]]
    assert Orientation.of(affine) == Orientation((1, 0, 2), (True, False, False))


def test_reordering_does_not_copy() -> None:
    array = np.zeros((3, 4, 5))
    orientation = Orientation((2, 0, 1), (True, False, True))
    assert np.shares_memory(orientation.to_ras(array), array)
    assert np.shares_memory(orientation.from_ras(orientation.to_ras(array)), array)


def test_box_is_mapped_to_ras_and_back() -> None:
    orientation = Orientation((1, 2, 0), (True, False, False))
    box = Box((0, 1, 2), (1, 3, 5))
    mapped = orientation.box_to_ras(box, (4, 6, 8))
    assert mapped == Box((3, 2, 0), (5, 5, 1))
    assert orientation.box_from_ras(mapped, (4, 6, 8)) == box


def test_an_affine_without_extent_is_refused() -> None:
    with pytest.raises(GeometryError):
        Orientation.of(np.diag([1.0, 0, 1, 1]))


def test_an_array_of_four_axes_is_refused() -> None:
    with pytest.raises(ShapeError):
        Orientation((0, 1, 2), (False, False, False)).to_ras(np.zeros((2, 2, 2, 2)))
