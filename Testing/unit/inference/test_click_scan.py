"""Windows that follow the object, with a flood fill in place of the network."""

import numpy as np
import pytest
import torch
from scipy import ndimage

from dsm.core.boxes import CroppedArray
from dsm.core.click import Click
from dsm.core.volume import Volume
from dsm.errors import InputError
from dsm.inference.click_scan import ClickSegmenter, clicked_parts, open_for_clicks
from dsm.nn.click_refiner import ClickRefiner, ClickRefinerConfig


class FloodFill:
    """Inside is what is connected to a click inside and as bright, but for what is near to a click outside."""

    size = 32
    coarsest_mm = 10.0

    def __init__(self):
        self.looks = 0

    def look(self, image, clicks, *, previous, text):
        self.looks += 1
        found = np.zeros(image.shape, dtype=bool)
        for point, is_inside in clicks:
            voxel = tuple(min(max(round(p), 0), n - 1) for p, n in zip(point, image.shape, strict=True))
            if is_inside:
                alike = (image - image[voxel]).abs().numpy() < 0.35
                parts, _ = ndimage.label(alike)
                found |= parts == parts[voxel]
        for point, is_inside in clicks:
            if not is_inside:
                grid = np.moveaxis(np.indices(found.shape), 0, -1)
                found &= np.linalg.norm(grid - point, axis=-1) > 3
        return torch.from_numpy(np.where(found, 4.0, -4.0)).float()


def ball_in(shape, affine, middle, radius_mm):
    grid = np.moveaxis(np.indices(shape), 0, -1)
    distance = np.linalg.norm((grid - middle) @ affine[:3, :3].T, axis=-1)
    image = np.where(distance < radius_mm, 200.0, -100.0).astype(np.float32)
    return Volume(image, affine), distance < radius_mm


def at(volume, voxel, *, inside=True):
    return Click(tuple((volume.affine @ [*voxel, 1.0])[:3]), inside)


def dice(result, truth):
    found = result.mask.paste_into(truth.shape) != 0
    return 2 * np.count_nonzero(found & truth) / max(1, np.count_nonzero(found) + np.count_nonzero(truth))


@pytest.mark.parametrize("radius_mm", [2.5, 8, 30, 75])
def test_from_a_node_of_5_mm_to_a_mass_of_15_cm(radius_mm):
    volume, truth = ball_in((180, 180, 90), np.diag([-1.0, -1.0, 2.0, 1.0]), (90, 92, 44), radius_mm)
    fill = FloodFill()
    result = open_for_clicks(volume, fill).segment([at(volume, (90 + 0.3 * radius_mm, 92, 44))])
    assert dice(result, truth) > (0.85 if radius_mm < 5 else 0.93)
    assert fill.looks <= 8


@pytest.mark.parametrize(
    "affine",
    [
        np.diag([0.7, 0.7, 5.0, 1.0]),
        np.array([[0, 0, 2.0, -5], [0.9, 0.3, 0, 0], [0.3, -0.9, 0, 9], [0, 0, 0, 1.0]]),
        np.array([[-1.0, 0, 0, 80], [0, 0, 4.0, 3], [0, -1.0, 0, 50], [0, 0, 0, 1.0]]),
    ],
)
def test_anisotropic_flipped_and_oblique_scans(affine):
    lengths = np.linalg.norm(affine[:3, :3], axis=0)
    shape = tuple(round(100 / mm) for mm in lengths)
    volume, truth = ball_in(shape, affine, np.array(shape) / 2, 16)
    result = open_for_clicks(volume, FloodFill()).segment([at(volume, np.array(shape) / 2)])
    assert dice(result, truth) > 0.9
    assert result.volume_ml == pytest.approx(np.count_nonzero(truth) * volume.voxel_volume_mm3 / 1000, rel=0.15)


def test_an_object_at_the_border_of_the_volume():
    volume, truth = ball_in((60, 60, 60), np.eye(4), (0, 30, 30), 14)
    result = open_for_clicks(volume, FloodFill()).segment([at(volume, (0, 30, 30))])
    assert dice(result, truth) > 0.9


