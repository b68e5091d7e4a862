from __future__ import annotations

import numpy as np

from dsm.core.volume import Volume, voxel_ml


def test_volume_of_voxels_is_a_plain_number_in_ml_whatever_the_axes():
    axes = np.array([[0.0, -3.0, 0.0], [2.0, 0.0, 0.0], [0.0, 0.0, -5.0]])
    affine = np.eye(4)
    affine[:3, :3] = axes
    volume = Volume(np.zeros((4, 4, 4)), affine)
    assert volume.voxel_ml == voxel_ml(axes) == 0.03
    # JSON and tables show a number of NumPy in other ways.
    for count in (200, np.int64(200)):
        assert volume.ml_of(count) == 6.0
        assert type(volume.ml_of(count)) is float
