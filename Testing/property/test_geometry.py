"""Exact round trips of masks, on any grid."""

from __future__ import annotations

from itertools import permutations, product
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import pytest
import SimpleITK as sitk
from hypothesis import given, settings
from hypothesis import strategies as st

from dsm.core.boxes import Box, CroppedArray, bounding_box
from dsm.core.orientation import Orientation
from dsm.core.volume import Volume
from dsm.io.image import read_volume
from dsm.io.segmentation import SegmentRecord, write_labelmap, write_probabilities, write_seg_nrrd

AXIS_ORDERS = [(axes, flips) for axes in permutations(range(3)) for flips in product((1.0, -1.0), repeat=3)]

sizes = st.integers(2, 6)
shapes = st.tuples(sizes, sizes, sizes)
spacings = st.tuples(*[st.floats(0.3, 10.0)] * 3)
origins = st.tuples(*[st.floats(-500.0, 500.0)] * 3)
angles = st.tuples(*[st.floats(-44.0, 44.0)] * 3) | st.just((0.0, 0.0, 0.0))


def rotation(angles_deg: tuple[float, float, float]) -> np.ndarray:
    """Rotation about x, then y, then z, `(3, 3)`."""
    result = np.eye(3)
    for axis, angle in enumerate(np.deg2rad(angles_deg)):
        a, b = (axis + 1) % 3, (axis + 2) % 3
        turn = np.eye(3)
        turn[a, a] = turn[b, b] = np.cos(angle)
        turn[a, b], turn[b, a] = -np.sin(angle), np.sin(angle)
        result = turn @ result
    return result


@st.composite
def affines(draw: st.DrawFn) -> np.ndarray:
    """Any axis order and handedness, oblique, anisotropic, anywhere."""
    axes, signs = draw(st.sampled_from(AXIS_ORDERS))
    directions = np.zeros((3, 3))
    for row, (axis, sign) in enumerate(zip(axes, signs, strict=True)):
        directions[row, axis] = sign
    affine = np.eye(4)
    affine[:3, :3] = rotation(draw(angles)) @ directions * np.array(draw(spacings))
    affine[:3, 3] = draw(origins)
    return affine


@st.composite
def masks(draw: st.DrawFn) -> np.ndarray:
    """A small mask in either memory order; sometimes empty, sometimes full."""
    shape = draw(shapes)
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    mask = (rng.random(shape) < draw(st.sampled_from([0.0, 0.02, 0.3, 1.0]))).astype(np.uint8)
    return np.asfortranarray(mask) if draw(st.booleans()) else mask


@st.composite
def boxes_in(draw: st.DrawFn, shape: tuple[int, ...]) -> Box:
    ends = [sorted((draw(st.integers(0, size)), draw(st.integers(0, size)))) for size in shape]
    return Box(tuple(a for a, _ in ends), tuple(b for _, b in ends))  # type: ignore[arg-type]


@pytest.mark.parametrize(("axes", "signs"), AXIS_ORDERS)
def test_each_of_the_48_orders_becomes_ras(axes: tuple[int, ...], signs: tuple[float, ...]) -> None:
    affine = np.zeros((4, 4))
    affine[3, 3] = 1
    for row, (axis, sign) in enumerate(zip(axes, signs, strict=True)):
        affine[row, axis] = sign * (axis + 1)
    orientation = Orientation.of(affine)
    assert orientation == Orientation(axes, tuple(sign < 0 for sign in signs))  # type: ignore[arg-type]
    ras = orientation.affine_to_ras(affine, (3, 4, 5))
    np.testing.assert_array_equal(ras[:3, :3], np.diag([axis + 1.0 for axis in axes]))


@given(affine=affines(), mask=masks())
def test_mask_round_trip_through_ras(affine: np.ndarray, mask: np.ndarray) -> None:
    orientation = Orientation.of(affine)
    ras = orientation.to_ras(mask)
    crop = CroppedArray.from_mask(np.ascontiguousarray(ras))
    np.testing.assert_array_equal(orientation.from_ras(crop.paste_into(ras.shape)), mask)
    if mask.any():
        np.testing.assert_array_equal(orientation.crop_from_ras(crop, mask.shape).paste_into(mask.shape), mask)


@given(affine=affines(), shape=shapes, data=st.data())
def test_voxel_keeps_its_world_position(affine: np.ndarray, shape: tuple[int, int, int], data: st.DataObject) -> None:
    orientation = Orientation.of(affine)
    index = [data.draw(st.integers(0, size - 1)) for size in shape]
    array = np.zeros(shape, dtype=np.uint8)
    array[tuple(index)] = 1
    moved = np.argwhere(orientation.to_ras(array))[0]
    np.testing.assert_allclose(
        orientation.affine_to_ras(affine, shape) @ [*moved, 1], affine @ [*index, 1], rtol=0, atol=1e-9
    )


