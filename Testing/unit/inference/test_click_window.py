import numpy as np
import pytest
import torch

from dsm.core.boxes import CroppedArray
from dsm.core.orientation import Orientation
from dsm.core.volume import Volume
from dsm.inference.click_window import ClickWindow, soft_tissue_units


def oblique(angle, steps):
    turn = np.eye(4)
    turn[:2, :2] = [[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]]
    return turn @ np.array(steps, dtype=float)


AFFINES = [
    np.diag([1.0, 1.0, 1.0, 1.0]),
    np.array([[-1.0, 0, 0, 20], [0, -0.8, 0, 10], [0, 0, 3.0, -5], [0, 0, 0, 1]]),
    np.array([[0, 0, 2.5, 0], [-1.0, 0, 0, 0], [0, 1.0, 0, 0], [0, 0, 0, 1.0]]),
    oblique(0.4, np.diag([1.0, -1.2, 2.0, 1.0])),
]


@pytest.fixture(params=range(len(AFFINES)))
def ball(request):
    """A ball of 12 mm radius about a point, and its middle in voxels."""
    affine = AFFINES[request.param]
    shape = [max(8, round(64 / mm)) for mm in np.linalg.norm(affine[:3, :3], axis=0)]
    middle = np.array(shape) * [0.5, 0.45, 0.55]
    grid = np.moveaxis(np.indices(shape), 0, -1)
    distance = np.linalg.norm((grid - middle) @ affine[:3, :3].T, axis=-1)
    volume = Volume(np.where(distance < 12, 100.0, -50.0).astype(np.float32), affine)
    return volume, distance < 12, middle


def view_point(volume, voxel):
    orientation = Orientation.of(volume.affine)
    affine = orientation.affine_to_ras(volume.affine, volume.shape)
    return (np.linalg.inv(affine) @ volume.affine @ [*voxel, 1.0])[:3]


def dice(a, b):
    return 2 * np.count_nonzero(a & b) / (np.count_nonzero(a) + np.count_nonzero(b))


def test_window_is_centred_on_its_point(ball):
    volume, _, middle = ball
    window = ClickWindow.around(volume, view_point(volume, middle), spacing_mm=1.0, size=48)
    image = window.sample(volume.array)
    axes = torch.arange(48) - 23.5
    distance = (axes[:, None, None] ** 2 + axes[None, :, None] ** 2 + axes[None, None, :] ** 2).sqrt()
    assert dice((image > 25).numpy(), (distance < 12).numpy()) > 0.9
    assert window.from_view(view_point(volume, middle)) == pytest.approx((23.5, 23.5, 23.5), abs=0.51)


def test_mask_round_trips_through_the_window(ball):
    volume, truth, middle = ball
    window = ClickWindow.around(volume, view_point(volume, middle), spacing_mm=0.8, size=48)
    share = window.sample_mask(CroppedArray.from_mask(truth))
    back = window.to_input(share - 0.5).paste_into(volume.shape) != 0
    assert dice(back, truth) > 0.95


def test_mask_cut_by_the_window_stays_inside_the_window(ball):
    volume, truth, middle = ball
    window = ClickWindow.around(volume, view_point(volume, middle), spacing_mm=0.5, size=16)
    back = window.to_input(torch.ones(16, 16, 16)).paste_into(volume.shape) != 0
    assert back.any()
    assert dice(back & truth, back) == 1.0


def test_voxels_outside_the_volume_are_marked():
    volume = Volume(np.zeros((20, 20, 20), np.float32), np.eye(4))
    window = ClickWindow.around(volume, (0, 10, 10), spacing_mm=1.0, size=16)
    inside = window.inside()
    assert not inside[:7].any()
    assert inside[8:].all()
    assert window.to_input(torch.ones(16, 16, 16)).box.start[0] == 0


def test_soft_tissue_window_by_modality():
    assert soft_tissue_units(Volume(np.zeros((4, 4, 4)), np.eye(4))) == (-160.0, 240.0)
    image = np.random.default_rng(0).uniform(0, 900, (20, 20, 20))
    image[:6] = 0
    low, high = soft_tissue_units(Volume(image, np.eye(4), modality="MR"))
    assert 0 <= low < 200
    assert 850 < high <= 900
