import numpy as np
import torch

from dsm.evaluation.click_baseline import GeodesicLook

EDGE = 32


def look(image, clicks):
    empty = torch.zeros_like(image)
    return (GeodesicLook(EDGE).look(image, clicks, previous=empty, text=empty) > 0).numpy()


def dice(a, b):
    return 2 * np.count_nonzero(a & b) / (np.count_nonzero(a) + np.count_nonzero(b))


def balls(*middles, noise=0.02):
    grid = np.moveaxis(np.indices((EDGE,) * 3), 0, -1)
    masks = [np.linalg.norm(grid - middle, axis=-1) < 6 for middle in middles]
    image = np.where(np.any(masks, axis=0), 0.7, 0.3) + np.random.default_rng(0).normal(0, noise, (EDGE,) * 3)
    return torch.from_numpy(image).float(), masks


def test_contrasting_object_is_found_from_one_click():
    image, (truth,) = balls((16, 15, 17))
    assert dice(look(image, [((18.0, 15.0, 17.0), True)]), truth) > 0.75


def test_click_outside_removes_a_part():
    image, (left, right) = balls((10, 16, 16), (21, 16, 16))
    both = look(image, [((10.0, 16.0, 16.0), True)])
    one = look(image, [((10.0, 16.0, 16.0), True), ((21.0, 16.0, 16.0), False)])
    assert dice(one, left) > dice(both, left)
    assert np.count_nonzero(one & right) < 0.5 * np.count_nonzero(right)
