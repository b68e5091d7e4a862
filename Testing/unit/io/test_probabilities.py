from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from dsm.core.boxes import CroppedArray
from dsm.core.volume import Volume
from dsm.errors import OutputError, ShapeError
from dsm.io import probabilities
from dsm.io.image import read_volume
from dsm.io.probabilities import file_names
from dsm.io.segmentation import write_probabilities

VOLUME = Volume(np.zeros((6, 7, 8), dtype=np.int16), np.diag([-0.5, -0.6, 2.0, 1.0]))
CROP = CroppedArray(np.random.default_rng(0).random((2, 3, 4)).astype(np.float16), (1, 2, 3))


def test_one_map_per_prompt(tmp_path: Path) -> None:
    files = write_probabilities(tmp_path / "maps", [("left kidney", CROP), ("left kidney", CROP)], VOLUME)
    assert [file.name for file in files] == ["left_kidney.nii.gz", "left_kidney_2.nii.gz"]
    for file in files:
        volume = read_volume(file)
        assert volume.array.dtype == np.float32
        np.testing.assert_array_equal(volume.array, CROP.paste_into(VOLUME.shape).astype(np.float32))
        np.testing.assert_allclose(volume.affine, VOLUME.affine, atol=1e-5)


@pytest.mark.parametrize(
    ("names", "expected"),
    [
        (["../../etc/passwd"], ["etc_passwd"]),
        (["CON", "nul", "con tumor"], ["CON_", "nul_", "con_tumor"]),
        (["a:b*c?", "a b c"], ["a_b_c", "a_b_c_2"]),
        (["Leber", "LEBER"], ["Leber", "LEBER_2"]),
        (["a_2", "a", "a"], ["a_2", "a", "a_3"]),
        (["肝臓", "Ä", "", "..."], ["肝臓", "Ä", "prompt", "prompt_2"]),
        (["x" * 500], ["x" * 120]),
        (["肝" * 500], ["肝" * 40]),
    ],
)
def test_file_names_are_safe_and_unique(names: list[str], expected: list[str]) -> None:
    assert file_names(names) == [f"{name}.nii.gz" for name in expected]


def test_no_map_is_left_when_one_fails(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    real, calls = probabilities.write_nifti, []

    def fail_at_the_second(*arguments: object, **named: object) -> None:
        calls.append(arguments)
        if len(calls) == 2:
            raise KeyboardInterrupt
        real(*arguments, **named)  # type: ignore[arg-type]

    monkeypatch.setattr(probabilities, "write_nifti", fail_at_the_second)
    with pytest.raises(KeyboardInterrupt):
        write_probabilities(tmp_path / "maps", [("a", CROP), ("b", CROP)], VOLUME)
    assert not list(tmp_path.iterdir())


def test_folder_that_cannot_be_created_is_refused(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("x")
    for folder, code in ((tmp_path / "file", "output.is_file"), (tmp_path / "no" / "maps", "output.no_folder")):
        with pytest.raises(OutputError) as caught:
            write_probabilities(folder, [("a", CROP)], VOLUME)
        assert caught.value.code == code


def test_map_outside_the_grid_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ShapeError):
        write_probabilities(tmp_path / "maps", [("a", CroppedArray(CROP.array, (5, 5, 5)))], VOLUME)
    assert not list(tmp_path.iterdir())
