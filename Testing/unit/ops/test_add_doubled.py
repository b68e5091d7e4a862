import torch
from torch.nn import functional as F

from dsm.ops.add_doubled import add_doubled_


def test_each_coarse_voxel_is_added_to_eight():
    x = torch.randn(1, 5, 4, 6, 8).contiguous(memory_format=torch.channels_last_3d)
    coarse = torch.randn(1, 5, 2, 3, 4)
    expected = x + F.interpolate(coarse, scale_factor=2.0, mode="nearest")
    found = add_doubled_(x, coarse)
    assert found.data_ptr() == x.data_ptr()
    torch.testing.assert_close(found, expected, atol=0, rtol=0)