@given(affine=affines(), shape=shapes)
def test_reordered_grid_is_ras(affine: np.ndarray, shape: tuple[int, int, int]) -> None:
    reordered = Orientation.of(affine).affine_to_ras(affine, shape)
    assert Orientation.of(reordered) == Orientation((0, 1, 2), (False, False, False))
    assert np.linalg.norm(reordered[:3, :3], axis=0) == pytest.approx(
        np.linalg.norm(affine[:3, :3], axis=0)[list(Orientation.of(affine).axes)]
    )


@given(affine=affines(), shape=shapes, data=st.data())
def test_box_mapping_matches_its_voxels(affine: np.ndarray, shape: tuple[int, int, int], data: st.DataObject) -> None:
    orientation = Orientation.of(affine)
    box = data.draw(boxes_in(shape))
    inside = np.zeros(shape, dtype=bool)
    inside[box.slices] = True
    mapped = orientation.box_to_ras(box, shape)
    assert orientation.box_from_ras(mapped, shape) == box
    if not box.is_empty:
        assert bounding_box(orientation.to_ras(inside)) == mapped


@given(mask=masks())
def test_bounding_box_is_tight(mask: np.ndarray) -> None:
    box = bounding_box(mask)
    found = np.argwhere(mask)
    if box is None:
        assert not len(found)
        return
    assert box.start == tuple(found.min(axis=0))
    assert box.stop == tuple(found.max(axis=0) + 1)


@settings(max_examples=200)
@given(shape=shapes, data=st.data())
def test_intersection_matches_voxels_of_both_boxes(shape: tuple[int, int, int], data: st.DataObject) -> None:
    first, second = data.draw(boxes_in(shape)), data.draw(boxes_in(shape))
    a, b = np.zeros(shape, dtype=bool), np.zeros(shape, dtype=bool)
    a[first.slices] = True
    b[second.slices] = True
    assert first.intersect(second).num_voxels == (a & b).sum()


def threshold(volume: Volume) -> CroppedArray:
    """A model that needs no training: it works in RAS+ order, as the network does, and answers on the input grid."""
    orientation = Orientation.of(volume.affine)
    found = np.ascontiguousarray(orientation.to_ras(volume.array)) > 0
    return orientation.crop_from_ras(CroppedArray.from_mask(found.view(np.uint8)), volume.shape)


FILES = settings(max_examples=40, deadline=None)  # each example writes and reads files


@FILES
@given(affine=affines(), mask=masks(), suffix=st.sampled_from([".nii.gz", ".nrrd", ".mha"]))
def test_written_mask_is_on_the_grid_of_the_file(affine: np.ndarray, mask: np.ndarray, suffix: str) -> None:
    with TemporaryDirectory() as name:
        folder = Path(name)
        source = folder / f"scan{suffix}"
        write_scan(source, mask.astype(np.int16) * 100, affine)
        volume = read_volume(source)
        np.testing.assert_allclose(volume.affine, affine, rtol=1e-5, atol=1e-3)

        crop = threshold(volume)
        write_labelmap(folder / "out.nii.gz", [SegmentRecord("a", crop, (1, 2, 3))], volume)
        (map_file,) = write_probabilities(folder, [("a", crop)], volume)
        for written in (folder / "out.nii.gz", map_file):
            # Read by SimpleITK alone, as any other program would.
            labels, scan = sitk.ReadImage(str(written)), sitk.ReadImage(str(source))
            np.testing.assert_array_equal(sitk.GetArrayFromImage(labels).T, mask)
            # NIfTI stores positions in float32: micrometres, half a metre from the origin.
            np.testing.assert_allclose(corners(labels), corners(scan), atol=1e-3)


@FILES
@given(affine=affines(), mask=masks())
def test_written_segmentation_has_the_position_of_the_scan(affine: np.ndarray, mask: np.ndarray) -> None:
    volume = Volume(mask.astype(np.int16), affine)
    with TemporaryDirectory() as name:
        path = Path(name) / "out.seg.nrrd"
        write_seg_nrrd(path, [SegmentRecord("a", threshold(volume), (1, 2, 3))], volume)
        image = sitk.ReadImage(str(path))
    found = np.argwhere(sitk.GetArrayFromImage(image).T)
    world = [image.TransformIndexToPhysicalPoint(index) for index in found.tolist()]
    expected = np.argwhere(mask) @ affine[:3, :3].T + affine[:3, 3]
    # SimpleITK speaks LPS.
    np.testing.assert_allclose(np.reshape(world, (-1, 3)) * [-1, -1, 1], expected, atol=1e-6)


def write_scan(path: Path, array: np.ndarray, affine: np.ndarray) -> None:
    image = sitk.GetImageFromArray(np.ascontiguousarray(array.T))
    lps = np.diag([-1.0, -1.0, 1.0, 1.0]) @ affine
    spacing = np.linalg.norm(lps[:3, :3], axis=0)
    image.SetSpacing(spacing.tolist())
    image.SetDirection((lps[:3, :3] / spacing).ravel().tolist())
    image.SetOrigin(lps[:3, 3].tolist())
    sitk.WriteImage(image, str(path), useCompression=True)


def corners(image: sitk.Image) -> np.ndarray:
    ends = product(*[(0, size - 1) for size in image.GetSize()])
    return np.array([image.TransformIndexToPhysicalPoint(index) for index in ends])
