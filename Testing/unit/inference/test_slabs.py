import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import nn

from dsm.inference.slabs import fine_in_slabs, plan_slabs


class Convolutions(nn.Module):
    """Two strided stages that see 1 + 2 + 4 voxels on each side."""

    def __init__(self):
        super().__init__()
        self.stem = nn.Conv3d(1, 3, 4, stride=2, padding=1)
        self.wide = nn.Conv3d(3, 3, 3, padding=1)
        self.down = nn.Conv3d(3, 4, 2, stride=2)
        self.deep = nn.Conv3d(4, 4, 3, padding=1)

    def fine(self, x):
        f2 = self.wide(self.stem(x).relu()).relu()
        return f2, self.deep(self.down(f2))


@given(blocks=st.integers(1, 40), max_slab=st.integers(1, 700), halo=st.integers(0, 100))
def test_slabs_cover_the_depth_once(blocks, max_slab, halo):
    depth = 16 * blocks
    slabs = plan_slabs(depth, max_slab=max_slab, halo=halo)
    assert [slab.start for slab in slabs] == [0, *(slab.stop for slab in slabs[:-1])]
    assert slabs[-1].stop == depth
    for slab in slabs:
        assert 0 < slab.stop - slab.start <= max(16, max_slab)
        assert all(n % 16 == 0 for n in (slab.start, slab.stop, slab.read_start, slab.read_stop))
        assert slab.start - slab.read_start >= halo or slab.read_start == 0
        assert slab.read_stop - slab.stop >= halo or slab.read_stop == depth


def test_last_slab_is_not_a_thin_remainder():
    assert [slab.stop - slab.start for slab in plan_slabs(80, max_slab=64, halo=0)] == [32, 48]


@pytest.mark.parametrize("max_slab", [16, 32, 96])
def test_stitched_features_equal_one_pass(max_slab):
    torch.manual_seed(0)
    net, x = Convolutions().eval(), torch.rand(1, 1, 16, 16, 96)
    calls = []
    with torch.inference_mode():
        whole = net.fine(x)
        slabs = plan_slabs(96, max_slab=max_slab, halo=11)
        stitched = fine_in_slabs(net, x, slabs, on_slab=lambda: calls.append(1))
    assert len(calls) == len(slabs) == 96 // max_slab
    for a, b in zip(stitched, whole, strict=True):
        torch.testing.assert_close(a, b, atol=1e-5, rtol=1e-5)
