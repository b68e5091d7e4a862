"""Segmentation from clicks, with a flood fill in place of the network."""

import numpy as np
import pytest
import torch
from scipy import ndimage

from dsm.core.boxes import CroppedArray
from dsm.core.click import Click
from dsm.core.volume import Volume
from dsm.errors import InputError
from dsm.inference.click_scan import ClickScan, ClickSegmenter, clicked_parts
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
def test_objects_from_5_mm_to_15_cm(radius_mm):
    volume, truth = ball_in((180, 180, 90), np.diag([-1.0, -1.0, 2.0, 1.0]), (90, 92, 44), radius_mm)
    fill = FloodFill()
    result = ClickScan.of(volume, fill).segment([at(volume, (90 + 0.3 * radius_mm, 92, 44))])
    assert dice(result, truth) > (0.85 if radius_mm < 5 else 0.93)
    assert fill.looks <= 11


class ShortSighted(FloodFill):
    """Sees an object that fits into the window; of a larger one a patch, and is undecided about the rest."""

    def look(self, image, clicks, *, previous, text):
        logits = super().look(image, clicks, previous=previous, text=text)
        if all((logits > 0).any(dim=axis).all() for axis in range(3)) or (logits > 0).float().mean() > 0.5:
            grid = torch.from_numpy(np.moveaxis(np.indices(logits.shape), 0, -1))
            near = (grid - torch.tensor(clicks[0][0])).square().sum(-1) < 5**2
            return torch.where(near, 0.5, -0.5)
        return logits


def test_first_click_in_a_large_object_uses_the_most_distinct_window():
    volume, truth = ball_in((120, 120, 120), np.diag([2.0, 2.0, 2.0, 1.0]), (60, 60, 60), 70)
    result = ClickScan.of(volume, ShortSighted()).segment([at(volume, (60, 60, 60))])
    assert dice(result, truth) > 0.9


class CoarseSighted(FloodFill):
    """Sees a lesion in fine windows, its organ in coarse ones, and is less sure of the lesion."""

    def look(self, image, clicks, *, previous, text):
        self.looks += 1
        lesion, organ = image > image.max() - 0.1, image > image.min() + 0.1
        is_fine = bool(organ.float().mean() > 0.5)
        logits = torch.where(lesion if is_fine else organ, 4.0, -4.0)
        undecided = 8 if is_fine else 1
        logits[:undecided] = logits[:undecided].clamp(-0.5, 0.5)
        return logits


@pytest.mark.parametrize(("expected_ml", "radius_mm"), [(None, 40), (260.0, 40), (1.0, 8)])
def test_first_click_uses_the_volume_that_the_name_leads_to_expect(expected_ml, radius_mm):
    volume, lesion = ball_in((110, 110, 110), np.eye(4), (55, 55, 55), 8)
    organ_volume, organ = ball_in((110, 110, 110), np.eye(4), (55, 55, 55), 40)
    volume = Volume((volume.array + organ_volume.array) / 2, np.eye(4))
    result = ClickScan.of(volume, CoarseSighted(), expected_ml=expected_ml).segment([at(volume, (55, 55, 55))])
    assert dice(result, {8: lesion, 40: organ}[radius_mm]) > 0.85


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
    result = ClickScan.of(volume, FloodFill()).segment([at(volume, np.array(shape) / 2)])
    assert dice(result, truth) > 0.9
    assert result.volume_ml == pytest.approx(np.count_nonzero(truth) * volume.voxel_ml, rel=0.15)


def test_an_object_at_the_border_of_the_volume():
    volume, truth = ball_in((60, 60, 60), np.eye(4), (0, 30, 30), 14)
    result = ClickScan.of(volume, FloodFill()).segment([at(volume, (0, 30, 30))])
    assert dice(result, truth) > 0.9


def test_click_outside_the_volume_is_refused_and_on_its_border_accepted():
    volume, _ = ball_in((60, 60, 60), np.eye(4), (30, 30, 30), 14)
    scan = ClickScan.of(volume, FloodFill())
    with pytest.raises(InputError, match="outside of the volume"):
        scan.segment([at(volume, (-0.6, 30, 30))])
    assert scan.segment([at(volume, (-0.5, 30, 30))]).looks


def test_click_in_air_segments_the_surrounding_air():
    volume, truth = ball_in((60, 60, 60), np.eye(4), (30, 30, 30), 14)
    result = ClickScan.of(volume, FloodFill()).segment([at(volume, (3, 3, 3))])
    assert dice(result, ~truth) > 0.9


def test_outside_clicks_remove_and_undo_is_cached():
    volume, _ = ball_in((60, 60, 60), np.eye(4), (30, 30, 30), 14)
    fill = FloodFill()
    scan = ClickScan.of(volume, fill)
    first = scan.segment([at(volume, (30, 30, 30))])
    less = scan.segment([at(volume, (30, 30, 30)), at(volume, (36, 30, 30), inside=False)])
    shown = [result.mask.paste_into(volume.shape)[36, 30, 30] for result in (first, less)]
    assert shown == [1, 0]
    looks = fill.looks
    assert scan.segment([at(volume, (30, 30, 30))]) is first
    assert fill.looks == looks


def test_inside_click_is_required():
    volume, _ = ball_in((40, 40, 40), np.eye(4), (20, 20, 20), 9)
    scan = ClickScan.of(volume, FloodFill())
    for clicks in ([], [at(volume, (20, 20, 20), inside=False)]):
        with pytest.raises(InputError, match="No click is inside"):
            scan.segment(clicks)


