"""Masks on the input grid, exact through body box, resampling, slabs and interpolation."""

from __future__ import annotations

from itertools import permutations, product

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from dsm.core.options import SegmentOptions
from dsm.core.volume import Volume

AXIS_ORDERS = [(axes, signs) for axes in permutations(range(3)) for signs in product((1.0, -1.0), repeat=3)]

# In the window (-125, 275) of the network: fat is 1/16, tissue 7/16; the network's threshold is 1/4, halfway.
FAT_HU, TISSUE_HU, AIR_HU = -100, 50, -1000


def rotation(angles_deg) -> np.ndarray:
    result = np.eye(3)
    for axis, angle in enumerate(np.deg2rad(angles_deg)):
        turn = np.eye(3)
        a, b = (axis + 1) % 3, (axis + 2) % 3
        turn[a, a] = turn[b, b] = np.cos(angle)
        turn[a, b], turn[b, a] = -np.sin(angle), np.sin(angle)
        result = turn @ result
    return result


def affine_of(axes, signs, spacing, angles_deg=(0, 0, 0), origin=(-90.0, 40.0, 700.0)) -> np.ndarray:
    directions = np.zeros((3, 3))
    for row, (axis, sign) in enumerate(zip(axes, signs, strict=True)):
        directions[row, axis] = sign
    affine = np.eye(4)
    affine[:3, :3] = rotation(angles_deg) @ directions * np.array(spacing)
    affine[:3, 3] = origin
    return affine


def segment(segmenter, volume, **options):
    (result,) = segmenter.encode(volume, **options).segment("liver", SegmentOptions(postprocess=False))
    return result


def random_case(rng, shape, fraction=0.4):
    mask = rng.random(shape) < fraction
    # No two voxels of fat are alike, else they would pass for air in an image that was clipped.
    array = np.where(mask, TISSUE_HU, rng.uniform(-10, 10, shape) + FAT_HU).astype(np.float32)
    return mask, array


@pytest.mark.parametrize("angles_deg", [(0, 0, 0), (17, -30, 9)], ids=["straight", "oblique"])
def test_all_48_axis_orders_are_exact(make_segmenter, angles_deg):
    segmenter = make_segmenter()
    rng = np.random.default_rng(1)
    for axes, signs in AXIS_ORDERS:
        mask, array = random_case(rng, (9, 18, 13))
        result = segment(segmenter, Volume(array, affine_of(axes, signs, (1.5, 1.5, 1.5), angles_deg)))
        np.testing.assert_array_equal(result.full_mask(), mask, err_msg=f"{axes} {signs}")
        assert result.volume_ml == pytest.approx(mask.sum() * 1.5**3 / 1000)


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    order=st.sampled_from(AXIS_ORDERS),
    # Of these, interpolation there and back keeps more than half of a voxel's own value, so that even noise returns.
    spacing=st.permutations([1.5, 1.5, 3.0]) | st.permutations([1.5, 4.5, 4.5]) | st.permutations([1.5, 1.5, 7.5]),
    angles_deg=st.tuples(*[st.floats(-44, 44)] * 3),
    shape=st.tuples(*[st.integers(2, 20)] * 3),
    seed=st.integers(0, 2**16),
    fortran=st.booleans(),
)
def test_anisotropic_grids_are_exact(make_segmenter, *, order, spacing, angles_deg, shape, seed, fortran):
    mask, array = random_case(np.random.default_rng(seed), shape)
    volume = Volume(np.asfortranarray(array) if fortran else array, affine_of(*order, spacing, angles_deg))
    np.testing.assert_array_equal(segment(make_segmenter(), volume).full_mask(), mask)


@settings(max_examples=15, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    order=st.sampled_from(AXIS_ORDERS),
    start=st.tuples(*[st.integers(0, 20)] * 3),
    size=st.tuples(*[st.integers(12, 20)] * 3),
    seed=st.integers(0, 2**16),
)
def test_result_is_independent_of_surrounding_air(make_segmenter, order, start, size, seed):
    mask, body = random_case(np.random.default_rng(seed), size)
    inside = tuple(slice(a, a + n) for a, n in zip(start, size, strict=True))
    array = np.full((44, 42, 46), AIR_HU, np.float32)
    array[inside] = body
    expected = np.zeros(array.shape, np.uint8)
    expected[inside] = mask
    scan = make_segmenter().encode(Volume(array, affine_of(*order, (1.5, 1.5, 1.5))))
    assert scan.grid.box.num_voxels < array.size
    (result,) = scan.segment("liver", SegmentOptions(postprocess=False))
    np.testing.assert_array_equal(result.full_mask(), expected)


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    order=st.sampled_from(AXIS_ORDERS),
    spacing=st.tuples(*[st.floats(0.6, 4.0)] * 3),
    angles_deg=st.tuples(*[st.floats(-44, 44)] * 3),
    stride=st.sampled_from([1, 2]),
)
def test_smooth_object_keeps_its_position_on_any_grid(make_segmenter, order, spacing, angles_deg, stride):
    """A shift of half a voxel somewhere in the chain would show here as a shift of the centre of mass."""
    shape = tuple(max(10, round(50 / s)) for s in spacing)
    affine = affine_of(*order, spacing, angles_deg)
    index = np.stack(np.meshgrid(*[np.arange(n) for n in shape], indexing="ij"), axis=-1)
    world = index @ affine[:3, :3].T + affine[:3, 3]
    centre = affine[:3, :3] @ (np.array(shape) * [0.47, 0.52, 0.5]) + affine[:3, 3]
    distance = np.linalg.norm(world - centre, axis=-1)
    # HU falls linearly with the distance and crosses the threshold at 15 mm.
    array = np.clip(-25 + 10 * (15 - distance), FAT_HU, 200).astype(np.float32)
    result = segment(make_segmenter(stride=stride), Volume(array, affine))
    found = world[result.full_mask().astype(bool)]
    expected = world[distance < 15].mean(axis=0)
    np.testing.assert_allclose(found.mean(axis=0), expected, atol=0.1 * max(spacing))
    assert result.volume_ml == pytest.approx((distance < 15).sum() * np.prod(spacing) / 1000, rel=0.12)


def test_slabs_are_exact(make_segmenter):
    mask, array = random_case(np.random.default_rng(0), (20, 17, 70))
    volume = Volume(array, np.diag([1.5, 1.5, 1.5, 1.0]))
    segmenter = make_segmenter()
    scan = segmenter.encode(volume, max_slab=32)
    assert scan.num_slabs == 3
    np.testing.assert_array_equal(scan.segment("liver", SegmentOptions(postprocess=False))[0].full_mask(), mask)
