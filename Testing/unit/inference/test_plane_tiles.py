import pytest
import torch

from dsm.inference.fast_network import Convolution
from dsm.inference.plane_tiles import inner_planes, sliding_window


@pytest.mark.parametrize("count", [1, 2, 7, 8, 9, 24])
@pytest.mark.parametrize(("planes", "halo"), [(8, 2), (4, 1), (4, 2)])
def test_windows_include_neighbouring_planes(count, planes, halo):
    whole = torch.randn(1, 3, count, 2, 2)
    padded = torch.nn.functional.pad(whole, (0, 0, 0, 0, halo, halo))
    asked = []

    def fill(start, stop, into):
        asked.extend(range(start, stop))
        into.copy_(whole[:, :, start:stop])

    covered = []
    for start, stop, window in sliding_window(whole, fill, planes=planes, halo=halo):
        torch.testing.assert_close(window, padded[:, :, start : stop + 2 * halo], atol=0, rtol=0)
        covered.extend(range(start, stop))
    assert asked == covered == list(range(count))


@pytest.mark.parametrize("wrap", [lambda conv: conv, Convolution])
@torch.inference_mode()
def test_inner_planes_match_the_padded_convolution(wrap):
    conv = torch.nn.Conv3d(3, 4, 3, padding=1)
    x = torch.randn(1, 3, 6, 5, 5)
    torch.testing.assert_close(inner_planes(wrap(conv), x), conv(x)[:, :, 1:-1])
