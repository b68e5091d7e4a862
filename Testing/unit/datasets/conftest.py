"""Tiny data sets in the layouts of public ones."""

from __future__ import annotations

import json
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import SimpleITK as sitk

SHAPE = (12, 10, 8)


def write(path: Path, array: np.ndarray, *, spacing=(2.0, 2.0, 3.0), origin=(0.0, 0.0, 0.0)) -> Path:
    """Write `[I, J, K]` (or `[I, J, K, T]`) as an image."""
    path.parent.mkdir(parents=True, exist_ok=True)
    axes = range(array.ndim - 1, -1, -1)
    image = sitk.GetImageFromArray(array.transpose(*axes), isVector=False)
    image.SetSpacing((*spacing, 1.0)[: array.ndim])
    image.SetOrigin((*origin, 0.0)[: array.ndim])
    sitk.WriteImage(image, str(path))
    return path


def ct(seed: int = 0) -> np.ndarray:
    """Noise around water."""
    return np.random.default_rng(seed).normal(0, 200, SHAPE).astype(np.int16)


def labels(*ids: int) -> np.ndarray:
    """A label map with 10 voxels of each id, one row each."""
    array = np.zeros(SHAPE, np.uint8)
    for row, label_id in enumerate(ids):
        array[row, :, 0] = label_id
    return array


@pytest.fixture
def files():
    """The functions above, which tests cannot import."""
    return SimpleNamespace(write=write, ct=ct, labels=labels, shape=SHAPE)


@pytest.fixture
def read(tmp_path):
    """Return a function that imports a folder of a layout and reads what was written: manifest and entries."""
    from dsm.datasets.import_set import import_set
    from dsm.io.manifest import read_manifest

    def read(layout: str, folder: Path):
        out = tmp_path / "imported"
        manifest = import_set(layout, folder, out)
        assert json.loads((out / "dataset.json").read_text()) == manifest
        entries = read_manifest(out)
        assert all(entry.image.is_file() and entry.label.is_file() for entry in entries)
        return manifest, entries

    return read
