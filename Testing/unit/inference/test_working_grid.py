import numpy as np
import pytest

from dsm.core.boxes import Box
from dsm.core.volume import Volume
from dsm.inference.working_grid import WorkingGrid

FULL = Box((0, 0, 0), (40, 30, 20))


def grid_of(affine, box=FULL, spacing_mm=1.5):
    return WorkingGrid.of(Volume(np.zeros(FULL.stop, np.int16), affine), box, spacing_mm=spacing_mm)


def test_same_spacing_is_a_plain_crop():
    grid = grid_of(np.diag([1.5, 1.5, 1.5, 1.0]), Box((3, 4, 5), (33, 30, 20)))
    assert grid.origin == (3.0, 4.0, 5.0)
    assert grid.step == (1.0, 1.0, 1.0)
    assert grid.shape == (30, 26, 15)
    assert grid.padded_shape == (32, 32, 16)


def test_rounded_spacing_is_treated_as_equal():
    grid = grid_of(np.diag([1.5000001, 1.4999999, 1.5, 1.0]))
    assert grid.step == (1.0, 1.0, 1.0)
    assert grid.shape == FULL.stop


def test_faces_of_the_first_voxels_coincide():
    grid = grid_of(np.diag([0.5, 1.0, 6.0, 1.0]))
    assert grid.step == pytest.approx((3.0, 1.5, 0.25))
    # The centre is half a working voxel behind the face, and the face half an input voxel before its first centre.
    assert grid.origin == pytest.approx((1.0, 0.25, -0.375))
    assert grid.shape == (14, 20, 80)


def test_flipped_axis_is_sampled_in_reverse():
    grid = grid_of(np.diag([-1.5, 1.5, 1.5, 1.0]), Box((3, 0, 0), (30, 30, 20)))
    axes, origin, step = grid.input_sampling()
    assert tuple(axes) == (0, 1, 2)
    # The first working voxel is the last input voxel of the box.
    assert (origin[0], step[0]) == (29.0, -1.0)
    assert grid.shape[0] == 27


def test_feature_coordinates_are_those_of_voxel_centres():
    grid = grid_of(np.diag([1.5, 1.5, 1.5, 1.0]))
    np.testing.assert_allclose(grid.feature_coordinates(0, 0, 4, stride=2), [-0.25, 0.25, 0.75, 1.25])
    np.testing.assert_allclose(grid.feature_coordinates(0, 0, 4, stride=1), [0, 1, 2, 3])


def test_view_range_covers_the_features_and_reaches_the_border():
    grid = grid_of(np.diag([1.5, 1.5, 1.5, 1.0]), Box((4, 0, 0), (40, 30, 20)))
    assert grid.view_range(0, 0, 18, stride=2, length=18) == (4, 40)
    # Features 2 to 5 have their centres at view voxels 8.5 and 14.5.
    assert grid.view_range(0, 2, 6, stride=2, length=18) == (9, 15)


def test_view_range_may_be_empty_between_thick_slices():
    grid = grid_of(np.diag([1.5, 1.5, 30.0, 1.0]))
    start, stop = grid.view_range(2, 8, 10, stride=2, length=200)
    assert start == stop
