import numpy as np
import pytest
from scipy import ndimage

from dsm.core.volume import Volume
from dsm.datasets.fingerprint import SAME_SCAN, fingerprint


def scan(seed, modality="CT"):
    noise = np.random.default_rng(seed).normal(size=(50, 60, 70))
    smooth = ndimage.gaussian_filter(noise, 4)
    return Volume((smooth / smooth.std() * 100).astype(np.int16), np.diag([1.0, 1, 1, 1]), modality)


def alike(a, b):
    return float(fingerprint(a).values @ fingerprint(b).values)


def test_different_scans_have_low_similarity():
    assert alike(scan(0), scan(1)) < 0.3
    assert fingerprint(scan(0)).digest != fingerprint(scan(1)).digest


def test_orientation_does_not_matter():
    volume = scan(0)
    turned = Volume(volume.array[::-1].transpose(2, 0, 1), np.diag([-1.0, 1, 1, 1])[:, [2, 0, 1, 3]])
    assert fingerprint(turned).digest == fingerprint(volume).digest


def test_spacing_and_window_hardly_matter():
    volume = scan(0)
    coarse = ndimage.zoom(volume.array.astype(float), (1, 1, 0.4), order=1)
    copy = Volume(np.clip(coarse, -125, 275).astype(np.int16), np.diag([1.0, 1, 2.5, 1]))
    assert alike(volume, copy) > SAME_SCAN


def test_scale_of_mr_does_not_matter():
    volume = scan(0, "MR")
    assert alike(volume, Volume(volume.array * 3 + 500, volume.affine, "MR")) == pytest.approx(1, abs=1e-4)


def test_constant_image():
    flat = fingerprint(Volume(np.zeros((4, 4, 4), np.int16), np.eye(4)))
    assert np.isfinite(flat.values).all()
