from __future__ import annotations

from pathlib import Path

import pytest
from dicom_series import phantom, write_series

from dsm.cohort.case import find_cases
from dsm.errors import ImageError

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


def test_equal_names_in_different_folders_have_different_ids(tmp_path: Path) -> None:
    for folder in ("one", "two"):
        (tmp_path / folder).mkdir()
        (tmp_path / folder / "scan.nii.gz").write_bytes(b"x")
    assert len({case.id for case in find_cases(tmp_path, out=tmp_path / "out")}) == 2


@pytest.mark.parametrize("name", ["a" * 240 + ".nii.gz", "Größe 臓器.nrrd", "...nii", "a b;c'd.mha"])
def test_ids_of_unusual_names_are_safe(tmp_path: Path, name: str) -> None:
    (tmp_path / name).write_bytes(b"x")
    (case,) = find_cases(tmp_path / name, out=tmp_path / "out")
    assert len(case.id) < 80
    assert not set(case.id) & set(" ;'/\\")
    assert case.id.strip(".")


def test_ids_and_messages_of_series_do_not_reveal_names(tmp_path: Path) -> None:
    folder = tmp_path / "Vertraulich^Erika"
    write_series(folder, voxels=SMALL, prefix="Vertraulich")
    (case,) = find_cases(tmp_path, out=tmp_path / "out")
    text = f"{case.files[0]} is damaged; the folder {folder} (Vertraulich^Erika) has others: {case.files[1]}."
    assert "Vertraulich" in text
    assert "Vertraulich" not in case.redact(text)
    assert "Vertraulich" not in case.id + case.source


def test_duplicate_series_is_one_case_with_its_folders(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    uid = write_series(tmp_path / "a", voxels=SMALL)
    write_series(tmp_path / "b", voxels=SMALL, uid=uid)
    other = write_series(tmp_path / "c", voxels=SMALL)
    cases = {case.source: case for case in find_cases(tmp_path, out=tmp_path / "out")}
    assert cases.keys() == {uid, other}
    assert [cases[uid].path, *cases[uid].copies] == [tmp_path / "a", tmp_path / "b"]
    assert cases[other].copies == ()
    assert str(tmp_path / "a") in caplog.text
    assert str(tmp_path / "b") in caplog.text


def test_results_of_a_cohort_are_not_scans(tmp_path: Path) -> None:
    """Neither where they were written beside the scans, nor those of another cohort below."""
    for folder in (tmp_path, tmp_path / "earlier"):
        for name in ("cohort.json", "scan.nii.gz", "segmentations/scan-1.nii.gz", "thumbnails/x.nii.gz"):
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            (folder / name).write_bytes(b"x")
    found = {case.source for case in find_cases(tmp_path, out=tmp_path)}
    assert found == {"scan.nii.gz", "earlier/scan.nii.gz"}


def test_damaged_series_does_not_hide_others(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
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
def test_missing_or_empty_input_is_refused(tmp_path: Path, name: str, code: str) -> None:
    with pytest.raises(ImageError) as caught:
        find_cases(tmp_path / name, out=tmp_path / "out")
    assert caught.value.code == code