def test_a_click_outside_of_the_volume_is_refused_and_one_on_its_rim_is_not():
    volume, _ = ball_in((60, 60, 60), np.eye(4), (30, 30, 30), 14)
    scan = open_for_clicks(volume, FloodFill())
    with pytest.raises(InputError, match="outside of the volume"):
        scan.segment([at(volume, (-0.6, 30, 30))])
    assert scan.segment([at(volume, (-0.5, 30, 30))]).looks


def test_a_click_in_air_finds_the_air_around_and_ends():
    volume, truth = ball_in((60, 60, 60), np.eye(4), (30, 30, 30), 14)
    result = open_for_clicks(volume, FloodFill()).segment([at(volume, (3, 3, 3))])
    assert dice(result, ~truth) > 0.9


def test_clicks_outside_take_away_and_undo_costs_nothing():
    volume, _ = ball_in((60, 60, 60), np.eye(4), (30, 30, 30), 14)
    fill = FloodFill()
    scan = open_for_clicks(volume, fill)
    first = scan.segment([at(volume, (30, 30, 30))])
    less = scan.segment([at(volume, (30, 30, 30)), at(volume, (36, 30, 30), inside=False)])
    shown = [result.mask.paste_into(volume.shape)[36, 30, 30] for result in (first, less)]
    assert shown == [1, 0]
    looks = fill.looks
    assert scan.segment([at(volume, (30, 30, 30))]) is first
    assert fill.looks == looks


def test_there_must_be_a_click_inside():
    volume, _ = ball_in((40, 40, 40), np.eye(4), (20, 20, 20), 9)
    scan = open_for_clicks(volume, FloodFill())
    for clicks in ([], [at(volume, (20, 20, 20), inside=False)]):
        with pytest.raises(InputError, match="No click is inside"):
            scan.segment(clicks)


def test_a_scribble_costs_as_much_as_a_click():
    volume, truth = ball_in((60, 60, 60), np.eye(4), (30, 30, 30), 14)
    fill = FloodFill()
    result = open_for_clicks(volume, fill).segment([at(volume, (30, j, 30)) for j in np.linspace(20, 40, 50)])
    assert dice(result, truth) > 0.9
    assert fill.looks <= 8


def test_a_text_mask_says_how_large_the_object_is():
    volume, truth = ball_in((120, 120, 120), np.eye(4), (60, 60, 60), 45)
    blind, told = FloodFill(), FloodFill()
    open_for_clicks(volume, blind).segment([at(volume, (60, 60, 60))])
    text = CroppedArray.from_mask(truth.astype(np.uint8))
    result = open_for_clicks(volume, told, text=text).segment([at(volume, (60, 60, 60))])
    assert told.looks < blind.looks
    assert dice(result, truth) > 0.93


def test_parts_without_a_click_are_dropped():
    found = np.zeros((16, 16, 16), dtype=bool)
    found[2:6, 2:6, 2:6] = found[10:14, 10:14, 10:14] = True
    assert clicked_parts(found, [(3.0, 3.0, 3.0)]).sum() == 64
    assert clicked_parts(found, [(3.0, 3.0, 3.0), (11.0, 11.0, 11.0)]).sum() == 128
    assert clicked_parts(found, [(8.0, 0.0, 15.0)]).sum() == 128


def test_a_network_answers_within_the_volume():
    torch.manual_seed(0)
    segmenter = ClickSegmenter(ClickRefiner(ClickRefinerConfig(channels=(8, 8, 8, 8), detail=2, window=32)).eval())
    rng = np.random.default_rng(0)
    volume = Volume(rng.integers(0, 900, (30, 24, 12)).astype(np.uint16), np.diag([1.0, 1.0, 4.0, 1.0]), modality="MR")
    result = segmenter.open(volume).segment([at(volume, (15, 12, 6))])
    assert result.mask.box.clip(volume.shape) == result.mask.box
