import pytest
import torch

from benchmarks.networks import SEGRESNET, SWIN_UNETR, TOTALSEGMENTATOR_15MM
from dsm.bench.totalsegmentator import TOTALSEGMENTATOR_3MM
from dsm.bench.windows import Windows, slide

# Of a 512×512×300 CT at 0.8×0.8×1.5 mm: the grids and windows of the published pipelines.
GRIDS = {1.5: (274, 274, 300), 3.0: (137, 137, 150)}
COUNTS = [(TOTALSEGMENTATOR_3MM, 8), (TOTALSEGMENTATOR_15MM, 27), (SEGRESNET, 64), (SWIN_UNETR, 150)]


@pytest.mark.parametrize(("peer", "count"), COUNTS, ids=lambda value: getattr(value, "name", None))
def test_number_of_windows_matches_published_pipelines(peer, count):
    assert len(peer.windows.corners(GRIDS[peer.spacing_mm])) == count


def test_windows_reach_both_ends():
    corners = Windows((8, 8, 8), 0.5).corners((20, 8, 5))
    assert min(corners) == (0, 0, 0)
    assert max(corner[0] for corner in corners) == 12
    assert {corner[1:] for corner in corners} == {(0, 0)}


@pytest.mark.parametrize("stride", [1, 2])
def test_mean_over_windows_equals_one_pass_of_a_local_network(stride):
    image = torch.rand(1, 24, 20, 16)

    def net(window):
        return torch.nn.functional.avg_pool3d(window, stride)

    windows = Windows((8, 8, 8), 0.5)
    found = slide(net, image, windows, num_classes=1, dtype=torch.float32, stride=stride, most=1000)
    assert found.num_run == found.num_windows == len(windows.corners((24, 20, 16)))
    torch.testing.assert_close(found.logits, net(image[None])[0])


def test_skipped_windows_cost_as_much_as_the_cheapest():
    image = torch.rand(1, 32, 32, 32)
    conv = torch.nn.Conv3d(1, 8, 3, padding=1)
    with torch.inference_mode():
        found = slide(conv, image, Windows((8, 8, 8), 0.5), num_classes=8, dtype=torch.float16, stride=1, most=2)
    assert (found.num_run, found.num_windows) == (2, 343)
    assert found.cost.cpu_s > 0
    assert found.flops == 2 * 27 * 8 * 8**3
