from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest

from dsm.core.input_note import InputNote
from dsm.core.scan_check import check_scan
from dsm.core.volume import Volume
from dsm.errors import GeometryError, InputError


def trunk() -> np.ndarray:
    """A noisy body in air with fat around it, HU `[I, J, K]`."""
    rng = np.random.default_rng(0)
    values = rng.normal(-1000, 5, (48, 40, 24))
    values[6:42, 6:34] = rng.normal(-100, 10, (36, 28, 24))
    values[9:39, 9:31] = rng.normal(50, 15, (30, 22, 24))
    values[20:24, 18:22] = 700
    return values


def labels() -> np.ndarray:
    """Blocks of whole numbers, `[I, J, K]`."""
    values = np.zeros((48, 40, 24), np.int16)
    for number in range(1, 31):
        i, j = divmod(number, 6)
        values[2 + 7 * i : 8 + 7 * i, 2 + 6 * j : 7 + 6 * j, 4:20] = number
    return values


def volume(values: np.ndarray, modality: str = "CT", mm: float = 3.0) -> Volume:
    return Volume(values, np.diag([mm, mm, mm, 1.0]), modality, "scan.nii.gz")


@pytest.mark.parametrize("dtype", [np.int16, np.float32])
@pytest.mark.parametrize("window", [(-1024, 3071), (-160, 240), (-125, 275)])
def test_a_ct_in_hounsfield_units_passes(window: tuple[int, int], dtype: type) -> None:
    assert check_scan(volume(np.clip(trunk(), *window).astype(dtype))) == ()


CHANGES: dict[str, Callable[[np.ndarray], np.ndarray]] = {
    "stored 1024 too high": lambda hu: hu + 1024,
    "clipped, then stored 1024 too high": lambda hu: np.clip(hu, -124, 276) + 1024,
    "scaled to 0..1": lambda hu: (np.clip(hu, -1000, 1000) + 1000) / 2000,
    "scaled to 0..255": lambda hu: (np.clip(hu, -125, 275) + 125) / 400 * 255,
    "scaled to -1..1": lambda hu: np.clip(hu, -1000, 1000) / 1000,
    "clipped, then 300 too high": lambda hu: np.clip(hu, -125, 275) + 300,
    "slope doubled, with the intercept of 1024": lambda hu: 2 * (hu + 1024) - 1024,
    "clipped at 0": lambda hu: np.clip(hu, 0, None),
    "padding of an unsigned file": lambda hu: np.where(hu < -900, 63536, hu),
    "inverted and shifted": lambda hu: 1000 - np.clip(hu, -1000, 1000),
}


@pytest.mark.parametrize("change", CHANGES)
def test_ct_not_in_hounsfield_units_is_refused(change: str) -> None:
    with pytest.raises(InputError, match="cannot be Hounsfield units") as caught:
        check_scan(volume(CHANGES[change](trunk()).astype(np.float32)))
    assert caught.value.code == "input.values"
    assert "taken as MR" in caught.value.hint


@pytest.mark.parametrize("change", CHANGES)
def test_the_same_values_pass_as_mr(change: str) -> None:
    check_scan(volume(CHANGES[change](trunk()).astype(np.float32), "MR"))


@pytest.mark.parametrize("change", [lambda hu: hu + 300, lambda hu: hu / 2, lambda hu: np.clip(hu, -400, 400)])
def test_possibly_shifted_values_are_noted(change: Callable[[np.ndarray], np.ndarray]) -> None:
    (note,) = check_scan(volume(change(trunk())))
    assert note.code == "values.shifted"
    assert check_scan(volume(change(trunk()), "MR")) == ()


def test_a_region_cut_out_of_soft_tissue_passes() -> None:
    assert check_scan(volume(np.random.default_rng(2).normal(60, 8, (30, 30, 20)))) == ()


def test_error_states_the_offset() -> None:
    with pytest.raises(InputError, match="plus 1024"):
        check_scan(volume(trunk() + 1024))


def test_single_outlier_voxel_has_no_effect() -> None:
    values = trunk()
    values[0, 0, 0] = 1e6
    assert check_scan(volume(values)) == ()
    shifted = trunk() + 1024
    shifted[0, 0, 0] = -5000
    with pytest.raises(InputError):
        check_scan(volume(shifted))


@pytest.mark.parametrize("dtype", [np.uint8, np.int16, np.float32])
@pytest.mark.parametrize("modality", ["CT", "MR"])
def test_a_label_map_is_refused(dtype: type, modality: str) -> None:
    for values in (labels(), labels() > 0):
        with pytest.raises(InputError) as caught:
            check_scan(volume(values.astype(dtype), modality))
        assert caught.value.code == "input.labelmap"


def test_file_marked_as_label_map_is_refused() -> None:
    marked = Volume(trunk(), np.eye(4), notes=(InputNote("label_map", "It is a label map."),))
    with pytest.raises(InputError, match="It is a label map"):
        check_scan(marked)


@pytest.mark.parametrize("levels", [60, 120])
def test_image_with_few_grey_values_is_not_a_label_map(levels: int) -> None:
    noisy = np.clip(trunk() + np.random.default_rng(1).normal(0, 40, trunk().shape), -125, 275)
    check_scan(volume(np.rint((noisy + 125) / 400 * levels).astype(np.uint8), "MR"))


def test_implausibly_large_field_of_view_is_refused() -> None:
    check_scan(volume(trunk(), mm=40))
    with pytest.raises(GeometryError, match="m large") as caught:
        check_scan(volume(trunk(), mm=60))
    assert caught.value.code == "geometry.field_of_view"


def test_tiny_field_of_view_is_noted() -> None:
    assert [note.code for note in check_scan(volume(trunk(), mm=0.3))] == ["geometry.small"]


def test_ct_read_as_mr_is_noted() -> None:
    assert [note.code for note in check_scan(volume(trunk(), "MR"))] == ["values.like_ct"]


def test_result_is_independent_of_storage_order_and_size() -> None:
    values = trunk()
    for view in (values[::-1], values.transpose(2, 1, 0), np.tile(values, (3, 3, 3))):
        assert check_scan(Volume(view, np.eye(4))) == ()
