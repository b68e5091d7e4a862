import pytest
import torch

from dsm.ops.intensity import percentile_window, window_channels, windows_of_scan


def test_windows_become_channels():
    image = torch.tensor([-1000, -125, 75, 275, 3000], dtype=torch.int16).view(5, 1, 1)
    channels = window_channels(image, [(-125.0, 275.0), (-1000.0, 400.0)])
    assert channels.shape == (2, 5, 1, 1)
    assert channels[0].flatten().tolist() == [0.0, 0.0, 0.5, 1.0, 1.0]
    assert channels[1].flatten().tolist() == pytest.approx([0.0, 0.625, 1075 / 1400, 1275 / 1400, 1.0])


def test_percentiles_exclude_extremes():
    low, high = percentile_window(torch.arange(1001.0))
    assert (low, high) == pytest.approx((5.0, 995.0))


def test_window_of_a_constant_image():
    low, high = percentile_window(torch.full((10,), 7.0))
    assert high > low
    assert torch.isfinite(window_channels(torch.full((2, 2, 2), 7.0), [(low, high)])).all()


def test_many_values_are_sampled():
    low, high = percentile_window(torch.arange(3_000_000.0))
    assert low == pytest.approx(15_000, rel=0.01)
    assert high == pytest.approx(2_985_000, rel=0.01)


@pytest.mark.parametrize(("air", "kept"), [(-1000.0, True), (-125.0, False), (-40.0, False)])
def test_wide_window_is_used_if_the_scan_has_air(air, kept):
    soft, wide = (-125.0, 275.0), (-1000.0, 600.0)
    image = torch.full((3, 3, 3), 40.0)
    image[0] = air
    windows = windows_of_scan(image, [soft, wide])
    assert windows == [soft, wide if kept else None]
    channels = window_channels(image, windows)
    assert bool(channels[1].any()) == kept
    assert torch.equal(channels[0], window_channels(image, [soft])[0])


def test_single_window_is_used_for_all_scans():
    assert windows_of_scan(torch.zeros(2, 2, 2), [(-1000.0, 600.0)]) == [(-1000.0, 600.0)]
