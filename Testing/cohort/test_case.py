from __future__ import annotations

from pathlib import Path

import pytest
from dicom_series import phantom, write_series

from dsm.cohort.case import find_cases
from dsm.errors import ImageError, InputError

SMALL = phantom((6, 6, 4))


def test_series_and_files_are_found_at_any_depth(tmp_path: Path) -> None:
    out = tmp_path / "out"
    first = write_series(tmp_path / "a" / "b" / "study", voxels=SMALL, prefix="x")
    second = write_series(tmp_path / "a" / "b" / "study", voxels=SMALL, modality="MR", prefix="y")
    write_series(tmp_path / "pet", voxels=SMALL, modality="PT")
    write_series(tmp_path / ".hidden", voxels=SMALL)
    write_series(out / "segmentations", voxels=SMALL)
    for name in ("scan.nii.gz", "b/other.NRRD", "mask.seg.nrrd", "notes.txt", "a/.hidden.nii"):
        path = tmp_path / name
        path.parent.mkdir(exist_ok=True)
        path.write_bytes(b"x")
    cases = find_cases(tmp_path, out=out)
    assert {case.source for case in cases} == {first, second, "scan.nii.gz", "b/other.NRRD"}
    assert [case.id for case in cases] == [case.id for case in find_cases(tmp_path, out=out)]
    assert len({case.id for case in cases}) == 4


def test_equal_names_in_different_folders_stay_apart(tmp_path: Path) -> None:
    for folder in ("one", "two"):
        (tmp_path / folder).mkdir()
        (tmp_path / folder / "scan.nii.gz").write_bytes(b"x")
    assert len({case.id for case in find_cases(tmp_path, out=tmp_path / "out")}) == 2


@pytest.mark.parametrize("name", ["a" * 240 + ".nii.gz", "Größe 臓器.nrrd", "...nii", "a b;c'd.mha"])
def test_odd_names_become_plain_ones(tmp_path: Path, name: str) -> None:
    (tmp_path / name).write_bytes(b"x")
    (case,) = find_cases(tmp_path / name, out=tmp_path / "out")
    assert len(case.id) < 80
    assert not set(case.id) & set(" ;'/\\")
    assert case.id.strip(".")


def test_names_of_series_say_nothing(tmp_path: Path) -> None:
    folder = tmp_path / "Vertraulich^Erika"
    write_series(folder, voxels=SMALL, prefix="Vertraulich")
    (case,) = find_cases(tmp_path, out=tmp_path / "out")
    text = f"{case.files[0]} is damaged; the folder {folder} (Vertraulich^Erika) has others: {case.files[1]}."
    assert "Vertraulich" in text
    assert "Vertraulich" not in case.redact(text)
    assert "Vertraulich" not in case.id + case.source


def test_a_copy_of_a_series_is_refused(tmp_path: Path) -> None:
    for name in ("a", "b"):
        write_series(tmp_path / name, voxels=SMALL, uid="1.2.3.4")
    with pytest.raises(InputError) as caught:
        find_cases(tmp_path, out=tmp_path / "out")
    assert caught.value.code == "input.twice"


def test_a_damaged_series_hides_no_other(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Mock damage: what GDCM finds and then cannot read has not been met yet, but a folder must not depend on that."""
    from dsm.io import dicom

    good = write_series(tmp_path, voxels=SMALL, prefix="a")
    bad = write_series(tmp_path, voxels=SMALL, prefix="b")
    read = dicom._header

    def header(file: str) -> object:
        if Path(file).name.startswith("b"):
            raise ImageError("damaged")
        return read(file)

    monkeypatch.setattr(dicom, "_header", header)
    assert {case.source for case in find_cases(tmp_path, out=tmp_path / "out")} == {good, bad}


@pytest.mark.parametrize(("name", "code"), [("missing", "bad_image.missing"), ("", "bad_image.no_scan")])
def test_nothing_to_do(tmp_path: Path, name: str, code: str) -> None:
    with pytest.raises(ImageError) as caught:
        find_cases(tmp_path / name, out=tmp_path / "out")
    assert caught.value.code == code
