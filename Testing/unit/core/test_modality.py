from __future__ import annotations

import numpy as np
import pytest

from dsm.core.modality import guess_modality


def ct() -> np.ndarray:
    """Air around soft tissue, HU `[I, J, K]`."""
    values = np.full((40, 40, 20), -1000, np.int16)
    values[5:35, 5:35] = np.random.default_rng(0).normal(40, 20, (30, 30, 20)).astype(np.int16)
    return values


def mr() -> np.ndarray:
    """Rayleigh noise around tissue, arbitrary units `[I, J, K]`."""
    rng = np.random.default_rng(1)
    values = rng.rayleigh(8, (40, 40, 20))
    values[5:35, 5:35] += rng.normal(400, 60, (30, 30, 20))
    return values.astype(np.float32)


@pytest.mark.parametrize("window", [(-1024, 3071), (-160, 240), (-125, 275)])
def test_clipped_ct_is_recognized(window: tuple[int, int]) -> None:
    assert guess_modality(np.clip(ct(), *window)).modality == "CT"


def test_few_negative_voxels_do_not_make_mr_a_ct() -> None:
    values = mr()
    values[0, 0, 0] = -1000
    values[5, 5:35, 3] = -101  # ringing of a spline along one edge
    assert guess_modality(values).modality == "MR"


def test_the_reason_names_the_share_of_voxels() -> None:
    values = ct()
    assert f"{np.mean(values <= -100):.0%}" in guess_modality(values).reason
    assert "None of the voxels" in guess_modality(mr()).reason


@pytest.mark.parametrize("values", [ct(), mr()])
def test_modality_is_independent_of_storage_order(values: np.ndarray) -> None:
    assert guess_modality(values[::-1].transpose(2, 0, 1)) == guess_modality(values)


def test_unsigned_values_are_not_hounsfield_units() -> None:
    assert guess_modality(ct().astype(np.uint16)).modality == "MR"
