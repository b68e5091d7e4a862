"""The way of a scan from an archive and of its segmentation back, with a real server."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import product
from pathlib import Path

import highdicom
import numpy as np
import pytest
from dicom_series import phantom, write_enhanced, write_series
from orthanc import SECRET, orthanc
from pydicom import dcmread

from dsm.cli.main import main
from dsm.inference import scan as scan_module
from dsm.io.dicomweb import DicomwebServer
from dsm.io.dicomweb_access import DicomwebAccess
from dsm.io.dicomweb_address import DicomwebAddress
from dsm.io.image import read_volume

pytestmark = pytest.mark.xdist_group("orthanc")

SHAPE = (20, 22, 12)


@pytest.fixture(scope="module")
def archive(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    folder = tmp_path_factory.mktemp("orthanc")
    with orthanc(folder) as address:
        yield address


@pytest.fixture(autouse=True)
def access(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DSM_DICOMWEB_TOKEN", SECRET)
    # Random weights find little: let every score count, so that there is something to send.
    monkeypatch.setattr(scan_module, "_LEAST_CONFIDENCE", 0.0)


def address_of(archive: str, file: Path) -> str:
    header = dcmread(file, stop_before_pixels=True)
    return f"{archive}/studies/{header.StudyInstanceUID}/series/{header.SeriesInstanceUID}"


def segmentations(archive: str, study: str, folder: Path) -> list[Path]:
    """Fetch what the archive has of a study besides images."""
    server = DicomwebServer(archive, DicomwebAccess(SECRET))
    found = server.find_series(DicomwebAddress.parse(study), modalities=("SEG",))
    for number, one in enumerate(found):
        place = folder / str(number)
        place.mkdir(parents=True)
        server.fetch(one.address, place)
    return sorted(folder.rglob("*.dcm"))


@pytest.mark.parametrize("write", [write_series, write_enhanced])
def test_there_and_back(archive, tiny_model, tmp_path, capsys, write):
    write(tmp_path / "scan", voxels=phantom(SHAPE))
    files = sorted((tmp_path / "scan").iterdir())
    assert main(["dicomweb", "send", *map(str, files), "--to", archive]) == 0
    scan = address_of(archive, files[0])
    arguments = ["-p", "liver", "--threshold", "0.1", "--model", str(tiny_model)]
    assert main(["segment", scan, *arguments, "--send"]) == 0
    assert f"stored on {archive}" in capsys.readouterr().out

    (file,) = segmentations(archive, scan.partition("/series")[0], tmp_path / "back")
    sent = highdicom.seg.segread(file)
    assert sent.get_segment_description(1).segment_label == "liver"
    volume = sent.get_volume(combine_segments=True)
    assert volume.array.any()
    # Both count voxels their own way: the box around all of them is the same.
    source = read_volume(tmp_path / "scan")
    np.testing.assert_allclose(box_of(volume.affine, volume.spatial_shape), box_of(to_lps(source.affine), source.shape))
    assert sorted(volume.spatial_shape) == sorted(SHAPE)
    # The same mask as in the file that is written here.
    assert main(["segment", str(tmp_path / "scan"), *arguments, "-o", str(tmp_path / "local.dcm")]) == 0
    local = highdicom.seg.segread(tmp_path / "local.dcm").get_volume(combine_segments=True)
    np.testing.assert_array_equal(volume.array, local.array)


def to_lps(affine: np.ndarray) -> np.ndarray:
    return np.diag([-1.0, -1.0, 1.0, 1.0]) @ affine


def box_of(affine: np.ndarray, shape: tuple[int, ...]) -> np.ndarray:
    """Return the lowest and the highest corner of a grid in mm."""
    corners = np.array([[*index, 1] for index in product(*((0, size - 1) for size in shape))])
    points = (affine @ corners.T)[:3]
    return np.array([points.min(axis=1), points.max(axis=1)])


def test_wrong_password(archive, monkeypatch, capsys):
    monkeypatch.setenv("DSM_DICOMWEB_TOKEN", "dsm:wrong")
    assert main(["dicomweb", "find", archive]) == 2
    assert "wants a valid token" in capsys.readouterr().err


def test_what_is_not_there(archive, capsys, tmp_path):
    assert main(["dicomweb", "get", f"{archive}/studies/1.2/series/3.4", "-o", str(tmp_path / "scan")]) == 2
    assert "There is nothing at" in capsys.readouterr().err
    assert main(["dicomweb", "find", archive + "-elsewhere"]) == 2
    assert "/dicom-web" in capsys.readouterr().err


def test_a_study_in_a_batch(archive, dsm_tiny, tmp_path, capsys):
    write_series(tmp_path / "scan", voxels=phantom(SHAPE))
    files = sorted((tmp_path / "scan").iterdir())
    assert main(["dicomweb", "send", *map(str, files), "--to", archive]) == 0
    study = address_of(archive, files[0]).partition("/series")[0]
    (tmp_path / "list.txt").write_text(f"# one study\n{study}\tand what it is\n")
    out = tmp_path / "out"
    arguments = ["-p", "liver", "--threshold", "0.1", "--guess", "--model", str(dsm_tiny), "--out", str(out), "--send"]
    assert main(["batch", str(tmp_path / "list.txt"), *arguments]) == 0
    assert "1 scan: 1 segmented, 0 failed;" in capsys.readouterr().out
    (mask,) = (out / "segmentations").iterdir()
    (stored,) = segmentations(archive, study, tmp_path / "back")
    assert dcmread(stored).SOPInstanceUID == dcmread(mask).SOPInstanceUID
    assert not (out / ".work").exists()
    assert main(["batch", study, *arguments]) == 0  # done: neither computed nor sent again
    assert "1 of the 1 in an earlier run" in capsys.readouterr().out
    assert len(segmentations(archive, study, tmp_path / "again")) == 1
