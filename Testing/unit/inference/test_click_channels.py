import torch

from dsm.inference.click_channels import click_channels
from dsm.nn.click_refiner import CHANNELS

EDGE = 32


def made(image, clicks):
    empty = torch.zeros_like(image)
    return click_channels(image, clicks, previous=empty, text=empty)


def row(x, name):
    return x[0, CHANNELS.index(name)]


def test_channels_are_finite_and_bounded():
    image = 3 * torch.randn(2, EDGE, EDGE, EDGE)
    clicks = [[((5.0, 6.0, 7.0), True), ((20.0, 20.0, 20.0), False)], [((0.0, 0.0, 0.0), True)]]
    x = made(image, clicks)
    assert x.shape == (2, len(CHANNELS), EDGE, EDGE, EDGE)
    assert x.isfinite().all()
    assert float(x.abs().max()) <= 1.0 + 1e-6


def test_geodesic_map_falls_off_at_edges():
    image = torch.full((1, EDGE, EDGE, EDGE), 0.3)
    image[:, 16:] = 0.9
    x = made(image, [[((8.0, 16.0, 16.0), True)]])
    near, far = row(x, "inside_geodesic")[14, 16, 16], row(x, "inside_geodesic")[18, 16, 16]
    assert float(near) > 2 * float(far)
    assert float(row(x, "inside_barrier")[8, 2, 2]) > 0.9
    assert float(row(x, "inside_barrier")[20, 16, 16]) < 0.2
    assert float(row(x, "soft_difference")[20, 16, 16]) == 1.0
    assert abs(float(row(x, "soft_difference")[2, 2, 2])) < 1e-6


def test_outside_clicks_have_separate_channels():
    image = torch.rand(1, EDGE, EDGE, EDGE)
    one = made(image, [[((8.0, 8.0, 8.0), True)]])
    both = made(image, [[((8.0, 8.0, 8.0), True), ((20.0, 21.0, 22.0), False)]])
    for name in ("outside_near", "outside_far", "outside_geodesic"):
        assert not row(one, name).any()
    assert float(row(both, "outside_near")[20, 21, 22]) == 1.0
    assert torch.equal(row(one, "inside_near"), row(both, "inside_near"))


def test_click_beyond_the_window_is_clamped_to_its_border():
    image = torch.rand(1, EDGE, EDGE, EDGE)
    x = made(image, [[((-40.0, 16.0, 16.0), True)]])
    assert x.isfinite().all()
    assert float(row(x, "inside_geodesic")[0, 16, 16]) > 0.5