def test_scribble_costs_as_much_as_a_click():
    volume, truth = ball_in((60, 60, 60), np.eye(4), (30, 30, 30), 14)
    fill = FloodFill()
    result = ClickScan.of(volume, fill).segment([at(volume, (30, j, 30)) for j in np.linspace(20, 40, 50)])
    assert dice(result, truth) > 0.9
    assert fill.looks <= 8


class Bright:
    """Network that finds what is bright, wherever it is clicked, or nothing."""

    size = 32
    coarsest_mm = 10.0

    def __init__(self, least=0.5):
        self.least = least
        self.looks = 0

    def look(self, image, clicks, *, previous, text):
        self.looks += 1
        return torch.where(image > self.least, 4.0, -4.0)


@pytest.fixture(scope="module")
def rod():
    """A bright rod of 160 mm along k, longer than a window, in voxels of 1 mm: volume and mask."""
    truth = np.zeros((70, 40, 200), dtype=bool)
    truth[15:23, 16:24, 20:180] = True
    return Volume(np.where(truth, 200.0, -100.0).astype(np.float32), np.eye(4)), truth


def corrected(scan, *clicks):
    return scan.segment(clicks).mask.paste_into(scan.volume.shape) != 0


def mask_of(found):
    return CroppedArray.from_mask(found.astype(np.uint8))


def test_click_in_a_correct_text_mask_keeps_it(rod):
    volume, truth = rod
    network = Bright()
    scan = ClickScan.of(volume, network, text=mask_of(truth))
    assert np.array_equal(corrected(scan, at(volume, (19, 20, 60))), truth)
    assert network.looks == 1


def test_click_adds_only_the_connected_missing_part(rod):
    volume, truth = rod
    text = truth.copy()
    text[:, :, 60:130] = text[:, :, 150:] = False
    found = corrected(ClickScan.of(volume, Bright(), text=mask_of(text)), at(volume, (19, 20, 95)))
    assert np.array_equal(found[:, :, :59], text[:, :, :59])
    assert np.array_equal(found[:, :, 152:], text[:, :, 152:])
    assert found[17:21, 18:22, 62:128].all()
    assert np.count_nonzero(found & ~truth) < 0.1 * np.count_nonzero(truth)


def test_outside_click_removes_only_the_connected_wrong_part(rod):
    volume, truth = rod
    text = truth.copy()
    text[45:55, 15:25, 20:90] = True
    text[45:55, 15:25, 120:180] = True
    scan = ClickScan.of(volume, Bright(), text=mask_of(text))
    found = corrected(scan, at(volume, (19, 20, 60)), at(volume, (50, 20, 55), inside=False))
    assert np.count_nonzero(found[45:55, :, :100]) < 0.1 * 70 * 100
    assert np.array_equal(found[45:55, :, 110:], text[45:55, :, 110:])
    assert np.array_equal(found[:30], truth[:30])


def test_text_mask_is_corrected_by_an_outside_click_only(rod):
    volume, truth = rod
    text = truth.copy()
    text[45:55, 15:25, 20:90] = True
    found = corrected(ClickScan.of(volume, Bright(), text=mask_of(text)), at(volume, (50, 20, 55), inside=False))
    assert np.count_nonzero(found[45:55]) < 0.1 * 70 * 100
    assert np.array_equal(found[:30], truth[:30])


def test_scribble_corrects_at_each_of_its_clicks(rod):
    volume, truth = rod
    gaps = range(25, 175, 12)
    text = truth.copy()
    for k in gaps:
        text[:, :, k : k + 6] = False
    found = corrected(ClickScan.of(volume, Bright(), text=mask_of(text)), *(at(volume, (19, 20, k + 3)) for k in gaps))
    assert found[17:21, 18:22, 20:180].all()


def test_correction_larger_than_the_mask_is_treated_as_a_leak(rod):
    volume, truth = rod
    scan = ClickScan.of(volume, Bright(least=-1.0), text=mask_of(truth))
    added = np.argwhere(corrected(scan, at(volume, (45, 20, 100))) & ~truth)
    assert 0 < len(added) < 1000
    assert np.linalg.norm(added - (45, 20, 100), axis=1).max() < 7


def test_click_contradicted_by_the_network_changes_a_few_millimetres(rod):
    volume, truth = rod
    clicks = at(volume, (19, 20, 60)), at(volume, (40, 20, 100)), at(volume, (19, 20, 150), inside=False)
    scan = ClickScan.of(volume, Bright(), text=mask_of(truth))
    changed = np.argwhere(corrected(scan, *clicks) != truth)
    near = [np.linalg.norm(changed - click.ras_mm, axis=1) for click in clicks[1:]]
    assert all(distance.min() < 1 for distance in near)
    assert np.minimum(*near).max() < 7


def test_parts_without_a_click_are_dropped():
    found = np.zeros((16, 16, 16), dtype=bool)
    found[2:6, 2:6, 2:6] = found[10:14, 10:14, 10:14] = True
    assert clicked_parts(found, [(3.0, 3.0, 3.0)]).sum() == 64
    assert clicked_parts(found, [(3.0, 3.0, 3.0), (11.0, 11.0, 11.0)]).sum() == 128
    assert clicked_parts(found, [(8.0, 0.0, 15.0)]).sum() == 128


def test_mask_of_a_network_stays_within_the_volume():
    torch.manual_seed(0)
    segmenter = ClickSegmenter(ClickRefiner(ClickRefinerConfig(channels=(8, 8, 8, 8), detail=2, window=32)).eval())
    rng = np.random.default_rng(0)
    volume = Volume(rng.integers(0, 900, (30, 24, 12)).astype(np.uint16), np.diag([1.0, 1.0, 4.0, 1.0]), modality="MR")
    result = segmenter.open(volume).segment([at(volume, (15, 12, 6))])
    assert result.mask.box.clip(volume.shape) == result.mask.box
