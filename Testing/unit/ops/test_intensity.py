import pytest
import torch

from dsm.ops.intensity import percentile_window, window_channels


def test_windows_become_channels():
    image = torch.tensor([-1000, -125, 75, 275, 3000], dtype=torch.int16).view(5, 1, 1)
    channels = window_channels(image, [(-125.0, 275.0), (-1000.0, 400.0)])
    assert channels.shape == (2, 5, 1, 1)
    assert channels[0].flatten().tolist() == [0.0, 0.0, 0.5, 1.0, 1.0]
    assert channels[1].flatten().tolist() == pytest.approx([0.0, 0.625, 1075 / 1400, 1275 / 1400, 1.0])


def test_percentiles_leave_the_extremes_out():
    low, high = percentile_window(torch.arange(1001.0))
    assert (low, high) == pytest.approx((5.0, 995.0))


def test_constant_image_has_a_window():
    low, high = percentile_window(torch.full((10,), 7.0))
    assert high > low
    assert torch.isfinite(window_channels(torch.full((2, 2, 2), 7.0), [(low, high)])).all()


def test_many_values_are_sampled():
    low, high = percentile_window(torch.arange(3_000_000.0))
    assert low == pytest.approx(15_000, rel=0.01)
    assert high == pytest.approx(2_985_000, rel=0.01)
