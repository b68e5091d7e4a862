"""Files for the command line."""

from __future__ import annotations

import numpy as np
import pytest
import SimpleITK


@pytest.fixture(scope="session")
def scan_file(tmp_path_factory):
    """A small CT, oblique in LPS, as NIfTI."""
    path = tmp_path_factory.mktemp("scan") / "scan.nii.gz"
    array = np.random.default_rng(0).integers(-200, 200, (20, 24, 28)).astype(np.int16)
    image = SimpleITK.GetImageFromArray(array)
    image.SetSpacing((1.2, 1.2, 2.5))
    image.SetOrigin((-10, 20, 30))
    SimpleITK.WriteImage(image, str(path))
    return path


@pytest.fixture
def listing(tmp_path):
    """Return a function that lists everything below the test's folder."""
    return lambda: sorted(str(path.relative_to(tmp_path)) for path in tmp_path.rglob("*"))
