import numpy as np
import pytest

from dsm.core.boxes import Box
from dsm.core.volume import Volume
from dsm.errors import OutOfMemoryError
from dsm.inference.preprocess import prepare, resample_to
from dsm.inference.working_grid import WorkingGrid

WINDOWS = ((-125.0, 275.0), (-1000.0, 400.0))


def test_ct_is_windowed_and_padded():
    array = np.full((40, 30, 20), -1000, np.int16)
    array[5:35, 5:25] = 75
    prepared = prepare(Volume(array, np.diag([1.5, 1.5, 1.5, 1.0])), spacing_mm=1.5, windows_hu=WINDOWS)
    assert prepared.tensor.shape == (1, 2, 48, 32, 32)
    inside = prepared.tensor[0, :, 20, 15, 10]
    assert inside.tolist() == pytest.approx([0.5, 1075 / 1400])
    i, j, k = prepared.grid.shape
    assert not prepared.tensor[0, :, i:].any()
    assert not prepared.tensor[0, :, :, j:].any()
    assert not prepared.tensor[0, :, :, :, k:].any()


def test_mr_uses_the_percentiles_of_the_body_and_has_no_second_window():
    rng = np.random.default_rng(0)
    array = rng.uniform(0, 5, (40, 40, 40)).astype(np.float32)
    array[5:35, 5:35, 5:35] = rng.uniform(100, 300, (30, 30, 30))
    array[20, 20, 20] = 1e6
    prepared = prepare(Volume(array, np.eye(4) * [1.5, 1.5, 1.5, 1], "MR"), spacing_mm=1.5, windows_hu=WINDOWS)
    assert not prepared.tensor[0, 1].any()
    body = prepared.tensor[0, 0, 10:30, 10:30, 10:30]
    assert 0.45 < float(body.median()) < 0.55
    assert float(prepared.tensor.max()) == 1.0


@pytest.mark.parametrize("dtype", ["int8", "uint8", ">i2", "uint16", "int32", "float64", ">f4", "float16", "bool"])
def test_all_voxel_types_are_supported(dtype):
    array = (np.arange(4 * 4 * 4).reshape(4, 4, 4) % 2).astype(dtype)
    volume = Volume(array, np.eye(4))
    grid = WorkingGrid.of(volume, Box((0, 0, 0), (4, 4, 4)), spacing_mm=1.0)
    np.testing.assert_array_equal(resample_to(grid, array), array.astype(np.float32))


def test_views_and_read_only_arrays_are_supported():
    array = np.arange(5 * 6 * 7, dtype=np.int16).reshape(7, 6, 5).T[::-1]
    array.flags.writeable = False
    grid = WorkingGrid.of(Volume(array, np.eye(4)), Box((1, 0, 2), (5, 6, 7)), spacing_mm=1.0)
    np.testing.assert_array_equal(resample_to(grid, array), array[1:, :, 2:])


def test_working_voxels_keep_their_world_position():
    """An image that holds its own world coordinate is still right after flips, a transpose and resampling."""
    affine = np.array([[0, -0.8, 0, 40.0], [0, 0, 2.5, -7.0], [-1.1, 0, 0, 90.0], [0, 0, 0, 1]])
    shape = (30, 40, 12)
    index = np.stack(np.meshgrid(*[np.arange(n) for n in shape], indexing="ij"), axis=-1)
    world = index @ affine[:3, :3].T + affine[:3, 3]
    for axis in range(3):
        volume = Volume(world[..., axis], affine)
        grid = WorkingGrid.of(volume, Box((2, 3, 1), (28, 38, 11)), spacing_mm=1.5)
        image = resample_to(grid, volume.array).numpy()
        view = grid.orientation.affine_to_ras(affine, shape)
        steps = [np.asarray(grid.origin)[a] + grid.step[a] * np.arange(n) for a, n in enumerate(grid.shape)]
        expected = view[axis, axis] * steps[axis] + view[axis, 3]
        got = image.mean(axis=tuple(a for a in range(3) if a != axis))
        # The last voxel may reach over the border of the image, where it repeats. A triangle that is sampled at whole
        # voxels has its centre of mass off by up to a twentieth of a working voxel.
        np.testing.assert_allclose(got[1:-1], expected[1:-1], atol=0.1)


def test_grid_larger_than_memory_is_refused_before_allocation(monkeypatch):
    """480 x 400 x 400 mm in voxels of 20 mm: a small file, and a large grid at 0.5 mm."""
    rng = np.random.default_rng(0)
    volume = Volume(rng.normal(40, 20, (24, 20, 20)).astype(np.float32), np.diag([20.0, 20, 20, 1]))
    monkeypatch.setattr("dsm.inference.preprocess.usable_bytes", lambda _: 2**30)
    monkeypatch.setattr("dsm.inference.preprocess.resample_to", lambda *_: pytest.fail("it was resampled"))
    with pytest.raises(OutOfMemoryError, match="960 × 800 × 800 voxels"):
        prepare(volume, spacing_mm=0.5, windows_hu=[(-125, 275)])
